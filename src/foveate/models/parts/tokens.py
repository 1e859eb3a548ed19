"""Transformers as encoders: their tokens as maps, after the maps of the convolutions before them."""

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
    """Return (rows, cols) of an image whose size is one side or both.

    Raises:
        ValueError: a side is not a multiple, so that the tokens do not cover the image.
    """
    rows, cols = (size, size) if isinstance(size, int) else size
    if rows < multiple or cols < multiple or rows % multiple or cols % multiple:
        near = tuple(max(round(side / multiple), 1) * multiple for side in (rows, cols))
        raise ValueError(
            f"size={size} must be a multiple of {multiple}; take {near[0] if near[0] == near[1] else near}"
        )
    return rows, cols


def expected(name: str, channels: int) -> dict[str, list[float]]:
    """Look up the normalisation for timm's weights of a network: "mean" and "std", one number per image channel."""
    config = timm.get_pretrained_cfg(name)
    numbers = {"mean": config.mean, "std": config.std}
    return {key: list(n) if len(n) == channels else [sum(n) / len(n)] * channels for key, n in numbers.items()}


class Tokens(VisionTransformer):  # type: ignore[misc]  # timm is untyped
    """Vision transformer (Dosovitskiy et al. 2021) without class token that returns its tokens as a map.

    For larger or smaller images the position embeddings are interpolated (bicubic). Weights have timm's names.

    Args:
        size: (rows, cols) of the image (or map) for which the position embeddings are made.
        patch: pixels per side of a token.
        channels: of that image.
        width: channels of a token, a multiple of ``heads``.
        depth: number of blocks.
        heads: of the attention.
        dropout: in training, of the values that are added to a token.

    Raises:
        ValueError: width is not a multiple of heads.
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
            raise ValueError(
                f"width={width} of a token must be a multiple of heads={heads}; take heads=1 or another width"
            )
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
        """Return the map of the tokens, the only one."""
        maps: list[Tensor] = self.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)
        return maps

    def fitted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Bring the position embeddings of a state with timm's names to this network's grid."""
        positions = {n: on_grid(value, self.grid) for n, value in state.items() if n == "pos_embed"}
        return {**state, **positions}


class TransformerEncoder(Encoder):
    """Encoder of timm's transformers; `pretrain` takes their weights with any grid of positions.

    Args: as for `Encoder`.
    """

    def pretrain(self, weights: Path | str, *, normalise: str | None = None) -> Filled:
        """Load weights from the "hub" or a file with timm's names, and normalise from now on; return the matches.

        Further blocks in the file are not used. Arguments as for `Encoder.pretrain`.

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
        """Rename timm's tensors to the names of this network."""
        return self.pyramid.fitted(state) if isinstance(self.pyramid, Tokens) else state


def on_grid(positions: Float[Tensor, "1 n d"], grid: Size) -> Float[Tensor, "1 m d"]:
    """Resample position embeddings of a square grid to another grid; class tokens, which come first, are dropped."""
    if positions.shape[1] == grid[0] * grid[1]:
        return positions
    side = isqrt(positions.shape[1])
    fitted: Tensor = resample_abs_pos_embed(
        positions[:, -(side**2) :], list(grid), old_size=[side, side], num_prefix_tokens=0
    )
    return fitted
