"""Groups of parameters with learning rates of their own: lower near the image, full for a new decoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import nn

from foveate.models.parts.encoders import Encoder

UNDECAYED = (
    "cls_token",
    "reg_token",
    "dist_token",
    "pos_embed",
    "relative_position_bias_table",
    "rel_pos_h",
    "rel_pos_w",
)
"""Ends of the names of parameters without weight decay: tokens and positions, for which 0 has no meaning."""


def by_depth(network: nn.Module, *, lr: float, decay: float = 1.0, encoder: float = 1.0) -> list[dict[str, Any]]:
    """Group the trained parameters: the rate falls by ``decay`` per layer from an encoder's end to its stem.

    Layer-wise decay as in BEiT (Bao et al. 2022) and MAE (He et al. 2022): in an encoder with n layers, layer i from
    the image (0 = patch embedding, tokens and positions) has the rate ``lr * encoder * decay ** (n - i)``. Everything
    outside timm's network (pyramid, decoder, heads) has ``lr``. Normalisations, biases, tokens and positions have no
    weight decay.

    Args:
        network: any; without an encoder all of it has ``lr``. Frozen parameters are left out.
        lr: rate of the new parts; the first group of the list has it.
        decay: above 0, at most 1 (1 = no decay with depth); 0.65 to 0.75 are usual for large pretrained ViTs.
        encoder: rate of the encoder as a multiple of lr, above 0.

    Returns:
        Groups as optimizers of PyTorch take them, the highest rate first.

    Raises:
        ValueError: decay or encoder is out of its range, or nothing is trained.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay}")
    if encoder <= 0:
        raise ValueError(f"encoder must be above 0, got {encoder}; to freeze an encoder use Stage.frozen")
    scales = {
        id(parameter): encoder * decay**above
        for part in network.modules()
        if isinstance(part, Encoder)
        for parameter, above in _depths(part.net)
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[scales.get(id(parameter), 1.0), parameter.ndim > 1 and not name.endswith(UNDECAYED)].append(
                parameter
            )
    if not groups:
        raise ValueError("no parameter is trained; freeze less")
    return [
        {"params": parameters, "lr": lr * scale, **({} if decayed else {"weight_decay": 0.0})}
        for (scale, decayed), parameters in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def _depths(net: nn.Module) -> Iterator[tuple[nn.Parameter, int]]:
    """Yield each parameter of timm's network and the number of layers from it to the network's end, its own included.

    A layer is a child, or a child of a list of blocks. A part with only vectors (a normalisation) belongs to the layer
    before it, a parameter of the network itself (tokens, positions) to the first layer.
    """
    layers: list[list[nn.Parameter]] = [list(net.parameters(recurse=False))]
    for child in net.children():
        parts = list(child.children()) if isinstance(child, nn.Sequential | nn.ModuleList) else [child]
        for part in parts:
            found = list(part.parameters())
            first = len(layers) == 1 and not any(p.ndim == 4 for p in layers[0])
            if first or all(p.ndim == 1 for p in found):
                layers[-1] += found
            else:
                layers.append(found)
    for number, layer in enumerate(layers):
        for parameter in layer:
            yield parameter, len(layers) - number
