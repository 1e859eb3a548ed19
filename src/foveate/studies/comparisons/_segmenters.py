"""Networks that mark, and answer if the schema has questions, by one set of measures: joint Dice goes with any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from foveate.core.labels import LabelSchema
from foveate.models.answering import Answering
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.swin_unet import SwinUNet
from foveate.models.baselines.transfuse import TransFuse
from foveate.models.baselines.transunet import TransUNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.joint import Joint
from foveate.models.parts.decoders import UNet
from foveate.recipes import joint_dice as paper
from foveate.recipes._checks import one_of

Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Measures:
    """Sizes of a network; the defaults are the published ones.

    Args:
        encoder: a timm network instead of the network's own; U-Nets without an encoder and TransUNet ignore it.
        stride_first: of ResNet bottlenecks.
        width: 32 = as published; all but the encoder shrinks in proportion (TransUNet's trunk in steps of 32 and 128).
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
        paper.check_encoder(self.encoder, width=self.width)

    def divided(self, multiple: int) -> int:
        """The size, if it is a multiple; ValueError otherwise."""
        if self.size % multiple:
            near = -(-self.size // multiple) * multiple
            raise ValueError(f"size={self.size}: this network needs a multiple of {multiple}, such as {near}")
        return self.size


def hba_unet(schema: LabelSchema, m: Measures) -> Make:
    """HBA-U-Net; any size, its tables are made for the next lower multiple of 32."""
    return paper.hba_unet(
        schema,
        encoder=m.encoder,
        size=m.size,
        width=m.width,
        attend_skips=m.attend_skips,
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
    """Swin-Unet; multiples of 32 whose coarsest map can be divided into windows of 2 to 8 patches."""
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

ENCODED = ("hba_unet", "r50_unet", "transfuse", "transfuse_large")
"""Networks that take a timm encoder."""

OF_TRANSFORMERS = ("transunet", "swin_unet", "transfuse", "transfuse_large")
"""Networks with a depth."""

ON_ENCODER = ("hba_unet", "r50_unet")
"""Networks of one timm encoder and a decoder, which a file of that encoder's weights fills."""

WITHOUT = ("unet", "attention_unet")
"""Networks that no pretrained weights fill."""


def segmenter(name: str, schema: LabelSchema, measures: Measures) -> Make:
    """The maker of a network by its name; ValueError lists the names, or reports a size that it cannot take."""
    one_of("network", name, NETWORKS)
    return NETWORKS[name](schema, measures)


def _window(size: int) -> int:
    """Patches per side of Swin-Unet's windows, by preference 7; in windows of one no patch would see another.

    Raises:
        ValueError: none fits the size; the message names the nearest sizes that have one.
    """
    multiples = range(size // 32 * 32 - 32, size + 65, 32)  # windows of 2 fit one of any two that follow each other
    fit = {s: w for s in multiples for w in (2, 3, 4, 5, 6, 8, 7) if s > 0 and s % (32 * w) == 0}
    if size not in fit:
        near = [*[str(s) for s in fit if s < size][-1:], str(min(s for s in fit if s > size))]
        raise ValueError(
            f"size={size}: this network needs a multiple of 32 that windows of 2 to 8 patches divide, such as "
            + " or ".join(near)
        )
    return fit[size]


def _answering(
    network: type[ClassicUNet], schema: LabelSchema, *, widths: tuple[int, ...], channels: int, dropout: float
) -> nn.Module:
    """A U-Net, with an answer if the schema has a question."""
    marker = network(schema, widths=widths, channels=channels)
    return Answering(marker, schema, width=widths[-1], dropout=dropout) if schema.questions else marker
