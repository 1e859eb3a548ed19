"""Guidance of a U-Net's skips by an activation map: multiplication and addition (Diao et al. 2023, Fig. 6).

Where the paper is silent: it does not print how the results of multiplication and addition are joined. `FUSIONS` holds
two readings, both of which give the printed number of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.convs import double_conv
from foveate.models.parts.frame import resampled
from foveate.models.parts.heads import PixelHead
from foveate.models.parts.transposed import TransposedUNet


class Fusion(nn.Module):
    """Fusion: map x of a skip and activation map m at its resolution -> the map that the decoder reads.

    Args:
        channels: of that map.
    """

    channels: int


class Refine(Fusion):
    """Return x m + x after two 3x3 convolutions of the same width: 1,622,016 weights over the four skips of ResNet-18.

    Args:
        channels: of the skip.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.convs = channels, double_conv(channels, channels)

    def forward(self, x: Float[Tensor, "b c i j"], m: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b c i j"]:
        """Return the refined map."""
        refined: Tensor = self.convs(x * (m + 1))  # one pass over the wide map; x m + x takes two
        return refined


class Widen(Fusion):
    """Return x, x m and x + m side by side: the 2C further channels cost the decoder as many weights as `Refine` has.

    Args:
        channels: of the skip.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = 3 * channels

    def forward(self, x: Float[Tensor, "b c i j"], m: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b d i j"]:
        """Return the three maps as channels."""
        return torch.cat([x, x * m, x + m], 1)


FUSIONS: dict[str, type[Refine] | type[Widen]] = {"refine": Refine, "widen": Widen}
"""Both readings of "fused by multiplication and addition" with the printed number of parameters."""


class GuidedDecoder(nn.Module):
    """Decoder and pixel head whose skips are guided by an activation map.

    Args:
        channels: of the encoder's maps, fine to coarse.
        reductions: image pixels per map pixel, fine to coarse.
        schema: its labels give the number of logits.
        fuse: a name of `FUSIONS`; None = the skips as they are, without the map.
        widths: of the decoder, coarse to fine.

    Raises:
        ValueError: the schema has no labels, or fuse is unknown.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        reductions: Sequence[int],
        schema: LabelSchema,
        fuse: str | None = "refine",
        widths: Sequence[int] = (256, 128, 64, 64),
    ) -> None:
        super().__init__()
        if fuse is not None and fuse not in FUSIONS:
            raise ValueError(f"fuse={fuse!r} must be one of {list(FUSIONS)}, or None to leave the skips as they are")
        # a fusion per skip that the decoder reads: with few widths it does not read the finest maps
        read = list(channels)[max(len(channels) - 1 - len(widths), 0) : -1]
        fusions: list[Fusion] = [] if fuse is None else [FUSIONS[fuse](c) for c in read]
        guided = [fusion.channels for fusion in fusions] or read
        self.fusions = nn.ModuleList(fusions)
        self.decoder = TransposedUNet(
            [*guided, channels[-1]], reductions=list(reductions)[-len(guided) - 1 :], widths=widths
        )
        self.head = PixelHead.after(self.decoder, schema)

    def forward(
        self, features: Sequence[Tensor], cam: Float[Tensor, "b 1 i j"], *, size: tuple[int, int]
    ) -> Float[Tensor, "b c h w"]:
        """Return pixel logits at the size of the image.

        Args:
            features: maps of the encoder, fine to coarse.
            cam: activation map in [0, 1] over the padded frame, at any resolution that divides it.
            size: (rows, cols) of the image.
        """
        skips = list(features)[-len(self.decoder.up) - 1 : -1]
        if self.fusions:
            skips = [f(x, resampled(cam, x)) for f, x in zip(self.fusions, skips, strict=True)]
        logits: Tensor = self.head(self.decoder([*skips, features[-1]]), size=size)
        return logits
