"""Attention U-Net (Oktay et al. 2018): skips pass gates that the coarser map opens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.frame import beside, padded
from foveate.models.parts.heads import PixelHead
from foveate.models.parts.transposed import double_conv


class Gate(nn.Module):
    """x sigmoid(psi(ReLU(W_x x + W_g g))) with 1x1 convolutions (eqs 1, 2): what of a skip is worth passing.

    Args:
        channels: of skip and gating map; the gate works on half as many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.of_x = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.of_g = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1))

    def forward(self, x: Float[Tensor, "b c i j"], g: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """The gated skip."""
        return x * torch.sigmoid(self.psi(F.relu(self.of_x(x) + self.of_g(g))))


class AttentionUNet(nn.Module):
    """Marks labels; answers nothing, whatever questions the schema has.

    The gating map is the enlarged coarser one (nearest neighbour and a 3x3 convolution), at the skip's own resolution,
    as the usual two-dimensional version has it; with its biases it has the printed size (33.29 MiB at 32 channels).

    Args:
        schema: its labels give the number of logits.
        widths: channels of each level, fine to coarse; each level halves the image.
        channels: of the image, 1 or 3.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, or (from forward) the prior does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        channels: int = 3,
        prior_channels: int = 0,
    ) -> None:
        super().__init__()
        if not schema.labels:
            raise ValueError("schema has no labels; there is nothing to mark")
        self.prior_channels, self.coarsest = prior_channels, 2 ** (len(widths) - 1)
        entering = [channels + prior_channels, *widths]
        self.down = nn.ModuleList(double_conv(i, o, bias=True) for i, o in zip(entering, widths, strict=False))
        coarse = list(widths)[::-1]
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in pairwise(coarse)
        )
        self.gates = nn.ModuleList(Gate(o) for o in coarse[1:])
        self.join = nn.ModuleList(double_conv(2 * o, o, bias=True) for o in coarse[1:])
        self.head = PixelHead(widths[0], first=schema.first_logits(), reduction=1)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Pixel logits and the contracting path's maps."""
        x = padded(beside(image, prior, prior_channels=self.prior_channels), self.coarsest)
        features: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            features.append(x)
        for up, gate, join, skip in zip(self.up, self.gates, self.join, features[-2::-1], strict=True):
            x = up(x)
            x = join(torch.cat([gate(skip, x), x], 1))
        return Outputs(pixel=self.head(x, size=(image.shape[2], image.shape[3])), features=tuple(features))
