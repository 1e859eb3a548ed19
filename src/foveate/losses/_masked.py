"""Parts that all losses share: the logits that a term needs, and means over the truth that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.core.types import Batch, Outputs

Term = Callable[[Outputs, Batch], Float[Tensor, ""]]
"""One equation: logits, and the truth as far as it is known -> a scalar."""


def at_least_float32(logits: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Convert half precision to float32: it has neither the range nor the digits for a sum over pixels."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def pixel_logits(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b c h w"]:
    """Return the pixel logits, in float32 or better.

    Args:
        outputs: of the network.
        batch: its ground truth.
        term: name of the loss that asks, for the message.

    Raises:
        ValueError: the network gives none, or their channels or size differ from those of the schema and the masks.
    """
    if outputs.pixel is None:
        raise ValueError(
            f"{term} needs outputs.pixel, which is None; drop the term or take a network with a pixel head"
        )
    wanted = (len(batch.masks), batch.schema.pixel_channels, *batch.masks.shape[2:])
    if tuple(outputs.pixel.shape) != wanted:
        raise ValueError(
            f"{term}: outputs.pixel is {tuple(outputs.pixel.shape)}, the schema and the masks ask for {wanted}; "
            "build the network for this schema and bring its logits to the size of the input"
        )
    return at_least_float32(outputs.pixel)


def image_logits(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b c"]:
    """Return the image logits, in float32 or better; arguments and errors as for `pixel_logits`."""
    if outputs.image is None:
        raise ValueError(
            f"{term} needs outputs.image, which is None; drop the term or take a network with an image head"
        )
    wanted = (len(batch.answers), batch.schema.image_channels)
    if tuple(outputs.image.shape) != wanted:
        raise ValueError(
            f"{term}: outputs.image is {tuple(outputs.image.shape)}, the schema asks for {wanted}; "
            "build the network for this schema"
        )
    return at_least_float32(outputs.image)


def label_log_odds(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b l h w"]:
    """Return log q / (1 - q) of every label: if labels overlap, that is the logit itself.

    In exclusive schemas 1 - q is the sum over the other classes. It is taken in logarithms: as a difference it would
    be 0 wherever q rounds to 1.
    """
    logits = pixel_logits(outputs, batch, term=term)
    if not (batch.schema.exclusive and batch.schema.labels):
        return logits
    log_p = batch.schema.pixel_log_probability(logits)
    classes = log_p.unbind(1)
    odds = [own - reduce(torch.logaddexp, classes[:c] + classes[c + 1 :]) for c, own in enumerate(classes) if c]
    return torch.stack(odds, 1)


def mean_over_known(
    values: Float[Tensor, "*n"], known: Bool[Tensor, "*n"], *, weights: Float[Tensor, "*n"] | None = None
) -> Float[Tensor, ""]:
    """Mean of the values whose truth is known, sum(w v) / sum(w); 0 if none is known or every weight is 0.

    Args:
        values: one loss each. They must be finite even if unknown: 0 times infinity is nan.
        known: which of them count.
        weights: how much each counts, not negative; None = all the same.
    """
    counted = known.to(values.dtype) if weights is None else known * weights
    amount = counted.sum()
    return (values * counted).sum() / torch.where(amount > 0, amount, 1)


def focal_weight(cross_entropy: Float[Tensor, "*n"], *, gamma: float) -> Float[Tensor, "*n"]:
    """Return (1 - p)^gamma from the cross entropy -log p: near 0 for pixels or answers that are already learnt.

    Raises:
        ValueError: gamma is negative or not finite.
    """
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma={gamma} must be 0 (plain cross entropy) or a positive number, such as 2")
    # The floor keeps the gradient finite if p rounds to 1 and gamma < 1.
    return (-torch.expm1(-cross_entropy)).clamp_min(torch.finfo(cross_entropy.dtype).tiny).pow(gamma)


def weights_in_order(given: Mapping[str, float] | None, names: tuple[str, ...], *, argument: str) -> list[float]:
    """List weights that are given by name in the order of the names; 1 for a name without a weight.

    Raises:
        ValueError: a name is unknown, or a weight is negative or not finite.
    """
    given = given or {}
    if strange := set(given) - set(names):
        raise ValueError(f"{argument}: {sorted(strange)} must be one of {list(names)}")
    for name, weight in given.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{argument}[{name!r}]={weight} must be 0 or a positive number")
    return [float(given.get(name, 1.0)) for name in names]


def masked_cross_entropy(outputs: Outputs, batch: Batch, *, weights: Float[Tensor, " c"] | None) -> Float[Tensor, ""]:
    """Cross entropy of exclusive labels as in `pixel.pixel_cross_entropy`, with the weights as a tensor.

    Args:
        outputs: pixel logits ``(b, 1 + labels, h, w)``, background first.
        batch: masks, and where they are known; 0 if nowhere.
        weights: one per class, the background's first; None = all 1.

    Raises:
        ValueError: labels overlap, or the network gives no pixel logits.
    """
    schema = batch.schema
    if not schema.exclusive:
        raise ValueError("pixel_cross_entropy needs a schema with exclusive=True; take bce for labels that overlap")
    log_p = schema.pixel_log_probability(pixel_logits(outputs, batch, term="pixel_cross_entropy"))
    possible = schema.possible(batch.masks, batch.known)
    loss = -(log_p + torch.where(possible, 0.0, -torch.inf)).logsumexp(1)
    known = ~possible.all(1)  # a pixel that may still be anything has loss 0: it must not enlarge the divisor either
    if weights is None:
        return mean_over_known(loss, known)
    w = weights.to(loss)[:, None, None]
    return mean_over_known(loss, known, weights=(w * possible).sum(1) / possible.sum(1))
