"""The table of paired tests: each method against a reference, metric by metric, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, difference
from foveate.metrics.measure import measure
from foveate.metrics.paired_tests import delong, holm, mcnemar, wilcoxon
from foveate.metrics.segmentation import per_image
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell
from foveate.report.tables import heading

NOTE = (
    "Δ: minus the reference, on the images that both count. p, patients: clustered bootstrap, twice the share of draws "
    "on the other side of 0. p, images: DeLong (AUC), exact McNemar (accuracy) or Wilcoxon signed rank (Dice of the "
    "images with the label); these take each image as independent."
)


class Compared(NamedTuple):
    """One comparison: a metric of a method and the reference, the paired difference, and a test of single images."""

    method: str
    metric: str
    gap: Estimate
    test: str
    p: float


def significance(
    title: str,
    rows: Mapping[str, Counts],
    *,
    reference: str,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Table | None:
    """Paired tests beside each difference, with Holm's correction over the table; None if there is nothing to compare.

    Args:
        title: of the table.
        rows: method -> counts of its test images.
        reference: the method that the others are compared with, on the images that both count.
        repeats: bootstrap draws.
        level: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: the reference must be one of the rows.
    """
    if reference not in rows:
        raise ValueError(f"reference must be one of the rows {list(rows)}, got {reference!r}")
    found = [
        one
        for method, counts in rows.items()
        if method != reference
        for one in compared(method, *in_common(counts, rows[reference]), repeats=repeats, level=level, seed=seed)
    ]
    if not found:
        return None
    by_patient = [np.nan if one.gap.p is None else one.gap.p for one in found]
    by_image = [one.p for one in found]
    columns = zip(found, by_patient, holm(by_patient), by_image, holm(by_image), strict=True)
    lines: list[tuple[Cell, ...]] = [
        (one.method, heading(one.metric), one.gap, p, p_holm, one.test, image, image_holm)
        for one, p, p_holm, image, image_holm in columns
    ]
    heads = ("method", "metric", f"Δ (minus {reference})", "p, patients", "p, patients, Holm", "test", "p, images",
             "p, images, Holm")  # fmt: skip
    many = f"{len(found)} comparisons, corrected for their number by Holm's method in each column."
    return Table(title, tuple(map(Column, heads)), tuple(lines), (many, NOTE))


def compared(
    method: str, a: Counts, b: Counts, *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> list[Compared]:
    """The comparisons of two methods on the same images: AUC and accuracy of each question, Dice of each label.

    Args:
        method: name of ``a``.
        a: counts of the method.
        b: of the reference, of the same images.
        repeats: bootstrap draws.
        level: of the intervals.
        seed: of the draws.
    """
    b = b.take(a.images)
    tests: dict[str, tuple[str, float]] = {}
    for name in [name for name in a.questions if name in b.questions]:
        ours, theirs = a.questions[name], b.questions[name]
        if not len(ours.image) or not np.array_equal(ours.image, theirs.image):
            continue
        if a.schema.question(name).yes_no:
            p = delong(ours.probability[:, 1], theirs.probability[:, 1], ours.truth)
            tests[f"image/auc/{name}"] = ("DeLong", p)
        tests[f"image/accuracy/{name}"] = (
            "McNemar", mcnemar(ours.given == ours.truth, theirs.given == theirs.truth)
        )  # fmt: skip
    for label in [label for label in a.labels if label in b.labels]:
        masks = a.labels[label], b.labels[label]
        if len(masks[0].image) and np.array_equal(masks[0].image, masks[1].image) and masks[0].truth.any():
            dices = (per_image(one, absent="exclude")["dice"] for one in masks)
            tests[f"pixel/dice_present/{label}"] = ("Wilcoxon", wilcoxon(*dices))
    gaps = difference(partial(measure, names=list(tests)), a, b, repeats=repeats, level=level, seed=seed)
    return [Compared(method, name, gaps[name], *test) for name, test in tests.items() if name in gaps]


def in_common(a: Counts, b: Counts) -> tuple[Counts, Counts]:
    """Both counts, reduced to the images that both have.

    Raises:
        ValueError: there is no common image.
    """
    there = set(b.images)
    both: Sequence[str] = [image for image in a.images if image in there]
    if not both:
        raise ValueError("the methods have no image in common; evaluate them with the same manifest")
    return a.take(both), b.take(both)
