"""Photographs and drawings through Pillow: PNG, JPEG, TIFF, BMP, GIF, PPM and PGM, WebP, JPEG 2000.

Decoding is Pillow's alone. OpenCV gives the same pixels of a JPEG in 1.7 ms instead of 2.1 (712 x 1072), but hands a
cut-off file back grey from the cut on and returns it as whole; an image is decoded once, as prepared ones are cached.

A JPEG can be decoded at a half, a quarter or an eighth of its size (`reduced`): the decoder then transforms fewer
coefficients of each block and writes fewer pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.data.formats._pixels import Pixels, Slice, chosen, too_many, within_limit
from foveate.data.formats._unreadable import Unreadable

TITLE = "PNG, JPEG, TIFF, BMP, GIF, PPM and PGM, WebP, JPEG 2000"
ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".webp",
    ".jp2", ".j2k", ".jpx", ".jpc", ".j2c",
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "PPM", "WEBP", "JPEG2000")
"""What is tried; Pillow's other plugins start programs (EPS) or know a file by its ending alone."""
PAGED = ("TIFF", "GIF", "PNG", "WEBP")
"""Formats whose frames are images in their own right; a camera's MPO holds a preview beside its photograph."""
STARTS = (
    b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8", b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)  # fmt: skip
"""First bytes of PNG, JPEG, TIFF (also BigTIFF), GIF, JPEG 2000 (file, code stream)."""
OTHER_STARTS = re.compile(rb"RIFF.{4}WEBP|BM.{4}\0{4}|P[1-6]\s+(#|\d)", re.DOTALL)
"""WebP, BMP, and PPM and the like; texts may begin with the same two letters."""
ORIENTATION = 0x0112  # EXIF tag
TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS = (5, 6, 7, 8)  # orientations that exchange rows and columns
FACTORS = (8, 4, 2)
"""By what a JPEG can be reduced while it is decoded, largest first."""
ONE_BIT = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)


def fits(head: bytes) -> bool:
    """Starts as one of the picture formats does."""
    return head.startswith(STARTS) or OTHER_STARTS.match(head) is not None


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Size of every page, from its header."""
    with _opened(path) as file:
        found = []
        for page in range(_pages(file)):
            file.seek(page)
            found.append(Slice(_size(path, file)))
        return found


def size(path: Path, frame: int | None) -> tuple[int, int]:
    """(rows, cols) of one page."""
    with _opened(path) as file:
        _turn_to(path, file, frame)
        return _size(path, file)


def pixels(path: Path, frame: int | None) -> Pixels:
    """One page, turned upright by its EXIF orientation; transparency is dropped."""
    with _opened(path) as file:
        _turn_to(path, file, frame)
        return _decoded(path, file)


def alpha_varies(path: Path) -> bool:
    """Whether the first page has a transparency of several values."""
    with _opened(path) as file:
        if "A" not in file.getbands():
            return False
        low, high = file.getchannel("A").getextrema()
        return low != high


def reduced(
    path: Path, frame: int | None, most: Callable[[tuple[int, int]], int]
) -> tuple[Pixels, tuple[int, int], int]:
    """One page as of `pixels`, a JPEG at a part of its size if that is wanted.

    Args:
        path: the file.
        frame: as of `pixels`.
        most: (rows, cols) of the whole image -> by how much it may be reduced at most, 1 for not at all.

    Returns:
        the pixels, (rows, cols) of the whole image, and the factor f: pixel (i, j) is the mean of rows f i to f i + f
        and columns f j to f j + f. The last row and column reach beyond the image if f does not divide its size.
    """
    with _opened(path) as file:
        _turn_to(path, file, frame)
        whole = _size(path, file)
        factor = _factor(file, most(whole))
        if factor > 1:
            file.draft("", (file.width // factor, file.height // factor))
        return _decoded(path, file), whole, factor


def _factor(file: Image.Image, most: int) -> int:
    """The largest factor up to ``most`` that this file can be reduced by; 1 = it is decoded whole.

    An image that is turned must be divided without rest, as the last row or column would otherwise become the first.
    """
    if file.format not in ("JPEG", "MPO") or file.mode not in ("L", "RGB", "CMYK"):
        return 1
    turned = _orientation(file) in TURN
    for factor in FACTORS:
        if factor <= most and not (turned and (file.width % factor or file.height % factor)):
            return factor
    return 1


def pixels_of(path: Path, data: bytes) -> Pixels:
    """An image inside another file.

    Args:
        path: that file, for messages.
        data: the image's bytes.
    """
    with _opened(path, data) as file:
        return _decoded(path, file)


@contextmanager
def _opened(path: Path, data: bytes | None = None) -> Iterator[Image.Image]:
    if data is None and path.stat().st_size == 0:
        raise Unreadable(path, "is empty (0 bytes); copy or export it again")
    try:
        with Image.open(path if data is None else BytesIO(data), formats=FORMATS) as file:
            yield file
    except Image.DecompressionBombError:
        raise Unreadable(path, f"has {too_many(2 * (Image.MAX_IMAGE_PIXELS or 0))}") from None


def _pages(file: Image.Image) -> int:
    return int(getattr(file, "n_frames", 1)) if file.format in PAGED else 1


def _turn_to(path: Path, file: Image.Image, frame: int | None) -> None:
    page = chosen(path, frame, _pages(file), word="pages")
    if page:
        file.seek(page)


def _size(path: Path, file: Image.Image) -> tuple[int, int]:
    cols, rows = file.size
    within_limit(path, rows, cols)
    return (cols, rows) if _orientation(file) in SWAPS else (rows, cols)


def _orientation(file: Image.Image) -> int:
    """EXIF orientation as the header states it; 1 where it is absent, broken or (TIFF) applied by Pillow itself."""
    if file.format == "TIFF":
        return 1
    try:
        return int(Image.Image.getexif(file).get(ORIENTATION, 1))  # PNG's own getexif decodes all pixels
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError):
        return 1


def _decoded(path: Path, file: Image.Image) -> Pixels:
    _size(path, file)
    turn = TURN.get(_orientation(file))
    file.load()
    upright = file if turn is None else file.transpose(turn)
    if upright.mode in ("LA", "La", "PA"):
        upright = upright.convert(upright.mode[0])
    if upright.mode == "P":
        table = np.zeros((256, 3), np.uint8)
        given = np.array(upright.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
        table[: len(given)] = given
        return Pixels(np.array(upright), palette=table)
    if upright.mode == "1":
        return Pixels(np.array(upright, dtype=np.uint8), palette=ONE_BIT)
    if upright.mode == "L":
        return Pixels(np.array(upright))
    if upright.mode.startswith("I"):
        return Pixels(np.array(upright), white=65535.0)
    if upright.mode == "F":
        return Pixels(np.array(upright), white=1.0)
    return Pixels(np.array(upright if upright.mode == "RGB" else upright.convert("RGB")))
