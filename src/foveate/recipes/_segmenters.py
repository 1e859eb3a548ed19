"""Networks that mark, and answer where the schema asks, by one set of measures: joint Dice goes with any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import timm
from torch import nn

from foveate.core.labels import LabelSchema
from foveate.models.answering import Answering
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.swin_unet import SwinUNet
from foveate.models.baselines.transfuse import TransFuse
from foveate.models.baselines.transunet import TransUNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint
from foveate.models.parts.decoders import UNet

Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Measures:
    """How large a network is; the defaults are the published ones.

    Args:
        encoder: a timm network instead of the network's own; U-Nets without an encoder and TransUNet pass it over.
        stride_first: of ResNet bottlenecks.
        width: 32 = as published; what is no encoder shrinks in proportion (TransUNet's trunk in steps of 32 and 128).
        depth: transformer blocks (Swin-Unet: of each stage); None = as published.
        attend_skips: of HBA-U-Net.
        dropout: before the answer and in the decoder of HBA-U-Net; TransUNet and TransFuse keep their own.
        channels: of the image.
        size: side of the image.

    Raises:
        ValueError: width < 1, or timm has no such encoder.
    """

    encoder: str | None = None
    stride_first: bool = False
    width: int = 32
    depth: int | None = None
    attend_skips: bool = False
    dropout: float = 0.0
    channels: int = 3
    size: int = 512

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width={self.width}: give a whole number from 1 on; 32 is as published")
        if self.encoder is not None and not timm.is_model(self.encoder):
            near = get_close_matches(self.encoder, timm.list_models(), n=5)
            raise ValueError(f"encoder={self.encoder!r} is no timm network; near it are {near}")

    def divided(self, multiple: int) -> int:
        """The size, if a network can part it so; ValueError otherwise."""
        if self.size % multiple:
            near = -(-self.size // multiple) * multiple
            raise ValueError(f"size={self.size}: this network needs a multiple of {multiple}, such as {near}")
        return self.size


def hba_unet(schema: LabelSchema, m: Measures) -> Make:
    """HBA-U-Net; any size, its tables are made for the next lower multiple of 32."""
    return partial(
        HBAUNet,
        m.encoder or "resnet50",
        schema,
        size=max(m.size // 32 * 32, 32),
        attend_skips=m.attend_skips,
        widths=tuple(m.width * n for n in (8, 6, 4, 2, 1)),
        channels=m.channels,
        stride_first=m.stride_first,
        dropout=m.dropout,
    )


def r50_unet(schema: LabelSchema, m: Measures) -> Make:
    """U-Net on ResNet-50; any size."""
    return partial(
        Joint,
        m.encoder or "resnet50",
        schema,
        decoder=partial(UNet, widths=tuple(m.width * n // 2 for n in (16, 8, 4, 2, 1))),
        channels=m.channels,
        stride_first=m.stride_first,
        dropout=m.dropout,
    )


def plain(network: type[ClassicUNet], schema: LabelSchema, m: Measures) -> Make:
    """U-Net or Attention U-Net without an encoder; any size."""
    return partial(
        _answering,
        network,
        schema,
        widths=tuple(m.width * 2**n for n in range(5)),
        channels=m.channels,
        dropout=m.dropout,
    )


def transunet(schema: LabelSchema, m: Measures) -> Make:
    """TransUNet; multiples of 16. Its group normalisation asks for multiples of 32 (stem) and 128 (stages)."""
    return partial(
        TransUNet,
        schema,
        size=m.divided(16),
        stem=max(2 * m.width // 32, 1) * 32,
        widths=tuple(max(m.width * n // 128, 1) * 128 for n in (8, 16, 32)),
        layers=(3, 4, 9) if m.width >= 32 else (1, 1, 1),
        embed=24 * m.width,
        depth=12 if m.depth is None else m.depth,
        decoder=tuple(max(m.width * n // 2, 1) for n in (32, 16, 8, 4, 1)),
        channels=m.channels,
    )


def swin_unet(schema: LabelSchema, m: Measures) -> Make:
    """Swin-Unet; multiples of 32 whose coarsest map windows of 2 to 8 patches part evenly."""
    return partial(
        SwinUNet,
        schema,
        size=m.size,
        window=_window(m.size),
        embed=3 * m.width,
        depths=(2 if m.depth is None else m.depth,) * 4,
        head=m.width,
        channels=m.channels,
        dropout=m.dropout,
    )


def transfuse(schema: LabelSchema, m: Measures, *, variant: str = "small", heads: int = 6) -> Make:
    """TransFuse; multiples of 16."""
    return partial(
        TransFuse,
        schema,
        variant=variant,
        encoder_name=m.encoder,
        embed=2 * heads * m.width,
        depth=m.depth,
        heads=heads,
        channels=m.channels,
        size=m.divided(16),
    )


NETWORKS: dict[str, Callable[[LabelSchema, Measures], Make]] = {
    "hba_unet": hba_unet,
    "r50_unet": r50_unet,
    "unet": partial(plain, ClassicUNet),
    "attention_unet": partial(plain, AttentionUNet),
    "transunet": transunet,
    "swin_unet": swin_unet,
    "transfuse": transfuse,
    "transfuse_large": partial(transfuse, variant="large", heads=12),
}

AUXILIARY: dict[str, tuple[float, ...]] = {"transfuse": (0.6, 0.4), "transfuse_large": (0.6, 0.4)}
"""Weights of auxiliary outputs beside the main one's 1, as published (0.5, 0.3, 0.2)."""

ON_ENCODER = ("hba_unet", "r50_unet")
"""Networks of one timm encoder and a decoder, which a file of that encoder's weights fills."""

WITHOUT = ("unet", "attention_unet")
"""Networks that no pretrained weights fill."""


def segmenter(name: str, schema: LabelSchema, measures: Measures) -> Make:
    """Makes a network by its name; ValueError names those there are, or a size it cannot take."""
    if name not in NETWORKS:
        raise ValueError(f"network={name!r} is none of {list(NETWORKS)}")
    return NETWORKS[name](schema, measures)


def _window(size: int) -> int:
    """Patches a side of Swin-Unet's windows, by preference 7; in windows of one no patch would see another.

    Raises:
        ValueError: none fits the size; names the nearest that one fits.
    """
    multiples = range(size // 32 * 32 - 32, size + 65, 32)  # of two that follow each other 2 always fits one
    fit = {s: w for s in multiples for w in (2, 3, 4, 5, 6, 8, 7) if s > 0 and s % (32 * w) == 0}
    if size not in fit:
        near = [*[str(s) for s in fit if s < size][-1:], str(min(s for s in fit if s > size))]
        raise ValueError(
            f"size={size}: this network needs a multiple of 32 that windows of 2 to 8 patches part evenly, such as "
            + " or ".join(near)
        )
    return fit[size]


def _answering(
    network: type[ClassicUNet], schema: LabelSchema, *, widths: tuple[int, ...], channels: int, dropout: float
) -> nn.Module:
    """A U-Net, with an answer where one is asked."""
    marker = network(schema, widths=widths, channels=channels)
    return Answering(marker, schema, width=widths[-1], dropout=dropout) if schema.questions else marker
