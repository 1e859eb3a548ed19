"""Joint Dice: the Dice loss of a target, weighed by whether it is there and whether the network says so (Wei et al.).

A soft Dice loss is near 1 in an image without the target, whether a few pixels are marked or many, so it teaches
nothing there. Joint Dice hands these images to the answer: l = (y + y^ - y y^) l_Dice (eq. 2), with y the true and y^
the predicted presence. Where the target is there (y = 1) it is the Dice loss; where it is not (y = 0) it is y^ l_Dice.

A slip in the paper: the sentence after eq. 2 says that for y = 0 the loss is above 0.5 when the image is read rightly
and below when wrongly. It is the other way round: the loss is y^ there, small when the answer is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.core.labels import UNKNOWN, LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import image_logits, known_mean
from foveate.losses.overlap import Sums, dice_ratio, overlap_sums

Targets = Mapping[str, Sequence[str]]
"""Yes/no question -> the labels whose presence it asks for."""


def joint_dice(
    outputs: Outputs, batch: Batch, *, targets: Targets | None = None, eps: float = 1.0, detach: bool = False
) -> Float[Tensor, ""]:
    """Joint Dice, mean of (y + y^ - y y^) (1 - (2 sum p g + eps) / (sum p + sum g + eps)) (Wei et al., eqs 1, 2).

    The mean is over images and over targets and neighbours. The labels of one target are added up before the ratio; a
    neighbour (a label of no target, such as the optic disc) has weight 1, the plain Dice loss. Probabilities are not
    squared, and the background has no ratio.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)`` and image logits ``(b, image_channels)``.
        batch: masks, answers and what is known of them. An image whose answer is unknown counts for a target with
            y = 1 where a known pixel bears it, and not at all otherwise; one without known pixels does not count.
        targets: question -> labels; None = every yes/no question with its evidence.
        eps: in pixels, > 0.
        detach: the answer weighs but does not learn from this term: the gradient through y^ is cut.

    Raises:
        ValueError: the network lacks pixel or image logits, there is no target, one is asked for by a question that
            is not yes/no or has a label that is none, or eps <= 0.
    """
    named = targets_of(batch.schema, targets)
    sums = overlap_sums(outputs, batch, term="joint_dice")
    logits = image_logits(outputs, batch, term="joint_dice")
    losses, counted = [], []
    for question, labels in named.items():
        part = _together(sums, batch.schema, labels)
        weight, told = presence_weight(logits, batch, question=question, marked=part.truth[:, 0] > 0, detach=detach)
        losses.append(weight * (1 - dice_ratio(part, eps=eps)[:, 0]))
        counted.append(told & (part.known[:, 0] > 0))
    for label in neighbours_of(batch.schema, named):
        part = _together(sums, batch.schema, (label,))
        losses.append(1 - dice_ratio(part, eps=eps)[:, 0])
        counted.append(part.known[:, 0] > 0)
    return known_mean(torch.stack(losses), torch.stack(counted))


def presence_weight(
    logits: Float[Tensor, "b c"], batch: Batch, *, question: str, marked: Bool[Tensor, " b"], detach: bool = False
) -> tuple[Float[Tensor, " b"], Bool[Tensor, " b"]]:
    """y + y^ - y y^ of each image, and whether y is known.

    Args:
        logits: of all questions.
        batch: gives the answers.
        question: yes/no.
        marked: images in which a known pixel bears the target: y = 1 where the answer is unknown.
        detach: cut the gradient through y^.
    """
    predicted = batch.schema.image_probability(logits)[question][:, 1]
    answer = batch.answer(question)
    unknown = answer == UNKNOWN
    truth = torch.where(unknown, marked, answer == 1).to(predicted.dtype)
    # Written so that the weight is exactly 1, and its gradient exactly 0, where y = 1.
    weight = truth + (1 - truth) * (predicted.detach() if detach else predicted)
    return weight, ~unknown | marked


def targets_of(schema: LabelSchema, targets: Targets | None = None) -> dict[str, tuple[str, ...]]:
    """Question -> labels of its target: those given, held against the schema, or every yes/no question's evidence.

    Raises:
        ValueError: there is none, a question is not yes/no, a label is none of the schema's.
    """
    if targets is None:
        targets = {q.name: q.evidence for q in schema.questions if q.evidence}
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
    """Labels of no target, in schema order."""
    taken = {label for labels in targets.values() for label in labels}
    return tuple(label for label in schema.labels if label not in taken)


def _together(sums: Sums, schema: LabelSchema, labels: Sequence[str]) -> Sums:
    """Sums of some labels added up, one column."""
    at = [schema.labels.index(label) for label in labels]
    return Sums(*(part[:, at].sum(1, keepdim=True) for part in sums))
