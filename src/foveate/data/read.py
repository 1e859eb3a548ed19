"""Files to arrays: an image as RGB, its size from the header, its masks merged over annotators, and what is known.

The one entrance to files of every kind (`foveate.data.formats`); the content decides the format, not the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.labels import LabelSchema
from foveate.core.shapes import polygon
from foveate.core.types import MaskSource, Row
from foveate.data.formats import PICTURE, format_of, picture
from foveate.data.formats._pixels import Pixels, Slice, chosen
from foveate.data.formats._unreadable import Unreadable as Unreadable
from foveate.data.formats._unreadable import reading as reading

ORIENTATION = picture.ORIENTATION

Stack = Bool[np.ndarray, "g h w"]
Merge = Callable[[Stack, Stack], tuple[np.ndarray, np.ndarray]]


def frames(path: Path) -> int:
    """How many images a file holds: B-scans of a volume, pages of a TIFF, pictures of an animation; 1 of a photograph.

    Raises:
        Unreadable: no such file, or no image.
    """
    return len(slices(path))


def slices(path: Path) -> tuple[Slice, ...]:
    """Return what the header states of each image (size, spacing, laterality ...), in order; no pixel is decoded.

    Raises:
        Unreadable: no such file, no image, or fewer images than its header states.
    """
    with reading(path):
        return tuple(format_of(path).slices(path))


def is_volume(path: Path) -> bool:
    """Whether a file is DICOM or a volume of any kind, and no ordinary picture; decided by its first bytes.

    Raises:
        Unreadable: it cannot be opened.
    """
    with reading(path):
        return format_of(path) is not PICTURE


def parts(path: Path, *, frame: int | None = None) -> tuple[Path, ...]:
    """All files that an image is stored in: the file itself, and the pixels beside a header (.mhd, .xml).

    Raises:
        Unreadable: no such file, or a header that cannot be read.
    """
    with reading(path):
        return (path, *format_of(path).companions(path, frame))


def size(path: Path, *, frame: int | None = None) -> tuple[int, int]:
    """(rows, cols) of an image as `image` returns it, from the header alone.

    Args:
        path: the file.
        frame: as of `image`.

    Raises:
        Unreadable: no such file, no image, or several images and no frame.
    """
    with reading(path):
        form = format_of(path)
        if form is PICTURE:
            return picture.size(path, frame)
        found = form.slices(path)
        return found[chosen(path, frame, len(found))].size


def image(path: Path, *, frame: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """One image as RGB, turned upright as its EXIF orientation states.

    Grey becomes three equal channels; palette, CMYK, YBR and transparency become RGB (the alpha channel is dropped).
    Other grey than 8 bit is scaled by the range of its type (16 bit: value * 255 / 65535, rounded; fractions hold
    [0, 1]), or by the window that a DICOM file states, the same for every image, so that brightness stays comparable.
    Heidelberg's reflectivities look as in the camera's viewer.

    Args:
        path: JPEG, PNG, TIFF, BMP, GIF, PPM or PGM, WebP, JPEG 2000; DICOM; MetaImage, NIfTI, Heidelberg .vol, .e2e
            and HEYEX XML, Topcon .fda.
        frame: which B-scan, slice or page, from 0; None if the file has one image.

        Raises:
            Unreadable: no such file, damaged or cut off, several images and no frame, values out of range or not
                numbers, too many pixels, or a missing decoder.
    """
    with reading(path):
        found = format_of(path).pixels(path, frame)
        try:
            return found.rgb()
        except ValueError as error:
            raise Unreadable(path, str(error)) from None


@dataclass(frozen=True)
class Reduced:
    """An image as `reduced` returns it.

    Args:
        image: RGB, ``(row, col, 3)``.
        size: (rows, cols) of the whole image.
        factor: pixel (i, j) is the mean of ``factor`` rows and columns of the whole image, from row ``factor * i`` and
            column ``factor * j`` on; the last ones may reach beyond its edge. 1 = the whole image.
    """

    image: UInt8[np.ndarray, "h w 3"]
    size: tuple[int, int]
    factor: int = 1


def reduced(path: Path, *, frame: int | None = None, most: Callable[[tuple[int, int]], int]) -> Reduced:
    """One image as of `image`, but a JPEG at a half, a quarter or an eighth of its size if that is enough.

    Decoding a photograph at a quarter takes a third to a fifth of the time. Any other kind of file is decoded whole.

    Args:
        path: as of `image`.
        frame: as of `image`.
        most: (rows, cols) of the whole image, upright -> the largest factor by which it may be reduced, 1 = whole.

    Raises:
        Unreadable: as of `image`.
    """
    with reading(path):
        if format_of(path) is not PICTURE:
            whole = image(path, frame=frame)
            return Reduced(whole, (whole.shape[0], whole.shape[1]))
        found, size, factor = picture.reduced(path, frame, most)
        try:
            return Reduced(found.rgb(), size, factor)
        except ValueError as error:
            raise Unreadable(path, str(error)) from None


def in_alpha(path: Path, pixels: Pixels) -> bool:
    """Whether a picture has one colour throughout and a transparency that varies: what it shows is in the alpha."""
    first = pixels.values.reshape(-1, *pixels.values.shape[2:])[:1]
    return bool((pixels.values == first).all()) and format_of(path) is PICTURE and picture.alpha_varies(path)


class _Mask:
    """A decoded mask file."""

    def __init__(self, path: Path, frame: int | None, shape: tuple[int, int]) -> None:
        self.path = path
        with reading(path):
            self.pixels: Pixels = format_of(path).pixels(path, frame)
        self.coloured = self.pixels.coloured
        if in_alpha(path, self.pixels):
            raise Unreadable(path, "has its mask in the transparency (alpha); save that channel as a grey image")
        self.bright = self.pixels.bright()
        self.values = self.bright if self.pixels.values.ndim == 3 else self.pixels.values
        if self.values.shape != shape:
            raise Unreadable(path, f"the mask is {self.values.shape} (rows, cols), its image {shape}")

    def _one_of(self, wanted: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
        if self.coloured:
            raise Unreadable(self.path, "is in true colours, so it holds no index values; use above or below")
        found = self.values == wanted[0] if wanted else np.zeros(self.values.shape, bool)
        for value in wanted[1:]:
            found |= self.values == value
        return np.asarray(found)

    @property
    def lossy(self) -> bool:
        """Whether the file is a JPEG, whose values are blurred at every edge."""
        with self.path.open("rb") as file:
            return file.read(3) == b"\xff\xd8\xff"

    def unnamed(self, named: tuple[MaskSource, ...]) -> Bool[np.ndarray, "h w"] | None:
        """Pixels with a value that no source explains; None if there are none.

        Index masks: if no named value is in the file, every value but 0 (in a JPEG also beside named ones). Masks of
        ``above``: if nothing is marked and the file has one value beside 0 (a mask of 0 and 1 under ``above=127``).
        A file in which 0 itself is named has a background that nobody names, and is taken as it is.
        """
        values = {v for s in named for v in (*(s.index or ()), *s.ignore)}
        if any(s.below is not None or s.bit is not None for s in named) or 0 in values or self.coloured:
            return None
        others = self.values != 0
        if any(s.index is not None for s in named):
            mine = np.isin(self.values, sorted(values)) if values else np.zeros(self.values.shape, bool)
            left = others & ~mine if self.lossy or not mine.any() else None
        else:
            cuts = [s.above for s in named if s.above is not None]
            top = self.bright.max(initial=0)
            one = bool(cuts) and 0 < top <= min(cuts) and bool(np.isin(self.bright, (0, top)).all())
            left = others if one else None
        return left if left is not None and left.any() else None

    def read(self, source: MaskSource) -> tuple[np.ndarray, np.ndarray]:
        """(marked, known) of one source."""
        if source.index is not None:
            marked = self._one_of(source.index)
        elif source.bit is not None:
            if self.coloured or self.values.dtype.kind == "f":
                raise Unreadable(self.path, "holds colours or fractions, so it has no bits; use above or below")
            marked = (self.values.astype(np.int64) >> source.bit) & 1 == 1
        elif source.above is not None:
            marked = self.bright > source.above
        else:
            marked = self.bright < (source.below or 0)
        if not source.ignore:
            return np.asarray(marked), np.ones(marked.shape, bool)
        known = ~self._one_of(source.ignore)
        return np.asarray(marked & known), known


def outline(path: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Pixels inside the closed outline of a text file: one corner per line, x (across) and y (down).

    Args:
        path: two numbers per line, separated by blanks, tabs, a comma or a semicolon; parts outside the image are cut.
        shape: (rows, cols) of the image.

    Raises:
        Unreadable: no such file, no such numbers, fewer than three corners.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        lines = [line.replace(",", " ").replace(";", " ").split() for line in text.splitlines() if line.strip()]
        corners = np.array(lines).astype(float)
    except ValueError as error:  # UnicodeDecodeError included
        raise Unreadable(path, f"must be an outline, two numbers per line ({error})") from None
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise Unreadable(
            path, f"must be an outline of three corners or more, two numbers each (found: {corners.shape})"
        )
    return polygon(shape, [(float(y), float(x)) for x, y in corners])


def union(marked: Stack, known: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Marked by any annotator; known where one who knows the pixel marked it or all know it."""
    mask = (marked & known).any(0)
    return mask, mask | known.all(0)


