"""Agreement of annotators: kappa and Dice, of pairs and of all, per annotator and over time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import fmean
from typing import Any

from foveate.annotate.domain.marks import Marks, RegionsShape, Shape, drawn
from foveate.annotate.domain.protocol import Protocol
from foveate.core.labels import LabelSchema
from foveate.core.shapes import rasterise
from foveate.data.agreement import Agreement, Drawn, agreement, answered

PARTS, LEAST = 10, 4
"""Over time the images are split into at most so many parts, each of at least so many images."""

STATES = ("absent", "present")


@dataclass(frozen=True)
class Compared:
    """One image that several annotators have done.

    Args:
        at: time at which the last of them was done, seconds since 1970.
        given: annotator -> marks.
        drawn: every pair's marks of every finding (`compare_marks`).
    """

    at: float | None
    given: Mapping[str, Marks]
    drawn: Sequence[Drawn]


def compare_marks(image: str, shape: tuple[int, int], given: Mapping[str, Marks], *, protocol: Protocol) -> list[Drawn]:
    """Compare every pair's marks of every finding: pixels, or regions if nobody marked pixels.

    Args:
        image: its id.
        shape: (rows, cols).
        given: annotator -> marks.
        protocol: its findings.
    """
    out = []
    for f in protocol.findings:
        marked = {name: m.of(f.name) for name, m in given.items() if m.state_of(f.name) != "unsure"}
        if any(drawn(s) is not None for some in marked.values() for s in some):
            masks = {name: rasterise(shape, _solid(some)) if some else None for name, some in marked.items()}
            sizes = {name: 0 if mask is None else int(mask.sum()) for name, mask in masks.items()}
            for a, b in combinations(sorted(masks), 2):
                one, two = masks[a], masks[b]
                both = 0 if one is None or two is None else int((one & two).sum())
                out.append(Drawn(image, f.name, (a, b), (sizes[a], sizes[b]), both))
        else:
            named = {
                name: {r for s in some if isinstance(s, RegionsShape) for r in s.regions}
                for name, some in marked.items()
            }
            for a, b in combinations(sorted(named), 2):
                pair = (len(named[a]), len(named[b]))
                out.append(Drawn(image, f.name, (a, b), pair, len(named[a] & named[b])))
    return out


def agreement_of(compared: Sequence[Compared], *, protocol: Protocol, schema: LabelSchema) -> dict[str, Any]:
    """Return everything that the page of agreement shows, but its times; None for a metric that is not defined.

    Args:
        compared: images in the order in which they were completed.
        protocol: its questions and findings.
        schema: of the project.
    """
    questions, findings = _answers(compared, protocol, schema), _findings(compared, protocol)
    dice = agreement(pair for one in compared for pair in one.drawn)
    return {
        "images": len(compared),
        "questions": [
            {"question": a.label, "annotators": a.annotators, "images": a.images, "kappa": _number(a.kappa)}
            | {"all": len(a.annotators) != 2, "measure": _measure(a, ordered=schema.question(a.label).ordered)}
            for a in questions
        ],
        "findings": _joined(findings, dice),
        "annotators": _by_annotator([*questions, *findings], dice),
        "over_time": [_part(part, protocol, schema) for part in _parts(compared)],
    }


def _measure(found: Agreement, *, ordered: bool) -> str:
    """Name of the kappa that was computed (`data.agreement.answered`)."""
    if len(found.annotators) != 2:
        return "Fleiss"
    return "quadratic weighted" if ordered else "Cohen"


def _answers(compared: Sequence[Compared], protocol: Protocol, schema: LabelSchema) -> list[Agreement]:
    out: list[Agreement] = []
    for q in protocol.questions:
        given = [{n: m.answers[q.name] for n, m in one.given.items() if q.name in m.answers} for one in compared]
        asked = schema.question(q.name)
        out += answered(q.name, asked.answers, given, least=2, ordered=asked.ordered)
    return out


def _findings(compared: Sequence[Compared], protocol: Protocol) -> list[Agreement]:
    out: list[Agreement] = []
    for f in protocol.findings:
        states = [{n: str(m.state_of(f.name)) for n, m in one.given.items()} for one in compared]
        known = [{n: state for n, state in one.items() if state != "unsure"} for one in states]
        out += answered(f.name, STATES, known, least=2)
    return out


def _part(part: Sequence[Compared], protocol: Protocol, schema: LabelSchema) -> dict[str, Any]:
    kappas: dict[str, list[float]] = defaultdict(list)
    for a in (*_answers(part, protocol, schema), *_findings(part, protocol)):
        if len(a.annotators) == 2 and not math.isnan(a.kappa):
            kappas[a.label].append(a.kappa)
    dice: dict[str, list[float]] = defaultdict(list)
    for one in (pair for image in part for pair in image.drawn):
        if one.dice is not None:
            dice[one.label].append(one.dice)
    return {
        "until": part[-1].at,
        "images": len(part),
        "kappa": {label: fmean(values) for label, values in kappas.items()},
        "dice": {label: fmean(values) for label, values in dice.items()},
    }


def _solid(shapes: Sequence[Shape]) -> list[Any]:
    return [d for s in shapes if not s.doubtful and (d := drawn(s)) is not None]


def _parts(compared: Sequence[Compared]) -> list[Sequence[Compared]]:
    count = min(PARTS, len(compared) // LEAST)
    edges = [round(i * len(compared) / count) for i in range(count + 1)] if count else []
    return [compared[a:b] for a, b in pairwise(edges)]


def _joined(kappas: Sequence[Agreement], dice: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Join kappa of presence and Dice of the marks of the same annotators in one row."""
    of = {(a.label, a.annotators): a for a in dice}
    out = []
    for a in kappas:
        where = of.get((a.label, a.annotators))
        out.append(
            {
                "finding": a.label,
                "annotators": a.annotators,
                "images": a.images,
                "both_or_either": 0 if where is None else where.either,
                "dice": None if where is None else _number(where.mean),
                "dice_median": None if where is None else _number(where.middle),
                "kappa": _number(a.kappa),
                "all": len(a.annotators) != 2,
            }
        )
    return out


def _by_annotator(kappas: Sequence[Agreement], dice: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Average over the pairs that an annotator is part of."""
    found: dict[str, tuple[dict[str, list[float]], dict[str, list[float]]]] = {}
    for place, some in enumerate((kappas, dice)):
        for a in some:
            value = a.mean if place else a.kappa
            if len(a.annotators) != 2 or math.isnan(value):
                continue
            for name in a.annotators:
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
