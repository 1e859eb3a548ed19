"""Write images and masks of manifests: the parts that every export shares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveate.core.files import file_name
from foveate.core.types import Row
from foveate.data import read
from foveate.data.manifest import Manifest

Progress = Callable[[int, int], None]
"""Called with (images done, images) after each."""

INSIDE, NOT_KNOWN = 255, 127
"""Values of written masks; 0 is outside."""

COPIED = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Written:
    """Result of an export.

    Args:
        paths: the folders or files.
        images: number of images written.
        notes: facts that the format cannot express, and how they were changed.
    """

    paths: tuple[Path, ...]
    images: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """A row and its masks ``(label, row, col)`` with what is known of them, by schema order."""

    row: Row
    masks: UInt8[np.ndarray, "l h w"]
    known: UInt8[np.ndarray, "l h w"]


def truths(manifest: Manifest, *, annotators: str) -> Iterator[Truth]:
    """Masks of every row.

    Args:
        manifest: rows to read.
        annotators: rule that merges annotators, or an annotator's name (`read.masks`).

    Raises:
        Unreadable: an image or a mask cannot be read.
    """
    for row in manifest:
        shape = read.size(manifest.root / row.image, frame=row.frame)
        yield Truth(row, *read.masks(row, manifest.root, manifest.schema, annotators=annotators, shape=shape))


def pixels(row: Row, root: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The image of a row, upright."""
    return read.image(root / row.image, frame=row.frame)


def grey(image: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Whether the three channels are equal."""
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def with_unknown(mask: np.ndarray, known: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """A mask and what is known of it (0/1 each) as one picture: `INSIDE`, 0 outside, `NOT_KNOWN`."""
    return np.where(known > 0, mask * np.uint8(INSIDE), np.uint8(NOT_KNOWN))


def save(values: UInt8[np.ndarray, "h w *c"], path: Path) -> None:
    """An array as PNG."""
    Image.fromarray(values).save(path, format="PNG")


def put(row: Row, root: Path, folder: Path) -> str:
    """An image into a folder: its file as it is where every program reads it alike, else its pixels as PNG.

    Copied are JPEG and PNG files that need no turning; slices of volumes, other formats and images that their EXIF
    orientation turns are decoded.

    Returns:
        name of the file.
    """
    source = root / row.image
    if row.frame is None and source.suffix.lower() in COPIED and not read.is_volume(source):
        with Image.open(source) as file:
            plain = file.format in ("JPEG", "PNG") and file.getexif().get(read.ORIENTATION, 1) == 1
        if plain:
            name = file_name(row.id) + source.suffix.lower()
            shutil.copyfile(source, folder / name)
            return name
    image = pixels(row, root)
    name = file_name(row.id) + ".png"
    save(np.ascontiguousarray(image[..., 0]) if grey(image) else image, folder / name)
    return name


def said_of(manifest: Manifest) -> list[str]:
    """Facts of these rows that neither nnU-Net nor COCO can express."""
    notes = []
    if answered := sum(bool(row.answers) for row in manifest):
        asked = ", ".join(q.name for q in manifest.schema.questions)
        notes.append(f"answers to questions about the whole image ({asked}; {answered} images) are not written")
    if several := several_annotators(manifest):
        notes.append(f"{several} images have masks of several annotators; one mask merged from them is written")
    if sum(row.group != row.id for row in manifest):
        notes.append("patients, eyes and volumes are not written: divide by patient before, not after")
    return notes


def several_annotators(manifest: Manifest) -> int:
    """Number of images with a label that several annotators drew."""
    return sum(any(len({s.annotator for s in m}) > 1 for m in row.masks.values()) for row in manifest)


def link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
