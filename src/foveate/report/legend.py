"""The strip below a picture that explains its colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
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


def with_scale(picture: Image.Image, *, colours: str = "inferno") -> Image.Image:
    """The picture on a dark strip with the colour scale from 0 to 1 (a matplotlib colormap)."""
    width, height = picture.size
    letters = font(width)
    box = round(letters.size)
    out = Image.new("RGB", (width, height + round(1.6 * box) + box // 2), STRIP)
    out.paste(picture, (0, 0))
    middle = height + box // 4 + round(0.8 * box)
    ramp = matplotlib.colormaps[colours](np.linspace(0, 1, max(2, width // 2)))[None, :, :3].repeat(box, 0)
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
    scale: str | None = None,
    ends: tuple[str, str] = ("", ""),
) -> Image.Image:
    """A key for a white sheet of that many columns: one square and one word per colour, then a colour scale.

    Args:
        entries: words and their colours.
        width: columns.
        size: of the letters, in pixels.
        scale: a matplotlib colormap; None = no scale.
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
        ramp = matplotlib.colormaps[scale](np.linspace(0, 1, 9 * size))[None, :, :3].repeat(box, 0)
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
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)
