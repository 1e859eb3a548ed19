"""Adapters: one public data set = one file with ``read(root) -> Manifest``; `folder` reads a user's own."""

from __future__ import annotations

from pathlib import Path

from foveate.core import find
from foveate.data.adapters import folder
from foveate.data.manifest import Manifest

ROOM = "data/adapters"


def scan(adapter: str, root: str | Path) -> Manifest:
    """The manifest of a data set: every image under a folder and all that is known of it.

    Args:
        adapter: name of a file of this room, or path to a ``.toml`` that describes the folder.
        root: the data set's folder; the rows' paths are relative to it.

    Returns:
        the manifest, not yet written; ``info["warnings"]`` lists what was not as expected.

    Raises:
        ValueError: no such adapter, or the folder is not as described; file, line, value and remedy are named.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"root={str(root)!r} is no folder; give the one that holds the data set")
    if adapter.endswith(".toml"):
        return folder.read(root, Path(adapter))
    if adapter not in find.names(ROOM):
        raise ValueError(f"adapter={adapter!r} is none of {list(find.names(ROOM))}, nor a path that ends in .toml")
    found: Manifest = find.load(ROOM, adapter).read(root)
    return found
