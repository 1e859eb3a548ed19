"""Exchange: a manifest written in, or read from, the formats of other programs; one format = one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foveate.core import plugins

if TYPE_CHECKING:
    from foveate.data.manifest import Manifest
    from foveate.data.writing import Progress, Written


def export(manifest: Manifest, out: str | Path, *, to: str, progress: Progress | None = None) -> Written:
    """Write images and masks in another program's format; several annotators' masks are united.

    Args:
        manifest: rows to write.
        out: folder, made if it is not there.
        to: the format: the name of a file of this package ("nnunet", "coco", "folder").
        progress: called with (images written, images) after each.

    Returns:
        the paths, the number of images, and notes on what the format cannot hold.

    Raises:
        ValueError: there is no such format, or the folder or the manifest does not suit it.
    """
    written: Written = plugins.load("data/exchange", to).write(manifest, Path(out), progress=progress)
    return written
