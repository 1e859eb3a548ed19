"""Lesion-Net (Wei et al. 2021): copy-and-merge after a classifier's blocks, cut where boundaries are not worth more.

At each step the map passes a 1x1 convolution that gives it as many channels as the encoder's next finer map has, is
doubled bilinearly, and that map is put beside it. The last map passes a 1x1 convolution to one logit a label, which is
enlarged bilinearly to the image. An image bears a label as surely as its surest pixel (eq. 1): presence is a figure of
the masks and needs no head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import PixelHead


class CopyAndMerge(nn.Module):
    """The coarse map, adjusted by a 1x1 convolution and doubled, beside the encoder's finer one.

    Normalisation and ReLU follow the convolution, as in the blocks of Inception-v3. Without them the path would be
    linear from the encoder's maps to the logits, and with it no other network than FCN's sum of scores.

    Args:
        coarse: channels of the map that comes.
        fine: channels of the encoder's map; twice as many come out.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.adjust = conv_norm(coarse, fine, kernel=1)

    def forward(self, x: Float[Tensor, "b c i j"], copied: Float[Tensor, "b d m n"]) -> Float[Tensor, "b e m n"]:
        """The two maps side by side."""
        adjusted = F.interpolate(
            self.adjust(x), (copied.shape[2], copied.shape[3]), mode="bilinear", align_corners=False
        )
        return torch.cat([adjusted, copied], 1)


class LesionNet(nn.Module):
    """Marks labels; answers nothing, whatever questions the schema has.

    Args:
        encoder_name: any convolutional timm network; the paper's is "inception_v3", which is padded so that its maps
            are 1/2 to 1/32 of the image.
        schema: its labels give the number of logits.
        stride: image pixels per pixel of the map where the expansive path is cut: 2, 4, 8, 16 or 32, as long as the
            encoder has a map of that reduction.
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

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Pixel logits and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        x = features[-1]
        for merge, copied in zip(self.path, features[-2::-1], strict=False):
            x = merge(x, copied)
        return Outputs(pixel=self.head(x, size=(image.shape[2], image.shape[3])), features=features)


def skipped(reductions: Sequence[int], *, stride: int, encoder_name: str) -> int:
    """How many maps the expansive path takes in until it is at this stride; 0 at the coarsest.

    Args:
        reductions: of the encoder's maps, fine to coarse.
        stride: where the path is cut.
        encoder_name: for the message.

    Raises:
        ValueError: the encoder has no map of that reduction.
    """
    if stride not in reductions:
        raise ValueError(f"stride={stride} is none of {list(reductions)}, the reductions of encoder {encoder_name!r}")
    return len(reductions) - 1 - list(reductions).index(stride)
