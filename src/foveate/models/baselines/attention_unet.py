"""Attention U-Net (Oktay et al. 2018): the coarser map gates the skips.

The published network has 64 channels at the first level; the default here is 32, which fits the size that Diao et al.
2023 print.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.baselines.unet import ClassicUNet


class Gate(nn.Module):
    """Attention gate x sigmoid(psi(ReLU(W_x x + W_g g))) with 1x1 convolutions (eqs 1, 2).

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
        """Return the gated skip."""
        return x * torch.sigmoid(self.psi(F.relu(self.of_x(x) + self.of_g(g))))


class AttentionUNet(ClassicUNet):
    """Mark labels; questions of the schema are not answered.

    The gating map is the enlarged coarser map (nearest neighbour and a 3x3 convolution) at the skip's own resolution,
    as in the usual two-dimensional version. With biases it has the printed size (33.29 MiB at 32 channels).

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
        super().__init__(schema, widths=widths, channels=channels, prior_channels=prior_channels)
        self.gates = nn.ModuleList(Gate(width) for width in list(widths)[-2::-1])

    def doubling(self, coarse: int, fine: int) -> nn.Module:
        """Return nearest neighbour and a 3x3 convolution."""
        return nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(coarse, fine, 3, padding=1), nn.BatchNorm2d(fine), nn.ReLU()
        )

    def passed(self, level: int, skip: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"]) -> Tensor:
        """Return the skip after its gate."""
        gated: Tensor = self.gates[level](skip, x)
        return gated
