"""Presence of a label or a target in an image: predicted, true, and whether the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.core.labels import UNKNOWN, LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import pixel_logits

Targets = Mapping[str, Sequence[str]]
"""Yes/no question -> the labels whose presence it asks for."""


def presence(outputs: Outputs, batch: Batch) -> tuple[Float[Tensor, "b l"], Bool[Tensor, "b l"], Bool[Tensor, "b l"]]:
    """Presence of each label in each image: P_j = max over pixels of p_ij (Wei et al. 2020, eq. 1), and its truth.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; only known pixels are read.

    Returns:
        probability (0 if no pixel is known), truth (a known pixel is marked), known (a pixel is known).

    Raises:
        ValueError: the network gives no pixel logits.
    """
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term="presence"))
    return (q * batch.known).amax((2, 3)), (batch.masks & batch.known).any(3).any(2), batch.known.any(3).any(2)


def presence_weight(
    logits: Float[Tensor, "b c"], batch: Batch, *, question: str, marked: Bool[Tensor, " b"], detach: bool = False
) -> tuple[Float[Tensor, " b"], Bool[Tensor, " b"]]:
    """Return y + y^ - y y^ of each image, and whether y is known.

    Args:
        logits: of all questions.
        batch: gives the answers.
        question: yes/no.
        marked: images in which a known pixel bears the target: y = 1 there if the answer is unknown.
        detach: cut the gradient through y^.
    """
    predicted = batch.schema.image_probability(logits)[question][:, 1]
    answer = batch.answer(question)
    unknown = answer == UNKNOWN
    truth = torch.where(unknown, marked, answer == 1).to(predicted.dtype)
    # In this form the weight is exactly 1, and its gradient exactly 0, where y = 1.
    weight = truth + (1 - truth) * (predicted.detach() if detach else predicted)
    return weight, ~unknown | marked


def targets_of(schema: LabelSchema, targets: Targets | None = None) -> dict[str, tuple[str, ...]]:
    """Map each question to the labels of its target: those given, or the evidence of every yes/no question.

    Raises:
        ValueError: there is no target, a question is not yes/no, or a label is not in the schema.
    """
    if targets is None:
        targets = {q.name: q.evidence for q in schema.findings}
    if not targets:
        raise ValueError(
            "joint_dice: no yes/no question of the schema names labels as its evidence; "
            "give targets={question: [labels]}, or evidence in the manifest"
        )
    for question, labels in targets.items():
        if not schema.question(question).yes_no:
            raise ValueError(f"targets: question {question!r} is not yes/no; presence needs the answers 'no', 'yes'")
        if not labels or not set(labels) <= set(schema.labels):
            raise ValueError(f"targets[{question!r}]={list(labels)}: give some of {list(schema.labels)}")
    return {question: tuple(labels) for question, labels in targets.items()}


def neighbours_of(schema: LabelSchema, targets: Targets) -> tuple[str, ...]:
    """List the labels that belong to no target, in schema order."""
    taken = {label for labels in targets.values() for label in labels}
    return tuple(label for label in schema.labels if label not in taken)
