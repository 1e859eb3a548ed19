"""Decoders: a pyramid of feature maps -> one fine map. U-Net and FPN are those of segmentation-models-pytorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn


class Decoder(nn.Module):
    """Decoder: maps, fine to coarse -> one map.

    Args:
        channels: of the result.
        reduction: input pixels per pixel of that map.
        head_kernel: size of the convolution after it, as in its source.
    """

    channels: int
    reduction: int
    head_kernel: int = 3


@runtime_checkable
class MakeDecoder(Protocol):
    """Function that makes a decoder for an encoder's maps: a class below, or ``partial(UNet, widths=(64, 32, 16))``."""

    def __call__(self, channels: Sequence[int], /, *, reductions: Sequence[int]) -> Decoder:
        """Make the decoder for maps with these channels and reductions, fine to coarse."""
        ...


class UNet(Decoder):
    """U-Net decoder (Ronneberger et al. 2015): double, join the encoder's map, two 3x3 convolutions.

    Args:
        channels: of the encoder's maps, fine to coarse.
        reductions: input pixels per map pixel, fine to coarse.
        widths: channels after each doubling, coarse to fine. With as many widths as maps the result has twice the
            resolution of the finest map, with one fewer that of the finest map, and so on. Further ones are not used.

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
        # the first entry is the image itself: smp's decoder reads its size and drops it
        self.blocks = UnetDecoder([0, *channels], widths, n_blocks=len(widths))
        self.channels = widths[-1]
        self.reduction = [max(reductions[0] // 2, 1), *reductions][::-1][len(widths)]
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Return the map at the resolution given by `reduction`."""
        finest = features[0]
        doubled = finest.new_empty((1, 0, 2 * finest.shape[2], 2 * finest.shape[3]))
        decoded: Tensor = self.blocks([doubled, *features])
        return decoded


class FPN(Decoder):
    """Feature pyramid decoder: the four coarsest maps, added at the resolution of the finest (Kirillov et al. 2019).

    Args:
        channels: of the encoder's maps, fine to coarse; four or more.
        reductions: input pixels per map pixel, fine to coarse.
        pyramid: channels of the top-down path.
        width: channels of the result, a multiple of 32 (group normalisation).
        dropout: probability that a channel of that map is dropped in training.

    Raises:
        ValueError: there are fewer than four maps, or width is not a multiple of 32.
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
            raise ValueError(f"width={width} must be a multiple of 32; take {max(32, width // 32 * 32)}")
        self.blocks = FPNDecoder(list(channels), pyramid_channels=pyramid, segmentation_channels=width, dropout=dropout)
        self.channels, self.reduction, self.head_kernel = width, reductions[-4], 1
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Return the map at the resolution of the fourth coarsest map."""
        decoded: Tensor = self.blocks(list(features))
        return decoded
