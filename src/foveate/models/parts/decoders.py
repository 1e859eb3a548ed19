"""Decoders: a pyramid of feature maps -> one fine map. Standard ones are those of segmentation-models-pytorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn


class Decoder(nn.Module):
    """Maps fine to coarse -> one map.

    Args:
        channels: of the map it gives.
        reduction: input pixels per pixel of that map.
        head_kernel: size of the convolution that follows it, as its source has it.
    """

    channels: int
    reduction: int
    head_kernel: int = 3


@runtime_checkable
class MakeDecoder(Protocol):
    """Makes a decoder for an encoder's maps: a class below, or ``functools.partial(UNet, widths=(64, 32, 16))``."""

    def __call__(self, channels: Sequence[int], /, *, reductions: Sequence[int]) -> Decoder:
        """The decoder for maps with these channels and reductions, fine to coarse."""
        ...


class UNet(Decoder):
    """U-Net decoder (Ronneberger et al. 2015): double, join the encoder's map, two 3x3 convolutions.

    Args:
        channels: of the encoder's maps, fine to coarse.
        reductions: input pixels per map pixel, fine to coarse.
        widths: channels after each doubling, coarse to fine; as many as there are maps end at twice the finest map,
            one fewer at the finest map, and so on. Those beyond the number of maps are not used.

    Raises:
        ValueError: widths is empty.
    """

    def __init__(
        self, channels: Sequence[int], /, *, reductions: Sequence[int], widths: Sequence[int] = (256, 128, 64, 32, 16)
    ) -> None:
        super().__init__()
        if not widths:
            raise ValueError("widths is empty; give the channels after each doubling, like (64, 32, 16)")
        widths = list(widths)[: len(channels) - (1 if reductions[0] == 1 else 0)]
        # the first entry stands for the image itself, which smp's decoder asks for its size and then drops
        self.blocks = UnetDecoder([0, *channels], widths, n_blocks=len(widths))
        self.channels = widths[-1]
        self.reduction = [max(reductions[0] // 2, 1), *reductions][::-1][len(widths)]
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """The map at the reduction that `reduction` tells."""
        finest = features[0]
        doubled = finest.new_empty((1, 0, 2 * finest.shape[2], 2 * finest.shape[3]))
        decoded: Tensor = self.blocks([doubled, *features])
        return decoded


class FPN(Decoder):
    """Feature pyramid decoder over the four coarsest maps, added up at the finest of them (Kirillov et al. 2019).

    Args:
        channels: of the encoder's maps, fine to coarse; four or more.
        reductions: input pixels per map pixel, fine to coarse.
        pyramid: channels of the top-down path.
        width: channels of the map it gives, a multiple of 32 (group normalisation).
        dropout: probability that a channel of that map is dropped in training.

    Raises:
        ValueError: fewer than four maps, or a width that 32 does not divide.
    """

    def __init__(
        self,
        channels: Sequence[int],
        /,
        *,
        reductions: Sequence[int],
        pyramid: int = 256,
        width: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if len(channels) < 4:
            raise ValueError(f"channels={list(channels)}: FPN needs four maps or more; take another encoder or UNet")
        if width % 32:
            raise ValueError(f"width={width} is no multiple of 32; take {max(32, width // 32 * 32)}")
        self.blocks = FPNDecoder(list(channels), pyramid_channels=pyramid, segmentation_channels=width, dropout=dropout)
        self.channels, self.reduction, self.head_kernel = width, reductions[-4], 1
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """The map at the reduction of the fourth coarsest map."""
        decoded: Tensor = self.blocks(list(features))
        return decoded
