"""Masks of an export as PNG files: 255 inside, 0 outside, 127 not known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foveate.annotate.domain.truth import FindingTruth
from foveate.core.files import file_name
from foveate.core.types import MaskSource
from foveate.data.writing import NOT_KNOWN, save, with_unknown


@dataclass(frozen=True)
class MaskFiles:
    """Writes masks into a folder, named by annotator, label and image id.

    Args:
        folder: to write to.
        shown: path of the folder as the manifest names it.
    """

    folder: Path
    shown: str

    def __call__(self, found: FindingTruth, *, annotator: str, label: str, image: str) -> tuple[MaskSource, ...] | None:
        """Return the sources of a label; None if nothing of it is known. An absent finding needs no file."""
        if not found.known.any():
            return None
        if found.known.all() and not found.marked.any():
            return (MaskSource(annotator=annotator),)
        place = Path(file_name(annotator)) / file_name(label) / f"{file_name(image)}.png"
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        save(with_unknown(found.marked, found.known), self.folder / place)
        path = (Path(self.shown) / place).as_posix()
        return (MaskSource(path, above=NOT_KNOWN, ignore=(NOT_KNOWN,), annotator=annotator),)
