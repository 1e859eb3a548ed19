"""Lesion-Net (Wei et al. 2021): an expansive path of copy-and-merge steps, cut early if finer edges gain nothing.

Each step gives the map as many channels as the encoder's next finer map has, by a 1x1 convolution, doubles it
bilinearly and concatenates that finer map. A last 1x1 convolution makes one logit per label, which is enlarged
bilinearly to the image. The probability that an image bears a label is the highest of its pixels (eq. 1): presence
follows from the masks and needs no head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import bilinear
from foveate.models.parts.heads import PixelHead
from foveate.models.parts.segmenter import Segmenter


class CopyAndMerge(nn.Module):
    """Copy-and-merge: the coarse map, adjusted by a 1x1 convolution and doubled, beside the encoder's finer map.

    Normalisation and ReLU follow the convolution, as in the blocks of Inception-v3; the paper names neither. Without
    them the path from the encoder's maps to the logits would be linear: the same network as FCN's sum of scores.

    Args:
        coarse: channels of the coarse map.
        fine: channels of the encoder's map; twice as many come out.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.adjust = conv_norm(coarse, fine, kernel=1)

    def forward(self, x: Float[Tensor, "b c i j"], copied: Float[Tensor, "b d m n"]) -> Float[Tensor, "b e m n"]:
        """Return the two maps side by side."""
        return torch.cat([bilinear(self.adjust(x), (copied.shape[2], copied.shape[3])), copied], 1)


class LesionNet(Segmenter):
    """Mark labels; questions of the schema are not answered.

    Args:
        encoder_name: any convolutional timm network; the paper's is "inception_v3", which is padded so that its maps
            are 1/2 to 1/32 of the image.
        schema: its labels give the number of logits.
        stride: image pixels per pixel of the map at which the expansive path is cut: 2, 4, 8, 16 or 32, if the encoder
            has a map of that reduction.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no labels, or the encoder has no map of that stride.
    """

    def __init__(self, encoder_name: str, schema: LabelSchema, *, stride: int = 16, channels: int = 3) -> None:
        super().__init__()
        self.encoder = encoder(encoder_name, channels=channels)
        skips = skipped(self.encoder.reductions, stride=stride, encoder_name=encoder_name)
        below = self.encoder.channels[-1]
        self.path = nn.ModuleList()
        for fine in self.encoder.channels[-2 : -2 - skips : -1]:
            self.path.append(CopyAndMerge(below, fine))
            below = 2 * fine
        self.head = PixelHead(below, logits=schema.pixel_channels, reduction=stride)

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Expand the coarsest map to the stride."""
        x = features[-1]
        for merge, copied in zip(self.path, features[-2::-1], strict=False):
            x = merge(x, copied)
        return x


def skipped(reductions: Sequence[int], *, stride: int, encoder_name: str) -> int:
    """Count the maps that the expansive path merges until it reaches this stride; 0 at the coarsest.

    Args:
        reductions: of the encoder's maps, fine to coarse.
        stride: at which the path is cut.
        encoder_name: for the message.

    Raises:
        ValueError: the encoder has no map of that reduction.
    """
    if stride not in reductions:
        raise ValueError(
            f"stride={stride} must be one of {list(reductions)}, the reductions of encoder {encoder_name!r}"
        )
    return len(reductions) - 1 - list(reductions).index(stride)
