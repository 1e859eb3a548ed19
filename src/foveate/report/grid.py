"""Pictures in rows and columns on a white sheet: names above the columns, words below each picture, a key at the foot.

If the sheet is too narrow for all columns, those after the leading ones continue in further lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from foveate.report.legend import INK, SOFT, font_of

EDGE = (200, 204, 210)
WIDEST, NARROWEST, GAP = 320, 216, 12
"""Pixels across a tile, at most and (if several lines can help) at least; pixels between tiles."""


@dataclass(frozen=True)
class Tile:
    """A picture and the lines of words below it."""

    picture: Image.Image
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """Layout of a sheet.

    Args:
        lead: number of leading columns, which appear once per row.
        across: number of further columns per line.
        lines: number of lines per row.
        tile: pixels across a picture.
        size: of the letters, in pixels.
    """

    lead: int
    across: int
    lines: int
    tile: int
    size: int

    @classmethod
    def of(cls, count: int, *, lead: int, limit: int) -> Grid:
        """The grid for so many columns beside the leading ones, on a sheet of at most ``limit`` pixels across."""
        room = max(1, (limit - GAP) // (NARROWEST + GAP) - lead)
        lines = max(1, -(-count // room))
        across = -(-count // lines)
        tile = min(WIDEST, (limit - GAP) // (lead + across) - GAP)
        return cls(lead, across, lines, tile, max(11, round((tile + GAP) * (lead + across) / 100)))

    @property
    def width(self) -> int:
        """Pixels across the sheet."""
        return (self.lead + self.across) * (self.tile + GAP) + GAP

    def sheet(self, rows: Sequence[Sequence[Tile]], *, heads: Sequence[str], key: Image.Image) -> Image.Image:
        """The sheet; every row has a tile for each of ``heads``."""
        lines = []
        for number, row in enumerate(rows):
            if number and self.lines > 1:
                lines.append(Image.new("RGB", (self.width, 2), EDGE))
            lines += self._lines(row, heads, first=not number)
        out = Image.new("RGB", (self.width, sum(line.height for line in lines) + key.height + GAP), "white")
        top = 0
        for line in lines:
            out.paste(line, (0, top))
            top += line.height
        out.paste(key, (GAP, top))
        return out

    def _lines(self, row: Sequence[Tile], heads: Sequence[str], *, first: bool) -> list[Image.Image]:
        made = []
        for number in range(self.lines):
            start = self.lead + number * self.across
            at = [*(range(self.lead) if not number else ()), *range(start, min(start + self.across, len(row)))]
            named = first or self.lines > 1
            made.append(
                self._line(
                    [row[i] for i in at],
                    [heads[i] if named and (first or i >= self.lead) else "" for i in at],
                    skip=self.lead if number else 0,
                )
            )
        return made

    def _line(self, tiles: Sequence[Tile], heads: Sequence[str], *, skip: int) -> Image.Image:
        plain, bold = font_of(self.size), font_of(self.size, bold=True)
        names = [wrapped(head, letters=bold, width=self.tile) for head in heads]
        below = [[part for text in t.words for part in wrapped(text, letters=plain, width=self.tile)] for t in tiles]
        step = round(1.3 * self.size)
        head = step * max(map(len, names)) + (GAP // 2 if any(names) else 0)
        picture, foot = max(t.picture.height for t in tiles), step * max(map(len, below))
        out = Image.new("RGB", (self.width, GAP + head + picture + foot + GAP), "white")
        draw = ImageDraw.Draw(out)
        for column, (tile, name, words) in enumerate(zip(tiles, names, below, strict=True), skip):
            left, top = GAP + column * (self.tile + GAP), GAP
            for k, text in enumerate(name):  # the last line of each name is next to its picture
                draw.text((left, top + step * (k + max(map(len, names)) - len(name))), text, font=bold, fill=INK)
            out.paste(tile.picture, (left, top + head))
            corner = (left + tile.picture.width, top + head + tile.picture.height)
            draw.rectangle((left - 1, top + head - 1, *corner), outline=EDGE)  # or a white margin of a scan is lost
            for k, text in enumerate(words):
                place = (left, top + head + tile.picture.height + self.size // 4 + step * k)
                draw.text(place, text, font=plain, fill=INK if not k else SOFT)
        return out


def wrapped(text: str, *, letters: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text in lines of at most that many pixels, broken between words, and within words that are too long."""
    lines: list[str] = []
    for word in text.split():
        if lines and letters.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        rest = word
        while letters.getlength(rest) > width and len(rest) > 1:
            fits = next(n for n in range(len(rest) - 1, 0, -1) if n == 1 or letters.getlength(rest[:n]) <= width)
            lines.append(rest[:fits])
            rest = rest[fits:]
        lines.append(rest)
    return lines
