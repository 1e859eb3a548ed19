"""Plain vision transformers of timm as a pyramid: their one grid of tokens becomes maps at 1/4, 1/8, 1/16 and 1/32.

It is the simple feature pyramid of ViTDet (Li et al. 2022): a finer map is a transposed convolution of the tokens, a
coarser one a pool of them. Two things differ. The maps come from blocks at even depths, fine ones from early blocks (as
in Ranftl et al. 2021 and Bao et al. 2022); ViTDet uses only the last block. The coarsest map is the mean of four
tokens; in ViTDet it is their maximum. So a linear head on the mean of this map is one on the mean of all tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log2
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.layers import LayerNorm2d
from timm.models import is_model_in_modules
from torch import Tensor, nn

MODULES = (
    "deit",
    "eva",
    "naflexvit",
    "vision_transformer",
    "vision_transformer_hybrid",
    "vision_transformer_sam",
    "vitamin",
    "xcit",
)
"""Files of timm whose networks keep one grid of tokens from the first block to the last."""

STRIDES = (4, 8, 16, 32)
"""Image pixels per pixel of each map, fine to coarse."""


class TokenPyramid(nn.Module):
    """Plain vision transformer that returns its tokens as several maps.

    Args:
        net: of timm, with ``blocks`` and ``forward_intermediates``.
        width: channels of its tokens.
        stride: image pixels per side of a token, a power of 2.
        reductions: of the maps, fine to coarse, powers of 2.
    """

    def __init__(self, net: nn.Module, *, width: int, stride: int, reductions: Sequence[int]) -> None:
        super().__init__()
        made: Any = net
        depth, count = len(made.blocks), len(reductions)
        self.indices = [max(depth * (number + 1) // count - 1, 0) for number in range(count)]
        made.prune_intermediate_layers(self.indices, prune_norm=False, prune_head=True)
        self.net: nn.Module = made
        self.levels = nn.ModuleList(_level(width, int(log2(stride // r)) if r < stride else 0) for r in reductions)
        self.pools = [max(r // stride, 1) for r in reductions]
        self.reductions = list(reductions)
        self.channels = [width // max(stride // r, 1) for r in reductions]

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the maps, fine to coarse; the image's sides must be multiples of the coarsest reduction."""
        net: Any = self.net
        maps = net.forward_intermediates(image, indices=self.indices, norm=True, intermediates_only=True)
        return [
            level(m if pool == 1 else nn.functional.avg_pool2d(m, pool))
            for level, m, pool in zip(self.levels, maps, self.pools, strict=True)
        ]


def _level(width: int, doublings: int) -> nn.Sequential:
    """Make layers that double the map, with half the channels after each step; every step is normalised."""
    steps: list[nn.Module] = []
    for number in range(doublings):
        steps += [nn.GELU()] if number else []
        steps += [nn.ConvTranspose2d(width, width // 2, 2, stride=2), LayerNorm2d(width // 2)]
        width //= 2
    return nn.Sequential(*(steps or [LayerNorm2d(width)]))


def is_plain(name: str) -> bool:
    """Check whether a timm network keeps one grid of tokens throughout."""
    return bool(is_model_in_modules(name.partition(".")[0], MODULES))


def token_pyramid(name: str, *, channels: int, maps: int | None = None, coarsest: int = 32) -> TokenPyramid:
    """Make a plain vision transformer of timm with random weights, for images of any size.

    Position embeddings are resampled (bicubic) to the image's grid in each pass. A patch of 14 pixels becomes one of
    16, because maps must be whole fractions of the image; weights are resampled to it (FlexiViT, Beyer et al. 2023).

    Args:
        name: of timm.
        channels: of the image.
        maps: number of maps, from the finest on; None = all.
        coarsest: image pixels per pixel of the coarsest map: 32, 16 or 8; coarser maps are left out.

    Raises:
        ValueError: a token covers a number of pixels that is not a power of 2.
    """
    patch = re.search(r"patch(\d+)", name)
    other = {"patch_size": 16} if patch and int(patch[1]) & (int(patch[1]) - 1) else {}
    state = torch.get_rng_state()
    try:
        net = timm.create_model(name, num_classes=0, in_chans=channels, dynamic_img_size=True, **other)
    except TypeError:  # a network that takes every size does not have the keyword
        torch.set_rng_state(state)
        net = timm.create_model(name, num_classes=0, in_chans=channels, **other)
    info = net.feature_info[-1]
    stride = info["reduction"]
    if stride & (stride - 1) or stride < 4:
        raise ValueError(f"encoder {name!r} has tokens of {stride} px, which is not 4, 8, 16 or 32; choose another")
    reductions = [r for r in STRIDES if r <= max(coarsest, 4)][:maps]
    return TokenPyramid(net, width=info.get("num_chs_norm", info["num_chs"]), stride=stride, reductions=reductions)
