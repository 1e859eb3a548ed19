"""Cases side by side: which to show, their panels, and sheets of them as one picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from foveate.core.types import Case
from foveate.report.legend import font
from foveate.report.overlay import activation, errors, overlay, resized


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet and the words above it."""

    title: str
    picture: Image.Image


def chosen(cases: Iterable[Case], *, each: int = 3) -> dict[str, tuple[Case, ...]]:
    """The best, median and worst scored cases, none twice; cases without a score are left out.

    Args:
        cases: any number; `Case.score` high is good.
        each: how many of each kind; fewer where there are too few cases (the worst are filled first).
    """
    scored = sorted((c for c in cases if c.score is not None and not math.isnan(c.score)), key=lambda c: c.score or 0.0)
    count = len(scored)
    worst = range(min(each, count))
    best = [i for i in range(count - 1, -1, -1) if i not in worst][:each]
    near = sorted(set(range(count)) - set(worst) - set(best), key=lambda i: (abs(i - (count - 1) / 2), i))
    middle = sorted(near[:each], reverse=True)
    picks = {"best": best, "median": middle, "worst": worst}
    return {kind: tuple(scored[i] for i in at) for kind, at in picks.items() if at}


def panels(case: Case, *, width: int = 480, legend: bool = True) -> tuple[Panel, ...]:
    """Image, truth, prediction and errors of one case; the image alone where the schema has no pixel labels."""
    image, given, labels = case.image, case.prediction, case.prediction.labels
    out = [Panel("image", Image.fromarray(resized(image, width)))]
    if not labels:
        return tuple(out)
    truth = case.masks.astype(bool) & case.known.astype(bool)
    if case.known.any():
        out.append(
            Panel("truth", overlay(image, masks=truth, known=case.known, labels=labels, width=width, legend=legend))
        )
    out.append(Panel("prediction", overlay(image, masks=given.masks, labels=labels, width=width, legend=legend)))
    if case.known.any():
        wrong = errors(
            image, truth=truth, predicted=given.masks, known=case.known, labels=labels, width=width, legend=legend
        )
        out.append(Panel("errors", wrong))
    return tuple(out)


def cams(case: Case, *, width: int = 360, legend: bool = True) -> dict[str, tuple[Panel, ...]]:
    """One panel for each answer of each question that the prediction has an activation map of."""
    return {
        question: tuple(
            Panel(
                f"{answer} {case.prediction.probabilities.get(question, {}).get(answer, math.nan):.2f}",
                activation(case.image, cam=cam, width=width, legend=legend),
            )
            for answer, cam in maps.items()
        )
        for question, maps in case.prediction.cam.items()
    }


def caption(case: Case) -> str:
    """Id, score, and for each question the answer given, its probability and the truth."""
    parts = [case.prediction.id]
    if case.score is not None:
        parts.append(f"score {case.score:.3f}")
    return "   ".join(parts + [f"{name}: {words}" for name, words in answers(case).items()])


def answers(case: Case) -> dict[str, str]:
    """Question -> "yes 0.93 (truth: no)" in words."""
    out = {}
    for question, given in case.prediction.answers.items():
        probability = case.prediction.probabilities.get(question, {}).get(given)
        strength = "" if probability is None else f" {probability:.2f}"
        out[question] = f"{given}{strength} (truth: {case.answers.get(question, 'unknown')})"
    return out


def sheet(rows: Mapping[str, Sequence[Panel]] | Sequence[tuple[str, Sequence[Panel]]], *, gap: int = 12) -> Image.Image:
    """Rows of panels as one picture, each row under its caption, on white.

    Raises:
        ValueError: there is no panel at all.
    """
    items = list(rows.items()) if isinstance(rows, Mapping) else list(rows)
    if not any(row for _, row in items):
        raise ValueError("rows hold no panel; give at least one case")
    widest = max(sum(p.picture.width + gap for p in row) for _, row in items) + gap
    letters = font(max(p.picture.width for _, row in items for p in row))
    line = round(letters.size * 1.7)
    lines = [line * (bool(text) + any(p.title for p in row)) for text, row in items]
    heights = [
        max((p.picture.height for p in row), default=0) + high + gap
        for high, (_, row) in zip(lines, items, strict=True)
    ]
    out = Image.new("RGB", (widest, sum(heights) + gap), "white")
    draw, top = ImageDraw.Draw(out), gap
    for (text, row), height, high in zip(items, heights, lines, strict=True):
        draw.text((gap, top), text, font=letters, fill=(20, 20, 20))
        left = gap
        for panel in row:
            draw.text((left, top + line * bool(text)), panel.title, font=letters, fill=(110, 110, 110))
            out.paste(panel.picture, (left, top + high))
            left += panel.picture.width + gap
        top += height
    return out


def case_sheet(cases: Iterable[Case], *, width: int = 320) -> Image.Image:
    """One row per case: image, truth, prediction and errors below its caption.

    Raises:
        ValueError: no cases.
    """
    return sheet([(caption(case), panels(case, width=width)) for case in cases])


def contact_sheet(cases: Iterable[Case], *, columns: int = 6, width: int = 200) -> Image.Image:
    """Many cases at a glance: the predicted masks on each image, under its id and score.

    Raises:
        ValueError: no cases.
    """
    small = [
        Panel(
            case.prediction.id if case.score is None else f"{case.prediction.id}  {case.score:.2f}",
            overlay(case.image, masks=case.prediction.masks, labels=case.prediction.labels, width=width, legend=False),
        )
        for case in cases
    ]
    return sheet([("", small[i : i + columns]) for i in range(0, len(small), columns)])


def cam_sheet(cases: Sequence[Case], *, question: str, width: int = 320) -> Image.Image:
    """Activation maps: one row per answer, one column per case; the first row shows the images.

    Raises:
        ValueError: no case has an activation map for the question.
    """
    shown = [case for case in cases if case.prediction.cam.get(question)]
    if not shown:
        raise ValueError(f"question={question!r}: no case has an activation map for it; ask the predictor for them")
    rows = {
        f"{question}: images": [
            Panel(answers(c).get(question, c.prediction.id), panels(c, width=width)[0].picture) for c in shown
        ]
    }
    for answer in shown[0].prediction.cam[question]:
        maps = [(c, dict(zip(c.prediction.cam[question], cams(c, width=width)[question], strict=True))) for c in shown]
        rows[f"{question}: {answer}"] = [found[answer] for _, found in maps if answer in found]
    return sheet(rows)
