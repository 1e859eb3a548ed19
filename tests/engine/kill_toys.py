"""A training that a test kills: started in a fork server, which imports torch once for all of them."""

from pathlib import Path

import torch
import torch._dynamo  # the first step of an optimizer imports it, for 10 s of a processor
from engine_toys import tiny_recipe

from foveate.data.manifest import Manifest
from foveate.engine.fit import fit


def train(manifest: Path, out: Path, cache: Path) -> None:
    """Start or resume the training."""
    torch.set_num_threads(1)
    recipe = tiny_recipe(epochs=6, dropout=0.3).with_(average=0.5)
    fit(recipe, Manifest.read(manifest), out=out, device="cpu", resume=True, quiet=True, cache=cache)
