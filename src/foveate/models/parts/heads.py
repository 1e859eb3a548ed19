"""Heads: pixel logits at the size of the image; image logits, one linear head a question."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.frame import enlarged
from foveate.models.parts.start import start_head


class PixelHead(nn.Module):
    """A convolution to the pixel logits, enlarged bilinearly and cut to the image (the encoder padded it).

    It starts at a bias of 0. A bias that makes a label rare from the start (Lin et al. 2017, section 4.1) makes it more
    likely that a small label is never marked: the gradient of a Dice loss vanishes with q (1 - q).

    Args:
        channels: of the decoder's map.
        logits: number of pixel logits (``schema.pixel_channels``), > 0.
        reduction: image pixels per pixel of the decoder's map.
        kernel: of the convolution, odd.

    Raises:
        ValueError: there is no logit, or kernel is even.
    """

    def __init__(self, channels: int, *, logits: int, reduction: int, kernel: int = 1) -> None:
        super().__init__()
        if not logits:
            raise ValueError("schema has no labels, there is nothing to mark; take a classifier")
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} is even; take {kernel + 1}")
        self.conv, self.reduction = nn.Conv2d(channels, logits, kernel, padding=kernel // 2), reduction
        start_head(self.conv)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """A 1x1 kernel of an earlier run fills the middle of a larger one: the same convolution."""
        kernel, margin = state.get(f"{prefix}conv.weight"), self.conv.kernel_size[0] // 2
        if kernel is not None and kernel.shape[2:] == (1, 1) and margin:
            state[f"{prefix}conv.weight"] = F.pad(kernel, (margin,) * 4)
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, decoded: Float[Tensor, "b d i j"], *, size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        """Logits at ``size`` (rows, cols), the size of the image."""
        return enlarged(self.conv(decoded), self.reduction, size=size)


class ImageHead(nn.Module):
    """Mean over the map, dropout, and one linear head a question, side by side in schema order.

    A linear head on a mean keeps Grad-CAM in closed form (`foveate.models.cam.closed_form` with `weight`).

    Args:
        channels: of the map it reads.
        schema: its questions give the number of logits.
        dropout: probability that a channel's mean is dropped in training.

    Raises:
        ValueError: the schema asks no question.
    """

    def __init__(self, channels: int, *, schema: LabelSchema, dropout: float = 0.0) -> None:
        super().__init__()
        if not schema.questions:
            raise ValueError("schema asks no question; an image head needs one")
        self.dropout = nn.Dropout(dropout)
        self.questions = nn.ModuleList(nn.Linear(channels, q.channels) for q in schema.questions)

    @property
    def weight(self) -> Float[Tensor, "c k"]:
        """Weights of all the logits, in channel order."""
        return torch.cat([question.weight for question in self.questions if isinstance(question, nn.Linear)])

    @property
    def bias(self) -> Float[Tensor, " c"]:
        """Biases of all the logits, in channel order."""
        return torch.cat([question.bias for question in self.questions if isinstance(question, nn.Linear)])

    def forward(self, feature: Float[Tensor, "b k i j"]) -> Float[Tensor, "b c"]:
        """Image logits in schema order."""
        means = self.dropout(feature.mean((2, 3)))
        return torch.cat([question(means) for question in self.questions], 1)
