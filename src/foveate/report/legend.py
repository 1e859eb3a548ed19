"""The strip below a picture that says what its colours mean."""

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


def font(width: int) -> ImageFont.FreeTypeFont:
    """Letters that suit a picture of that many columns."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), max(9, min(width // 32, 40)))
