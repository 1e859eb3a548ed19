"""The tables of a run: metrics with intervals by patient, and the notes below them.

Each entry of `metrics/entries` with ``table`` has a column; its heading is the entry's title.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from foveate.metrics import listing
from foveate.metrics import segmentation as pixels
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.measure import lacking, measure
from foveate.metrics.metric import Metric
from foveate.metrics.never_given import never_answered, never_marked
from foveate.report.found import FOUND, SUMMED, found_cells, mean_heading, warnings
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell

POLICIES = {
    "one": "a rightly empty mask scores 1, any mark scores 0",
    "zero": "they score 0, marked or not",
    "nan": "scores that are 0/0 are left out; a mark scores 0 if the formula gives 0",
    "exclude": "they are left out of the label's scores",
}
KNOWN = "Only pixels whose truth is known are counted."
DICE, SPREAD = "pixel/dice_present", "pixel/dice_present_std"


def segmentation(
    counts: Counts, *, absent: str = "one", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Table:
    """Table of the masks: one line per label, and the mean over the labels that have a value.

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
    metrics = tabled("label", counts)
    names = [DICE, SPREAD, *(["pixel/dice"] if mean else []), *(m.name for m in metrics)]
    every = [f"{name}{end}" for name in names for end in ("", *(f"/{label}" for label in counts.labels))]
    statistic = partial(measure, names=every, absent=absent)
    found = interval(statistic, counts, repeats=repeats, level=level, seed=seed)
    heads = ["label", "found", "false alarms", "Dice where present", "SD", *([mean] if mean else [])]

    def line(name: str, label: str) -> tuple[Cell, ...]:
        end = f"/{label}" if label else ""
        dice, _, *others = (found[f"{one}{end}"] for one in names)
        spread = found[f"{SPREAD}{end}"].value if label else None
        return name, *found_cells(counts, label), dice, spread, *others

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
    columns = (*(Column(head) for head in heads), *(Column(m.title) for m in metrics))
    return Table("Pixel labels", columns, tuple(rows), note)


def grading(counts: Counts, *, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> Table:
    """How right the answers are: one row per question, and below it one per answer unless they are yes and no.

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
    metrics = tabled("question", counts)
    each = {f"/{q.name}": ["", *(f"/{answer}" for answer in q.answers)] for q in counts.schema.questions}
    names = [f"{m.name}{part}{end}" for m in metrics for part, ends in each.items() for end in ends]
    found = interval(partial(measure, names=names), counts, repeats=repeats, level=level, seed=seed)
    rows: list[tuple[Cell, ...]] = []
    for q in counts.schema.questions:
        truth = counts.questions[q.name].truth
        positive = int((truth == 1).sum()) if q.yes_no else None
        rows.append((q.name, len(truth), positive, *(found.get(f"{m.name}/{q.name}") for m in metrics)))
        for k, answer in enumerate(() if q.yes_no else q.answers):
            cells = [found.get(f"{m.name}/{q.name}/{answer}") for m in metrics]
            rows.append((f"{q.name} = {answer}", None, int((truth == k).sum()), *cells))
    note = [
        *(f"Warning: {line}" for line in warnings({"": counts}, never=never_answered)),
        'Yes/no questions: the values are those of "yes". Others: mean over the answers, each against the rest; '
        "accuracy and κ are of the question as a whole. Images whose answer is unknown are not counted.",
        said_of_draws(counts, found.values(), repeats=repeats, level=level),
    ]
    columns = (Column("question"), Column("images"), Column("positive"), *(Column(m.title) for m in metrics))
    return Table("Image-level answers", columns, tuple(rows), tuple(note))


def tabled(kind: str, counts: Counts) -> list[Metric]:
    """The metrics that have a column in the table of labels or questions.

    Args:
        kind: "label" or "question".
        counts: those that need a column that they lack are left out.
    """
    return [m for m in listing.of(kind) if m.table and not lacking(m, counts)]


def heading(name: str) -> str:
    """A metric's name in words; of a name that is not a metric's the name itself.

    >>> heading("pixel/dice_pooled/cup"), heading("pixel/iou_std"), heading("image/auc/grade/2"), heading("loss")
    ('Dice pooled, cup', 'IoU SD', 'AUC, grade, 2', 'loss')
    """
    name = listing.renamed([name])[name]
    metric = listing.entry(name)
    if metric is None:
        return name
    base, *rest = name.removeprefix(f"{metric.level}/").split("/")
    spread = " SD" if f"{metric.level}/{base}" != metric.name else ""
    return ", ".join([metric.title + spread, *rest])


def said_of_absent(absent: str) -> str:
    """The note on images without a label; ValueError for an unknown policy."""
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
        text += f" Draws that leave a metric undefined do not count for it (at most {lost})."
    return text
