"""Encoders: a timm network, convolutional or a transformer, as a pyramid of feature maps, fine to coarse."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import is_model_in_modules
from timm.models.inception_v3 import InceptionB, InceptionD
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from foveate.models.parts.layouts import Renamed, renamed
from foveate.models.parts.sources import resolve_weights
from foveate.models.parts.start import start_residuals
from foveate.models.parts.vit import TokenPyramid, is_plain, token_pyramid
from foveate.models.parts.weights import Filled, fill, read

NORMALISE = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Name -> mean and standard deviation with which images in [0, 1] are normalised."""

NEEDS: dict[str, dict[str, Any]] = {
    "swin_transformer": {"dynamic_img_size": True, "feature_cls": "getter"},
    "swin_transformer_v2": {"dynamic_img_size": True, "feature_cls": "getter"},
    "swin_transformer_v2_cr": {"dynamic_img_size": True, "feature_cls": "getter"},
    "mambaout": {"feature_cls": "getter"},
}
"""File of timm -> arguments that its networks need for images of every size and for maps with channels first."""


class Encoder(nn.Module):
    """Pyramid of feature maps of an image of any size; normalisation and padding are inside.

    The image's lower and right edge are repeated up to a multiple of the coarsest reduction, so that the map of
    reduction r has exactly ceil(size / coarsest) * coarsest / r rows and columns.

    Images are in [0, 1]. With random weights they are not normalised; `pretrain` sets the normalisation that the
    weights need. It is part of the state: a network that is made without weights and loaded from its own file gives the
    same numbers.

    Args:
        pyramid: gives a list of maps, fine to coarse.
        name: timm's name of the network, for its weights on the hub and for errors.
        channels: of each map, fine to coarse.
        reductions: image pixels per map pixel, fine to coarse.
        mean: of the images for which pretrained weights are made, one number per image channel.
        std: of these images.

    Raises:
        ValueError: the maps are not whole fractions of the image, or the network takes only images of one size.
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
        """Return the maps, fine to coarse; ValueError if the image has another number of channels than the encoder.

        Args:
            image: in [0, 1].
            multiple: pad also to a multiple of this, for a network that halves the coarsest map further.
        """
        if image.shape[1] != self.mean.shape[1]:
            raise ValueError(
                f"image has {image.shape[1]} channels, the encoder reads {self.mean.shape[1]}; "
                f"make it with channels={image.shape[1]}"
            )
        coarsest = max(self.reductions[-1], multiple)
        edge = (0, -image.shape[3] % coarsest, 0, -image.shape[2] % coarsest)
        return tuple(self.pyramid(F.pad((image - self.mean) / self.std, edge, mode="replicate")))

    @property
    def net(self) -> nn.Module:
        """Network of timm inside the pyramid, whose tensors have timm's names."""
        if isinstance(self.pyramid, TokenPyramid):
            return self.pyramid.net
        inner = getattr(self.pyramid, "model", None)  # of timm's FeatureGetterNet
        return inner if isinstance(inner, nn.Module) else self.pyramid

    def pretrain(self, weights: Path | str, *, normalise: str | None = None) -> Filled:
        """Load weights from the "hub" or a file, and normalise from now on; return and keep the count of matches.

        Args:
            weights: "hub" or a file.
            normalise: one of `NORMALISE`; None = by the file's layout (`layouts.renamed`), else as in timm for the
                network's name.

        Raises:
            ValueError: the file does not fill the network, or the hub has no weights or cannot be reached.
        """
        hub = str(weights) == "hub"
        file = f"hub:{self.name}" if hub else str(weights)
        named = self._of_hub() if hub else renamed(read(weights), net=self.net, file=file)
        needed = ("norm.",) if isinstance(self.pyramid, TokenPyramid) else None
        filled = fill(self.net, named.state, file=file, least=1.0 if hub and needed is None else 0.95, optional=needed)
        self.filled = filled._replace(
            unused=(*filled.unused, *named.dropped),
            resampled=named.resampled,
            normalise=self.normalise(normalise or named.normalise),
        )
        return self.filled

    def normalise(self, kind: str | None) -> str:
        """Normalise images by one of `NORMALISE` from now on (None = as in timm for the name); return which.

        Raises:
            ValueError: kind is unknown.
        """
        if kind is not None and kind not in NORMALISE:
            raise ValueError(f"normalise must be one of {list(NORMALISE)}, got {kind!r}")
        for buffer, numbers in zip((self.mean, self.std), NORMALISE.get(str(kind), self.expects), strict=True):
            buffer.copy_(torch.tensor(_as_channels(numbers, buffer.shape[1])).view(1, -1, 1, 1))
        return kind or "timm"

    def _of_hub(self) -> Renamed:
        """Load timm's own weights, under the names of the network inside."""
        alike = {"features_only": True} if self.net is self.pyramid else {}
        try:
            source = timm.create_model(self.name, in_chans=self.mean.shape[1], pretrained=True, **alike)
        except (OSError, RuntimeError, ValueError) as error:  # offline the hub raises an OSError
            raise ValueError(
                f"weights='hub': the weights of {self.name!r} cannot be loaded ({str(error)[:200]}); connect to the "
                "internet, or give a file, 'auto' or 'none'"
            ) from error
        state = source.state_dict()
        if alike:
            return Renamed(state, (), (), None)
        return renamed(state, net=self.net, file=f"hub:{self.name}")


