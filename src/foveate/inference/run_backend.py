"""Read images with a run folder and PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from foveate.core.reading import read_out
from foveate.core.types import Sample
from foveate.data.loader import collate
from foveate.engine.run import Run, pick_device
from foveate.inference.activation_maps import maps_of_passes, own_findings
from foveate.inference.backends import Found

if TYPE_CHECKING:
    from foveate.core.decisions import Decisions


class RunBackend:
    """The pipeline of a run on a device.

    Args:
        run: from `fit` or `load_run`.
        device: "auto", "cpu", "cuda", ...
    """

    def __init__(self, run: Run, *, device: str | torch.device = "auto") -> None:
        self.run, self.schema, self.prepare = run, run.recipe.schema, run.recipe.prepare
        self.decisions, self.device = run.decisions, pick_device(device)
        self.pipeline = run.pipeline(device=self.device)
        self.runtime = f"torch {run.recipe.precision}"

    def read(self, samples: Sequence[Sample], decisions: Decisions, *, cam: bool) -> list[Found]:
        """Read prepared images of one frame size, in their order."""
        batch = collate(samples, self.schema).to(self.device)
        passes = self.pipeline.passes(batch)
        kept = list(passes) if cam else []  # activation maps read each pass again; without them none is kept
        outputs = self.pipeline.combined(kept or passes, batch)
        found = read_out(outputs, schema=self.schema, ids=batch.ids, geometries=batch.geometries, decisions=decisions)
        if not cam or outputs.image is None:
            return [Found(one, {}, ()) for one in found]
        maps = maps_of_passes(kept, self.schema, samples[0].geometry.size)
        own = tuple(own_findings(kept[-1], self.schema))
        return [
            Found(
                one,
                {key: sample.geometry.undo(full[i : i + 1])[0].cpu().numpy() for key, full in maps.items()},
                own,
            )
            for i, (one, sample) in enumerate(zip(found, samples, strict=True))
        ]
