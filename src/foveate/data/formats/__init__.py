"""File kinds: one file a kind, recognised by content. `foveate.data.read` is their entrance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from foveate.data.formats import (
    dicom,
    heyex_e2e,
    heyex_vol,
    heyex_xml,
    metaimage,
    nifti,
    picture,
    topcon_fda,
)
from foveate.data.formats.pixels import Pixels, Slice

HEAD = 1024
"""Bytes at the start of a file that tell its kind."""


class Kind(Protocol):
    """What each file of this room offers."""

    def fits(self, head: bytes) -> bool:
        """Whether a file that starts with these bytes is of this kind."""

    def slices(self, path: Path) -> Sequence[Slice]:
        """What the file says of each of its images, in order; no pixel is decoded."""

    def pixels(self, path: Path, frame: int | None) -> Pixels:
        """One image, decoded; without a frame the file must hold one image only."""

    def companions(self, path: Path, frame: int | None) -> tuple[Path, ...]:
        """Other files that this image is stored in."""


VOLUMES: tuple[Kind, ...] = (dicom, heyex_vol, heyex_e2e, heyex_xml, topcon_fda, metaimage, nifti)


def kind_of(path: Path) -> Kind:
    """The kind of a file by its content, whatever its name; what no other kind claims is a picture.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((kind for kind in VOLUMES if kind.fits(head)), picture)
