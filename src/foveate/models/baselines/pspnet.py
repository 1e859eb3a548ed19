"""PSPNet (Zhao et al. 2017): means over the whole image and parts of it, at an eighth of the resolution."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.encoders import Encoder
from foveate.models.parts.frame import beside, bilinear
from foveate.models.parts.heads import PixelHead


class PyramidPooling(nn.Module):
    """Pyramid pooling: the map and its means over grids of 1, 2, 3 and 6 cells per side, with a fourth of its channels.

    Args:
        channels: of the map; the result has twice as many.
        bins: cells per side.
    """

    def __init__(self, channels: int, *, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.shrink = nn.ModuleList(conv_norm(channels, channels // len(self.bins), kernel=1) for _ in self.bins)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return the map, then the means."""
        size = (x.shape[2], x.shape[3])
        means = (shrink(F.adaptive_avg_pool2d(x, cells)) for shrink, cells in zip(self.shrink, self.bins, strict=True))
        return torch.cat([x, *(bilinear(m, size) for m in means)], 1)


class PSPNet(nn.Module):
    """Mark labels; questions of the schema are not answered.

    Diao et al. 2023 print 77.18 MiB and do not name the encoder. Of the networks counted, one has that size: ResNet-50
    with the three-convolution stem of the published network but without its last stage, the head as published (3x3 to
    512), and the auxiliary head (3x3 to 256) one stage earlier. It is the default.

    Args:
        schema: its labels give the number of logits.
        encoder_name: a timm network whose stages can be dilated (ResNets).
        stages: number of the encoder's maps that are used, from the finest on; from the fourth on they are dilated.
        width: channels of the head; the auxiliary head has half as many.
        dropout: probability that a channel before the last convolutions is dropped in training.
        channels: of the image, 1 or 3.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, or (from forward) the prior does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        encoder_name: str = "resnet50c",
        stages: int = 4,
        width: int = 512,
        dropout: float = 0.1,
        channels: int = 3,
        prior_channels: int = 0,
    ) -> None:
        super().__init__()
        self.prior_channels, entering = prior_channels, channels + prior_channels
        pyramid = timm.create_model(
            encoder_name, features_only=True, in_chans=entering, output_stride=8, out_indices=tuple(range(stages))
        )
        fine, self.reduction = pyramid.feature_info.channels(), pyramid.feature_info.reduction()[-1]
        self.encoder = Encoder(
            pyramid,
            name=encoder_name,
            channels=fine,
            reductions=pyramid.feature_info.reduction(),
            mean=[sum(pyramid.pretrained_cfg["mean"]) / 3] * entering,
            std=[sum(pyramid.pretrained_cfg["std"]) / 3] * entering,
        )
        self.context = nn.Sequential(PyramidPooling(fine[-1]), conv_norm(2 * fine[-1], width), nn.Dropout2d(dropout))
        self.early = nn.Sequential(conv_norm(fine[-2], width // 2), nn.Dropout2d(dropout))
        logits = schema.pixel_channels
        self.head = PixelHead(width, logits=logits, reduction=self.reduction)
        self.early_head = PixelHead(width // 2, logits=logits, reduction=pyramid.feature_info.reduction()[-2])

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits, auxiliary ones as ``aux`` (weight 0.4 in the paper), and the encoder's maps."""
        size = (image.shape[2], image.shape[3])
        features = self.encoder(beside(image, prior, prior_channels=self.prior_channels))
        pixel = self.head(self.context(features[-1]), size=size)
        return Outputs(pixel=pixel, features=features, aux=(self.early_head(self.early(features[-2]), size=size),))
