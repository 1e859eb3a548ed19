"""How a run decides beyond its schema: calibrated logits, where "yes" and labels begin, gates, the smallest lesion."""

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
"""Of what `Decisions.to_json` writes: 1 (which names no format) knows neither ``cuts`` nor ``specks``."""


@dataclass(frozen=True)
class Gate:
    """Labels are marked only in images whose answer says that they are there: two steps that read as one.

    Closed, the labels have probability 0 throughout, and what that leaves is shared by the others
    (`LabelSchema.without`). Training knows nothing of it.

    Args:
        question: whose answer decides.
        labels: that are marked or not.
        answers: that open the gate, together.
        threshold: of their probability, from which the gate is open; 0 = always.

    Raises:
        ValueError: no labels or no answers, or a threshold that is no probability.
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
        """ValueError where the schema lacks the question, an answer or a label."""
        for answer in self.answers:
            schema.question(self.question).index(answer)
        if strange := set(self.labels) - set(schema.labels):
            raise ValueError(f"gate {self.question!r}: labels {sorted(strange)} are none of {list(schema.labels)}")

    def evidence(
        self, probability: Mapping[str, Float[np.ndarray, "b _"]], schema: LabelSchema
    ) -> Float[np.ndarray, " b"]:
        """Probability of the answers that open it.

        Raises:
            ValueError: the question was not answered.
        """
        if self.question not in probability:
            raise ValueError(
                f"gate {self.question!r}: no network of the run answers it; add a stage that does, or drop the gate"
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
    """What is applied between logits and predictions; the default is the schema's own way.

    Args:
        temperatures: question -> number that its logits are divided by.
        thresholds: yes/no question -> probability from which the answer is "yes" (0.5).
        gates: all that name a label must be open for it.
        cuts: label -> probability from which a pixel is given it (`LabelSchema.masks`).
        specks: label -> share of the field of view (the part of the image that the network sees) up to which a
            connected part of its mask is removed; a share, so that it holds for images of another resolution.
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
        """For each image the labels that some gate keeps out; empty without gates."""
        shut = [(gate.labels, ~gate.opened(probability, schema)) for gate in self.gates]
        images = len(shut[0][1]) if shut else 0
        return [tuple(label for labels, is_shut in shut if is_shut[i] for label in labels) for i in range(images)]

    def with_thresholds(self, thresholds: Mapping[str, float] | None) -> Decisions:
        """The same with other thresholds where they are given."""
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
        """Inverse of `to_json`; reads what older versions wrote, too.

        Raises:
            ValueError: a newer version wrote it.
        """
        if data.get("format", 1) > FORMAT:
            raise ValueError(f"decisions of format {data['format']}; this version reads up to {FORMAT}: update foveate")
        gates = tuple(
            Gate(g["question"], tuple(g["labels"]), tuple(g["answers"]), g["threshold"]) for g in data["gates"]
        )
        cuts, specks = dict(data.get("cuts", {})), dict(data.get("specks", {}))
        return cls(dict(data["temperatures"]), dict(data["thresholds"]), gates, cuts, specks)


def combined(several: Sequence[Decisions]) -> Decisions:
    """Decisions of networks that read as one: every number is the mean of theirs.

    Without temperatures: each network's answers are calibrated before they are averaged. If a network keeps to the
    schema's way, its threshold counts as 0.5.

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