def pretrain(network: nn.Module, *, weights: Path | str, normalise: str | None = None) -> tuple[str, ...]:
    """Fill every encoder in a network (the ``start`` of a ``Stage``); return one line for people about each.

    Args:
        network: is changed in place.
        weights: "hub" (timm's own, downloaded once), a file (.safetensors, .pth or .pt; see `layouts.renamed` for the
            names it may use), "auto" (`sources.resolve_weights` chooses), or "none" (nothing happens).
        normalise: as for `Encoder.pretrain`.

    Raises:
        ValueError: the network has no encoder, the file does not fill it, or LoRA would train a network without
            weights.
    """
    if str(weights) == "none":
        return ()
    encoders = [part for part in network.modules() if isinstance(part, Encoder)]
    if not encoders:
        raise ValueError(f"weights={str(weights)!r}: {type(network).__name__} has no encoder to fill; give 'none'")
    notes: list[str] = []
    for part in encoders:
        source, note = resolve_weights(part.name) if str(weights) == "auto" else (str(weights), "")
        notes += [note] if note else []
        if source != "none":
            notes.append(str(part.pretrain(source, normalise=normalise)))
        elif any(".lora_" in name for name in part.state_dict()):
            raise ValueError(f"lora trains beside frozen pretrained weights, but there are none: {note}")
    return tuple(notes)


def encoder(
    name: str,
    *,
    channels: int = 3,
    stride_first: bool = False,
    maps: int | None = None,
    coarsest: int = 32,
) -> Encoder:
    """Make an encoder of a timm network, with random weights and without its classifier; `pretrain` fills it.

    Inception-v3 gets padded 3x3 convolutions and pools, so that its maps are 1/2 ... 1/32 of the image (Wei et al.
    2021, Lesion-Net); those of timm are a few pixels smaller.

    Args:
        name: any timm network that takes every image size: convolutional (``resnet18``, ``convnext_atto``), a
            hierarchical transformer (``swin_tiny_patch4_window7_224``) or a plain one (``vit_small_patch16_224``, see
            `vit.token_pyramid`); a tag of its weights may follow (``inception_v3.tf_in1k``), which `pretrain` takes
            from the hub.
        channels: of the image, 1 or 3. From weights for 3, one channel gets the sum of the first filters, and is
            normalised with the mean of their three numbers.
        stride_first: put the stride of ResNet bottlenecks into their first convolution, as first published and as in
            Keras, not into the second. Weights trained that way need it: with Keras' weights, on fundus images, the
            variances at layer3 differ from the trained ones by a median factor of 1.5 with it and of 2.2 without.
        coarsest: image pixels per pixel of the coarsest map: 32, 16 or 8. For 16 and 8 later stages are dilated
            instead of halved, if timm supports it (of a plain transformer coarser maps are left out).

    Raises:
        ValueError: timm has no such network, or it does not take every image size.
    """
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=5)
        raise ValueError(f"encoder {name!r} must be a network of timm; similar names are {near}")
    if is_plain(name):
        tokens = token_pyramid(name, channels=channels, maps=maps, coarsest=coarsest)
        return _encoder(
            tokens, name=name, image_channels=channels, maps=(tokens.channels, tokens.reductions), of=tokens.net
        )
    network = _hierarchy(name, channels=channels, maps=maps, coarsest=coarsest)
    for part in network.modules():
        if stride_first and isinstance(part, Bottleneck) and part.conv2.stride == (2, 2):
            part.conv1.stride, part.conv2.stride = (2, 2), (1, 1)
    if network.pretrained_cfg.get("architecture") == "inception_v3":  # the name may have a tag
        _pad_inception(network)
    maps_given = (network.feature_info.channels(), network.feature_info.reduction())
    return _encoder(start_residuals(network), name=name, image_channels=channels, maps=maps_given, of=network)


def _hierarchy(name: str, *, channels: int, maps: int | None, coarsest: int) -> Any:
    """Make a timm network whose stages get coarser, as the list of their maps."""
    chosen: dict[str, Any] = {} if maps is None else {"out_indices": tuple(range(maps))}
    if coarsest != 32:
        chosen["output_stride"] = coarsest
    for module, needs in NEEDS.items():
        if is_model_in_modules(name.partition(".")[0], (module,)):
            chosen |= needs
    try:
        return timm.create_model(name, features_only=True, in_chans=channels, **chosen)
    except (NotImplementedError, TypeError, AssertionError) as error:
        raise ValueError(f"encoder {name!r} cannot be made with coarsest={coarsest} ({error}); take 32") from error


def _encoder(
    pyramid: nn.Module, *, name: str, image_channels: int, maps: tuple[list[int], list[int]], of: Any
) -> Encoder:
    """Make the encoder of a pyramid: ``maps`` are channels and reductions, ``of`` has timm's configuration."""
    if odd := [reduction for reduction in maps[1] if reduction & (reduction - 1)]:
        raise ValueError(
            f"encoder {name!r} has maps at 1/{odd[0]} of the image, but decoders need powers of 2; choose another"
        )
    mean, std = (_as_channels(of.pretrained_cfg[key], image_channels) for key in ("mean", "std"))
    return Encoder(pyramid, name=name, channels=maps[0], reductions=maps[1], mean=mean, std=std)


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

    Values are never negative there, so padded zeros do not change the maximum. The weights keep timm's names.
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
    """Raise ValueError unless an image of twice the coarsest reduction gives maps of exactly the expected sizes."""
    size, training = 2 * reductions[-1], pyramid.training
    try:
        sizes = [tuple(f.shape[2:]) for f in pyramid.eval()(torch.zeros(1, image_channels, size, size))]
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"encoder {name!r} does not take images of every size ({error}); choose another") from error
    pyramid.train(training)
    if sizes != [(size // r, size // r) for r in reductions]:
        raise ValueError(
            f"encoder {name!r}: an image of {size} px gives maps of {sizes}, but the reductions are {reductions}; "
            "choose another"
        )
