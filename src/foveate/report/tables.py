"""The tables of a run: figures with intervals by patient, and all that must be said to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from foveate.metrics import grading as answers
from foveate.metrics import segmentation as pixels
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.report.cells import Cell
from foveate.report.table import Column, Table

NAMES = {
    "dice": "Dice", "iou": "IoU", "sensitivity": "sensitivity", "specificity": "specificity", "precision": "precision",
    "dice_all": "Dice of all images", "dice_present": "Dice where present",
    "pixel_accuracy": "pixel accuracy", "accuracy": "accuracy", "auc": "AUC", "ap": "AP", "f1": "F1",
    "f1_macro": "macro F1", "f1_weighted": "weighted F1", "kappa": "κ", "qkappa": "quadratic κ",
    "harmonic": "best harmonic mean", "harmonic_sensitivity": "sensitivity at best harmonic mean",
    "harmonic_specificity": "specificity at best harmonic mean", "air": "AIR", "air_tp": "AIR of TP",
    "air_fn": "AIR of FN", "harmonic_air_tp": "AIR of TP", "harmonic_air_fn": "AIR of FN", "cue_share": "cue's share",
    "air_mask": "AIR within mask", "pointing": "pointing game", "activation_dice": "Dice of activation",
    "brier": "Brier score", "nll": "negative log-likelihood", "skill": "Brier skill",
}  # fmt: skip
OF_LABELS = ("dice", "iou", "sensitivity", "precision", "specificity")
OF_QUESTIONS = ("auc", "ap", "accuracy", "sensitivity", "specificity", "f1", "kappa", "qkappa")

POLICIES = {
    "one": "a rightly empty mask scores 1, any mark scores 0",
    "zero": "they score 0, marked or not",
    "nan": "scores that are 0/0 are left out; a mark scores 0 where the formula says so",
    "exclude": "they are left out of the label's scores",
}
KNOWN = "Only pixels whose truth is known are counted."


def segmentation(
    counts: Counts, *, absent: str = "one", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Table:
    """How well the masks fit: a row a label, and the mean over the labels that have a figure.

    Args:
        counts: of the images; a label unknown in all of them shows "n/a".
        absent: what an image free of the label scores: a name of ``metrics.segmentation.ABSENT``.
        repeats: bootstrap draws.
        level: of the interval.
        seed: of the draws.

    Raises:
        ValueError: there is no such policy, or the schema has no labels.
    """
    if not counts.schema.labels:
        raise ValueError("counts: the schema has no labels; a table of masks needs at least one")
    pixels.policy(absent)
    found = interval(partial(pixels.figures, absent=absent), counts, repeats=repeats, level=level, seed=seed)
    columns = [
        Column("label"),
        Column("images"),
        Column("with label"),
        Column("Dice"),
        Column("SD"),
        Column("Dice, pooled"),
    ]
    rows: list[tuple[Cell, ...]] = []
    for label, part in counts.labels.items():
        rows.append((label, len(part.image), int(part.truth.sum()), *_mask_cells(found, f"/{label}")))
    if len(rows) > 1:
        dice, _, *others = _mask_cells(found, "")
        rows.append(("mean of labels", len(counts), None, dice, None, *others))
    note = (
        "Mean over images, SD over images; pooled: from the pixels of all images together. " + KNOWN,
        said_of_absent(absent),
        said_of_draws(counts, found.values(), repeats=repeats, level=level),
    )
    return Table("Pixel labels", (*columns, *(Column(NAMES[n]) for n in OF_LABELS[1:])), tuple(rows), note)


def grading(counts: Counts, *, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> Table:
    """How right the answers are: a row a question, and below it a row an answer where there are more than yes and no.

    Args:
        counts: of the images; those whose answer is unknown do not count for its question.
        repeats: bootstrap draws.
        level: of the interval.
        seed: of the draws.

    Raises:
        ValueError: the schema has no questions.
    """
    if not counts.schema.questions:
        raise ValueError("counts: the schema has no questions; a table of answers needs at least one")
    found = interval(answers.figures, counts, repeats=repeats, level=level, seed=seed)
    rows: list[tuple[Cell, ...]] = []
    for q in counts.schema.questions:
        truth = counts.questions[q.name].truth
        positive = int((truth == 1).sum()) if q.yes_no else None
        rows.append((q.name, len(truth), positive, *(found[f"{n}/{q.name}"] for n in OF_QUESTIONS)))
        for k, answer in enumerate(() if q.yes_no else q.answers):
            cells = [found.get(f"{n}/{q.name}/{answer}") for n in OF_QUESTIONS]
            rows.append((f"{q.name} = {answer}", None, int((truth == k).sum()), *cells))
    note = [
        'Yes/no questions: the figures are those of "yes". Others: mean over the answers, each against the rest; '
        "accuracy and κ are of the question as a whole. Images whose answer is unknown are not counted.",
        said_of_draws(counts, found.values(), repeats=repeats, level=level),
    ]
    columns = (Column("question"), Column("images"), Column("positive"), *(Column(NAMES[n]) for n in OF_QUESTIONS))
    return Table("Image-level answers", columns, tuple(rows), tuple(note))


def heading(name: str) -> str:
    """A figure's name in words: "dice_pooled/cup" is "Dice pooled, cup"."""
    figure, _, rest = name.partition("/")
    head = "presence " if figure.startswith("presence_") else ""
    figure = figure.removeprefix("presence_")
    tail = next((ending for ending in ("_pooled", "_std") if figure.endswith(ending)), "")
    words = (
        head
        + NAMES.get(figure.removesuffix(tail), figure.removesuffix(tail))
        + {"_std": " SD"}.get(tail, tail.replace("_", " "))
    )
    return ", ".join([words, *rest.split("/")] if rest else [words])


def said_of_absent(absent: str) -> str:
    """The note on images that are free of a label; ValueError for a policy that there is not."""
    pixels.policy(absent)
    return f"Images free of the label (absent={absent}): {POLICIES[absent]}."


def said_of_draws(counts: Counts, found: Iterable[Estimate], *, repeats: int, level: float) -> str:
    """The note on images, groups and interval."""
    images, groups = len(counts), len(set(counts.groups.values()))
    single = all(image == group for image, group in counts.groups.items())
    unit = (
        "single images, for no patient is named"
        if single
        else f"{groups} patients (or eyes, volumes, where no patient is named)"
    )
    if groups < 2:
        return f"{images} images of one group: no interval, which needs two."
    text = f"{images} images; {level:.0%} intervals: percentile bootstrap, {repeats} draws of {unit}."
    if lost := max((e.undefined for e in found if e.value == e.value), default=0):
        text += f" Draws that leave a figure undefined do not count for it (at most {lost})."
    return text


def _mask_cells(found: Mapping[str, Estimate], suffix: str) -> list[Cell]:
    plain: list[Cell] = [found[f"dice{suffix}"], found[f"dice_std{suffix}"].value, found[f"dice_pooled{suffix}"].value]
    return plain + [found[f"{name}{suffix}"] for name in OF_LABELS[1:]]
