"""U-Net (Ronneberger et al. 2015) as commonly trained: padded, with batch normalisation.

The published network has 64 channels at the first level and pads nothing; the default here is 32 channels, which fits
the size that Diao et al. 2023 print.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import double_conv
from foveate.models.parts.frame import beside, padded
from foveate.models.parts.heads import PixelHead


class ClassicUNet(nn.Module):
    """Mark labels; questions of the schema are not answered.

    The convolutions keep their biases, which the printed size includes (29.62 MiB at 32 channels).

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
        self.prior_channels, self.coarsest = prior_channels, 2 ** (len(widths) - 1)
        entering = [channels + prior_channels, *widths]
        self.down = nn.ModuleList(double_conv(i, o, bias=True) for i, o in zip(entering, widths, strict=False))
        coarse = list(widths)[::-1]
        self.up = nn.ModuleList(self.doubling(i, o) for i, o in pairwise(coarse))
        self.join = nn.ModuleList(double_conv(2 * o, o, bias=True) for o in coarse[1:])
        self.head = PixelHead(widths[0], logits=schema.pixel_channels, reduction=1)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits and the maps of the contracting path."""
        x = padded(beside(image, prior, prior_channels=self.prior_channels), self.coarsest)
        features: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            features.append(x)
        for level, (up, join, skip) in enumerate(zip(self.up, self.join, features[-2::-1], strict=True)):
            x = up(x)
            x = join(torch.cat([self.passed(level, skip, x), x], 1))
        return Outputs(pixel=self.head(x, size=(image.shape[2], image.shape[3])), features=tuple(features))

    def doubling(self, coarse: int, fine: int) -> nn.Module:
        """Make the layer between two levels, with these channels in the coarse and the fine one."""
        return nn.ConvTranspose2d(coarse, fine, 2, stride=2)

    def passed(self, level: int, skip: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"]) -> Tensor:
        """Return the part of a skip that is joined to the enlarged map: here all of it."""
        return skip
