"""Side attention (Wei et al. 2021): what a lesion network marks weighs the maps that a second trunk grades by (eq. 5).

One forward pass gives the lesions' maps (and with them their presence) and the answers.
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
    """The trunk's last map f and the lesions' probabilities s on its grid -> what the head averages.

    Args:
        channels: of what comes out.
    """

    channels: int


class Conv(Attention):
    """f (x) conv(s): weights learnt by two 3x3 convolutions (eq. 7); what bears no lesion may count all the same.

    The last bias starts at 1, so that training starts from the trunk's maps as they are.

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
        """The weighted map."""
        weighted: Tensor = f * self.convs(s)
        return weighted


class ChannelMaxPool(Attention):
    """f (x) max over the lesions of s (eq. 6): only where a lesion is something counts.

    Args:
        trunk: channels of the map.
        labels: number of lesions.
    """

    def __init__(self, trunk: int, *, labels: int) -> None:
        super().__init__()
        self.channels = trunk

    def forward(self, f: Float[Tensor, "b c i j"], s: Float[Tensor, "b l i j"]) -> Float[Tensor, "b c i j"]:
        """The weighted map."""
        return f * s.amax(1, keepdim=True)


class Concat(Attention):
    """f as it is, and beside its mean the presence P of each lesion (the paper's Lesion-Concat).

    Args:
        trunk: channels of the map.
        labels: number of lesions.
    """

    def __init__(self, trunk: int, *, labels: int) -> None:
        super().__init__()
        self.channels = trunk + labels

    def forward(self, f: Float[Tensor, "b c i j"], s: Float[Tensor, "b l i j"]) -> Float[Tensor, "b d i j"]:
        """The map, then for each lesion its presence everywhere, which is its mean too."""
        presence = s.amax((2, 3), keepdim=True).expand(-1, -1, f.shape[2], f.shape[3])
        return torch.cat([f, presence], 1)


ATTENTIONS: dict[str, Callable[..., Attention]] = {"conv": Conv, "cw_maxpool": ChannelMaxPool, "concat": Concat}
"""Ways to use the lesions' maps, by the paper's names."""


def bilinear(maps: Float[Tensor, "b l h w"], factor: int) -> Float[Tensor, "b l i j"]:
    """Shrunk by a factor: means under a triangle two blocks wide about each block's centre, cut at the image's edge.

    Without this antialiasing only the four pixels about the centre would be read, and most lesions lie between them.

    Args:
        maps: probabilities; rows and columns are multiples of the factor.
        factor: pixels per pixel of what comes out.
    """
    size = (maps.shape[2] // factor, maps.shape[3] // factor)
    # torch has no antialiasing of half precision on a CPU
    return F.interpolate(maps.float(), size, mode="bilinear", align_corners=False, antialias=True).to(maps.dtype)


SHRINK: dict[str, Callable[[Tensor, int], Tensor]] = {
    "max": F.max_pool2d,
    "mean": F.avg_pool2d,
    "bilinear": bilinear,
}
"""Ways to bring the lesions' maps to the trunk's grid: highest or mean probability of each block of pixels, or a mean
that weighs the pixels near the block's centre more and its neighbours' too."""


class SideAttention(nn.Module):
    """Marks by a lesion network and answers by a second trunk that the marks guide.

    Args:
        encoder_name: of the trunk, any convolutional timm network; the paper's is "inception_v3".
        schema: its questions and labels give the numbers of logits.
        lesions: makes the lesion network, any that gives pixel logits; it is the part ``lesions``.
        attention: a name of `ATTENTIONS`.
        shrink: a name of `SHRINK`. A microaneurysm fills a hundredth of a block; its mean says next to nothing.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema lacks questions or labels, or a name is none.
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
                raise ValueError(f"{name}={value!r} is none of {list(names)}")
        if not schema.labels:
            raise ValueError("schema has no labels; nothing guides the grading, take a classifier")
        self.schema, self.shrink = schema, SHRINK[shrink]
        self.lesions = lesions()
        self.trunk = encoder(encoder_name, channels=channels)
        self.attention = ATTENTIONS[attention](self.trunk.channels[-1], labels=len(schema.labels))
        self.image_head = ImageHead(self.attention.channels, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """The lesion network's pixel logits, image logits, the trunk's maps and the guided one."""
        marked = self.lesions(image)
        features = self.trunk(image)
        coarsest = self.trunk.reductions[-1]
        s = self.shrink(padded(self.schema.pixel_probability(marked.pixel), coarsest), coarsest)
        guided = self.attention(features[-1], s)
        return Outputs(pixel=marked.pixel, image=self.image_head(guided), features=(*features, guided), aux=marked.aux)
