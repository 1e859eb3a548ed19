"""CE-Net (Gu et al. 2019): ResNet-34, dense atrous convolutions, pooling at several sizes, additive skips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import beside
from foveate.models.parts.heads import PixelHead


class DenseAtrous(nn.Module):
    """x + four branches of ever larger view, from three 3x3 convolutions (dilation 1, 3, 5) and one 1x1, all shared.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near, self.middle, self.far = (nn.Conv2d(channels, channels, 3, dilation=d, padding=d) for d in (1, 3, 5))
        self.point = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """The sum."""
        near = self.near(x)
        middle = self.middle(near)
        branches = (near, self.point(self.middle(x)), self.point(middle), self.point(self.far(middle)))
        return x + sum((F.relu(branch) for branch in branches), torch.zeros_like(x))


class MultiPool(nn.Module):
    """The map and four max pools of it, each to one channel (by one shared 1x1 convolution) and back to its size.

    Args:
        channels: of the map; four more come out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """The pools, then the map; a pool larger than the map takes it whole."""
        rows, cols = x.shape[2], x.shape[3]
        pooled = (F.max_pool2d(x, (min(size, rows), min(size, cols))) for size in (2, 3, 5, 6))
        shown = [F.interpolate(self.point(p), (rows, cols), mode="bilinear", align_corners=False) for p in pooled]
        return torch.cat([*shown, x], 1)


def step(channels: int, width: int) -> nn.Sequential:
    """Decoder block: 1x1 to a quarter, transposed 3x3 that doubles the size, 1x1, each normalised."""
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


class CENet(nn.Module):
    """Marks labels; answers nothing, whatever questions the schema has.

    Args:
        schema: its labels give the number of logits.
        encoder_name: a timm ResNet of basic blocks; the published one is "resnet34".
        width: channels of the last convolutions.
        channels: of the image, 1 or 3.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, the encoder's maps are not five that halve, or the prior does not fit.
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
        super().__init__()
        self.prior_channels = prior_channels
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

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Pixel logits and the encoder's maps."""
        features = self.encoder(beside(image, prior, prior_channels=self.prior_channels))
        x = self.context(features[4])
        for block, skip in zip(self.steps, (features[3], features[2], features[1], None), strict=True):
            x = block(x) if skip is None else block(x) + skip
        return Outputs(pixel=self.head(self.last(x), size=(image.shape[2], image.shape[3])), features=features)