def intersection(marked: Stack, known: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Marked by every annotator; known where one who knows the pixel left it or all know it."""
    everyone = known.all(0)
    left = (known & ~marked).any(0)
    return everyone & ~left, everyone | left


def majority(marked: Stack, known: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Marked by more than half of the annotators who know the pixel; an even split, none included, is unknown."""
    votes, voters = (marked & known).sum(0), known.sum(0)
    return 2 * votes > voters, 2 * votes != voters


MERGE: Mapping[str, Merge] = {"union": union, "intersection": intersection, "majority": majority}
"""Rules that merge annotators: ``(annotator, row, col)`` marked and known -> ``(row, col)`` marked and known."""


def masks(
    row: Row, root: Path, schema: LabelSchema, *, annotators: str = "union", shape: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "l h w"], UInt8[np.ndarray, "l h w"]]:
    """Masks of a row by schema order, and where their truth is known (both 0/1; a mask is 0 where it is unknown).

    ``index``, ``bit`` and ``ignore`` speak of the values stored in the file (a palette's index, 16 bit kept, 0 and 1
    of a one-bit file); ``above`` and ``below`` of brightness (a palette's colour, the largest channel of a colour,
    0 and 255 of a one-bit file, the value itself else); ``frame`` picks the slice or page. Each is decoded once.
    A value that no source names, in a file without any named value but 0, is unknown: another rule made the file.
    Several sources of one annotator for one label are parts of one mask: their union; so are the labels that one label
    of the schema represents.

    Args:
        row: its ``masks`` are read; a label without sources is unknown everywhere, a source without a path means
            that the label is absent everywhere.
        root: folder that the paths are relative to.
        schema: names the labels.
        annotators: a rule of `MERGE` or an annotator's name (a label is unknown where that annotator gave none).
        shape: (rows, cols) of the image.

    Raises:
        Unreadable: a mask file is missing, damaged, of another size than the image, or has no values of that kind.
    """
    out = np.zeros((len(schema.labels), *shape), np.uint8)
    out_known = np.zeros_like(out)
    files: dict[tuple[str, int | None], _Mask] = {}
    lost: dict[tuple[str, int | None], np.ndarray | None] = {}

    def one(label: str) -> tuple[np.ndarray, np.ndarray]:
        """Marked and known of one of the manifest's labels."""
        parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for source in row.masks.get(label, ()):
            if annotators not in MERGE and source.annotator != annotators:
                continue
            if source.path is None:
                part = np.zeros(shape, bool), np.ones(shape, bool)
            elif source.contour:
                part = outline(root / source.path, shape), np.ones(shape, bool)
            else:
                key = source.path, source.frame
                if key not in files:
                    files[key] = _Mask(root / source.path, source.frame, shape)
                    lost[key] = files[key].unnamed(_sources_of(row, key))
                part = files[key].read(source)
                if (left := lost[key]) is not None:
                    part = part[0], part[1] & ~(left & ~part[0])
            if source.doubtful:
                part = np.zeros(shape, bool), part[1] & ~part[0]
            parts.setdefault(source.annotator, []).append(part)
        given = [_merged(union, of_one) for of_one in parts.values()]
        return _merged(MERGE.get(annotators, union), given) if given else (np.zeros(shape, bool), np.zeros(shape, bool))

    for position, label in enumerate(schema.labels):
        marked, known = _merged(union, [one(member) for member in schema.members(label)])
        np.logical_and(marked, known, out=out[position].view(bool))
        out_known[position] = known
    return out, out_known


def _sources_of(row: Row, key: tuple[str, int | None]) -> tuple[MaskSource, ...]:
    """All sources of a row, of any label, that read one image of one file."""
    return tuple(s for sources in row.masks.values() for s in sources if (s.path, s.frame) == key and not s.contour)


def unnamed_values(row: Row, root: Path, *, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Return the pixel values that no source explains, for each label whose masks have some (at most five).

    Raises:
        Unreadable: as of `masks`.
    """
    out: dict[str, tuple[int, ...]] = {}
    for label, sources in row.masks.items():
        for source in sources:
            if source.path is None or source.contour:
                continue
            mask = _Mask(root / source.path, source.frame, shape)
            left = mask.unnamed(_sources_of(row, (source.path, source.frame)))
            if left is not None:
                values = tuple(int(v) for v in np.unique(mask.values[left])[:5])
                out[label] = tuple(sorted({*out.get(label, ()), *values}))
    return out


def _merged(rule: Merge, given: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(given) == 1:
        return given[0]
    return rule(np.stack([marked for marked, _ in given]), np.stack([known for _, known in given]))
