"""CE-Net (Gu et al. 2019): ResNet-34, dense atrous convolutions, pooling at several sizes, additive skips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import bilinear
from foveate.models.parts.heads import PixelHead
from foveate.models.parts.segmenter import Segmenter


class DenseAtrous(nn.Module):
    """Dense atrous block: x + four branches of growing view, from shared 3x3 (dilation 1, 3, 5) and 1x1 convolutions.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near, self.middle, self.far = (nn.Conv2d(channels, channels, 3, dilation=d, padding=d) for d in (1, 3, 5))
        self.point = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the sum."""
        near = self.near(x)
        middle = self.middle(near)
        branches = (near, self.point(self.middle(x)), self.point(middle), self.point(self.far(middle)))
        return x + sum((F.relu(branch) for branch in branches), torch.zeros_like(x))


class MultiPool(nn.Module):
    """Multi-kernel pooling: the map and four max pools of it, each as one channel (by a shared 1x1 convolution).

    Args:
        channels: of the map; the result has four more.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return the pools at the map's size, then the map; a pool larger than the map takes all of it."""
        rows, cols = x.shape[2], x.shape[3]
        pooled = (F.max_pool2d(x, (min(size, rows), min(size, cols))) for size in (2, 3, 5, 6))
        shown = [bilinear(self.point(p), (rows, cols)) for p in pooled]
        return torch.cat([*shown, x], 1)


def step(channels: int, width: int) -> nn.Sequential:
    """Make a decoder block: 1x1 to a quarter, transposed 3x3 that doubles the size, 1x1, each normalised."""
    inner = channels // 4
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class CENet(Segmenter):
    """Mark labels; questions of the schema are not answered.

    Args:
        schema: its labels give the number of logits.
        encoder_name: a timm ResNet of basic blocks; the published one is "resnet34".
        width: channels of the last convolutions.
        channels: of the image, 1 or 3.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, the encoder does not have five maps that halve, or the prior does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        encoder_name: str = "resnet34",
        width: int = 32,
        channels: int = 3,
        prior_channels: int = 0,
    ) -> None:
        super().__init__(prior_channels=prior_channels)
        self.encoder = encoder(encoder_name, channels=channels + prior_channels)
        if self.encoder.reductions != [2, 4, 8, 16, 32]:
            raise ValueError(f"encoder_name={encoder_name!r} has maps of {self.encoder.reductions}; take a ResNet")
        fine = self.encoder.channels
        self.context = nn.Sequential(DenseAtrous(fine[4]), MultiPool(fine[4]))
        self.steps = nn.ModuleList(
            step(i, o) for i, o in ((fine[4] + 4, fine[3]), (fine[3], fine[2]), (fine[2], fine[1]), (fine[1], fine[1]))
        )
        self.last = nn.Sequential(
            nn.ConvTranspose2d(fine[1], width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.head = PixelHead(width, logits=schema.pixel_channels, reduction=1, kernel=3)

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Add the context of the coarsest map to finer and finer maps."""
        x = self.context(features[4])
        for block, skip in zip(self.steps, (features[3], features[2], features[1], None), strict=True):
            x = block(x) if skip is None else block(x) + skip
        last: Tensor = self.last(x)
        return last
