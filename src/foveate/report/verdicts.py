"""Names of lesions below a picture with a verdict (found, missed, false alarm), shown by a sign and a colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from foveate.report.colours import RGB
from foveate.report.grid import wrapped
from foveate.report.legend import INK, SOFT, font_of
from foveate.report.panels import Marked


@dataclass(frozen=True)
class Verdict:
    """Verdict on a lesion's name: a sign before the name, the colour of its letters, and the meaning of both."""

    sign: str
    words: str
    colour: RGB


# Red and blue differ for every kind of colour vision, and the signs without any.
TRUE = Verdict("", "", INK)
FOUND = Verdict("✓", "found", INK)
FALSE = Verdict("✗", "false alarm", (196, 14, 42))
MISSED = Verdict("○", "missed", (0, 90, 181))
UNSURE = Verdict("?", "truth unknown", SOFT)


@dataclass(frozen=True)
class Name:
    """A line below a picture.

    Args:
        label: whose name it is.
        colour: of its marks in the picture; None = there are none.
        verdict: None = the line is left empty.
    """

    label: str
    colour: RGB | None = None
    verdict: Verdict | None = None

    @property
    def words(self) -> str:
        """The name in words."""
        return self.label.replace("_", " ")


def judged(marked: Marked) -> Verdict | None:
    """Verdict on a label in the whole image; None if it was not marked and is absent or unknown."""
    if not marked.known.any():
        return UNSURE if marked.given.any() else None
    given = bool((marked.given & marked.known).any())
    if marked.truth.any():
        return FOUND if given else MISSED
    return FALSE if given else None


INDENT, ASIDE = 2.6, 3.1
"""Where a name begins, and the width of a card that names leave free, in heights of its letters."""


def fitting(names: Sequence[Name], *, width: int, size: int) -> int:
    """The largest letters, of ``size`` pixels at most, in which no word of these names is parted on a card."""
    words = [word for name in names for word in name.words.split()]
    for less in range(size, 8, -1):
        letters = font_of(less)
        if all(letters.getlength(word) <= width - round(ASIDE * less) for word in words):
            return less
    return 8


def card(picture: Image.Image, names: Sequence[Name], *, size: int, empty: str = "none") -> Image.Image:
    """A picture with a line for each name below it: a square in the colour of its marks, if any, the sign, the name.

    Args:
        picture: as wide as the card.
        names: lines from above; an empty one keeps the place of its name, so that cards of the same names are alike.
        size: of the letters, in pixels (`fitting`).
        empty: text if all lines are empty.
    """
    letters, step, box = font_of(size), round(1.3 * size), round(0.7 * size)
    room = picture.width - round(ASIDE * size)
    lines = [wrapped(name.words, letters=letters, width=room) for name in names]
    out = Image.new("RGB", (picture.width, picture.height + step * max(1, sum(map(len, lines))) + size // 2), "white")
    out.paste(picture, (0, 0))
    draw, top = ImageDraw.Draw(out), picture.height + size // 4
    indent = round(INDENT * size)
    if not any(name.verdict for name in names):
        draw.text((indent, top + step // 2), empty, font=letters, fill=SOFT, anchor="lm")
    for name, words in zip(names, lines, strict=True):
        if name.verdict is not None:
            middle = top + step // 2
            if name.colour is not None:
                square = (size // 4, middle - box // 2, size // 4 + box, middle + box // 2)
                draw.rectangle(square, fill=name.colour, outline=SOFT)
            draw.text((1.8 * size, middle), name.verdict.sign, font=letters, fill=name.verdict.colour, anchor="mm")
            for k, text in enumerate(words):
                draw.text((indent, middle + step * k), text, font=letters, fill=name.verdict.colour, anchor="lm")
        top += step * len(words)
    return out


def key_of(names: Iterable[Name], *, width: int, size: int) -> Image.Image:
    """Key of a white sheet: the meaning of the signs that occur, and of a missing square."""
    every = [name for name in names if name.verdict is not None]
    there = [one for one in (FOUND, MISSED, FALSE, UNSURE) if any(name.verdict == one for name in every)]
    entries = [(f"{one.sign} {one.words}", one.colour) for one in there]
    if any(name.verdict in (FOUND, FALSE) and name.colour is None for name in every):
        entries.append(("without a square: place not shown", INK))
    letters, step = font_of(size), round(1.7 * size)
    places: list[tuple[float, int]] = []
    left, line = 0.0, 0
    for text, _ in entries:
        need = letters.getlength(text) + 1.6 * size
        if left + need > width and left:
            left, line = 0.0, line + 1
        places.append((left, line))
        left += need
    out = Image.new("RGB", (width, step * (line + 1)), "white")
    draw = ImageDraw.Draw(out)
    for (text, colour), (at, row) in zip(entries, places, strict=True):
        draw.text((at, round((row + 0.5) * step)), text, font=letters, fill=colour, anchor="lm")
    return out
