"""The page's sections of pictures, as plain values for its template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

from foveate.core.types import Case
from foveate.report import colours
from foveate.report.case_sheets import cams, chosen, panels
from foveate.report.embed import Shot, photo

WIDTH, SMALL = 640, 360
"""Pixels across the pictures: a case's panel (enlarged on a click), an activation map."""

ENLARGE = "Click a picture to enlarge it."


def groups(cases: Sequence[Case], *, each: int) -> tuple[str, list[dict[str, Any]]]:
    """Best, median and worst cases with their panels (without scores the first ones), and a line about the choice."""
    picked = chosen(cases, each=each)
    if picked:
        words = f"{sum(map(len, picked.values()))} of {len(cases)} cases, chosen by score. {ENLARGE}"
    else:
        picked = {"cases": tuple(cases[: 3 * each])}
        words = f"The first {len(picked['cases'])} of {len(cases)} cases; they have no score to choose by. {ENLARGE}"
    return words, [{"name": name.capitalize(), "cases": [_case(c) for c in some]} for name, some in picked.items()]


def _case(case: Case) -> dict[str, Any]:
    name, labels = case.prediction.id, case.prediction.labels
    given = []
    for question, answer in case.prediction.answers.items():
        truth, p = case.answers.get(question), case.prediction.probabilities.get(question, {}).get(answer)
        words = answer + ("" if p is None else f" ({p:.2f})") + f", truth {truth or 'unknown'}"
        given.append(
            {
                "question": question,
                "words": words,
                "kind": "" if truth is None else "right" if truth == answer else "wrong",
            }
        )
    notes = []
    if unmarked := [label for label, seen in zip(labels, case.known, strict=True) if not seen.any()]:
        notes.append(f"Truth unknown in this image: {', '.join(unmarked)}.")
    shown = panels(case, width=min(WIDTH, max(320, case.image.shape[1])), legend=False)
    shots = [photo(p.picture, alt=f"{name}: {p.title}", caption=p.title) for p in shown]
    score = None if case.score is None or math.isnan(case.score) else f"score {case.score:.3f}"
    return {"id": name, "score": score, "answers": given, "panels": shots, "notes": notes}


def maps(cases: Sequence[Case], *, most: int) -> list[dict[str, Any]]:
    """Question -> one line per case: the image, then one activation map per answer; best, median, worst case first."""
    first = [case for some in chosen(cases, each=1).values() for case in some]
    out: dict[str, list[dict[str, Any]]] = {}
    for case in [*first, *(case for case in cases if all(case is not other for other in first))]:
        for question, shown in cams(case, width=SMALL, legend=False).items():
            if len(out.setdefault(question, [])) < most:
                image = panels(case, width=SMALL)[0]
                shots: list[Shot] = [
                    photo(p.picture, alt=f"{case.prediction.id}: {p.title}", caption=p.title) for p in (image, *shown)
                ]
                given, truth = case.prediction.answers.get(question, "no answer"), case.answers.get(question, "unknown")
                out[question].append(
                    {"id": case.prediction.id, "words": f"given {given}, truth {truth}", "panels": shots}
                )
    return [{"question": question, "lines": lines} for question, lines in out.items()]


def key(cases: Sequence[Case]) -> dict[str, list[tuple[str, str]]]:
    """The colours of the case panels in words."""
    labels = next((c.prediction.labels for c in cases if c.prediction.labels), ())
    wrong = {
        "found": colours.FOUND,
        "missed": colours.MISSED,
        "false alarm": colours.FALSE,
        "another label": colours.CONFUSED,
    }
    wrong["truth unknown (hatched)"] = colours.UNKNOWN
    return {
        "labels": [(name, "rgb({}, {}, {})".format(*rgb)) for name, rgb in colours.marks(labels).items()],
        "errors": [(name, "rgb({}, {}, {})".format(*rgb)) for name, rgb in wrong.items()],
    }


def ramp() -> str:
    """The colours of the activation maps as stops of a CSS gradient."""
    return ", ".join(
        "rgb({:.0f}, {:.0f}, {:.0f})".format(*(255 * c for c in rgba[:3]))
        for rgba in matplotlib.colormaps["inferno"](np.linspace(0, 1, 9))
    )
