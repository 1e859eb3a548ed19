"""The strip below a picture that explains its colours."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from foveate.report.colours import RGB

STRIP: RGB = (18, 18, 18)
WORDS: RGB = (238, 238, 238)
INK: RGB = (32, 36, 42)
SOFT: RGB = (104, 110, 120)


def with_legend(picture: UInt8[np.ndarray, "h w 3"], entries: Sequence[tuple[str, RGB]]) -> Image.Image:
    """The picture on a dark strip that names its colours, in as many lines as it needs."""
    if not entries:
        return Image.fromarray(picture)
    height, width = picture.shape[:2]
    letters = font(width)
    box, at = round(letters.size), 0.0
    placed: list[list[tuple[float, str, RGB]]] = [[]]
    for text, colour in entries:
        need = 1.4 * box + letters.getlength(text) + box
        if at + need > width and placed[-1]:
            placed.append([])
            at = 0.0
        placed[-1].append((at, text, colour))
        at += need
    step = round(1.6 * box)
    out = Image.new("RGB", (width, height + step * len(placed) + box // 2), STRIP)
    out.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(out)
    for number, row in enumerate(placed):
        middle = height + box // 4 + step * (number + 0.5)
        for left, text, colour in row:
            draw.rectangle((left + box * 0.4, middle - box * 0.4, left + box * 1.2, middle + box * 0.4), fill=colour)
            draw.text((left + box * 1.6, middle), text, font=letters, fill=WORDS, anchor="lm")
    return out


def with_scale(picture: Image.Image) -> Image.Image:
    """The picture on a dark strip with the colour scale from 0 to 1 (`ramp_of`)."""
    width, height = picture.size
    letters = font(width)
    box = round(letters.size)
    out = Image.new("RGB", (width, height + round(1.6 * box) + box // 2), STRIP)
    out.paste(picture, (0, 0))
    middle = height + box // 4 + round(0.8 * box)
    ramp = ramp_of(np.linspace(0, 1, max(2, width // 2)))[None].repeat(box, 0)
    out.paste(Image.fromarray((ramp * 255).astype(np.uint8)), (width // 4, middle - box // 2))
    draw = ImageDraw.Draw(out)
    draw.text((width // 4 - box // 2, middle), "0", font=letters, fill=WORDS, anchor="rm")
    draw.text((width // 4 + width // 2 + box // 2, middle), "1", font=letters, fill=WORDS, anchor="lm")
    return out


def key(
    entries: Sequence[tuple[str, RGB]],
    *,
    width: int,
    size: int,
    scale: bool = False,
    ends: tuple[str, str] = ("", ""),
) -> Image.Image:
    """A key for a white sheet of that many columns: one square and one word per colour, then a colour scale.

    Args:
        entries: words and their colours.
        width: columns.
        size: of the letters, in pixels.
        scale: draw the colour scale of activation maps (`ramp_of`).
        ends: words at its two ends.
    """
    letters = font_of(size)
    step, box = round(1.7 * size), round(0.9 * size)
    places: list[tuple[float, int]] = []
    left, line = 0.0, 0
    long = 10 * size + sum(letters.getlength(word) + size for word in ends)
    for need in [*(2.6 * size + letters.getlength(text) for text, _ in entries), *([long] if scale else [])]:
        if left + need > width and left:
            left, line = 0.0, line + 1
        places.append((left, line))
        left += need
    out = Image.new("RGB", (width, step * (line + 1)), "white")
    draw = ImageDraw.Draw(out)
    for (text, colour), (at, row) in zip(entries, places, strict=False):
        middle = round((row + 0.5) * step)
        draw.rectangle((at, middle - box // 2, at + box, middle + box // 2), fill=colour, outline=SOFT)
        draw.text((at + 1.4 * size, middle), text, font=letters, fill=INK, anchor="lm")
    if scale:
        at, row = places[-1]
        middle, start = round((row + 0.5) * step), round(at + letters.getlength(ends[0]) + size // 2)
        ramp = ramp_of(np.linspace(0, 1, 9 * size))[None].repeat(box, 0)
        draw.text((at, middle), ends[0], font=letters, fill=INK, anchor="lm")
        out.paste(Image.fromarray((ramp * 255).astype(np.uint8)), (start, middle - box // 2))
        draw.text((start + 9.5 * size, middle), ends[1], font=letters, fill=INK, anchor="lm")
    return out


def font(width: int) -> ImageFont.FreeTypeFont:
    """Letters that suit a picture of that many columns."""
    return font_of(max(9, min(width // 32, 40)))


def font_of(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Letters of that many pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    found = find_spec("matplotlib")  # not imported for it: that takes longer than to draw an overlay
    if found is None or found.origin is None:
        return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
    return ImageFont.truetype(str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name), size)


def ramp_of(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3"]:
    """Colours in [0, 1] of values in [0, 1], on the scale "inferno" (matplotlib's table, which OpenCV also has)."""
    import cv2

    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1] / 255
    return np.asarray(table[np.clip((values * 256).astype(np.int64), 0, 255)])
