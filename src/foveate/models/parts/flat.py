"""Encoders whose last stages do not shrink the image any further: their strides are taken out, later layers dilated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.inception_v3 import InceptionB, InceptionD
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from foveate.models.parts.encoders import Encoder, encoder


def dilated(encoder_name: str, *, reduction: int = 16, channels: int = 3) -> Encoder:
    """A timm network as an encoder whose coarsest maps have this reduction (Chen et al. 2018); weights are the same.

    Args:
        encoder_name: a timm network that is a chain of layers (ResNets, EfficientNets, MobileNets, Inception-v3).
        reduction: image pixels per pixel of the coarsest maps; one of the encoder's.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the encoder is no chain of layers, has no map of this reduction, or a stride cannot be taken out.
    """
    made = encoder(encoder_name, channels=channels)
    if reduction not in made.reductions:
        raise ValueError(f"reduction={reduction} is none of {made.reductions}, the reductions of {encoder_name!r}")
    groups = stages(made)
    for number, own in enumerate(made.reductions):
        if own > reduction:
            flatten(groups[number], dilation=own // reduction)
    mean, std = made.expects
    return Encoder(
        made.pyramid,
        name=encoder_name,
        channels=made.channels,
        reductions=[min(own, reduction) for own in made.reductions],
        mean=mean,
        std=std,
    )


def stages(of: Encoder) -> list[list[nn.Module]]:
    """The layers that lead to each map of an encoder from the next finer one (from the image), in their order.

    Raises:
        ValueError: the encoder is no chain of layers.
    """
    net: Any = of.pyramid
    if isinstance(net, FeatureListNet):
        names = list(net)
        chain, ends = [net[name] for name in names], [names.index(name) for name in net.return_layers]
    elif isinstance(net, EfficientNetFeatures | MobileNetV3Features):
        stem = [part for name, part in net.named_children() if name != "blocks"]
        # stage 0 is the stem, stage k the k-th group of blocks
        chain, ends = [*stem, *net.blocks], [len(stem) - 1 + part["stage"] for part in net.feature_info.get_dicts()]
    else:
        raise ValueError(
            f"encoder {of.name!r} is no chain of layers; take a ResNet, an EfficientNet, a MobileNet or inception_v3"
        )
    return [chain[first : last + 1] for first, last in zip([0, *(end + 1 for end in ends)], ends, strict=False)]


def flatten(stage: Sequence[nn.Module], *, dilation: int = 1) -> None:
    """Take the stride out of a stage, in place; what follows the stride sees as far as before when dilated.

    Args:
        stage: its layers.
        dilation: of the 3x3 convolutions behind the stride; the strided ones get half of it.
    """
    for layer in stage:
        for part in layer.modules():
            if isinstance(part, InceptionB | InceptionD):
                part.__class__ = FlatB if isinstance(part, InceptionB) else FlatD
            elif isinstance(part, nn.AvgPool2d) and part.stride in (2, (2, 2)):
                part.kernel_size, part.stride, part.padding = 1, 1, 0
            elif isinstance(part, nn.MaxPool2d) and part.stride in (2, (2, 2)):
                part.stride = 1  # of a 3x3 pool, which is padded
        reduces = any(isinstance(part, FlatB | FlatD) for part in layer.modules())
        for part in layer.modules():
            if not isinstance(part, nn.Conv2d):
                continue
            behind = part.stride == (1, 1)
            part.stride = (1, 1)
            factor = dilation if behind else max(dilation // 2, 1)
            if factor > 1 and not reduces and not isinstance(part.padding, str):
                part.dilation = tuple(factor if side > 1 else 1 for side in part.kernel_size)
                part.padding = tuple(factor * (side // 2) for side in part.kernel_size)


class FlatB(InceptionB):  # type: ignore[misc]  # timm is untyped
    """The first reduction block of Inception-v3 without its stride."""

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Three branches side by side."""
        x = F.pad(x, (1, 1, 1, 1))
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), twice, F.max_pool2d(x, 3, stride=1)], 1)


class FlatD(InceptionD):  # type: ignore[misc]
    """The second reduction block of Inception-v3 without its stride."""

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Three branches side by side."""
        x = F.pad(x, (1, 1, 1, 1))
        once = self.branch3x3_2(self.branch3x3_1(x))
        long = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([once, self.branch7x7x3_4(long), F.max_pool2d(x, 3, stride=1)], 1)
