"""Transformers as encoders: tokens laid out as maps, beside the maps of the convolutions before them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import timm
from jaxtyping import Float
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from foveate.models.parts.encoders import Encoder
from foveate.models.parts.weights import Filled, fill, read

Size = tuple[int, int]
"""(rows, cols)."""


def sides(size: int | Size, *, multiple: int) -> Size:
    """(rows, cols) of an image that is given as one side or both.

    Raises:
        ValueError: a side is no multiple, so that the tokens do not cover the image.
    """
    rows, cols = (size, size) if isinstance(size, int) else size
    if rows < multiple or cols < multiple or rows % multiple or cols % multiple:
        near = tuple(max(round(side / multiple), 1) * multiple for side in (rows, cols))
        raise ValueError(f"size={size} is no multiple of {multiple}; take {near[0] if near[0] == near[1] else near}")
    return rows, cols


def expected(name: str, channels: int) -> dict[str, list[float]]:
    """What timm's weights of a network expect of an image: "mean" and "std", one number an image channel."""
    config = timm.get_pretrained_cfg(name)
    numbers = {"mean": config.mean, "std": config.std}
    return {key: list(n) if len(n) == channels else [sum(n) / len(n)] * channels for key, n in numbers.items()}


class Tokens(VisionTransformer):  # type: ignore[misc]  # timm is untyped
    """A vision transformer (Dosovitskiy et al. 2021) without class token, whose tokens come out as a map.

    The position embeddings are interpolated (bicubic) where the image is larger or smaller. Weights have timm's names.

    Args:
        size: (rows, cols) of the image (or map) that the position embeddings are made for.
        patch: pixels a side of a token.
        channels: of that image.
        width: channels of a token, a multiple of ``heads``.
        depth: number of blocks.
        heads: of the attention.
        dropout: in training, of what is added to a token.

    Raises:
        ValueError: heads do not divide width.
    """

    def __init__(
        self,
        *,
        size: Size,
        patch: int,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float = 0.0,
    ) -> None:
        if width % heads:
            raise ValueError(f"width of a token {width} is no multiple of heads={heads}; take heads=1 or another width")
        super().__init__(
            img_size=size,
            patch_size=patch,
            in_chans=channels,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            class_token=False,
            global_pool="",
            num_classes=0,
            dynamic_img_size=True,
            pos_drop_rate=dropout,
            proj_drop_rate=dropout,
        )
        self.grid = (size[0] // patch, size[1] // patch)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The map of the tokens, the only one."""
        maps: list[Tensor] = self.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)
        return maps

    def fitted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state with timm's names whose position embeddings are on this network's grid."""
        positions = {n: on_grid(value, self.grid) for n, value in state.items() if n == "pos_embed"}
        return {**state, **positions}


class TransformerEncoder(Encoder):
    """An encoder of timm's transformers; `pretrain` takes their weights whatever grid of positions they have.

    Args: as `Encoder` has them.
    """

    def pretrain(self, weights: Path | str, *, normalise: str | None = None) -> Filled:
        """Take weights from the "hub" or a file with timm's names, and normalise from now on; returns what was found.

        Blocks beyond those that the network has are not used. Arguments as `Encoder.pretrain` has them.

        Raises:
            ValueError: the file does not fill the network.
        """
        hub = str(weights) == "hub"
        state: Mapping[str, Tensor] = (
            timm.create_model(self.name, pretrained=True, in_chans=self.mean.shape[1]).state_dict()
            if hub
            else read(weights)
        )
        file = f"hub:{self.name}" if hub else weights
        filled = fill(self.pyramid, self.named(state), file=file, least=1.0 if hub else 0.95)
        self.filled = filled._replace(normalise=self.normalise(normalise))
        return self.filled

    def named(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """timm's tensors under the names that the network has them under."""
        return self.pyramid.fitted(state) if isinstance(self.pyramid, Tokens) else state


def on_grid(positions: Float[Tensor, "1 n d"], grid: Size) -> Float[Tensor, "1 m d"]:
    """Position embeddings of a square grid, whose class tokens come first and are dropped, on another grid."""
    if positions.shape[1] == grid[0] * grid[1]:
        return positions
    side = isqrt(positions.shape[1])
    fitted: Tensor = resample_abs_pos_embed(
        positions[:, -(side**2) :], list(grid), old_size=[side, side], num_prefix_tokens=0
    )
    return fitted
