"""Where a network looked for the findings that are there: its activation maps compared with cues and masks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.map_cells import at_resolution, on_frame
from foveate.core.types import Batch, Outputs
from foveate.metrics.localisation import look_rows
from foveate.metrics.table import Table


def strength(outputs: Outputs, batch: Batch) -> Float[Tensor, "b c i j"] | None:
    """Activation of each image logit in [0, 1], on the cells of its map; None without a map for each image logit."""
    maps = outputs.activation
    if maps is None or outputs.image is None or maps.shape[1] != batch.schema.image_channels:
        return None
    return batch.schema.activation_probability(maps.float())


def looked(outputs: Outputs, batch: Batch, *, groups: dict[str, str]) -> list[list[Table]]:
    """For each image one table per finding (`metrics.localisation.look_rows`), of findings that are known to be there.

    Compared with the batch's cues and the masks of the evidence if they are known, in the network's frame, in which
    cues are drawn. A map is guided by a cue on its cells, and AIR is of the same cells (Son et al. 2018,
    whose map and cue have one size): on pixels a map that is entirely within its cue would score less than 1,
    because a cell's activation spreads over its neighbours when the map is enlarged.

    Args:
        outputs: with activation maps; without them the tables are missing.
        batch: cues, masks, answers.
        groups: image -> group.
    """
    found: list[list[Table]] = [[] for _ in batch.ids]
    schema = batch.schema
    strong = strength(outputs, batch) if schema.findings else None
    if strong is None:
        return found
    grid = (strong.shape[2], strong.shape[3])
    cells, seen = strong.cpu().numpy(), on_frame(strong, (batch.image.shape[2], batch.image.shape[3])).cpu().numpy()
    shown = batch.masks & batch.known
    for question in schema.findings:
        position = schema.questions.index(question)
        evidence = [schema.labels.index(label) for label in question.evidence]
        masks = shown[:, evidence].any(1, keepdim=True)
        cues = torch.zeros_like(masks)
        if batch.cues is not None:
            known = batch.cues.new_ones(len(batch)) if batch.cues_known is None else batch.cues_known[:, position]
            cues = batch.cues[:, position : position + 1] & known[:, None, None, None]
        there = (batch.answer(question.name) == 1).cpu().numpy()
        channel = schema.slices[question.name].start
        for i, image in enumerate(batch.ids):
            if there[i]:
                rows = look_rows(
                    images=[image],
                    groups=[groups[image]],
                    question=question.name,
                    cells=cells[i : i + 1, channel],
                    cues=at_resolution(cues[i : i + 1], grid)[:, 0].cpu().numpy(),
                    drawn=at_resolution(masks[i : i + 1], grid)[:, 0].cpu().numpy(),
                    activation=seen[i : i + 1, channel],
                    masks=masks[i : i + 1, 0].cpu().numpy(),
                )
                found[i].append(rows)
    return found
