"""From counts to the metrics of `metrics/entries`, for many weightings of the images at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from foveate.core.labels import Question
from foveate.metrics import listing, operating, segmentation, table
from foveate.metrics.counts import Counts
from foveate.metrics.listing import STD, Named
from foveate.metrics.localisation import findings
from foveate.metrics.metric import Metric
from foveate.metrics.parts import FindingPart, LabelPart, QuestionPart
from foveate.metrics.weighted import Metrics, mean, over, std, with_means

Weights = Float[np.ndarray, "r n"]


def measure(
    counts: Counts, weights: Weights, *, names: Iterable[str] | None = None, absent: str = "exclude"
) -> Named[np.ndarray]:
    """The metrics of counts; a statistic for `interval`.

    ``pixel/dice/cup`` is one label's, ``pixel/dice`` the mean over the labels that have one, ``pixel/dice_std`` the
    spread over images; ``image/auc/grade`` is the value of a question, ``image/auc/grade/2`` that of an answer against
    the rest. nan where undefined. The lesions of a size have a function of their own (`lesions.metrics`).

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
        names: which; those that the counts do not have are left out. None = all.
        absent: what an image free of a label scores: a name of `segmentation.ABSENT`.

    Raises:
        ValueError: there is no such metric or policy; a metric needs a column that the counts do not have.
    """
    segmentation.policy(absent)
    labels, questions = counts.schema.labels, [q.name for q in counts.schema.questions]
    if names is None:
        wanted = [m for m in listing.every().values() if not lacking(m, counts)]
        return Named(_all(counts, weights, wanted, absent=absent))
    asked = [listing.full(name, labels=labels, questions=questions) for name in names]
    wanted = [m for m in {name: listing.entry(name) for name in asked}.values() if m is not None]
    found = _all(counts, weights, list(dict.fromkeys(wanted)), absent=absent)
    return Named({name: found[name] for name in asked if name in found})


def lacking(metric: Metric, counts: Counts) -> tuple[str, ...]:
    """Columns of labels that a metric needs and the counts do not have."""
    return tuple(name for name in metric.columns if name not in counts.pixels)


def _all(counts: Counts, weights: Weights, metrics: Sequence[Metric], *, absent: str) -> Metrics:
    of = {kind: listing.of(kind, metrics) for kind in ("label", "question", "finding")}
    return (
        (_labels(counts, weights, of["label"], absent=absent) if of["label"] else {})
        | (_questions(counts, weights, of["question"]) if of["question"] else {})
        | (_findings(counts, weights, of["finding"]) if of["finding"] else {})
    )


def _labels(counts: Counts, weights: Weights, metrics: Sequence[Metric], *, absent: str) -> Metrics:
    averaged = [m for m in metrics if m.per_image]
    parts: dict[str, Metrics] = {}
    for label, one in counts.labels.items():
        part = LabelPart(one, weights)
        parts[label] = {m.name: m(part) for m in metrics if not m.per_image}
        if not averaged:
            continue
        values = np.stack([segmentation.fill(m(part), one, absent=m.absent or absent) for m in averaged], 1)
        # Without a single mark only images free of the label would count, and a policy's 1 would be all there is
        silent = part.number(part["tp"] + part["fp"] > 0) == 0
        for tail, average in (("", mean), (STD, std)):
            for m, found in zip(averaged, average(values, part.weights).T, strict=True):
                parts[label][m.name + tail] = np.where(silent, np.nan, found) if m.marked else found
    return with_means(parts)


def _questions(counts: Counts, weights: Weights, metrics: Sequence[Metric]) -> Metrics:
    parts: dict[str, Metrics] = {}
    answers: Metrics = {}
    for q in counts.schema.questions:
        part = QuestionPart(q, counts.questions[q.name], weights)
        values = {m: found for m in metrics if (found := m(part)) is not None}
        parts[q.name] = {m.name: _whole(m, part, found) for m, found in values.items()}
        for m, found in values.items():
            if found.ndim == 2:
                answers |= {f"{m.name}/{q.name}/{answer}": found[:, k] for k, answer in enumerate(q.answers)}
    return with_means(parts) | answers


def _whole(metric: Metric, part: QuestionPart, values: np.ndarray) -> np.ndarray:
    """The value of the question: that of "yes", or the mean over its answers."""
    if metric.whole is not None:
        return metric.whole(part)
    if values.ndim == 1:
        return values
    return values[:, 1] if part.question.yes_no else over(values)


def _findings(counts: Counts, weights: Weights, metrics: Sequence[Metric]) -> Metrics:
    at = {image: i for i, image in enumerate(counts.images)}
    parts: dict[str, Metrics] = {}
    for name in findings(counts):
        rows = table.rows(counts.looks, np.flatnonzero(counts.looks["question"] == name))
        image = np.array([at[one] for one in rows["image"].tolist()], np.int64)
        scores = counts.questions[name]
        given = np.full(len(counts), -1)
        given[scores.image] = scores.given
        called = np.zeros(weights.shape, bool)
        called[:, scores.image] = operating.called(scores, weights)
        part = FindingPart({**rows, "given": given[image]}, weights[:, image], called[:, image])
        parts[name] = {m.name: m(part) for m in metrics}
    return with_means(parts)


def logged(counts: Counts) -> list[str]:
    """Names of the metrics of logs and ``metrics.json``, which follow from the schema alone: what has no image is nan.

    Only those of activation maps, and the operating points of their findings, are left out if no map was seen.
    """
    labels, questions = counts.schema.labels, counts.schema.questions
    every = [m for m in listing.every().values() if not lacking(m, counts)]
    of_labels = [m.name for m in listing.of("label", every) if m.logged == "whole"]
    of_questions = [m for m in listing.of("question", every) if m.logged != "never"]
    out = [*(of_labels if labels else ()), *(m.name for m in of_questions if questions and m.logged == "whole")]
    out += [f"{name}/{label}" for label in labels for name in of_labels]
    for q in questions:
        out += [f"{m.name}/{q.name}" for m in of_questions if m.logged == "whole"]
        out += [f"{m.name}/{q.name}/{a}" for a in _each(q) for m in of_questions if m.logged == "answers"]
    if len(counts.looks["image"]):
        of_maps = [m.name for m in listing.of("finding", every) if m.logged == "whole"]
        out += [*of_maps, *(f"{name}/{q}" for q in findings(counts) for name in of_maps)]
        out += [f"{name}/{q}" for q in findings(counts) for name in OPERATING]
    return out


OPERATING = ("image/harmonic", "image/harmonic_sensitivity", "image/harmonic_specificity")


def _each(question: Question) -> tuple[str, ...]:
    return ("yes",) if question.yes_no else question.answers
