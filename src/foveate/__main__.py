"""``python -m foveate`` is the command line."""

from foveate.apps.cli import main

if __name__ == "__main__":
    main()
