"""Which weights of a training are kept: the metric that chooses, and how much the validation images can decide."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch
from foveate.metrics import listing

LEAST = 5
"""Validation images that a label or an answer needs before it counts: one image of five moves a mean by a fifth."""

SMOOTH = 3
"""Validations that are averaged: of many noisy validations the highest is the luckiest, not the best."""


@dataclass(frozen=True)
class Keep:
    """Which validation metric chooses the weights.

    Args:
        metric: a name of `metrics.summary`, with or without its level, or "loss"; several, joined by " + ", by the mean
            of those defined. A part may itself be a mean, of names joined by ", ".
        highest: or lowest.
        smooth: average of this many validations, the last ones, is compared; 1 = each by itself.
        least: validation images that a label, or an answer and its opposite, must have before its metric counts; 0 =
            each metric counts. If nothing counts, the last weights are kept (`within`).
    """

    metric: str
    highest: bool = True
    smooth: int = 1
    least: int = 0

    def __repr__(self) -> str:
        # the text of a recipe names a run's folder and finds stages that are trained: it stays that of earlier versions
        return f"Keep(figure={self.metric!r}, highest={self.highest}, smooth={self.smooth}, least={self.least})"

    def of(self, metrics: Mapping[str, float]) -> float:
        """The value of a validation, turned so that more is better: the mean of the parts that are defined there.

        nan if none is, as for a label that no validation image knows.

        Raises:
            ValueError: a name is not a metric, or lacks the level that would decide between two.
        """
        named = listing.Named(metrics)
        parts = [[name for name in part.split(", ") if name] for part in self.metric.split(" + ")]
        try:
            means = [_mean([named[name] for name in part]) for part in parts]
        except ValueError as error:
            raise ValueError(f"keep={self.metric!r}: {error}") from None
        return self.turned(_mean(means))

    def turned(self, value: float) -> float:
        """The metric so that more is better, and back."""
        return value if self.highest else -value

    def best(self, values: Sequence[float]) -> bool:
        """Whether the last of these validations is the best one; of equals it is, as it has learnt for longer.

        Args:
            values: of `of`, one per validation so far; -inf if nothing was defined.
        """
        means = [
            _mean([v for v in values[max(0, i + 1 - self.smooth) : i + 1] if v > -math.inf]) for i in range(len(values))
        ]
        ranked = [-math.inf if math.isnan(mean) else mean for mean in means]
        return ranked[-1] >= max(ranked)

    def within(self, support: Support) -> Keep | None:
        """The same choice by the labels and questions that enough validation images know; None = by nothing.

        Args:
            support: of the validation images.
        """
        if not self.least:
            return self
        parts = []
        for name in self.metric.split(" + "):
            kind = _kind(name, support)
            names = [f"{name}/{part}" for part in support.counted(self.least, labels=kind == "label")]
            names = names if kind in ("label", "question") else [name]
            parts += [", ".join(names)] if names else []
        return replace(self, metric=" + ".join(parts)) if parts else None


def _kind(name: str, support: Support) -> str:
    """Of which part of the counts a mean over labels or questions is ("label", "question"); empty for any other name.

    Raises:
        ValueError: the name is not a metric, or lacks the level that would decide between two.
    """
    if name == "loss" or ", " in name:
        return ""
    found = listing.full(name, labels=support.bearing, questions=support.answers)
    metric = listing.entry(found)
    bare = found.count("/") == 1
    return metric.of if metric is not None and bare and metric.logged == "whole" else ""


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are defined; nan if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def best(*metrics: str) -> Keep:
    """Keep the weights with the highest metric ("pixel/dice", "image/auc/grade", ...), or the highest mean of several.

    >>> best("pixel/dice", "image/auc").of({"pixel/dice": 0.5, "image/auc": 0.75})
    0.625
    """
    return Keep(" + ".join(metrics))


def lowest(metric: str) -> Keep:
    """Keep the weights with the lowest metric ("loss").

    >>> lowest("loss").of({"loss": 0.5})
    -0.5
    """
    return Keep(metric, highest=False)


def better(metric: str) -> Keep:
    """Keep the weights that a metric named by the user finds better: its entry has the direction; a loss is the lowest.

    >>> better("loss").highest, better("brier/dr").highest, better("pixel/dice").highest
    (False, False, True)
    """
    named = [m for m in listing.every().values() if f"{metric}/".startswith((f"{m.name}/", f"{m.short}/"))]
    return lowest(metric) if metric == "loss" or any(m.better == "lower" for m in named) else best(metric)


def trusted(schema: LabelSchema) -> Keep:
    """The default: the mean of the tasks' own metrics, as far as the validation images can decide.

    Masks count by the Dice over the pixels of all images (``dice_pooled``: false alarms in images without the label
    cost as well), answers by the Brier skill (``skill``: a proper score). Each label with fewer than `LEAST` validation
    images, and each question with fewer than `LEAST` images beside its commonest answer, is left out; means of `SMOOTH`
    validations are compared. A handful of images otherwise decides: of 9 validation images the F1 of a question was 1.0
    at epoch 4 of 60, by chance, and the weights kept had a cup Dice of 0.55 in place of 0.87.

    Args:
        schema: what is learnt.
    """
    metrics = [*(["dice_pooled"] if schema.labels else []), *(["skill"] if schema.questions else [])]
    return Keep(" + ".join(metrics), smooth=SMOOTH, least=LEAST)


@dataclass
class Support:
    """How many validation images know and bear what is learnt.

    Args:
        images: number of images.
        bearing: label -> images that bear it.
        free: label -> images that are known to be free of it.
        answers: question -> answer -> images.
    """

    images: int = 0
    bearing: Counter[str] = field(default_factory=Counter)
    free: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Count the images of one more batch."""
        schema, known = batch.schema, batch.known.flatten(2).any(2).numpy()
        marked = (batch.masks & batch.known).flatten(2).any(2).numpy()
        self.images += len(batch)
        for i, label in enumerate(schema.labels):
            self.bearing[label] += int(marked[:, i].sum())
            self.free[label] += int((known & ~marked)[:, i].sum())
        for i, question in enumerate(schema.questions):
            given = batch.answers[:, i].numpy()
            found = np.bincount(given[given >= 0], minlength=len(question.answers)).tolist()
            self.answers.setdefault(question.name, Counter()).update(dict(zip(question.answers, found, strict=True)))

    def counted(self, least: int, *, labels: bool) -> list[str]:
        """Labels (or questions) that at least so many images decide.

        A label needs images that bear it; a question needs images beside those of its commonest answer.
        """
        if labels:
            return [label for label, number in self.bearing.items() if number >= least]
        return [name for name, found in self.answers.items() if found.total() - max(found.values()) >= least]

    def __str__(self) -> str:
        labels = [f"{label} in {n}, absent in {self.free[label]}" for label, n in self.bearing.items()]
        answers = [
            f"{name} " + ", ".join(f"{answer}: {n}" for answer, n in found.items())
            for name, found in self.answers.items()
        ]
        return f"{self.images} validation images" + "".join(f"; {part}" for part in (*labels, *answers))
