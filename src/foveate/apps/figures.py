"""Which figures a study gets: each table's methods side by side, on images chosen by one of them alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate.engine.run import Run
from foveate.inference.cases import score_images
from foveate.metrics.counts import Counts
from foveate.recipes import load_run

FAIR = "(first fold); fixed by these scores before another method was looked at."


@dataclass(frozen=True)
class Plan:
    """One figure: which table, whose methods, which images, and how these were chosen."""

    table: str
    file: str
    rows: Mapping[str, str]
    images: tuple[str, ...]
    chooser: Run
    said: str
    label: str | None = None
    question: str | None = None


def plans(folder: Path, record: Mapping[str, Any]) -> list[Plan]:
    """What figures a study's tables get, and of which test images of the first fold.

    A table of one run gets none. Images are chosen by the scores of the reference (or the first row that has the label
    or the question) alone, so that no other method has a say.
    """
    made: list[Plan] = []
    for title, table in record["tables"].items():
        runs = {row: load_run(folder / "runs" / name / record["folds"][0]) for row, name in table["rows"].items()}
        if len(set(table["rows"].values())) > 1:
            first = [table["reference"]] if table["reference"] else []
            order = {row: runs[row] for row in (*first, *(row for row in runs if row not in first))}
            made += _of_table(title, table["rows"], order)
    return made


def _of_table(title: str, rows: Mapping[str, str], runs: Mapping[str, Run]) -> Iterator[Plan]:
    counts = {row: Counts.read(run.folder, run.recipe.schema) for row, run in runs.items()}
    stem = "_".join(title.lower().split())
    marking: dict[str, str] = {}  # label -> who chooses
    for row, found in counts.items():
        for label, part in found.labels.items():
            if part.truth.any():
                marking.setdefault(label, row)
    for label, chooser in marking.items():
        images, among = three(dices(counts[chooser], [label]))
        file = f"{stem}_masks.png" if len(marking) == 1 else f"{stem}_masks_{_plain(label)}.png"
        shown = {row: name for row, name in rows.items() if _marks(counts[row], label)}
        said = (
            f"What each method marked of {label}. Shown: {_words(images, 'Dice', chooser)} among the {among} test "
            f"images with {label} {FAIR} All pictures of a row are cut alike, to the part framed in the first."
        )
        yield Plan(title, file, shown, images, runs[chooser], said, label=label)
    asking = [row for row, found in counts.items() if len(found.answers["image"])]
    if asking:
        chooser = asking[0]
        asked = runs[chooser].recipe.schema.questions[0].name
        marker = next(iter(marking.values()), None)
        figure, judge = ("mean Dice", marker) if marker else ("probability of the true answer", chooser)
        scores = dices(counts[marker], list(marking)) if marker else score_images(counts[chooser])
        more, among = three(scores)
        images = tuple(dict.fromkeys([*one_an_answer(counts[chooser], runs[chooser]), *more]))
        shown = {row: name for row, name in rows.items() if asked in counts[row].answers["question"]}
        said = (
            f"Where each method saw the answer that it gave to {asked} (Grad-CAM, each map divided by its maximum). "
            f"Shown: for every answer the image in which it is true and {chooser} gave it the highest probability, "
            f"then {_words(more, figure, judge)} among {among} test images{' with a label' if marker else ''} {FAIR}"
        )
        if marker:
            said += " AIR: share of the activation on the true pixels."
        yield Plan(title, f"{stem}_cams.png", shown, images, runs[chooser], said, question=asked)


def dices(counts: Counts, labels: Sequence[str]) -> dict[str, float]:
    """Mean Dice an image over those of these labels that it truly has; images without any are left out."""
    values: dict[str, list[float]] = {}
    for label in labels:
        part = counts.labels.get(label)
        if part is not None:
            dice = 2 * part.tp / np.maximum(2 * part.tp + part.fp + part.fn, 1)
            for image, value in zip(part.image[part.truth == 1], dice[part.truth == 1], strict=True):
                values.setdefault(counts.images[image], []).append(float(value))
    return {image: float(np.mean(some)) for image, some in values.items()}


def three(scores: Mapping[str, float]) -> tuple[tuple[str, ...], int]:
    """The images of the lowest, the median and the highest score, none twice (ties by name), and out of how many."""
    order = sorted(scores, key=lambda image: (scores[image], image))
    last = len(order) - 1
    return tuple(order[i] for i in sorted({0, last // 2, last} if order else ())), len(order)


def one_an_answer(counts: Counts, run: Run) -> list[str]:
    """For every answer of the first question, the image in which it is true and seen most surely."""
    question = run.recipe.schema.questions[0]
    table = counts.answers
    found = []
    for answer in question.answers:
        mine = [
            (float(p), str(i))
            for i, q, a, p, t in zip(
                table["image"], table["question"], table["answer"], table["probability"], table["truth"], strict=True
            )
            if q == question.name and a == answer and t == 1
        ]
        if mine:
            found.append(max(mine)[1])
    return found


def _marks(counts: Counts, label: str) -> bool:
    """Whether a method marks a label: a classifier's schema may name labels that it leaves alone."""
    return label in counts.labels and len(counts.labels[label].image) > 0


def _words(images: Sequence[str], figure: str, chooser: str) -> str:
    which = "lowest and highest" if len(images) == 2 else "lowest, median and highest"
    return "the only image" if len(images) == 1 else f"the images of the {which} {figure} of {chooser}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
