"""Swin-Unet (Cao et al. 2021): a U-Net of shifted-window attention, enlarged by expanding each patch into four."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from timm.models.swin_transformer import SwinTransformer, SwinTransformerStage
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.frame import beside
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.tokens import Size, TransformerEncoder, expected

PATCH = 4


class Windows(SwinTransformer):  # type: ignore[misc]  # timm is untyped
    """Swin transformer (Liu et al. 2021) whose stages come out as maps, the last one normalised.

    Args: those of timm's class that a smaller network or another image changes.
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
        """Maps at 1/4, 1/8 and so on."""
        maps: list[Tensor] = self.forward_intermediates(image, norm=True, intermediates_only=True)
        return maps


class Expand(nn.Module):
    """A linear layer makes of each patch ``factor`` x ``factor`` patches, which are then normalised.

    Args:
        channels: of a patch.
        width: channels of each patch that comes out.
        factor: how many times as large the map becomes.
    """

    def __init__(self, channels: int, width: int, *, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(channels, factor**2 * width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b i j c"]) -> Float[Tensor, "b m n d"]:
        """The larger map, channels last."""
        split = self.linear(x).unflatten(-1, (self.factor, self.factor, -1))
        grown: Tensor = self.norm(split.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2))
        return grown


class SwinUNet(nn.Module):
    """Marks labels; answers the questions, where the schema asks any, from the mean of the coarsest map.

    Nine labels make 27.17 million parameters, as published. `pretrain` fills the way down from a file with timm's names
    of ``swin_tiny_patch4_window7_224``.

    Args:
        schema: its labels and questions give the numbers of logits.
        channels: of the image, 1 or 3.
        size: of the images, one side or (rows, cols): a multiple of the window times 4 x 2 ** (stages - 1), 224 for
            window 7 and four stages. Others are padded, inside the blocks too, to whole windows.
        window: patches a side of a window of attention; 4 suits images of 128, 8 those of 256 or 512 px.
        embed: channels of a patch at the finest map, a multiple of ``head``; each stage doubles them.
        depths: blocks of each stage, on the way down and, but for the coarsest, up.
        head: channels of a head of the attention.
        drop_path: probability that the last block is skipped in training; it grows from 0 at the first.
        dropout: before the linear heads.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, the size or ``embed`` is no such multiple, or (from forward) the prior
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
        super().__init__()
        if embed % head:
            raise ValueError(f"embed={embed} is no multiple of head={head}; take {max(embed // head, 1) * head}")
        levels = range(len(depths))
        rows, cols = _covered(size, window=window, coarsest=PATCH * 2 ** levels[-1])
        self.prior_channels, entering = prior_channels, channels + prior_channels
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
        self.image_head = ImageHead(wide[-1], schema=schema, dropout=dropout) if schema.questions else None
        for part in (self.expand, self.join, self.blocks, self.last):
            part.apply(_start)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Pixel and image logits and the maps on the way down."""
        features = self.encoder(beside(image, prior, prior_channels=self.prior_channels))
        x = features[-1].permute(0, 2, 3, 1)
        for expand, join, blocks, skip in zip(self.expand, self.join, self.blocks, features[-2::-1], strict=True):
            x = blocks(join(torch.cat([expand(x), skip.permute(0, 2, 3, 1)], -1)))
        fine = self.last(self.norm(x)).permute(0, 3, 1, 2)
        answered = None if self.image_head is None else self.image_head(features[-1])
        return Outputs(pixel=self.head(fine, size=(image.shape[2], image.shape[3])), image=answered, features=features)


def _covered(size: int | Size, *, window: int, coarsest: int) -> Size:
    """(rows, cols) of an image that whole windows cover at every stage; ValueError otherwise."""
    rows, cols = (size, size) if isinstance(size, int) else size
    multiple = window * coarsest
    if rows % multiple or cols % multiple or min(rows, cols) < multiple:
        fits = [w for w in range(2, 17) if rows % (w * coarsest) == cols % (w * coarsest) == 0]
        remedy = f" or window={' or '.join(map(str, fits))}" if fits else ""
        raise ValueError(
            f"size={size} is no multiple of {multiple} (window={window} x {coarsest}); "
            f"take size={max(round(max(rows, cols) / multiple), 1) * multiple}{remedy}"
        )
    return rows, cols


def _start(layer: nn.Module) -> None:
    """Linear layers as the transformer's own."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
