"""Plan the figures of a study: the methods of each table side by side, on images that one method's scores choose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate.engine.run import Run
from foveate.inference.case_choice import score_images
from foveate.metrics.counts import Counts
from foveate.metrics.localisation import findings
from foveate.recipes import load_run

FAIR = "(first fold); chosen by these scores before another method was read."


@dataclass(frozen=True)
class Plan:
    """One figure: its table, its methods, its images, and how these were chosen.

    It shows a label (the marks of each method), several labels (and which of them are present), a question (Grad-CAM of
    the answer), or a finding (each network's own activation map; ``airs``: (row, image) -> its AIR in words).
    """

    table: str
    file: str
    rows: Mapping[str, str]
    images: tuple[str, ...]
    chooser: Run
    said: str
    label: str | None = None
    question: str | None = None
    finding: str | None = None
    airs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """The labels whose marks it shows; empty if it shows maps."""
        return self.labels or (() if self.label is None else (self.label,))


def plans(folder: Path, record: Mapping[str, Any]) -> list[Plan]:
    """Plan the figures of each table, on test images of the first fold.

    A table of one run has no figure. Only the scores of the reference choose the images (of the first row, if the
    reference does not have the label or the question).
    """
    made: list[Plan] = []
    for title, table in record["tables"].items():
        runs = {row: load_run(folder / "runs" / name / record["folds"][0]) for row, name in table["rows"].items()}
        if len(set(table["rows"].values())) > 1:
            first = table["references"][:1]
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
        free = most_falsely_marked(counts[chooser], label)
        file = f"{stem}_masks.png" if len(marking) == 1 else f"{stem}_masks_{_plain(label)}.png"
        shown = {row: name for row, name in rows.items() if _marks(counts[row], label)}
        said = (
            f"Marks of {label} by each method. Shown: {_words(images, 'Dice', chooser)} among the {among} test "
            f"images with {label}{_free_words(label, free, chooser)} {FAIR} All pictures of a row are cropped to the "
            "part framed in the first."
        )
        yield Plan(title, file, shown, (*images, *free), runs[chooser], said, label=label)
    if len(marking) > 1:
        chooser = next(iter(marking.values()))
        images, among = three(dices(counts[chooser], list(marking)))
        shown = {row: name for row, name in rows.items() if any(_marks(counts[row], label) for label in marking)}
        said = (
            "Marks of all labels by each method; below each picture the labels that it finds present. Shown: "
            f"{_words(images, 'mean Dice', chooser)} among the {among} test images with a label {FAIR}"
        )
        yield Plan(title, f"{stem}_labels.png", shown, images, runs[chooser], said, labels=tuple(marking))
    pointing = {finding: row for row in reversed(counts) for finding in findings(counts[row])}
    for finding, chooser in pointing.items():
        name = f"{stem}_maps.png" if len(pointing) == 1 else f"{stem}_maps_{_plain(finding)}.png"
        yield _of_finding(finding, Plan(title, name, rows, (), runs[chooser], ""), counts, chooser=chooser)
    asking = [row for row, found in counts.items() if len(found.answers["image"])]
    chooser = asking[0] if asking else ""
    asked = runs[chooser].recipe.schema.questions[0].name if asking else ""
    if any(asked not in findings(counts[row]) for row in asking):
        marker = next(iter(marking.values()), None)
        figure, judge = ("mean Dice", marker) if marker else ("probability of the true answer", chooser)
        scores = dices(counts[marker], list(marking)) if marker else score_images(counts[chooser])
        more, among = three(scores)
        images = tuple(dict.fromkeys([*one_per_answer(counts[chooser], runs[chooser]), *more]))
        shown = {row: name for row, name in rows.items() if asked in counts[row].answers["question"]}
        said = (
            f"Where each method saw the answer that it gave to {asked} (Grad-CAM, each map divided by its maximum). "
            f"Shown: for every answer the image in which it is true and {chooser} gave it the highest probability, "
            f"then {_words(more, figure, judge)} among {among} test images{' with a label' if marker else ''} {FAIR}"
        )
        if marker:
            said += " AIR: share of the activation on the true pixels."
        yield Plan(title, f"{stem}_cams.png", shown, images, runs[chooser], said, question=asked)


def _of_finding(finding: str, plan: Plan, counts: Mapping[str, Counts], *, chooser: str) -> Plan:
    """Plan the networks' own maps of a finding: images in which the chooser's AIR is lowest, median and highest."""
    airs = {row: _airs(found, finding) for row, found in counts.items() if finding in findings(found)}
    images, among = three({image: cue for image, (cue, _) in airs[chooser].items() if not np.isnan(cue)})
    words = {
        (row, image): f"AIR {cue:.2f}" + ("" if np.isnan(mask) else f", of the mask {mask:.2f}")
        for row, found in airs.items()
        for image, (cue, mask) in found.items()
    }
    said = (
        f"Activation maps of {finding}, enlarged, blurred and scaled to [0, 1] for showing; below them the answer and "
        "AIR, the share of the map (not blurred) that is inside the cue, and on the true pixels. Shown: "
        f"{_words(images, 'AIR', chooser)} among the {among} test images with {finding} and a cue {FAIR}"
    )
    shown = {row: name for row, name in plan.rows.items() if row in airs}
    return replace(plan, rows=shown, images=images, said=said, finding=finding, airs=words)


def _airs(counts: Counts, finding: str) -> dict[str, tuple[float, float]]:
    """Return image -> AIR in the cue and on the mask."""
    looks = counts.looks
    at = looks["question"] == finding
    return {
        image: (float(cue), float(mask))
        for image, cue, mask in zip(looks["image"][at].tolist(), looks["cue"][at], looks["mask"][at], strict=True)
    }


def dices(counts: Counts, labels: Sequence[str]) -> dict[str, float]:
    """Return image -> mean Dice over those of these labels that are present in it; other images are left out."""
    values: dict[str, list[float]] = {}
    for label in labels:
        part = counts.labels.get(label)
        if part is not None:
            dice = 2 * part.tp / np.maximum(2 * part.tp + part.fp + part.fn, 1)
            for image, value in zip(part.image[part.truth == 1], dice[part.truth == 1], strict=True):
                values.setdefault(counts.images[image], []).append(float(value))
    return {image: float(np.mean(some)) for image, some in values.items()}


def most_falsely_marked(counts: Counts, label: str) -> tuple[str, ...]:
    """Find the image without a label that has most false pixels of it (ties by name); empty if all images have it."""
    part = counts.labels[label]
    order = [(-int(part.fp[i]), counts.images[part.image[i]]) for i in np.flatnonzero(part.truth == 0)]
    return (min(order)[1],) if order else ()


def three(scores: Mapping[str, float]) -> tuple[tuple[str, ...], int]:
    """Return the images of the lowest, median and highest score, each once (ties by name), and the number of images."""
    order = sorted(scores, key=lambda image: (scores[image], image))
    last = len(order) - 1
    return tuple(order[i] for i in sorted({0, last // 2, last} if order else ())), len(order)


def one_per_answer(counts: Counts, run: Run) -> list[str]:
    """Return, per answer of the first question, the image in which it is true and has the highest probability."""
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
    """Whether a method marks a label; a classifier's schema may have labels that it does not mark."""
    return label in counts.labels and len(counts.labels[label].image) > 0


def _free_words(label: str, free: Sequence[str], chooser: str) -> str:
    return f", and of the images without {label} the one in which {chooser} marked most," if free else ""


def _words(images: Sequence[str], figure: str, chooser: str) -> str:
    which = "lowest and highest" if len(images) == 2 else "lowest, median and highest"
    return "the only image" if len(images) == 1 else f"the images of the {which} {figure} of {chooser}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
