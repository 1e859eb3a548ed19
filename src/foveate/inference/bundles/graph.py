"""The networks of a run, or of an ensemble, as one module that `torch.export` takes: image -> logits and maps.

All stages, views and members are inside, so that one call of a runtime gives everything. The module calls the same
`Pipeline` as `Predictor` does with the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.engine.run import Pass, Run
from foveate.inference.activation_maps import closed_form_holds, maps_of_passes, own_findings

LOGITS = "_logits"
"""How names of outputs end: without it one would have the name of the input."""


@dataclass(frozen=True)
class Parts:
    """Which parts a graph has, in the order of its outputs.

    Args:
        names: some of "pixel_logits", "image_logits", "activation_logits", "maps".
        maps: (question, answer) of each channel of "maps".
        own: findings whose "yes" has a map of its own, in [0, 1]; the other maps are class activation maps.
        without: why there are no maps; empty if there are.
    """

    names: tuple[str, ...]
    maps: tuple[tuple[str, str], ...] = ()
    own: tuple[str, ...] = ()
    without: str = ""


class Graph(nn.Module):
    """A run as a module.

    Args:
        run: or an ensemble.
        parts: that it gives; None = look for them with one blank image.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.pipeline, self.schema, self.shape = run.pipeline(), run.recipe.schema, run.recipe.prepare.shape
        self.channels = 1 if run.recipe.prepare.grey else 3
        # Folded now: each network folds itself with the first image that it sees (`fold_when_called`). Noise, because
        # the maps of a blank image could be 0 whatever the network.
        batch = blank(self.schema, torch.rand(1, self.channels, *self.shape))
        passes = list(self.pipeline.passes(batch))
        self.parts = parts_of(passes, self.pipeline.combined(passes, batch), self.schema)
        self.networks = nn.ModuleList({id(step.network): step.network for one in passes for step in one.steps}.values())

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Tensor, ...]:
        """Return the outputs named in ``parts``, float32."""
        batch = blank(self.schema, image)
        passes = list(self.pipeline.passes(batch))
        outputs = self.pipeline.combined(passes, batch)
        found = [getattr(outputs, name.removesuffix(LOGITS)) for name in self.parts.names if name != "maps"]
        if self.parts.maps:
            made = maps_of_passes(passes, self.schema, self.shape, checked=True)
            found.append(torch.stack([made[key] for key in self.parts.maps], 1))
        return tuple(part.float() for part in found)


def parts_of(passes: Sequence[Pass], outputs: Outputs, schema: LabelSchema) -> Parts:
    """Find out which outputs a run has, and whether its maps have a closed form."""
    kinds = ("pixel", "image", "activation")
    names = tuple(f"{kind}{LOGITS}" for kind in kinds if getattr(outputs, kind) is not None)
    if outputs.image is None:
        return Parts(names, without="the run answers no question")
    if not all(closed_form_holds(one, schema) for one in passes):
        return Parts(names, without="an answer of the run is not linear in the mean of a map: Grad-CAM needs gradients")
    every = tuple((q.name, answer) for q in schema.questions for answer in q.answers)
    own = tuple(own_findings(passes[0], schema))
    maps = tuple(key for key in every if key[0] not in own or key[1] == "yes")
    return Parts((*names, "maps"), maps, own)


def blank(schema: LabelSchema, image: Float[Tensor, "b c h w"]) -> Batch:
    """A batch of images of which nothing is known."""
    images, (rows, cols) = image.shape[0], (image.shape[2], image.shape[3])
    nothing = torch.zeros(images, len(schema.labels), rows, cols, dtype=torch.bool)
    answers = torch.full((images, len(schema.questions)), -1)
    return Batch(schema, ("image",), image, answers, nothing, nothing)
