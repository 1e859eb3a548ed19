"""The page of a check: what was found, and contact sheets to scroll through, the suspicious images first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from foveate.core.files import write_file
from foveate.report import colours
from foveate.report.embed import Shot, photo
from foveate.report.overlay import overlay
from foveate.report.table import Table

ROOM = Path(__file__).parent
WIDTH = 200  # pixels across a picture: about 9 kB as JPEG, so that 400 of them make a page of 5 MB


@dataclass(frozen=True)
class Thumb:
    """One image of a contact sheet, as small as it is shown.

    Args:
        shot: the picture, masks drawn into it.
        id: its name.
        part: its split; "" if it has none.
        answers: question -> answer.
        words: further lines below it.
    """

    shot: Shot
    id: str
    part: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: images that belong together (duplicates) share a strip.

    Args:
        key: its anchor on the page.
        title: of the sheet.
        words: below the title: what is shown, and how many of how many.
        strips: images side by side, with a line of words above; "" for none.
        grave: whether it shows something wrong.
    """

    key: str
    title: str
    words: str
    strips: Sequence[tuple[str, Sequence[Thumb]]]
    grave: bool = False


def shot(
    image: UInt8[np.ndarray, "h w 3"], *, masks: UInt8[np.ndarray, "l h w"], labels: Sequence[str], alt: str
) -> Shot:
    """An image with its masks outlined, as a small JPEG.

    Args:
        image: RGB, of any size.
        masks: 0/1 on its grid.
        labels: names along the first axis; their order gives the colours.
        alt: what it shows, in words.
    """
    return photo(overlay(image, masks=masks, labels=labels, width=WIDTH, alpha=0.12, legend=False), alt=alt)


def check_page(
    path: str | Path,
    *,
    title: str,
    ok: bool,
    facts: Sequence[tuple[str, str]],
    lists: Mapping[str, Sequence[str]],
    tables: Sequence[Table],
    sheets: Sequence[Sheet],
    labels: Sequence[str] = (),
    most: int = 100,
    when: datetime | None = None,
) -> Path:
    """Write the page of a check: no other file, no script, no network.

    Args:
        path: the page; its folder is made if it is not there.
        title: of the page.
        ok: whether training on the data is sound.
        facts: name and value, at the top.
        lists: title -> lines of what was found; for an empty list the page states that nothing was found.
        tables: counts.
        sheets: in the order in which they are shown.
        labels: of the schema; their colours are explained.
        most: lines of a list.
        when: date on the page; None = now.

    Returns:
        the path.
    """
    values: dict[str, Any] = {
        "title": title,
        "style": Markup((ROOM / "page.css").read_text(encoding="utf-8")),
        "ok": ok,
        "facts": list(facts),
        "lists": [(name, list(lines[:most]), len(lines)) for name, lines in lists.items() if lines],
        "clear": [name for name, lines in lists.items() if not lines],
        "tables": list(tables),
        "sheets": list(sheets),
        "colours": [(name, "rgb({}, {}, {})".format(*rgb)) for name, rgb in colours.marks(labels).items()],
        "when": (when or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip(),
    }
    maker = Environment(loader=FileSystemLoader(ROOM), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = maker.get_template("check.html.j2").render(values)
    path = Path(path)
    write_file(path, text)
    return path
