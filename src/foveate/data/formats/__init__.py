"""Image file formats: one file per format, found by listing and recognised by content. `foveate.data.read` uses them.

A further format is one more file in this folder, with what `Format` names. `_` files are parts that formats share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from foveate.data.formats import picture
from foveate.data.formats._pixels import Pixels, Slice

HEAD = 1024
"""Bytes at the start of a file by which its format is recognised."""

OTHER = (
    ".json", ".jsonl", ".txt", ".csv", ".tsv", ".xml", ".toml", ".yaml", ".yml", ".md", ".pdf", ".html", ".log",
    ".xls", ".xlsx", ".doc", ".docx", ".ini", ".py", ".safetensors", ".npy", ".db",
)  # fmt: skip
"""Endings of files that are often beside images and are not images; passed over by number, not by name."""


class Format(Protocol):
    """Functions and constants of each file of this folder."""

    TITLE: str
    ENDINGS: tuple[str, ...]

    def fits(self, head: bytes) -> bool:
        """Whether a file that starts with these bytes is of this format."""

    def slices(self, path: Path) -> Sequence[Slice]:
        """Size, spacing and the like of each image of the file, in order; no pixel is decoded."""

    def pixels(self, path: Path, frame: int | None) -> Pixels:
        """One image, decoded; without a frame the file must hold one image only."""

    def companions(self, path: Path, frame: int | None) -> tuple[Path, ...]:
        """Other files that this image is stored in."""


PICTURE = cast(Format, picture)
"""The format of what no other claims."""


@cache
def formats() -> dict[str, Format]:
    """Every format by its file's name; pictures come last. Listed once in a process: a small image takes as long."""
    names = sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))
    found = {name: cast(Format, import_module(f"{__name__}.{name}")) for name in names}
    return dict(sorted(found.items(), key=lambda item: item[1] is PICTURE))


def format_of(path: Path) -> Format:
    """The format of a file by its content, whatever its name; a file that no format claims is taken for a picture.

    Raises:
        OSError: it cannot be opened.
    """
    return recognised(path) or PICTURE


def recognised(path: Path) -> Format | None:
    """The format that claims a file by its content; None if none does.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((one for one in formats().values() if one.fits(head)), None)


@dataclass(frozen=True)
class Listing:
    """Files of folders.

    Args:
        images: files to read: those that a format claims by content, and damaged ones that end as an image does.
        passed_over: files that no format claims and whose ending is not that of a text, table or document.
        others: number of texts, tables, documents and files that belong to an image of another file.
    """

    images: tuple[Path, ...]
    passed_over: tuple[Path, ...] = ()
    others: int = 0


def list_files(folder: Path) -> Listing:
    """Sort the files of a folder and of those in it into images and others; hidden files are left out.

    Args:
        folder: to search.
    """
    sure = tuple({ending for one in formats().values() for ending in one.ENDINGS} - {*OTHER})
    images, passed_over, others = [], [], 0
    for path in _files(folder):
        if _claimed(path) or path.name.lower().endswith(sure):
            images.append(path)
        elif path.suffix.lower() in OTHER:
            others += 1
        else:
            passed_over.append(path)
    parts = {part for path in images for part in _parts(path)}
    belong = [path for path in (*images, *passed_over) if path in parts]
    return Listing(_without(images, parts), _without(passed_over, parts), others + len(belong))


def _without(paths: Iterable[Path], parts: set[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path not in parts)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _claimed(path: Path) -> bool:
    try:
        return recognised(path) is not None
    except OSError:
        return False


def _parts(path: Path) -> set[Path]:
    """Files beside this one that hold its pixels; none if it is damaged, which shows when it is read."""
    try:
        form = format_of(path)
        count = 1 if form is PICTURE else len(form.slices(path))
        return {part for frame in range(count) for part in form.companions(path, frame)}
    except Exception:
        return set()
