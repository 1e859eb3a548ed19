"""Decisions of a run beyond its schema: calibrated logits, thresholds of answers and labels, gates, lesion sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from foveate.core import arrays
from foveate.core.arrays import Array
from foveate.core.labels import LabelSchema

FORMAT = 2
"""Format that `Decisions.to_json` writes. Format 1, which is not named in the file, has no ``cuts`` and ``specks``."""


@dataclass(frozen=True)
class Gate:
    """A gate: labels are marked only in images whose answer to a question means that they are there.

    If the gate is closed, the labels have probability 0 everywhere, and the other labels share the rest
    (`LabelSchema.without`). Gates are applied to predictions only, not in training.

    Args:
        question: the question that decides.
        labels: the labels that the gate closes.
        answers: the answers that open it; their probabilities are added.
        threshold: probability from which the gate is open; 0 = always.

    Raises:
        ValueError: labels or answers are empty, or the threshold is not a probability.
    """

    question: str
    labels: tuple[str, ...]
    answers: tuple[str, ...] = ("yes",)
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not self.labels or not self.answers:
            raise ValueError(f"gate {self.question!r}: labels={self.labels}, answers={self.answers}; give one of each")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"gate {self.question!r}: threshold={self.threshold}; give a probability")

    def check(self, schema: LabelSchema) -> None:
        """Raise ValueError if the schema lacks the question, an answer or a label."""
        for answer in self.answers:
            schema.question(self.question).index(answer)
        if strange := set(self.labels) - set(schema.labels):
            raise ValueError(f"gate {self.question!r}: labels must be in {list(schema.labels)}, got {sorted(strange)}")

    def evidence(
        self, probability: Mapping[str, Float[np.ndarray, "b _"]], schema: LabelSchema
    ) -> Float[np.ndarray, " b"]:
        """Probability of the answers that open it.

        Raises:
            ValueError: the question was not answered.
        """
        if self.question not in probability:
            raise ValueError(
                f"gate {self.question!r}: no network of the run answers it; add a stage that does, or remove the gate"
            )
        at = [schema.question(self.question).index(answer) for answer in self.answers]
        summed: Float[np.ndarray, " b"] = probability[self.question][:, at].sum(1)
        return summed

    def opened(
        self, probability: Mapping[str, Float[np.ndarray, "b _"]], schema: LabelSchema
    ) -> Bool[np.ndarray, " b"]:
        """Images in which the labels may be marked."""
        is_open: Bool[np.ndarray, " b"] = self.evidence(probability, schema) >= self.threshold
        return is_open


@dataclass(frozen=True)
class Decisions:
    """Rules applied between logits and predictions; the default is the schema's own rules.

    Args:
        temperatures: question -> number by which its logits are divided.
        thresholds: yes/no question -> probability from which the answer is "yes" (default 0.5).
        gates: a label is marked only if all gates that name it are open.
        cuts: label -> probability from which a pixel gets the label (`LabelSchema.masks`).
        specks: label -> share of the field of view (the part of the image that the network sees). Connected parts of
            the mask up to this area are removed. A share is valid for images of any resolution.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    cuts: Mapping[str, float] = field(default_factory=dict)
    specks: Mapping[str, float] = field(default_factory=dict)

    def tempered(self, logits: Float[Array, "b c"], schema: LabelSchema) -> Float[Array, "b c"]:
        """Image logits, each question's divided by its temperature."""
        if not self.temperatures:
            return logits
        by = [self.temperatures.get(q.name, 1.0) for q in schema.questions for _ in range(q.channels)]
        cooled: Array = logits / arrays.like(by, logits)
        return cooled

    def closed(self, probability: Mapping[str, Float[np.ndarray, "b _"]], schema: LabelSchema) -> list[tuple[str, ...]]:
        """Labels of each image that a closed gate removes; empty without gates."""
        shut = [(gate.labels, ~gate.opened(probability, schema)) for gate in self.gates]
        images = len(shut[0][1]) if shut else 0
        return [tuple(label for labels, is_shut in shut if is_shut[i] for label in labels) for i in range(images)]

    def with_thresholds(self, thresholds: Mapping[str, float] | None) -> Decisions:
        """The same decisions with the given thresholds in place of their own."""
        return replace(self, thresholds={**self.thresholds, **(thresholds or {})})

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back."""
        return {
            "format": FORMAT,
            "temperatures": dict(self.temperatures),
            "thresholds": dict(self.thresholds),
            "gates": [{**vars(g), "labels": list(g.labels), "answers": list(g.answers)} for g in self.gates],
            "cuts": dict(self.cuts),
            "specks": dict(self.specks),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Decisions:
        """Inverse of `to_json`; reads older formats too.

        Raises:
            ValueError: a newer version of foveate wrote the data.
        """
        if data.get("format", 1) > FORMAT:
            raise ValueError(f"decisions of format {data['format']}; this version reads up to {FORMAT}: update foveate")
        gates = tuple(
            Gate(g["question"], tuple(g["labels"]), tuple(g["answers"]), g["threshold"]) for g in data["gates"]
        )
        cuts, specks = dict(data.get("cuts", {})), dict(data.get("specks", {}))
        return cls(dict(data["temperatures"]), dict(data["thresholds"]), gates, cuts, specks)


def combined(several: Sequence[Decisions]) -> Decisions:
    """Decisions of an ensemble: every number is the mean over its networks.

    The result has no temperatures: each network's answers are calibrated before they are averaged. A network without
    a threshold of its own counts as 0.5.

    Args:
        several: of runs of one recipe, which have the same gates but for their thresholds; at least one.
    """

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    def means(name: str, default: float) -> dict[str, float]:
        tables: list[Mapping[str, float]] = [getattr(one, name) for one in several]
        every = {key: None for table in tables for key in table}
        return {key: mean([table.get(key, default) for table in tables]) for key in every}

    gates = zip(*(one.gates for one in several), strict=True)
    return Decisions(
        thresholds=means("thresholds", 0.5),
        gates=tuple(replace(same[0], threshold=mean([gate.threshold for gate in same])) for same in gates),
        cuts=means("cuts", 0.5),
        specks=means("specks", 0.0),
    )
