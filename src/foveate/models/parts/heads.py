"""Heads: pixel logits at the size of the image; image logits, one linear head per question."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.decoders import Decoder
from foveate.models.parts.frame import enlarged
from foveate.models.parts.start import start_head


class PixelHead(nn.Module):
    """Convolution to the pixel logits, enlarged bilinearly and cut to the image (the encoder padded it).

    The bias starts at 0. Lin et al. 2017 (section 4.1) start it so that a label is rare; with a Dice loss, whose
    gradient vanishes with q (1 - q), a small label is then more often never marked.

    Args:
        channels: of the decoder's map.
        logits: number of pixel logits (``schema.pixel_channels``), > 0.
        reduction: image pixels per pixel of the decoder's map.
        kernel: of the convolution, odd.

    Raises:
        ValueError: logits is 0, or kernel is even.
    """

    def __init__(self, channels: int, *, logits: int, reduction: int, kernel: int = 1) -> None:
        super().__init__()
        if not logits:
            raise ValueError("schema has no labels, which a pixel head needs; take a classifier")
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} is even; take {kernel + 1}")
        self.conv, self.reduction = nn.Conv2d(channels, logits, kernel, padding=kernel // 2), reduction
        start_head(self.conv)

    @classmethod
    def after(cls, decoder: Decoder, schema: LabelSchema) -> PixelHead:
        """Make the head that follows a decoder, with one logit per channel of the schema."""
        return cls(
            decoder.channels, logits=schema.pixel_channels, reduction=decoder.reduction, kernel=decoder.head_kernel
        )

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Load also the 1x1 kernel of an earlier version: in the middle of a larger one it is the same convolution."""
        kernel, margin = state.get(f"{prefix}conv.weight"), self.conv.kernel_size[0] // 2
        if kernel is not None and kernel.shape[2:] == (1, 1) and margin:
            state[f"{prefix}conv.weight"] = F.pad(kernel, (margin,) * 4)
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, decoded: Float[Tensor, "b d i j"], *, size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        """Return logits at ``size`` (rows, cols), the size of the image."""
        return enlarged(self.conv(decoded), self.reduction, size=size)


class ImageHead(nn.Module):
    """Mean over the map, dropout, and one linear head per question, side by side in schema order.

    For a linear head on a mean Grad-CAM has a closed form (`foveate.models.cam.closed_form` with `weight`).

    Args:
        channels: of the map it reads.
        schema: its questions give the number of logits.
        dropout: probability that a channel's mean is dropped in training.

    Raises:
        ValueError: the schema has no question.
    """

    def __init__(self, channels: int, *, schema: LabelSchema, dropout: float = 0.0) -> None:
        super().__init__()
        if not schema.questions:
            raise ValueError("schema has no question; an image head needs one")
        self.dropout = nn.Dropout(dropout)
        self.questions = nn.ModuleList(nn.Linear(channels, q.channels) for q in schema.questions)

    @classmethod
    def if_asked(cls, channels: int, *, schema: LabelSchema, dropout: float = 0.0) -> ImageHead | None:
        """Make the head, or return None if the schema has no question; arguments as for the class."""
        return cls(channels, schema=schema, dropout=dropout) if schema.questions else None

    @property
    def weight(self) -> Float[Tensor, "c k"]:
        """Weights of all the logits, in channel order."""
        return torch.cat([question.weight for question in self.questions if isinstance(question, nn.Linear)])

    @property
    def bias(self) -> Float[Tensor, " c"]:
        """Biases of all the logits, in channel order."""
        return torch.cat([question.bias for question in self.questions if isinstance(question, nn.Linear)])

    def forward(self, feature: Float[Tensor, "b k i j"]) -> Float[Tensor, "b c"]:
        """Return image logits in schema order."""
        means = self.dropout(feature.mean((2, 3)))
        return torch.cat([question(means) for question in self.questions], 1)


def answered(head: ImageHead | None, feature: Float[Tensor, "b k i j"]) -> Float[Tensor, "b c"] | None:
    """Return the image logits of a map, or None if there is no head."""
    return None if head is None else head(feature)
