"""Training that processes do together, as a script for ``torchrun``: MANIFEST OUT."""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from engine_toys import TinyNet, tiny_recipe
from safetensors.torch import save_file
from torch import nn

from foveate.core.types import Batch, Outputs
from foveate.data.manifest import Manifest
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.losses.overlap import dice_squared, whole_batch
from foveate.losses.weigh import Weigh


class Plain(TinyNet):
    """Without batch normalisation, whose statistics are a process's own."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk[1] = nn.Identity()


class Ended(Exception):  # noqa: N818 - what it says
    """The end of a training in the middle of a step."""


class Ending(torch.optim.SGD):
    """Descends, and ends the training at a step."""

    def __init__(self, parameters: Any, *, at: int | None) -> None:
        super().__init__(parameters, lr=0.1)
        self.at, self.steps = at, 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        if self.steps == self.at:
            raise Ended
        return super().step(closure)


def features(network: nn.Module, batch: Batch, outputs: Outputs) -> torch.Tensor:
    return outputs.features[-1].mean(1, keepdim=True)


def recipe(kept: list[nn.Parameter], *, end_at: int | None = None) -> Recipe:
    """Nine steps, each validated, one term of the loss over all processes; ``kept`` gets the parameters trained."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        kept[:] = list(parameters)
        return Ending(kept, at=end_at)

    toy = tiny_recipe(epochs=3)
    loss = Weigh(**toy.stages[0].loss.terms, pooled=(1.0, partial(dice_squared, pool=whole_batch)))  # type: ignore[attr-defined]
    stage = replace(toy.stages[0], network=Plain, loss=loss, writes={"features": features})
    return replace(toy, stages=(stage,), optimizer=optimizer, validate_every=1)


def train(manifest: Path, out: Path, *, end_at: int | None = None) -> list[nn.Parameter]:
    """Start or resume the training; returns this process's parameters after its last step."""
    kept: list[nn.Parameter] = []
    rows = Manifest.read(manifest)
    fit(recipe(kept, end_at=end_at), rows, out=out, device="cpu", quiet=True, resume=True, cache=out.parent / "cache")
    return kept


def main(manifest: Path, out: Path) -> None:
    """Train in one go, and in two."""
    torch.set_num_threads(1)
    rank = os.environ["RANK"]
    whole = train(manifest, out / "whole")
    try:
        train(manifest, out / "broken", end_at=5)
    except Ended:
        broken = train(manifest, out / "broken")
        for name, kept in (("whole", whole), ("broken", broken)):
            save_file({str(i): p.detach().contiguous() for i, p in enumerate(kept)}, out / f"{name}{rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
