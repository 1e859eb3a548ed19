"""Schema of questions and labels, and the only place where logits become probabilities and decisions.

A schema has *questions* about the whole image (exclusive answers, optionally ordered; or yes/no) and pixel
*labels* (exclusive, with a background, or overlapping). The order of channels follows from the schema alone:
a network makes ``image_channels`` image logits and ``pixel_channels`` pixel logits.

Logits and probabilities may be numpy arrays or torch tensors, and come back as the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.core import arrays
from foveate.core.arrays import Array, Tensor
from foveate.core.questions import UNKNOWN as UNKNOWN
from foveate.core.questions import YES_NO as YES_NO
from foveate.core.questions import Question as Question

EDGE = 1e-7
"""Smallest distance of probabilities from 0 and 1 before logits are made of them, so that logits stay finite."""


@dataclass(frozen=True)
class LabelSchema:
    """Questions and labels of a data set or a run, and the meaning of their channels.

    Args:
        questions: about the whole image, in channel order.
        labels: marked in pixels, in channel order, without the background.
        exclusive: each pixel has one label or the background (softmax over ``1 + len(labels)`` channels, background
            first); otherwise labels may overlap (one sigmoid per label).
        united: for each label the manifest's labels that it represents, if labels were united by `unite`.

    Raises:
        ValueError: a name is used twice, or a question names evidence that is not a label.
    """

    questions: tuple[Question, ...] = ()
    labels: tuple[str, ...] = ()
    exclusive: bool = False
    united: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        names = [q.name for q in self.questions]
        if len(set(names)) < len(names) or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"questions={names} and labels={list(self.labels)}: a name is used twice; rename one")
        for q in self.questions:
            if strange := set(q.evidence) - set(self.labels):
                raise ValueError(
                    f"question {q.name!r}: evidence must be in labels={list(self.labels)}, got {sorted(strange)}"
                )
        if self.united and len(self.united) != len(self.labels):
            raise ValueError(f"united={list(self.united)} has not one entry for each of labels={list(self.labels)}")

    # -- channels ----------------------------------------------------------------------------------------------------

    @property
    def image_channels(self) -> int:
        """Number of image logits."""
        return sum(q.channels for q in self.questions)

    @property
    def pixel_channels(self) -> int:
        """Number of pixel logits, the background's included."""
        return len(self.labels) + (1 if self.exclusive and self.labels else 0)

    @property
    def slices(self) -> dict[str, slice]:
        """Image logits of each question."""
        out, at = {}, 0
        for q in self.questions:
            out[q.name] = slice(at, at + q.channels)
            at += q.channels
        return out

    def question(self, name: str) -> Question:
        """The question of that name; ValueError lists the questions if there is not one."""
        for q in self.questions:
            if q.name == name:
                return q
        raise ValueError(f"question must be one of {[q.name for q in self.questions]}, got {name!r}")

    def channel(self, question: str, answer: str) -> tuple[int, float]:
        """Image logit of an answer, and its sign (-1 for the "no" of a yes/no question)."""
        q, position = self.question(question), self.question(question).index(answer)
        start = self.slices[question].start
        return (start, 1.0 if position else -1.0) if q.yes_no else (start + position, 1.0)

    def members(self, label: str) -> tuple[str, ...]:
        """The manifest's labels that a label represents: only itself, unless it was made by `unite`."""
        return self.united[self.labels.index(label)] if self.united else (label,)

    # -- variations --------------------------------------------------------------------------------------------------

    def select(self, *, questions: Sequence[str] | None = None, labels: Sequence[str] | None = None) -> LabelSchema:
        """The schema with only these questions and labels (None = all); evidence that is left out is dropped."""
        kept = self.labels if labels is None else tuple(labels)
        if strange := set(kept) - set(self.labels):
            raise ValueError(f"labels must be in {list(self.labels)}, got {sorted(strange)}")
        asked = self.questions if questions is None else tuple(self.question(name) for name in questions)
        asked = tuple(replace(q, evidence=tuple(e for e in q.evidence if e in kept)) for q in asked)
        united = tuple(self.members(label) for label in kept) if self.united else ()
        return replace(self, questions=asked, labels=kept, united=united)

    def group(self, question: str, grouping: str) -> LabelSchema:
        """The schema with neighbouring answers of one question merged (`Question.group`)."""
        merged = self.question(question).group(grouping)
        return replace(self, questions=tuple(merged if q.name == question else q for q in self.questions))

    def unite(self, name: str) -> LabelSchema:
        """The schema with one label in the place of all: a pixel has it if it has any of them.

        A pixel is known if that can be decided. A question keeps its evidence only if it named all labels.

        Args:
            name: of the one label.

        Raises:
            ValueError: there are no labels.
        """
        if not self.labels:
            raise ValueError(f"unite={name!r}: the schema has no labels to unite")
        every = tuple(member for label in self.labels for member in self.members(label))
        asked = tuple(
            replace(q, evidence=(name,) if set(q.evidence) == set(self.labels) else ()) for q in self.questions
        )
        return replace(self, questions=asked, labels=(name,), exclusive=False, united=(every,))

    # -- logits -> probabilities -> decisions ------------------------------------------------------------------------

    def image_probability(self, logits: Float[Array, "b c"]) -> dict[str, Float[Array, "b _"]]:
        """Probability of every answer of every question, ``(b, answers)`` each; a yes/no question gives (1 - p, p)."""
        out = {}
        for q in self.questions:
            part = logits[:, self.slices[q.name]]
            if q.yes_no:
                out[q.name] = arrays.joined([arrays.sigmoid(-part), arrays.sigmoid(part)], 1)
            else:
                out[q.name] = arrays.softmax(part, 1)
        return out

    def pixel_probability(self, logits: Float[Array, "b c h w"]) -> Float[Array, "b l h w"]:
        """Probability of every label at every pixel (no background channel)."""
        return arrays.softmax(logits, 1)[:, 1:] if self.exclusive else arrays.sigmoid(logits)

    def channel_probability(self, logits: Float[Array, "b c h w"]) -> Float[Array, "b c h w"]:
        """Probability of every pixel channel, the background's included: `logits_of` is its inverse."""
        return arrays.softmax(logits, 1) if self.exclusive else arrays.sigmoid(logits)

    def activation_probability(self, logits: Float[Array, "b c i j"]) -> Float[Array, "b c i j"]:
        """Strength in (0, 1) of activation maps, one per image logit: a sigmoid of each, for every kind of question."""
        return arrays.sigmoid(logits)

    @property
    def findings(self) -> tuple[Question, ...]:
        """Yes/no questions with evidence: those that can have cues."""
        return tuple(q for q in self.questions if q.yes_no and q.evidence)

    def pixel_log_probability(self, logits: Float[Array, "b c h w"]) -> Float[Array, "b c h w"]:
        """Log of the softmax over background and labels (exclusive schemas), as a pixel cross entropy needs it."""
        return arrays.log_softmax(logits, 1)

    def logits_of(self, probability: Float[Array, "b c h w"]) -> Float[Array, "b c h w"]:
        """Pixel logits that mean these probabilities (exclusive schemas: background first, summing to 1).

        Args:
            probability: in [0, 1]; kept `EDGE` away from its ends.
        """
        held = arrays.clip(probability, EDGE, 1 - EDGE)
        return arrays.log(held) if self.exclusive else arrays.logit(held)

    def image_logits_of(self, probability: Mapping[str, Float[Array, "b _"]]) -> Float[Array, "b c"]:
        """Image logits that mean these probabilities of the answers, the inverse of `image_probability`."""
        held = {q: arrays.clip(p, EDGE, 1 - EDGE) for q, p in probability.items()}
        logits = [arrays.logit(held[q.name][:, 1:]) if q.yes_no else arrays.log(held[q.name]) for q in self.questions]
        return arrays.joined(logits, 1)

    def activation_logits_of(self, strength: Float[Array, "b c i j"]) -> Float[Array, "b c i j"]:
        """Logits of activation maps of this strength, the inverse of `activation_probability`."""
        return arrays.logit(arrays.clip(strength, EDGE, 1 - EDGE))

    def decide(
        self, probability: Mapping[str, np.ndarray], *, thresholds: Mapping[str, float] | None = None
    ) -> dict[str, np.ndarray]:
        """Position of the answer for each image: the likeliest, or "yes" from the threshold (0.5) on."""
        cut = thresholds or {}
        return {
            q.name: (probability[q.name][..., 1] >= cut.get(q.name, 0.5)).astype(np.int64)
            if q.yes_no
            else probability[q.name].argmax(-1)
            for q in self.questions
        }

    def masks(
        self, probability: Float[Array, "*b l h w"], *, thresholds: Mapping[str, float] | None = None
    ) -> Bool[Array, "*b l h w"]:
        """Pixels of each label: every label from 0.5 on, or (exclusive) the likeliest of background and labels.

        Args:
            probability: of each label.
            thresholds: label -> probability from which a pixel gets it instead; an exclusive label must also be the
                likeliest label of the pixel.
        """
        best = self.contenders(probability)
        marked = best > arrays.clip(1 - arrays.total(probability, -3), 0) if self.exclusive else best >= 0.5
        if not thresholds or not probability.shape[-3]:  # no label: a network that marks nothing
            return marked
        planes = [
            best[..., at, :, :] >= thresholds[name] if name in thresholds else marked[..., at, :, :]
            for at, name in enumerate(self.labels)
        ]
        return arrays.stacked(planes, -3)

    def contenders(self, probability: Float[Array, "*b l h w"]) -> Float[Array, "*b l h w"]:
        """Probability of each label that a pixel may get, else 0; exclusive labels: only the likeliest one."""
        if not self.exclusive or not probability.shape[-3]:
            return probability
        return arrays.largest_only(probability, -3)

    def without(self, probability: Float[Array, "*b l h w"], labels: Sequence[str]) -> Float[Array, "*b l h w"]:
        """Probability of every label under the condition that ``labels`` are absent in the image: theirs is 0.

        In an exclusive schema the background and the other labels share the rest, in proportion.

        Raises:
            ValueError: a label is not in the schema.
        """
        if strange := set(labels) - set(self.labels):
            raise ValueError(f"labels must be in {list(self.labels)}, got {sorted(strange)}")
        kept = arrays.like([float(label not in labels) for label in self.labels], probability)
        left: Array = probability * kept[:, None, None]
        if self.exclusive:
            left = left / arrays.clip(1 - arrays.total(probability - left, -3), 1e-6)
        return left

    # -- truth -------------------------------------------------------------------------------------------------------

    def answer_indices(self, answers: Mapping[str, str]) -> Int[np.ndarray, " q"]:
        """Positions of a row's answers in question order, `UNKNOWN` for a question without an answer."""
        return np.array([q.index(answers.get(q.name)) for q in self.questions], dtype=np.int64)

    def possible(self, masks: Bool[Tensor, "b l h w"], known: Bool[Tensor, "b l h w"]) -> Bool[Tensor, "b c h w"]:
        """Classes that a pixel may still have, background first (exclusive schemas).

        A pixel that is known to have a label has only this class. Any other pixel may be the background or any label
        that is not known to be absent. All true means that nothing is known of the pixel.
        """
        import torch

        present = masks & known
        marked = present.any(1, keepdim=True)
        return torch.where(
            marked, torch.cat([torch.zeros_like(marked), present], 1), torch.cat([torch.ones_like(marked), ~known], 1)
        )

    # -- as JSON -----------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain data for manifests and run folders; `from_json` reads it back."""
        questions = []
        for q in self.questions:
            item: dict[str, Any] = {"name": q.name}
            if not q.yes_no:
                item |= {"answers": list(q.answers), "ordered": q.ordered}
            if q.evidence:
                item["evidence"] = list(q.evidence)
            if q.merged:
                item["merged"] = [list(m) for m in q.merged]
            if q.healthy_stated:
                item["healthy"] = q.healthy
            questions.append(item)
        united = {"united": [list(members) for members in self.united]} if self.united else {}
        return {"questions": questions, "labels": list(self.labels), "exclusive": self.exclusive, **united}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelSchema:
        """Inverse of `to_json`; ValueError for unknown keys."""
        if strange := set(data) - {"questions", "labels", "exclusive", "united"}:
            raise ValueError(f"schema: unknown key {sorted(strange)}; known are questions, labels, exclusive, united")
        questions = []
        for item in data.get("questions", ()):
            if strange := set(item) - {"name", "answers", "ordered", "evidence", "merged", "healthy"}:
                raise ValueError(f"schema, question {item.get('name')!r}: unknown key {sorted(strange)}")
            questions.append(
                Question(
                    item["name"],
                    tuple(item.get("answers", YES_NO)),
                    bool(item.get("ordered", False)),
                    tuple(item.get("evidence", ())),
                    tuple(tuple(m) for m in item.get("merged", ())),
                    item.get("healthy"),
                )
            )
        return cls(
            tuple(questions),
            tuple(data.get("labels", ())),
            bool(data.get("exclusive", False)),
            tuple(tuple(members) for members in data.get("united", ())),
        )
