"""How far the readers of a room agree: kappa and Dice, of pairs and of all, by reader and over time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from statistics import fmean
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.marks import Marks, RegionsShape, Shape, drawn
from foveate.annotate.room import Room
from foveate.annotate.saving import readings, when
from foveate.annotate.tables import Item
from foveate.core.shapes import rasterise
from foveate.data.agreement import Agreement, Drawn, agreement, answered

PARTS, LEAST = 10, 4
"""Over time the images are told in so many parts, each of so many images or more."""

SAID = ("absent", "present")


@dataclass(frozen=True)
class Read:
    """One image and what its readers said: reader -> marks."""

    image: str
    shape: tuple[int, int]
    at: float | None
    given: Mapping[str, Marks]
    drawn: Sequence[Drawn]


@dataclass
class Concord:
    """Agreement in a room; pixels are counted once for each version of each reading.

    Args:
        room: whose readers.
    """

    room: Room
    counted: dict[int, tuple[tuple[Any, ...], list[Drawn]]] = field(default_factory=dict)

    def __call__(self, db: Session) -> dict[str, Any]:
        """Everything that the page of agreement shows; figures that cannot be told are None."""
        read = self._read(db)
        questions, findings = self._answers(read), self._findings(read)
        dice = agreement(pair for one in read for pair in one.drawn)
        return {
            "images": len(read),
            "questions": [
                {"question": a.label, "readers": a.graders, "images": a.images, "kappa": _number(a.kappa)}
                | {"all": len(a.graders) != 2}
                for a in questions
            ],
            "findings": _joined(findings, dice),
            "readers": _by_reader([*questions, *findings], dice),
            "over_time": [self._part(part) for part in _parts(read)],
        }

    def _read(self, db: Session) -> list[Read]:
        """Images that two readers or more have done, in the order they were completed."""
        found = []
        for item in db.scalars(select(Item).order_by(Item.id)):
            done = readings(db, item)
            given = {name: marks for name, _, marks in done if marks.ungradable is None}
            if len(given) < 2:
                continue
            state = tuple((one.id, one.version) for _, one, _ in done)
            if item.id not in self.counted or self.counted[item.id][0] != state:
                self.counted[item.id] = (state, self._draw(item, given))
            saved = max(one.saved or 0.0 for _, one, _ in done)
            found.append(Read(item.image, (item.rows, item.cols), saved, given, self.counted[item.id][1]))
        return sorted(found, key=lambda one: one.at or 0.0)

    def _draw(self, item: Item, given: Mapping[str, Marks]) -> list[Drawn]:
        """Every pair's marks of every finding: pixels, or regions where nobody marked pixels."""
        out = []
        for f in self.room.protocol.findings:
            marked = {name: m.of(f.name) for name, m in given.items() if m.said(f.name) != "unsure"}
            if any(drawn(s) is not None for some in marked.values() for s in some):
                shape = (item.rows, item.cols)
                masks = {name: rasterise(shape, _solid(some)) if some else None for name, some in marked.items()}
                sizes = {name: 0 if mask is None else int(mask.sum()) for name, mask in masks.items()}
                for a, b in combinations(sorted(masks), 2):
                    one, two = masks[a], masks[b]
                    both = 0 if one is None or two is None else int((one & two).sum())
                    out.append(Drawn(item.image, f.name, (a, b), (sizes[a], sizes[b]), both))
            else:
                named = {
                    name: {r for s in some if isinstance(s, RegionsShape) for r in s.regions}
                    for name, some in marked.items()
                }
                for a, b in combinations(sorted(named), 2):
                    pair = (len(named[a]), len(named[b]))
                    out.append(Drawn(item.image, f.name, (a, b), pair, len(named[a] & named[b])))
        return out

    def _answers(self, read: Sequence[Read], *, least: int = 2) -> list[Agreement]:
        out: list[Agreement] = []
        for q in self.room.protocol.questions:
            given = [{n: m.answers[q.name] for n, m in one.given.items() if q.name in m.answers} for one in read]
            out += answered(q.name, self.room.schema.question(q.name).answers, given, least=least)
        return out

    def _findings(self, read: Sequence[Read], *, least: int = 2) -> list[Agreement]:
        out: list[Agreement] = []
        for f in self.room.protocol.findings:
            given = [{n: s for n, m in one.given.items() if (s := m.said(f.name)) != "unsure"} for one in read]
            out += answered(f.name, SAID, [{n: str(s) for n, s in one.items()} for one in given], least=least)
        return out

    def _part(self, part: Sequence[Read]) -> dict[str, Any]:
        kappas: dict[str, list[float]] = defaultdict(list)
        for a in (*self._answers(part), *self._findings(part)):
            if len(a.graders) == 2 and not math.isnan(a.kappa):
                kappas[a.label].append(a.kappa)
        dice: dict[str, list[float]] = defaultdict(list)
        for one in (pair for read in part for pair in read.drawn):
            if one.dice is not None:
                dice[one.label].append(one.dice)
        return {
            "until": when(part[-1].at),
            "images": len(part),
            "kappa": {label: fmean(values) for label, values in kappas.items()},
            "dice": {label: fmean(values) for label, values in dice.items()},
        }


def _solid(shapes: Sequence[Shape]) -> list[Any]:
    return [d for s in shapes if not s.doubtful and (d := drawn(s)) is not None]


def _parts(read: Sequence[Read]) -> list[Sequence[Read]]:
    count = min(PARTS, len(read) // LEAST)
    edges = [round(i * len(read) / count) for i in range(count + 1)] if count else []
    return [read[a:b] for a, b in pairwise(edges)]


def _joined(kappas: Sequence[Agreement], dice: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Kappa of being there and Dice of where, of the same readers, in one line."""
    of = {(a.label, a.graders): a for a in dice}
    out = []
    for a in kappas:
        where = of.get((a.label, a.graders))
        out.append(
            {
                "finding": a.label,
                "readers": a.graders,
                "images": a.images,
                "both_or_either": 0 if where is None else where.either,
                "dice": None if where is None else _number(where.mean),
                "dice_median": None if where is None else _number(where.middle),
                "kappa": _number(a.kappa),
                "all": len(a.graders) != 2,
            }
        )
    return out


def _by_reader(kappas: Sequence[Agreement], dice: Sequence[Agreement]) -> list[dict[str, Any]]:
    """The mean over the pairs that a reader is part of."""
    found: dict[str, tuple[dict[str, list[float]], dict[str, list[float]]]] = {}
    for place, some in enumerate((kappas, dice)):
        for a in some:
            value = a.mean if place else a.kappa
            if len(a.graders) != 2 or math.isnan(value):
                continue
            for name in a.graders:
                found.setdefault(name, (defaultdict(list), defaultdict(list)))[place][a.label].append(value)
    return [
        {
            "name": name,
            "kappa": {label: fmean(v) for label, v in both[0].items()},
            "dice": {label: fmean(v) for label, v in both[1].items()},
        }
        for name, both in sorted(found.items())
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
