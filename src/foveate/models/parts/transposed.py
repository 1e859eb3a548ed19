"""U-Net decoder of transposed convolutions (Res18-UNet of Diao et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.models.parts.convs import double_conv
from foveate.models.parts.decoders import Decoder


class TransposedUNet(Decoder):
    """Decoder whose steps are a transposed convolution to the next finer map, that map as skip, two 3x3 convolutions.

    It ends at the finest map; the pixel head enlarges the rest. With 256, 128, 64, 64 channels on ResNet-18 (whose stem
    and first layer both have 64) the networks of Diao et al. have the sizes that their tables print.

    Args:
        channels: of the maps, fine to coarse.
        reductions: input pixels per map pixel, fine to coarse.
        widths: channels after each step, coarse to fine; those beyond the number of steps are not used.

    Raises:
        ValueError: widths is empty, or there are fewer than two maps.
    """

    def __init__(
        self, channels: Sequence[int], /, *, reductions: Sequence[int], widths: Sequence[int] = (256, 128, 64, 64)
    ) -> None:
        super().__init__()
        if not widths or len(channels) < 2:
            raise ValueError(f"widths={list(widths)}, channels={list(channels)}; give at least one width and two maps")
        skips, coarse = list(channels)[-2::-1], list(reductions)[::-1]
        self.up, self.join = nn.ModuleList(), nn.ModuleList()
        below = channels[-1]
        for width, skip, low, high in zip(widths, skips, coarse, coarse[1:], strict=False):
            self.up.append(nn.ConvTranspose2d(below, width, low // high, stride=low // high))
            self.join.append(double_conv(width + skip, width))
            below = width
        self.channels, self.reduction = below, coarse[len(self.up)]

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Return the map at the resolution given by `reduction`."""
        decoded = features[-1]
        for up, join, skip in zip(self.up, self.join, list(features)[-2::-1], strict=False):
            decoded = join(torch.cat([up(decoded), skip], 1))
        return decoded
