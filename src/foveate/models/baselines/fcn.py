"""FCN-32s, 16s, 8s (Long et al. 2015): scores of the coarsest maps, added from coarse to fine."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.lesion_net import skipped
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import enlarged
from foveate.models.parts.start import start_head


class FCN(nn.Module):
    """Mark labels; questions of the schema are not answered.

    As published, 1x1 convolutions score the coarsest map and the skips (the latter start at 0), transposed 4x4
    convolutions that start as bilinear enlargement double the sum, and the last enlargement is bilinear and fixed.

    Args:
        encoder_name: any convolutional timm network.
        schema: its labels give the number of logits.
        stride: image pixels per pixel of the finest map that is scored: 32, 16, 8 (or finer, if there is a map).
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no labels, or the encoder has no map of that stride.
    """

    def __init__(self, encoder_name: str, schema: LabelSchema, *, stride: int = 32, channels: int = 3) -> None:
        super().__init__()
        if not schema.labels:
            raise ValueError("schema has no labels, which a segmenter needs; take a classifier")
        self.encoder = encoder(encoder_name, channels=channels)
        skips = skipped(self.encoder.reductions, stride=stride, encoder_name=encoder_name)
        self.stride, count = stride, schema.pixel_channels
        self.score = nn.Conv2d(self.encoder.channels[-1], count, 1)
        start_head(self.score)
        self.skips = nn.ModuleList(zero(nn.Conv2d(c, count, 1)) for c in self.encoder.channels[-2 : -2 - skips : -1])
        self.up = nn.ModuleList(doubling(count) for _ in range(skips))

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        x = self.score(features[-1])
        for up, skip, feature in zip(self.up, self.skips, features[-2::-1], strict=False):
            x = up(x) + skip(feature)
        return Outputs(pixel=enlarged(x, self.stride, size=(image.shape[2], image.shape[3])), features=features)


def doubling(channels: int) -> nn.ConvTranspose2d:
    """Make a transposed 4x4 convolution of stride 2 that starts as bilinear enlargement of each channel."""
    up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    side = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        up.weight.zero_()
        for k in range(channels):
            up.weight[k, k] = torch.outer(side, side)
    return up


def zero(conv: nn.Conv2d) -> nn.Conv2d:
    """Set the weights and biases of a convolution to 0; return it."""
    assert conv.bias is not None
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
