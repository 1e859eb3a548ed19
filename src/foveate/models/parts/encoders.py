"""Encoders: any convolutional timm network as a pyramid of feature maps, fine to coarse."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models.inception_v3 import InceptionB, InceptionD
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from foveate.models.parts.start import start_residuals
from foveate.models.parts.weights import Filled, fill, read


class Encoder(nn.Module):
    """A pyramid of feature maps of an image of any size; normalises and pads inside.

    The image's lower and right edge are repeated up to a multiple of the coarsest reduction, so that the map of
    reduction r has exactly ceil(size / coarsest) * coarsest / r rows and columns.

    Images lie in [0, 1]. With random weights they are taken as they are, from `pretrain` on normalised as the weights
    need it. The normalisation is part of the state: a network made without weights and loaded from its own file gives
    the same numbers.

    Args:
        pyramid: gives a list of maps, fine to coarse.
        name: timm's name of the network, for its weights on the hub and for errors.
        channels: of each map, fine to coarse.
        reductions: image pixels per map pixel, fine to coarse.
        mean: of the images that pretrained weights are made for, one number an image channel.
        std: of these images.

    Raises:
        ValueError: the maps are not whole fractions of the image, or it takes images of one size alone.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        pyramid: nn.Module,
        *,
        name: str,
        channels: Sequence[int],
        reductions: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.pyramid, self.name = pyramid, name
        self.channels, self.reductions = list(channels), list(reductions)
        self.expects = (tuple(mean), tuple(std))
        self.filled: Filled | None = None
        self.register_buffer("mean", torch.zeros(1, len(mean), 1, 1))
        self.register_buffer("std", torch.ones(1, len(std), 1, 1))
        _check(pyramid, image_channels=len(mean), reductions=self.reductions, name=name)

    def forward(self, image: Float[Tensor, "b c h w"], *, multiple: int = 1) -> tuple[Tensor, ...]:
        """The maps, fine to coarse; ValueError when the image has other channels than the encoder was made for.

        Args:
            image: in [0, 1].
            multiple: pad to a multiple of this, too, where the network goes on to halve the coarsest map.
        """
        if image.shape[1] != self.mean.shape[1]:
            raise ValueError(
                f"image has {image.shape[1]} channels, the encoder reads {self.mean.shape[1]}; "
                f"make it with channels={image.shape[1]}"
            )
        coarsest = max(self.reductions[-1], multiple)
        edge = (0, -image.shape[3] % coarsest, 0, -image.shape[2] % coarsest)
        return tuple(self.pyramid(F.pad((image - self.mean) / self.std, edge, mode="replicate")))

    def pretrain(self, weights: Path | str) -> None:
        """Take weights from the "hub" or a file, and normalise from now on; ``filled`` tells how much was found.

        Raises:
            ValueError: the file does not fill the network.
        """
        if str(weights) == "hub":
            image_channels = self.mean.shape[1]
            source = timm.create_model(self.name, features_only=True, in_chans=image_channels, pretrained=True)
            self.filled = fill(self.pyramid, source.state_dict(), file=f"hub:{self.name}", least=1.0)
        else:
            self.filled = fill(self.pyramid, read(weights), file=weights)
        for buffer, numbers in zip((self.mean, self.std), self.expects, strict=True):
            buffer.copy_(torch.tensor(numbers).view(1, -1, 1, 1))


def pretrain(network: nn.Module, *, weights: Path | str) -> None:
    """Fill every encoder in a network (a ``Stage``'s ``start``).

    Args:
        network: is changed in place.
        weights: "hub" (timm's own, downloaded once), a file with timm's or torchvision's names (.safetensors, or .pth
            with nothing but tensors), or "none" (nothing happens).

    Raises:
        ValueError: the network has no encoder, or the file does not fill it.
    """
    if str(weights) == "none":
        return
    encoders = [part for part in network.modules() if isinstance(part, Encoder)]
    if not encoders:
        raise ValueError(f"weights={str(weights)!r}: {type(network).__name__} has no encoder to fill; give 'none'")
    for part in encoders:
        part.pretrain(weights)


