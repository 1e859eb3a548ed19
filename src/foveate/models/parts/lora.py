"""LoRA (Hu et al. 2022): a frozen linear layer with a trained change of low rank.

W x + b becomes (W + (alpha / r) B A) x + b with A ``(r, in)`` random and B ``(out, r)`` zero at the start, so that the
network gives the same outputs as before until it is trained. The paper changes the projections of queries and values.
Here it is every linear layer of the attention, because queries, keys and values are one layer in timm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.models.parts.encoders import Encoder
from foveate.models.parts.vit import TokenPyramid


class LoRALinear(nn.Linear):
    """Linear layer with a frozen weight and an added product of low rank; the weight keeps its name.

    Args:
        layer: gives weight and bias, which it shares.
        rank: r, from 1 to the smaller side of the weight.
        alpha: the product is scaled by alpha / r.
    """

    def __init__(self, layer: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = alpha / rank
        self.lora_down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))  # as in the authors' code

    def forward(self, input: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Return the output of the layer plus that of the learnt change."""
        return F.linear(input, self.weight, self.bias) + self.scale * F.linear(
            F.linear(input, self.lora_down), self.lora_up
        )

    def plain(self) -> nn.Linear:
        """Make a linear layer with the weight W + (alpha / r) B A."""
        made = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        made.weight = nn.Parameter((self.weight + self.scale * (self.lora_up @ self.lora_down)).detach())
        made.bias = self.bias
        return made


def with_lora(network: nn.Module, *, rank: int, alpha: float | None = None) -> nn.Module:
    """Freeze the transformers in a network and add trained changes of low rank to their attention; return the network.

    A and B are trained, and everything outside timm's network: pyramid, decoder and heads.

    Args:
        network: is changed in place; has an `Encoder` that is a plain vision transformer.
        rank: r, at least 1; 4 to 16 are usual.
        alpha: None = 2 r.

    Raises:
        ValueError: rank is out of its range, or no encoder of the network is a plain vision transformer.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    encoders = [part for part in network.modules() if isinstance(part, Encoder)]
    if not any(isinstance(part.pyramid, TokenPyramid) for part in encoders):
        names = ", ".join(repr(part.name) for part in encoders) or "no encoder"
        raise ValueError(f"LoRA changes plain vision transformers, got {names}; take one such as vit_small_patch16_224")
    for part in encoders:
        if isinstance(part.pyramid, TokenPyramid):
            part.net.requires_grad_(False)
            for name, attention in part.net.named_modules():
                if name.rpartition(".")[2] == "attn":
                    _change(attention, rank=rank, alpha=2.0 * rank if alpha is None else alpha)
    return network


def adapted(make: Callable[[], nn.Module], *, rank: int, alpha: float | None = None) -> nn.Module:
    """Make a network with LoRA (`with_lora`), for ``Stage.network``.

    Args:
        make: makes the network.
        rank: r.
        alpha: None = 2 r.
    """
    return with_lora(make(), rank=rank, alpha=alpha)


def _change(attention: nn.Module, *, rank: int, alpha: float) -> None:
    """Replace an attention's linear layers."""
    if hasattr(attention, "qkv_bias_separate"):
        attention.__dict__["qkv_bias_separate"] = (
            True  # otherwise timm's EVA reads the weight itself and omits the change
        )
    for name, layer in list(attention.named_children()):
        if isinstance(layer, nn.Linear):
            if rank > min(layer.weight.shape):
                raise ValueError(f"rank must be at most {min(layer.weight.shape)} for this encoder, got {rank}")
            setattr(attention, name, LoRALinear(layer, rank=rank, alpha=alpha))


def merged(network: nn.Module) -> nn.Module:
    """Copy a network with its LoRA changes merged into plain linear layers: same outputs, names as without LoRA.

    Args:
        network: is not changed.
    """
    copy = deepcopy(network)
    merge(copy)
    return copy


@torch.no_grad()
def merge(network: nn.Module) -> None:
    """Merge LoRA changes in place; see `merged`."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LoRALinear):
                setattr(parent, name, layer.plain())
