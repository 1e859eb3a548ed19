"""Encoders whose last stages do not shrink the image: their strides are removed and later layers dilated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.inception_v3 import InceptionA, InceptionB, InceptionC, InceptionD, InceptionE
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from foveate.models.parts.encoders import Encoder, encoder


def dilated(encoder_name: str, *, reduction: int = 16, channels: int = 3) -> Encoder:
    """Make an encoder whose coarsest maps have this reduction (Chen et al. 2018), with the same weights.

    Args:
        encoder_name: a timm network that is a chain of layers (ResNets, EfficientNets, MobileNets, Inception-v3).
        reduction: image pixels per pixel of the coarsest maps; one of the encoder's.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the encoder is not a chain of layers, has no map of this reduction, or a stride cannot be removed.
    """
    made = encoder(encoder_name, channels=channels)
    if reduction not in made.reductions:
        raise ValueError(f"reduction={reduction} must be one of {made.reductions}, the reductions of {encoder_name!r}")
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
    """List, for each map of an encoder, the layers from the next finer map (or the image) to it, in their order.

    Raises:
        ValueError: the encoder is not a chain of layers.
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
            f"encoder {of.name!r} must be a chain of layers, such as a ResNet, EfficientNet, MobileNet or inception_v3"
        )
    return [chain[first : last + 1] for first, last in zip([0, *(end + 1 for end in ends)], ends, strict=False)]


def flatten(stage: Sequence[nn.Module], *, dilation: int = 1) -> None:
    """Remove the stride of a stage, in place; dilation keeps the field of view of the layers after it.

    Args:
        stage: its layers.
        dilation: of the convolutions and pools after the stride. Strided layers, and Inception's reduction blocks as a
            whole, get half of it. The mean before the shortcut of a ResNet-D is removed together with its stride.
    """
    half = max(dilation // 2, 1)
    for layer in stage:
        for part in layer.modules():
            for block, own in FLAT.items():
                if isinstance(part, block) and (dilation > 1 or block in REDUCES):
                    part.__class__ = own
                    part.dilation = half if block in REDUCES else dilation
            if isinstance(part, nn.AvgPool2d) and part.stride in (2, (2, 2)):
                part.kernel_size, part.stride, part.padding = 1, 1, 0
            elif isinstance(part, nn.MaxPool2d) and part.stride in (2, (2, 2)):
                part.__class__, part.dilation = FlatPool, half
        reduces = any(isinstance(part, REDUCES) for part in layer.modules())
        for part in layer.modules():
            if isinstance(part, nn.Conv2d):
                factor = half if reduces or part.stride != (1, 1) else dilation
                part.stride = (1, 1)
                if factor > 1 and not isinstance(part.padding, str):
                    part.dilation = tuple(factor if side > 1 else 1 for side in part.kernel_size)
                    part.padding = tuple(factor * side for side in part.padding)


class FlatPool(nn.MaxPool2d):
    """Padded 3x3 max pool without its stride; torch itself pads at most half of an undilated kernel."""

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the highest of the 3x3 pixels at distances of ``dilation``."""
        assert isinstance(self.dilation, int)
        return F.max_pool2d(F.pad(x, (self.dilation,) * 4, value=-torch.inf), 3, stride=1, dilation=self.dilation)


# -- blocks of Inception-v3, whose pools are calls and not modules ---------------------------------------------------


def branch(block: nn.Module, name: str, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d m n"]:
    """Apply the layers of a block whose names begin with ``name``, one after the other."""
    for part, layer in block.named_children():
        if part.startswith(name):
            x = layer(x)
    return x


def mean(x: Float[Tensor, "b c i j"], dilation: int) -> Float[Tensor, "b c i j"]:
    """Mean of the 3x3 pixels at distances of ``dilation``; zeros beyond the edge count."""
    kernel = x.new_full((x.shape[1], 1, 3, 3), 1 / 9)
    return F.conv2d(x, kernel, padding=dilation, dilation=dilation, groups=x.shape[1])


class FlatA(InceptionA):  # type: ignore[misc]  # timm is untyped
    """Block of the third stage with dilated convolutions and pool."""

    dilation = 1

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return four branches side by side."""
        pooled = self.branch_pool(mean(x, self.dilation))
        return torch.cat([self.branch1x1(x), branch(self, "branch5x5", x), branch(self, "branch3x3dbl", x), pooled], 1)


class FlatB(InceptionB):  # type: ignore[misc]
    """First reduction block without its stride."""

    dilation = 1

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return three branches side by side."""
        x = F.pad(x, (self.dilation,) * 4)
        pooled = F.max_pool2d(x, 3, stride=1, dilation=self.dilation)
        return torch.cat([self.branch3x3(x), branch(self, "branch3x3dbl", x), pooled], 1)


class FlatC(InceptionC):  # type: ignore[misc]
    """Block of the fourth stage with dilated convolutions and pool."""

    dilation = 1

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return four branches side by side."""
        pooled = self.branch_pool(mean(x, self.dilation))
        return torch.cat([self.branch1x1(x), branch(self, "branch7x7_", x), branch(self, "branch7x7dbl", x), pooled], 1)


class FlatD(InceptionD):  # type: ignore[misc]
    """Second reduction block without its stride."""

    dilation = 1

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return three branches side by side."""
        x = F.pad(x, (self.dilation,) * 4)
        pooled = F.max_pool2d(x, 3, stride=1, dilation=self.dilation)
        return torch.cat([branch(self, "branch3x3", x), branch(self, "branch7x7x3", x), pooled], 1)


class FlatE(InceptionE):  # type: ignore[misc]
    """Block of the last stage with dilated convolutions and pool."""

    dilation = 1

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return four branches side by side, two of which fork at their end."""
        once, twice = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(once),
                self.branch3x3_2b(once),
                self.branch3x3dbl_3a(twice),
                self.branch3x3dbl_3b(twice),
                self.branch_pool(mean(x, self.dilation)),
            ],
            1,
        )


REDUCES = (InceptionB, InceptionD)
"""Blocks that halve the map."""

FLAT: dict[type[Any], type[Any]] = {
    InceptionA: FlatA,
    InceptionB: FlatB,
    InceptionC: FlatC,
    InceptionD: FlatD,
    InceptionE: FlatE,
}
"""Block -> class that replaces it, with the same weights."""
