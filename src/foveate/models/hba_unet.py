"""HBA-U-Net (Tang et al. 2021) with an answer (Wei et al.): residual U-Net with self-attention on its deepest map.

The encoder ends with ResNet's third layer (stride 16); a stack of bottleneck attention replaces the fourth. The
published network has 19.66 million parameters at 512 px, 22.00 with attention on the skips, and one pixel logit. Ours,
with one pixel logit, has 19.64 and 21.98. The difference of 16,640 are biases of convolutions before a normalisation,
which removes any bias.

The network follows the text of Wei et al., whose decoder has residual parts. The published code of Tang et al. differs:
its decoder has no residual parts, and dropout of 0.4.
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
from foveate.models.parts.heads import ImageHead, PixelHead, answered
from foveate.models.parts.residual import ResidualUNet

SHRINK = (4, 2, 2)
"""Factor by which a skip shrinks before its self-attention, fine to coarse; the coarsest skip has no attention."""


class HBAUNet(nn.Module):
    """Answer and mark: the image head reads the deepest map, after the attention.

    Images may have any size: they are padded to whole pixels of the deepest map, and the tables of relative positions,
    which are made for ``size``, are interpolated.

    Args:
        encoder_name: a timm network with maps at 2, 4, 8, 16; the paper's is "resnet50".
        schema: its labels give the number of pixel logits, its questions those of image logits (none: a segmenter).
        size: side of the images for which the tables are made, a multiple of 32.
        layers: attention blocks in the stack; the first halves the map.
        heads: of the attention.
        attend_skips: attention also on all skips except the coarsest.
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.
        stride_first: of the encoder's ResNet bottlenecks.
        dropout: before the linear heads and in the decoder (the published code: 0.4; the papers' text names none).

    Raises:
        ValueError: the schema has no labels, size is not a multiple of 32, layers < 1, or the encoder does not fit.
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
        self.pixel_head = PixelHead.after(self.decoder, schema)
        self.image_head = ImageHead.if_asked(deep, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return all logits, and the encoder's maps followed by the deepest one; the prior is not read."""
        maps = self.encoder(image, multiple=2 * self.encoder.reductions[-1])
        deepest = self.stack(maps[-1])
        skips = list(maps)
        for level, attend in enumerate(self.attend):
            skips[level] = torch.cat([maps[level], attend(maps[level])], 1)
        return Outputs(
            pixel=self.pixel_head(self.decoder([*skips, deepest]), size=(image.shape[2], image.shape[3])),
            image=answered(self.image_head, deepest),
            features=(*maps, deepest),
        )