def encoder(
    name: str,
    *,
    channels: int = 3,
    stride_first: bool = False,
    maps: int | None = None,
    coarsest: int = 32,
) -> Encoder:
    """A timm network as an encoder with random weights, without its classifier; `pretrain` fills it.

    Inception-v3 gets padded 3x3 convolutions and pools, so that its maps are 1/2 ... 1/32 of the image (Wei et al.
    2021, Lesion-Net); timm's are a few pixels smaller.

    Args:
        name: any timm network with ``features_only`` that takes every image size (``resnet18``, ``convnext_atto``); a
            tag of its weights may follow (``inception_v3.tf_in1k``), which `pretrain` takes from the hub.
        channels: of the image, 1 or 3; from weights for 3, one channel gets the sum of the first filters, and the mean
            of the three numbers it is normalised with.
        stride_first: ResNet bottlenecks stride in their first convolution, as first published and as Keras has it,
            not in the second. Weights trained so need it: with Keras' weights the variances that layer3 sees on fundus
            images are off from the trained ones by a median factor of 1.5 with it and 2.2 without.
        coarsest: image pixels per pixel of the coarsest map: 32, or 16 or 8, for which later stages are dilated
            instead of halved, where timm can do so.

    Raises:
        ValueError: timm has no such network, or it does not take every image size.
    """
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=5)
        raise ValueError(f"encoder {name!r} is no timm network; near it are {near}")
    chosen: dict[str, Any] = {} if maps is None else {"out_indices": tuple(range(maps))}
    if coarsest != 32:
        chosen["output_stride"] = coarsest
    try:
        network = timm.create_model(name, features_only=True, in_chans=channels, **chosen)
    except (NotImplementedError, TypeError, AssertionError) as error:
        raise ValueError(f"encoder {name!r} cannot be made with coarsest={coarsest} ({error}); take 32") from error
    for part in network.modules():
        if stride_first and isinstance(part, Bottleneck) and part.conv2.stride == (2, 2):
            part.conv1.stride, part.conv2.stride = (2, 2), (1, 1)
    if network.pretrained_cfg.get("architecture") == "inception_v3":  # the name may have a tag
        _pad_inception(network)
    return Encoder(
        start_residuals(network),
        name=name,
        channels=network.feature_info.channels(),
        reductions=network.feature_info.reduction(),
        mean=_as_channels(network.pretrained_cfg["mean"], channels),
        std=_as_channels(network.pretrained_cfg["std"], channels),
    )


def _as_channels(numbers: Sequence[float], channels: int) -> list[float]:
    return list(numbers) if len(numbers) == channels else [sum(numbers) / len(numbers)] * channels


class _PaddedB(InceptionB):  # type: ignore[misc]  # timm is untyped
    def forward(self, x: Tensor) -> Tensor:
        padded: Tensor = super().forward(F.pad(x, (1, 1, 1, 1)))
        return padded


class _PaddedD(InceptionD):  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        padded: Tensor = super().forward(F.pad(x, (1, 1, 1, 1)))
        return padded


def _pad_inception(network: nn.ModuleDict) -> None:
    """Pad the stem's layers, and the input of the two reduction blocks, whose max pool is a call and not a module.

    Values are never negative there, so zeros do not change the pool. The names of the weights stay timm's.
    """
    for name, part in network.items():
        if isinstance(part, InceptionB | InceptionD):
            part.__class__ = _PaddedB if isinstance(part, InceptionB) else _PaddedD
        elif not name.startswith("Mixed"):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.padding = (layer.kernel_size[0] // 2, layer.kernel_size[1] // 2)
                elif isinstance(layer, nn.MaxPool2d):
                    layer.padding = 1  # of a 3x3 pool


@torch.no_grad()
def _check(pyramid: nn.Module, *, image_channels: int, reductions: Sequence[int], name: str) -> None:
    """ValueError unless an image of twice the coarsest reduction gives maps of exactly the sizes they should have."""
    size, training = 2 * reductions[-1], pyramid.training
    try:
        sizes = [tuple(f.shape[2:]) for f in pyramid.eval()(torch.zeros(1, image_channels, size, size))]
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"encoder {name!r} does not take images of every size ({error}); choose another") from error
    pyramid.train(training)
    if sizes != [(size // r, size // r) for r in reductions]:
        raise ValueError(
            f"encoder {name!r}: an image of {size} px gives maps of {sizes} where reductions are {reductions}; "
            "choose another"
        )
