"""What all losses share: the logits a term needs, and the mean over what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.core.types import Batch, Outputs

Term = Callable[[Outputs, Batch], Float[Tensor, ""]]
"""One equation: logits and what is known of the truth -> a scalar."""


def full(logits: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Logits in at least float32: half precision has neither the range nor the digits for a sum over pixels."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def pixel_logits(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b c h w"]:
    """The pixel logits, in at least float32.

    Args:
        outputs: what the network answered.
        batch: its truth.
        term: name of the loss that asks, for the message.

    Raises:
        ValueError: the network has none, or their channels or size are not the schema's and the masks'.
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
    return full(outputs.pixel)


def image_logits(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b c"]:
    """The image logits, in at least float32; arguments and errors as for `pixel_logits`."""
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
    return full(outputs.image)


def known_mean(
    values: Float[Tensor, "*n"], known: Bool[Tensor, "*n"], *, weights: Float[Tensor, "*n"] | None = None
) -> Float[Tensor, ""]:
    """Mean of the known values, sum(w v) / sum(w); 0 where none is known (or every weight is 0).

    Args:
        values: one loss each; finite where unknown too.
        known: which of them count.
        weights: how much each counts, not negative; None = all the same.
    """
    counted = known.to(values.dtype) if weights is None else known * weights
    amount = counted.sum()
    return (values * counted).sum() / torch.where(amount > 0, amount, 1)


def unsure(cross_entropy: Float[Tensor, "*n"], *, gamma: float) -> Float[Tensor, "*n"]:
    """(1 - p)^gamma from the cross entropy -log p: the weight that a focal loss gives to what is not yet learnt.

    Raises:
        ValueError: gamma is negative or not finite.
    """
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma={gamma} must be 0 (plain cross entropy) or a positive number, such as 2")
    # The floor keeps the gradient finite where p rounds to 1 and gamma < 1.
    return (-torch.expm1(-cross_entropy)).clamp_min(torch.finfo(cross_entropy.dtype).tiny).pow(gamma)


def per_name(given: Mapping[str, float] | None, names: tuple[str, ...], *, argument: str) -> list[float]:
    """Weights by name as a list in channel order; 1 for a name that is not given.

    Raises:
        ValueError: a strange name, or a weight that is negative or not finite.
    """
    given = given or {}
    if strange := set(given) - set(names):
        raise ValueError(f"{argument}: {sorted(strange)} are none of {list(names)}")
    for name, weight in given.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{argument}[{name!r}]={weight} must be 0 or a positive number")
    return [float(given.get(name, 1.0)) for name in names]
