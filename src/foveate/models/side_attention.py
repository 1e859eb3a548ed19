"""Side attention (Wei et al. 2021): the marks of a lesion network weigh the maps of the grading trunk (eq. 5).

One forward pass gives the lesion maps (and from them presence) and the answers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import padded
from foveate.models.parts.heads import ImageHead


class Attention(nn.Module):
    """The trunk's last map f and the lesions' probabilities s on its grid -> the map that the head averages.

    Args:
        channels: of that map.
    """

    channels: int


class Conv(Attention):
    """Return f (x) conv(s): weights learnt by two 3x3 convolutions (eq. 7); places without a lesion may count, too.

    The last bias starts at 1, so that training starts from the unchanged maps of the trunk.

    Args:
        trunk: channels of the map.
        labels: number of lesions.
        hidden: channels between the convolutions.
    """

    def __init__(self, trunk: int, *, labels: int, hidden: int = 64) -> None:
        super().__init__()
        self.channels = trunk
        last = nn.Conv2d(hidden, trunk, 3, padding=1)
        assert last.bias is not None
        nn.init.ones_(last.bias)
        self.convs = nn.Sequential(
            nn.Conv2d(labels, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(), last
        )

    def forward(self, f: Float[Tensor, "b c i j"], s: Float[Tensor, "b l i j"]) -> Float[Tensor, "b c i j"]:
        """Return the weighted map."""
        weighted: Tensor = f * self.convs(s)
        return weighted


class ChannelMaxPool(Attention):
    """Return f (x) max over the lesions of s (eq. 6): only places with a lesion count.

    Args:
        trunk: channels of the map.
        labels: number of lesions.
    """

    def __init__(self, trunk: int, *, labels: int) -> None:
        super().__init__()
        self.channels = trunk

    def forward(self, f: Float[Tensor, "b c i j"], s: Float[Tensor, "b l i j"]) -> Float[Tensor, "b c i j"]:
        """Return the weighted map."""
        return f * s.amax(1, keepdim=True)


class Concat(Attention):
    """Return f unchanged, with the presence P of each lesion as further channels (the paper's Lesion-Concat).

    Args:
        trunk: channels of the map.
        labels: number of lesions.
    """

    def __init__(self, trunk: int, *, labels: int) -> None:
        super().__init__()
        self.channels = trunk + labels

    def forward(self, f: Float[Tensor, "b c i j"], s: Float[Tensor, "b l i j"]) -> Float[Tensor, "b d i j"]:
        """Return the map, then one channel per lesion: its presence at every position, so that this is its mean."""
        presence = s.amax((2, 3), keepdim=True).expand(-1, -1, f.shape[2], f.shape[3])
        return torch.cat([f, presence], 1)


ATTENTIONS: dict[str, Callable[..., Attention]] = {"conv": Conv, "cw_maxpool": ChannelMaxPool, "concat": Concat}
"""Ways to use the lesion maps, by the paper's names."""


def bilinear(maps: Float[Tensor, "b l h w"], factor: int) -> Float[Tensor, "b l i j"]:
    """Shrink by a factor: means weighted by a triangle two blocks wide around each block's centre.

    At the image's edge the triangle is cut. Without this antialiasing only the four pixels around the centre would be
    read, and most lesions would be missed.

    Args:
        maps: probabilities; rows and columns are multiples of the factor.
        factor: pixels per pixel of the result.
    """
    size = (maps.shape[2] // factor, maps.shape[3] // factor)
    # float32: on a CPU torch has no antialiasing in half precision
    return F.interpolate(maps.float(), size, mode="bilinear", align_corners=False, antialias=True).to(maps.dtype)


SHRINK: dict[str, Callable[[Tensor, int], Tensor]] = {
    "max": F.max_pool2d,
    "mean": F.avg_pool2d,
    "bilinear": bilinear,
}
"""Ways to bring the lesion maps to the trunk's grid: the highest or the mean probability of each block of pixels, or a
mean that weighs pixels by their distance from the block's centre and reaches into the neighbouring blocks."""


class SideAttention(nn.Module):
    """Mark with a lesion network, and answer with a second trunk that the marks guide.

    Args:
        encoder_name: of the trunk, any convolutional timm network; the paper's is "inception_v3".
        schema: its questions and labels give the numbers of logits.
        lesions: makes the lesion network, any that gives pixel logits; it becomes the part ``lesions``.
        attention: a name of `ATTENTIONS`.
        shrink: a name of `SHRINK`. A microaneurysm fills a hundredth of a block and hardly changes its mean; the
            maximum keeps it.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema lacks questions or labels, or a name is unknown.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        lesions: Callable[[], nn.Module],
        attention: str = "conv",
        shrink: str = "max",
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, names in (("attention", attention, ATTENTIONS), ("shrink", shrink, SHRINK)):
            if value not in names:
                raise ValueError(f"{name}={value!r} must be one of {list(names)}")
        if not schema.labels:
            raise ValueError("schema has no labels, which guide the grading; take a classifier")
        self.schema, self.shrink = schema, SHRINK[shrink]
        self.lesions = lesions()
        self.trunk = encoder(encoder_name, channels=channels)
        self.attention = ATTENTIONS[attention](self.trunk.channels[-1], labels=len(schema.labels))
        self.image_head = ImageHead(self.attention.channels, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return the lesion network's pixel logits, image logits, the trunk's maps and the guided one."""
        marked = self.lesions(image)
        features = self.trunk(image)
        coarsest = self.trunk.reductions[-1]
        s = self.shrink(padded(self.schema.pixel_probability(marked.pixel), coarsest), coarsest)
        guided = self.attention(features[-1], s)
        return Outputs(pixel=marked.pixel, image=self.image_head(guided), features=(*features, guided), aux=marked.aux)
