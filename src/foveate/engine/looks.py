"""Where a network looked for the findings that are there: its activation maps held against cues and masks."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.metrics.localisation import look_rows
from foveate.metrics.table import Table


def strength(outputs: Outputs, batch: Batch) -> Float[Tensor, "b c h w"] | None:
    """Activation of each image logit in [0, 1] on the pixels of the frame (bilinear).

    None where the network has no map for each image logit. Where a map's cells do not divide the frame they are taken
    to be the next power of two of pixels wide, as encoders pad the lower and right edge.
    """
    maps, size = outputs.activation, (batch.image.shape[2], batch.image.shape[3])
    if maps is None or outputs.image is None or maps.shape[1] != batch.schema.image_channels:
        return None
    strong = batch.schema.activation_probability(maps.float())
    reach = size
    if size[0] % maps.shape[2] or size[1] % maps.shape[3]:
        cell = 1 << (max(-(-size[0] // maps.shape[2]), -(-size[1] // maps.shape[3])) - 1).bit_length()
        reach = (maps.shape[2] * cell, maps.shape[3] * cell)
    return F.interpolate(strong, reach, mode="bilinear", align_corners=False)[:, :, : size[0], : size[1]]


def looked(outputs: Outputs, batch: Batch, *, groups: dict[str, str]) -> list[list[Table]]:
    """For each image a table a finding (`metrics.localisation.look_rows`), of findings that are known to be there.

    Held against the batch's cues where they are known, and the masks of the evidence where these are; in the network's
    frame, where cues are drawn.

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
    seen = strong.cpu().numpy()
    shown = (batch.masks & batch.known).cpu().numpy()
    for question in schema.findings:
        position = schema.questions.index(question)
        evidence = [schema.labels.index(label) for label in question.evidence]
        masks = np.asarray(shown[:, evidence].any(1))
        cues = np.zeros_like(masks)
        if batch.regions is not None:
            known = batch.regions.new_ones(len(batch)) if batch.cued is None else batch.cued[:, position]
            cues = (batch.regions[:, position] & known[:, None, None]).cpu().numpy()
        there = (batch.answer(question.name) == 1).cpu().numpy()
        channel = schema.slices[question.name].start
        for i, image in enumerate(batch.ids):
            if there[i]:
                rows = look_rows(
                    images=[image],
                    groups=[groups[image]],
                    question=question.name,
                    activation=seen[i : i + 1, channel],
                    cues=cues[i : i + 1],
                    masks=masks[i : i + 1],
                )
                found[i].append(rows)
    return found
