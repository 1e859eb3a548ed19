"""Drawn retinas and narrow settings for every recipe, found by listing."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from foveate.core import plugins as find
from foveate.core.types import Batch, Row
from foveate.data import synthetic
from foveate.data.augment import Augment
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.keep import lowest
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import forward, with_maps, write_out
from foveate.engine.schedule import constant
from foveate.recipes import load_recipe
from foveate.recipes._lookup import defaults, effective
from foveate.studies._rows import row_recipe

NARROW: dict[str, Any] = {
    "encoder": "resnet10t", "size": 64, "width": 4, "batch": 4, "epochs": 3, "anatomy": True,
}  # fmt: skip
NAMES = list(find.names("recipes"))
COMPARISONS = [f"comparisons/{name}" for name in find.names("studies/comparisons")]


def known(name: str) -> dict[str, Any]:
    """Keywords of a recipe and their defaults."""
    return defaults(name)


def trained_on_all(kind: str) -> dict[str, Any]:
    """The keyword of dual guidance that a drawn schema needs whose first question has no healthy answer."""
    return {} if synthetic.SCHEMAS[kind].questions[0].healthy else {"segment_on": "answered"}


def narrow(name: str, kind: str, **keywords: Any) -> Recipe:
    """A recipe on a drawn schema, as small as it goes."""
    small = {k: v for k, v in {**NARROW, **trained_on_all(kind)}.items() if k in known(name)}
    used = effective(name, {**small, **keywords})
    return load_recipe(name, synthetic.SCHEMAS[kind], **{**{k: v for k, v in small.items() if k in used}, **keywords})


def compared(name: str, kind: str, **keywords: Any) -> Recipe:
    """The method or its comparison, whichever the keywords belong to, as small as it goes; each has those it uses."""
    either = {*known(name), *known(f"comparisons/{name}")}
    small = {k: v for k, v in {**NARROW, **trained_on_all(kind)}.items() if k in either}
    return row_recipe(name, synthetic.SCHEMAS[kind], small, **keywords)


@cache
def served(name: str) -> tuple[str, ...]:
    """Drawn schemas that a recipe does not refuse."""
    kinds = []
    for kind in synthetic.SCHEMAS:
        try:
            narrow(name, kind)
        except ValueError:
            continue
        kinds.append(kind)
    return tuple(kinds)


CASES = [(name, kind) for name in NAMES for kind in served(name)]


def four_retinas(kind: str, folder: Path) -> Manifest:
    """Four drawn images that train; the same four validate under other names."""
    rows = synthetic.write(kind, folder, n=4, size=64)
    again = [replace(row, id=f"{row.id}_again", patient=f"{row.patient}_again", split="val") for row in rows]
    return Manifest(synthetic.SCHEMAS[kind], (*(replace(row, split="train") for row in rows), *again), folder)


def plain(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe without chance: no augmentation, no dropout, a constant rate, weights by the lowest loss."""
    stages = tuple(replace(stage, keep=lowest("loss"), network=_without_dropout(stage)) for stage in recipe.stages)
    return replace(recipe, augment=Augment(()), schedule=constant(), patience=None, stages=stages, **changes)


def _without_dropout(stage: Stage) -> Any:
    def network() -> nn.Module:
        made = stage.network()
        for module in made.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return made

    return network


def trained_rows(stage: Stage, rows: Manifest) -> list[Row]:
    """Training rows of a stage."""
    return [row for row in rows if row.split == "train" and (stage.rows is None or stage.rows(row))]


def stages_with_batches(recipe: Recipe, rows: Manifest) -> Iterator[tuple[Stage, nn.Module, Batch]]:
    """Every stage with a new network and a batch that holds the maps it reads."""
    maps: dict[str, torch.Tensor] = {}
    data = Dataset(rows.where(split="train").rows, rows.root, recipe.schema, recipe.prepare, cues=recipe.cues)
    whole = next(batches(data, batch=4, shuffle=False, threads=0))
    for number, stage in enumerate(recipe.stages):
        torch.manual_seed(number)
        network = stage.network()
        batch = with_maps(whole, stage, maps)
        wanted = {row.id for row in trained_rows(stage, rows)}
        yield stage, network, pick(batch, [i in wanted for i in batch.ids])
        outputs = forward(network.eval(), batch)
        written = write_out(stage, network, batch, outputs)
        maps |= {f"{stage.name}/{name}": made.clone() for name, made in written.items()}


def pick(batch: Batch, wanted: list[bool]) -> Batch:
    """Some images of a batch."""
    at = torch.from_numpy(np.flatnonzero(wanted))
    fields = ("image", "answers", "masks", "known", "prior", "cues", "cues_known")
    return replace(
        batch,
        ids=tuple(batch.ids[i] for i in at),
        geometries=tuple(batch.geometries[i] for i in at),
        **{name: value[at] for name in fields if (value := getattr(batch, name)) is not None},
    )
