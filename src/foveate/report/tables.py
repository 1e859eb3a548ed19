"""The tables of a run: figures with intervals by patient, and all that must be said to read them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from foveate.metrics import grading as answers
from foveate.metrics import segmentation as pixels
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.never_given import never_answered, never_marked
from foveate.report.found import FOUND, SUMMED, found_cells, mean_heading, warnings
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell

NAMES = {
    "dice": "Dice", "iou": "IoU", "sensitivity": "sensitivity", "specificity": "specificity", "precision": "precision",
    "dice_all": "Dice of all images", "dice_present": "Dice where present", "found": "found",
    "false_alarms": "false alarms", "iou_present": "IoU where present",
    "sensitivity_present": "sensitivity where present", "precision_marked": "precision where marked",
    "specificity_all": "specificity of all images",
    "pixel_accuracy": "pixel accuracy", "accuracy": "accuracy", "auc": "AUC", "ap": "AP", "f1": "F1",
    "f1_macro": "macro F1", "f1_weighted": "weighted F1", "kappa": "κ", "qkappa": "quadratic κ",
    "harmonic": "best harmonic mean", "harmonic_sensitivity": "sensitivity at best harmonic mean",
    "harmonic_specificity": "specificity at best harmonic mean", "air": "AIR", "air_tp": "AIR of TP",
    "air_fn": "AIR of FN", "harmonic_air_tp": "AIR of TP", "harmonic_air_fn": "AIR of FN", "cue_share": "cue's share",
    "air_mask": "AIR within mask", "pointing": "pointing game", "activation_dice": "Dice of activation",
    "brier": "Brier score", "nll": "negative log-likelihood", "skill": "Brier skill",
}  # fmt: skip
OF_LABELS = {
    "Dice, pooled": "dice_pooled", "IoU where present": "iou_present", "sensitivity where present":
    "sensitivity_present", "precision where marked": "precision_marked", "specificity": "specificity_all",
}  # fmt: skip
"""Column -> figure: none of them gives a point for an empty mask, but specificity, which is of all images."""
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
    """How well the masks fit: a line per label, and the mean over the labels that have a figure.

    Dice over all images has a policy for images without the label; a label that was never marked scores well under
    "one". So Dice where present, the images in which it was found and the false alarms are beside it, and no other
    column has a policy.

    Args:
        counts: of the images; a label unknown in all of them shows dashes.
        absent: what an image free of the label scores: a name of ``metrics.segmentation.ABSENT``.
        repeats: bootstrap draws.
        level: of the interval.
        seed: of the draws.

    Raises:
        ValueError: there is no such policy, or the schema has no labels.
    """
    if not counts.schema.labels:
        raise ValueError("counts: the schema has no labels; a table of masks needs at least one")
    said, mean = said_of_absent(absent), mean_heading(absent)
    found = interval(partial(pixels.figures, absent=absent), counts, repeats=repeats, level=level, seed=seed)
    heads = ["label", "found", "false alarms", "Dice where present", "SD", *([mean] if mean else []), *OF_LABELS]

    def line(name: str, label: str) -> tuple[Cell, ...]:
        end = f"/{label}" if label else ""
        kinds = (*(["dice"] if mean else []), *OF_LABELS.values())
        spread = found[f"dice_present_std{end}"].value if label else None
        return (
            name, *found_cells(counts, label), found[f"dice_present{end}"], spread, *(found[f"{k}{end}"] for k in kinds)
        )  # fmt: skip

    rows = [line(label, label) for label in counts.labels]
    if len(rows) > 1:
        rows.append(line("mean of labels", ""))
    note = (
        *(f"Warning: {line}" for line in warnings({"": counts}, never=never_marked)),
        FOUND + f" {SUMMED}" * (len(rows) > 1),
        "Dice where present and its SD, IoU and sensitivity: over the images with the label. Precision: over the "
        "images in which it was marked, a false alarm scoring 0. Specificity: over all images. Pooled: from the pixels "
        f"of all images together. {KNOWN}",
        *([said] if mean else []),
        said_of_draws(counts, found.values(), repeats=repeats, level=level),
    )
    return Table("Pixel labels", tuple(Column(head) for head in heads), tuple(rows), note)


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
        *(f"Warning: {line}" for line in warnings({"": counts}, never=never_answered)),
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
