"""``python -m foveate`` is the command line."""

from foveate.cli.main import main

if __name__ == "__main__":
    main()
