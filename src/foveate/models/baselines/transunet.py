"""TransUNet (Chen et al. 2021): ResNet-50 and a vision transformer on its coarsest map, then a U-Net decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from timm.layers import StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.convs import conv_norm, double_conv
from foveate.models.parts.frame import doubled
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.segmenter import Segmenter
from foveate.models.parts.tokens import Size, Tokens, TransformerEncoder, expected, sides

PATCH = 16


class Trunk(ResNetV2):  # type: ignore[misc]  # timm is untyped
    """ResNet with group normalisation and standardised convolutions (timm's ``vit_base_r50_s16``), as a pyramid.

    Args:
        image_channels: of the image.
        stem: channels of the first convolution, a multiple of 32 (groups of the normalisation).
        widths: of the three stages, multiples of 128 (the bottlenecks have a fourth of it).
        layers: blocks of each stage.
    """

    def __init__(self, *, image_channels: int, stem: int, widths: Sequence[int], layers: Sequence[int]) -> None:
        super().__init__(
            list(layers),
            channels=tuple(widths),
            num_classes=0,
            in_chans=image_channels,
            global_pool="",
            stem_chs=stem,
            stem_type="same",
            preact=False,
            conv_layer=partial(StdConv2dSame, eps=1e-8),
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return maps at 1/2 (before the max pool), 1/4, 1/8 and 1/16."""
        maps = [self.stem[:-1](image)]
        x = self.stem[-1](maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Hybrid(nn.Module):
    """Trunk and vision transformer, whose tokens are the pixels of the trunk's coarsest map.

    Args:
        trunk: gives maps, fine to coarse.
        tokens: reads the last of them.
    """

    def __init__(self, trunk: Trunk, tokens: Tokens) -> None:
        super().__init__()
        self.trunk, self.tokens = trunk, tokens

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the trunk's maps except the coarsest, then the tokens."""
        *fine, coarsest = self.trunk(image)
        return [*fine, *self.tokens(coarsest)]


class HybridEncoder(TransformerEncoder):
    """`Hybrid` as an encoder.

    Args: as for `Encoder`.
    """

    def named(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Rename timm's tensors: timm has the trunk inside the patch embedding."""
        assert isinstance(self.pyramid, Hybrid)
        inside = "patch_embed.backbone."
        trunk = {f"trunk.{n.removeprefix(inside)}": value for n, value in state.items() if n.startswith(inside)}
        return trunk | {f"tokens.{n}": value for n, value in self.pyramid.tokens.fitted(state).items()}


class TransUNet(Segmenter):
    """Mark labels; answer questions, if the schema has any, from the mean of the tokens.

    With nine labels it has 105.28 million parameters at 224 px, as published, and 105.91 at 512 px, which has more
    positions. It differs from the published network in the enlargement, which keeps the outer edges in place; there it
    keeps the centres of the corner pixels. `pretrain` fills trunk and transformer from a file with timm's names of
    ``vit_base_r50_s16_224``.

    Args:
        schema: its labels and questions give the numbers of logits.
        channels: of the image, 1 or 3.
        size: of the image for which the position embeddings are made, one side or (rows, cols), a multiple of 16. For
            other images they are interpolated, and the image is padded to the next multiple.
        stem: channels of the first convolution, a multiple of 32.
        widths: of the convolutional stages, multiples of 128.
        layers: blocks of each stage.
        embed: channels of a token.
        depth: transformer blocks.
        heads: of their attention.
        decoder: channels of the decoder: before its first doubling, then after each of the four.
        dropout: of the transformer and before the linear heads.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, a width or the size is not such a multiple, or (from forward) the prior
            does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        channels: int = 3,
        size: int | Size = 224,
        stem: int = 64,
        widths: Sequence[int] = (256, 512, 1024),
        layers: Sequence[int] = (3, 4, 9),
        embed: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder: Sequence[int] = (512, 256, 128, 64, 16),
        dropout: float = 0.1,
        prior_channels: int = 0,
    ) -> None:
        super().__init__(prior_channels=prior_channels)
        if stem % 32 or any(width % 128 for width in widths) or len(widths) != 3 or len(decoder) != 5:
            raise ValueError(
                f"stem={stem}, widths={tuple(widths)}, decoder={tuple(decoder)}: the stem must be a multiple of 32, "
                "the three widths multiples of 128, and there are five decoder widths, like 32, (128, 128, 256) and "
                "(64, 32, 32, 16, 16)"
            )
        entering = channels + prior_channels
        rows, cols = sides(size, multiple=PATCH)
        tokens = Tokens(
            size=(rows // PATCH, cols // PATCH),
            patch=1,
            channels=widths[-1],
            width=embed,
            depth=depth,
            heads=heads,
            dropout=dropout,
        )
        trunk = Trunk(image_channels=entering, stem=stem, widths=widths, layers=layers)
        fine, name = [stem, widths[0], widths[1], embed], "vit_base_r50_s16_224"
        self.encoder = HybridEncoder(
            Hybrid(trunk, tokens), name=name, channels=fine, reductions=[2, 4, 8, PATCH], **expected(name, entering)
        )
        self.enter = conv_norm(embed, decoder[0])
        skips = (*fine[-2::-1], 0)
        self.join = nn.ModuleList(
            double_conv(below + skip, width) for below, skip, width in zip(decoder, skips, decoder[1:], strict=False)
        )
        self.head = PixelHead(decoder[-1], logits=schema.pixel_channels, reduction=1, kernel=3)
        self.image_head = ImageHead.if_asked(embed, schema=schema, dropout=dropout)

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Double the map of the tokens up to the size of the image, with the trunk's maps as skips."""
        x: Tensor = self.enter(features[-1])
        for join, skip in zip(self.join, (*features[-2::-1], None), strict=True):
            x = doubled(x)
            x = join(x if skip is None else torch.cat([x, skip], 1))
        return x
