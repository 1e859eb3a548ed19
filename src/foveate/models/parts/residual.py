"""U-Net decoder of residual blocks: double, join the skips, one convolution, one residual convolution.

It follows the text of Wei et al. (Fig. 2). The published code of HBA-U-Net (Tang et al. 2021), on which their network
is based, has no residual parts in the decoder, and dropout of 0.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.models.parts.convs import conv_norm
from foveate.models.parts.decoders import Decoder


class ResidualConv(nn.Module):
    """Compute x' = ReLU(BN(conv x)), then ReLU(x' + BN(conv x')), with no more weights than two plain convolutions.

    Args:
        channels: of the input map.
        width: channels of the result.
        residual: add x' to the result of the second convolution.
        dropout: probability that a value is dropped before each convolution.
    """

    def __init__(self, channels: int, width: int, *, residual: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.residual = nn.Dropout(dropout), residual
        self.first = conv_norm(channels, width)
        self.second = conv_norm(width, width, active=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Return the map, convolved twice."""
        first = self.first(self.dropout(x))
        second = self.second(self.dropout(first))
        return F.relu(first + second if self.residual else second)


class ResidualUNet(Decoder):
    """Decoder with one block per doubling; the last, at the image's size, has no skip or residual (Wei et al., Fig. 2).

    Args:
        channels: of the maps, fine to coarse; the count of a skip includes maps that are joined to it.
        reductions: input pixels per map pixel, fine to coarse, each half of the next, the finest 2.
        widths: channels after each doubling, coarse to fine, as many as there are maps.
        dropout: in all blocks except the last.

    Raises:
        ValueError: there are not as many widths as maps, or the reductions are not 2, 4, 8, ...
    """

    def __init__(
        self,
        channels: Sequence[int],
        /,
        *,
        reductions: Sequence[int],
        widths: Sequence[int] = (256, 192, 128, 64, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != len(channels):
            raise ValueError(f"widths={list(widths)}: give {len(channels)}, one per doubling, coarse to fine")
        if list(reductions) != [2 ** (n + 1) for n in range(len(channels))]:
            raise ValueError(f"reductions={list(reductions)}: a residual U-Net needs maps at 2, 4, 8, ...")
        entering = [channels[-1], *widths]
        skips = [*list(channels)[-2::-1], 0]
        self.blocks = nn.ModuleList(
            ResidualConv(below + skip, width, residual=skip > 0, dropout=dropout if skip else 0.0)
            for below, skip, width in zip(entering, skips, widths, strict=False)
        )
        self.channels, self.reduction = widths[-1], 1

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d h w"]:
        """Return the map at the size of the padded image."""
        decoded = features[-1]
        for block, skip in zip(self.blocks, [*list(features)[-2::-1], None], strict=True):
            decoded = F.interpolate(decoded, scale_factor=2.0, mode="nearest")
            decoded = block(decoded if skip is None else torch.cat([decoded, skip], 1))
        return decoded
