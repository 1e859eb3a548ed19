"""Swin-Unet (Cao et al. 2021): a U-Net of shifted-window attention that expands each patch into four.

The skips differ from the published network, which takes each skip before the blocks of its stage; here it is taken
after them. With the public weights copied in, skips before the blocks give the published output (difference 0.0), skips
after them differ from it by 0.79.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from timm.models.swin_transformer import SwinTransformer, SwinTransformerStage
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.segmenter import Segmenter
from foveate.models.parts.tokens import Size, TransformerEncoder, expected

PATCH = 4


class Windows(SwinTransformer):  # type: ignore[misc]  # timm is untyped
    """Swin transformer (Liu et al. 2021) that returns the map of each stage, the last one normalised.

    Args: those of timm's class that differ for a smaller network or another image.
    """

    def __init__(
        self,
        *,
        size: Size,
        channels: int,
        embed: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
        drop_path: float,
    ) -> None:
        super().__init__(
            img_size=size,
            patch_size=PATCH,
            in_chans=channels,
            num_classes=0,
            embed_dim=embed,
            depths=tuple(depths),
            num_heads=tuple(heads),
            window_size=window,
            strict_img_size=False,
            drop_path_rate=drop_path,
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return maps at 1/4, 1/8 and so on."""
        maps: list[Tensor] = self.forward_intermediates(image, norm=True, intermediates_only=True)
        return maps


class Expand(nn.Module):
    """Patch expanding: a linear layer turns each patch into ``factor`` x ``factor`` patches, normalised afterwards.

    Args:
        channels: of a patch.
        width: channels of each new patch.
        factor: by which rows and columns of the map grow.
    """

    def __init__(self, channels: int, width: int, *, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(channels, factor**2 * width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b i j c"]) -> Float[Tensor, "b m n d"]:
        """Return the larger map, channels last."""
        split = self.linear(x).unflatten(-1, (self.factor, self.factor, -1))
        grown: Tensor = self.norm(split.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2))
        return grown


class SwinUNet(Segmenter):
    """Mark labels; answer questions, if the schema has any, from the mean of the coarsest map.

    With nine labels it has 27.17 million parameters, as published. `pretrain` fills the encoder from a file with timm's
    names of ``swin_tiny_patch4_window7_224``.

    Args:
        schema: its labels and questions give the numbers of logits.
        channels: of the image, 1 or 3.
        size: of the images, one side or (rows, cols): a multiple of window x 4 x 2 ** (stages - 1), which is 224 for
            window 7 and four stages. Images of other sizes are padded, also inside the blocks, to whole windows.
        window: patches per side of a window of attention; 4 suits images of 128 px, 8 those of 256 or 512 px.
        embed: channels of a patch at the finest map, a multiple of ``head``; each stage doubles them.
        depths: blocks of each stage, in the encoder and (except for the coarsest) in the decoder.
        head: channels of a head of the attention.
        drop_path: probability that the last block is skipped in training; it grows from 0 at the first.
        dropout: before the linear heads.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, the size or ``embed`` is not such a multiple, or (from forward) the prior
            does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        channels: int = 3,
        size: int | Size = 224,
        window: int = 7,
        embed: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        head: int = 32,
        drop_path: float = 0.2,
        dropout: float = 0.0,
        prior_channels: int = 0,
    ) -> None:
        super().__init__(prior_channels=prior_channels)
        if embed % head:
            raise ValueError(f"embed={embed} must be a multiple of head={head}; take {max(embed // head, 1) * head}")
        levels = range(len(depths))
        rows, cols = _covered(size, window=window, coarsest=PATCH * 2 ** levels[-1])
        entering = channels + prior_channels
        wide, reductions = [embed * 2**n for n in levels], [PATCH * 2**n for n in levels]
        name = "swin_tiny_patch4_window7_224"
        pyramid = Windows(
            size=(rows, cols),
            channels=entering,
            embed=embed,
            depths=depths,
            heads=[width // head for width in wide],
            window=window,
            drop_path=drop_path,
        )
        self.encoder = TransformerEncoder(
            pyramid, name=name, channels=wide, reductions=reductions, **expected(name, entering)
        )
        drops = [drop_path * n / max(sum(depths) - 1, 1) for n in range(sum(depths))]
        up = levels[-2::-1]
        self.expand = nn.ModuleList(Expand(wide[n + 1], wide[n], factor=2) for n in up)
        self.join = nn.ModuleList(nn.Linear(2 * wide[n], wide[n]) for n in up)
        self.blocks = nn.ModuleList(
            SwinTransformerStage(
                wide[n],
                wide[n],
                (rows // reductions[n], cols // reductions[n]),
                depths[n],
                downsample=False,
                num_heads=wide[n] // head,
                window_size=window,
                dynamic_mask=True,
                drop_path=drops[sum(depths[:n]) : sum(depths[: n + 1])],
            )
            for n in up
        )
        self.norm = nn.LayerNorm(embed)
        self.last = Expand(embed, embed, factor=PATCH)
        self.head = PixelHead(embed, logits=schema.pixel_channels, reduction=1)
        self.image_head = ImageHead.if_asked(wide[-1], schema=schema, dropout=dropout)
        for part in (self.expand, self.join, self.blocks, self.last):
            part.apply(_start)

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Expand the coarsest map to the size of the image."""
        x = features[-1].permute(0, 2, 3, 1)
        for expand, join, blocks, skip in zip(self.expand, self.join, self.blocks, features[-2::-1], strict=True):
            x = blocks(join(torch.cat([expand(x), skip.permute(0, 2, 3, 1)], -1)))
        fine: Tensor = self.last(self.norm(x))
        return fine.permute(0, 3, 1, 2)


def _covered(size: int | Size, *, window: int, coarsest: int) -> Size:
    """Return (rows, cols), or raise ValueError unless whole windows cover the image at every stage."""
    rows, cols = (size, size) if isinstance(size, int) else size
    multiple = window * coarsest
    if rows % multiple or cols % multiple or min(rows, cols) < multiple:
        fits = [w for w in range(2, 17) if rows % (w * coarsest) == cols % (w * coarsest) == 0]
        remedy = f" or window={' or '.join(map(str, fits))}" if fits else ""
        raise ValueError(
            f"size={size} must be a multiple of {multiple} (window={window} x {coarsest}); "
            f"take size={max(round(max(rows, cols) / multiple), 1) * multiple}{remedy}"
        )
    return rows, cols


def _start(layer: nn.Module) -> None:
    """Start a linear layer as the transformer's own."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
