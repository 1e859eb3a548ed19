"""DANet (Fu et al. 2019): the sum of attention between positions and attention between channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.flat import dilated
from foveate.models.parts.heads import PixelHead


class PositionAttention(nn.Module):
    """Position attention: gamma * sum over positions of softmax(q k) v, plus the map (eqs 1, 2); gamma starts at 0.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 1)
        self.query, self.key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the map after attention."""
        q, k, v = (conv(x).flatten(2) for conv in (self.query, self.key, self.value))
        attention = (q.transpose(1, 2) @ k).softmax(-1)
        attended: Tensor = self.gamma * (v @ attention.transpose(1, 2)).view_as(x) + x
        return attended


class ChannelAttention(nn.Module):
    """Channel attention: gamma * sum over channels of softmax(max - x x) x, plus the map (eqs 3, 4); gamma starts at 0.

    As in the published network, not in eq. 3, the energy is the maximum minus the product: channels attend to those
    unlike them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the map after attention."""
        rows = x.flatten(2)
        energy = rows @ rows.transpose(1, 2)
        attention = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
        return self.gamma * (attention @ rows).view_as(x) + x


class DANet(nn.Module):
    """Mark labels; questions of the schema are not answered.

    ``aux`` holds the logits of each attention (first position, then channel); the paper adds the three losses.

    Args:
        encoder_name: a timm network that is a chain of layers.
        schema: its labels give the number of logits.
        reduction: image pixels per pixel of the map with attention, one of the encoder's; published: 8. Memory grows
            with the fourth power of its inverse.
        width: channels of the head; None = a fourth of the encoder's coarsest map.
        dropout: probability that a channel before the last convolutions is dropped in training.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no labels, or the encoder has no map of that reduction.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        reduction: int = 8,
        width: int | None = None,
        dropout: float = 0.1,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.encoder = dilated(encoder_name, reduction=reduction, channels=channels)
        coarse = self.encoder.channels[-1]
        inner = width or coarse // 4
        self.position = nn.Sequential(conv_norm(coarse, inner), PositionAttention(inner), conv_norm(inner, inner))
        self.channel = nn.Sequential(conv_norm(coarse, inner), ChannelAttention(), conv_norm(inner, inner))
        self.dropout = nn.Dropout2d(dropout)
        self.heads = nn.ModuleList(
            PixelHead(inner, logits=schema.pixel_channels, reduction=reduction) for _ in range(3)
        )

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits of the sum, those of each attention, and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        position, channel = self.position(features[-1]), self.channel(features[-1])
        size = (image.shape[2], image.shape[3])
        both, first, second = (
            head(self.dropout(x), size=size)
            for head, x in zip(self.heads, (position + channel, position, channel), strict=True)
        )
        return Outputs(pixel=both, features=features, aux=(first, second))
