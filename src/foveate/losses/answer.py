"""Losses of the answers about the whole image: cross entropy, focal, and earth mover's distance of ordered answers.

Each question is averaged over the images whose answer is known. The mean over questions then takes in only those with
a known answer. A yes/no question is a choice between the logits 0 and z, so that its cross entropy is the binary one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from foveate.core.labels import UNKNOWN, Question
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import focal_weight, image_logits, mean_over_known

Weights = Mapping[str, Sequence[float]]
"""Question -> one weight per answer, in the order of its answers."""


def cross_entropy(
    outputs: Outputs,
    batch: Batch,
    *,
    questions: Sequence[str] | None = None,
    weights: Weights | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross entropy of the answers, -sum_c y_c ln p_c, binary for yes/no (Diao et al. 2023, eq. 1).

    Args:
        outputs: image logits ``(b, image_channels)``.
        batch: answers. A question without a known answer is left out of the mean; 0 if all are.
        questions: those that count; None = all questions of the schema.
        weights: question -> one weight >= 0 per answer, in their order (yes/no: ``(no, yes)``); the mean over images
            divides by the sum of the weights of their answers. The answers of a question that is not named weigh 1.
        smoothing: share in [0, 1) of each target that is spread evenly over all answers.

    Raises:
        ValueError: the network gives no image logits; a question is not in the schema; weights or smoothing are
            out of range.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing={smoothing} must be at least 0 and below 1; 0 leaves the targets as they are")

    def loss(q: Question, logits: Float[Tensor, "b a"], answer: Int[Tensor, " b"], weight: Tensor) -> Tensor:
        return F.cross_entropy(
            logits, answer, weight, ignore_index=UNKNOWN, reduction="none", label_smoothing=smoothing
        )

    return _over_questions(outputs, batch, loss, questions=questions, weights=weights, term="cross_entropy")


def answer_focal(
    outputs: Outputs,
    batch: Batch,
    *,
    questions: Sequence[str] | None = None,
    weights: Weights | None = None,
    gamma: float = 2.0,
) -> Float[Tensor, ""]:
    """Focal loss of the answers, -(1 - p)^gamma ln p with p the probability of the true one (Lin et al. 2017, eq. 5).

    Args:
        outputs: image logits ``(b, image_channels)``.
        batch: answers. A question without a known answer is left out of the mean; 0 if all are.
        questions: those that count; None = all questions of the schema.
        weights: as for `cross_entropy`; they are the source's alpha.
        gamma: how strongly answers that are already learnt are weighed down, >= 0; 0 = cross entropy.

    Raises:
        ValueError: the network gives no image logits; a question is not in the schema; weights or gamma out of range.
    """

    def loss(q: Question, logits: Float[Tensor, "b a"], answer: Int[Tensor, " b"], weight: Tensor) -> Tensor:
        ce = F.cross_entropy(logits, answer, ignore_index=UNKNOWN, reduction="none")
        return weight[answer.clamp(min=0)] * focal_weight(ce, gamma=gamma) * ce

    return _over_questions(outputs, batch, loss, questions=questions, weights=weights, term="answer_focal")


def squared_emd(
    outputs: Outputs,
    batch: Batch,
    *,
    questions: Sequence[str] | None = None,
    weights: Weights | None = None,
) -> Float[Tensor, ""]:
    """Squared earth mover's distance of ordered answers, sum_k (P(a <= k) - [y <= k])^2 (Hou et al. 2016).

    A prediction two grades off costs more than one a single grade off; to cross entropy both are the same.

    Args:
        outputs: image logits ``(b, image_channels)``.
        batch: answers. A question without a known answer is left out of the mean; 0 if all are.
        questions: those that count; None = the ordered ones of the schema. For a yes/no question it is (p - y)^2.
        weights: as for `cross_entropy`.

    Raises:
        ValueError: the network gives no image logits; a question is not in the schema, or has more than two answers and
            no order, or none is left; weights out of range.
    """
    schema = batch.schema
    asked = [q.name for q in schema.questions if q.ordered] if questions is None else questions
    if loose := [q.name for q in map(schema.question, asked) if len(q.answers) > 2 and not q.ordered]:
        raise ValueError(f"squared_emd: questions {loose} have no order; state it in the schema or take cross_entropy")
    every = schema.image_probability(image_logits(outputs, batch, term="squared_emd"))

    def loss(q: Question, _: Tensor, answer: Int[Tensor, " b"], weight: Tensor) -> Tensor:
        probability = every[q.name]
        reached = answer[:, None] <= torch.arange(len(q.answers), device=answer.device)
        gap = probability.cumsum(1) - reached.to(probability.dtype)
        return weight[answer.clamp(min=0)] * gap[:, :-1].square().sum(1)

    return _over_questions(outputs, batch, loss, questions=asked, weights=weights, term="squared_emd")


def _over_questions(
    outputs: Outputs,
    batch: Batch,
    loss: Callable[[Question, Tensor, Tensor, Tensor], Tensor],
    *,
    questions: Sequence[str] | None,
    weights: Weights | None,
    term: str,
) -> Float[Tensor, ""]:
    """Mean over images, then over questions.

    ``loss`` gives one weighted value per image: for an unknown answer any finite value, which is multiplied by 0.
    """
    asked = batch.schema.questions if questions is None else [batch.schema.question(name) for name in questions]
    if not asked:
        raise ValueError(
            f"{term}: questions={questions} leaves no question; drop the term or give the schema questions"
        )
    if strange := set(weights or {}) - {q.name for q in asked}:
        raise ValueError(f"weights: {sorted(strange)} must be one of {[q.name for q in asked]}, the questions asked")
    logits = image_logits(outputs, batch, term=term)
    values, any_known = [], []
    for q in asked:
        part = logits[:, batch.schema.slices[q.name]]
        part = torch.cat([torch.zeros_like(part), part], 1) if q.yes_no else part
        answer = batch.answer(q.name)
        known = answer != UNKNOWN
        weight = part.new_tensor(_weights(q, weights))
        amount = torch.where(known, weight[answer.clamp(min=0)], 0).sum()
        # The divisor is the sum of the weights, as in torch's reduction="mean": weights do not change the scale.
        values.append((loss(q, part, answer, weight) * known).sum() / torch.where(amount > 0, amount, 1))
        any_known.append(known.any())
    return mean_over_known(torch.stack(values), torch.stack(any_known))


def _weights(question: Question, given: Weights | None) -> list[float]:
    found = list((given or {}).get(question.name, [1.0] * len(question.answers)))
    if len(found) != len(question.answers) or not all(0 <= w < float("inf") for w in found):
        raise ValueError(
            f"weights[{question.name!r}]={found}: give {len(question.answers)} numbers, 0 or positive, "
            f"for {list(question.answers)}"
        )
    return found
