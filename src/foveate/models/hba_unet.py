"""HBA-U-Net (Tang et al. 2021) with an answer (Wei et al.): residual U-Net whose deepest map attends to itself.

The encoder ends with ResNet's third layer (stride 16); in the place of its fourth stands a stack of bottleneck
attention. The published network has 19.66 million parameters at 512 px, 22.00 with attention on the skips, and one
pixel logit. Ours with as many has 19.64 and 21.98: the 16,640 between are biases of convolutions that a normalisation
follows, which takes them out again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.attention import BottleneckAttention, SkipAttention
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.residual import ResidualUNet

SHRINK = (4, 2, 2)
"""How much smaller a skip is made before it attends to itself, fine to coarse; the coarsest skip does not."""


class HBAUNet(nn.Module):
    """What and where; the answer reads the deepest map, after the attention.

    Takes images of any size: they are padded to whole pixels of the deepest map, and the tables of relative positions,
    made for ``size``, are interpolated.

    Args:
        encoder_name: a timm network with maps at 2, 4, 8, 16; the paper's is "resnet50".
        schema: its labels give the number of pixel logits, its questions those of image logits (none: a segmenter).
        size: side of the images that the tables are made for, a multiple of 32.
        layers: attention blocks in the stack; the first halves the map.
        heads: of the attention.
        attend_skips: attention on all skips but the coarsest, too.
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.
        stride_first: of the encoder's ResNet bottlenecks.
        dropout: before the linear heads and in the decoder (the published network: 0.4).

    Raises:
        ValueError: the schema has no labels, size is no multiple of 32, layers < 1, or the encoder does not fit.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        size: int = 512,
        layers: int = 3,
        heads: int = 4,
        attend_skips: bool = False,
        widths: Sequence[int] = (256, 192, 128, 64, 32),
        channels: int = 3,
        stride_first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if size < 32 or size % 32:
            raise ValueError(f"size={size}: the tables need a multiple of 32, such as {max(size // 32, 1) * 32}")
        if layers < 1:
            raise ValueError(f"layers={layers}: give at least 1, the one that halves the map")
        self.encoder = encoder(encoder_name, channels=channels, stride_first=stride_first, maps=4)
        maps, reductions = self.encoder.channels, self.encoder.reductions
        deep, grid = maps[-1], (size // reductions[-1], size // reductions[-1])
        half = (grid[0] // 2, grid[1] // 2)
        self.stack = nn.Sequential(
            BottleneckAttention(deep, deep, grid=grid, stride=2, heads=heads),
            *(BottleneckAttention(deep, deep, grid=half, heads=heads) for _ in range(layers - 1)),
        )
        self.attend = nn.ModuleList(
            SkipAttention(c, grid=(size // r, size // r), shrink=shrink, heads=heads)
            for c, r, shrink in zip(maps, reductions, SHRINK if attend_skips else (), strict=False)
        )
        skips = [c * (2 if level < len(self.attend) else 1) for level, c in enumerate(maps)]
        self.decoder = ResidualUNet(
            [*skips, deep], reductions=[*reductions, 2 * reductions[-1]], widths=widths, dropout=dropout
        )
        self.pixel_head = PixelHead(self.decoder.channels, logits=schema.pixel_channels, reduction=1, kernel=3)
        self.image_head = ImageHead(deep, schema=schema, dropout=dropout) if schema.questions else None

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Pixel and image logits; the encoder's maps and the deepest one after them. The prior is not read."""
        maps = self.encoder(image, multiple=2 * self.encoder.reductions[-1])
        deepest = self.stack(maps[-1])
        skips = list(maps)
        for level, attend in enumerate(self.attend):
            skips[level] = torch.cat([maps[level], attend(maps[level])], 1)
        return Outputs(
            pixel=self.pixel_head(self.decoder([*skips, deepest]), size=(image.shape[2], image.shape[3])),
            image=None if self.image_head is None else self.image_head(deepest),
            features=(*maps, deepest),
        )
