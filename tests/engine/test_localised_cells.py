"""Where networks look, on the cells of their maps: a map that does what guidance asks has the highest figures."""

import numpy as np
import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.map_cells import at_resolution, on_frame, reach
from foveate.core.regions import Regions
from foveate.core.types import Batch, Outputs
from foveate.engine.localisation import looked, strength

SCHEMA = LabelSchema((Question("ill", evidence=("lesion",)),), ("lesion",))


def batch(masks: np.ndarray, cues: np.ndarray) -> Batch:
    n, side = len(masks), masks.shape[-1]
    shown = torch.from_numpy(masks)[:, None]
    return Batch(
        SCHEMA,
        tuple(f"i{k}" for k in range(n)),
        torch.zeros(n, 3, side, side),
        torch.ones(n, 1, dtype=torch.long),
        shown,
        torch.ones_like(shown),
        cues=torch.from_numpy(cues)[:, None],
    )


def seen(inside: torch.Tensor) -> Outputs:
    """A map that is sure inside and dark outside."""
    logits = torch.where(inside, 12.0, -12.0)
    return Outputs(image=logits.mean((2, 3)), activation=logits)


@pytest.mark.parametrize(("side", "cells"), [(96, 6), (128, 8), (100, 4)])
def test_an_obedient_map_lies_within_its_cue(side: int, cells: int) -> None:
    """AIR is 1 for a map that lies in the cells of its cue; the pointing game is won for lesions 2 pixels wide."""
    rng = np.random.default_rng(0)
    masks = np.zeros((20, side, side), bool)
    for mask in masks:
        top, left = rng.integers(0, side - 2, 2)
        mask[top : top + 2, left : left + 2] = True
    regions = Regions((side * 0.5, side * 0.25), (side * 0.5, side * 0.7)).index(*np.mgrid[:side, :side])
    cues = np.stack([np.isin(regions, np.unique(regions[mask])) for mask in masks])
    truth = batch(masks, cues)
    for inside, names in ((cues, ("cue",)), (masks, ("cue", "hit"))):
        outputs = seen(at_resolution(torch.from_numpy(inside)[:, None], (cells, cells)))
        rows = looked(outputs, truth, groups={name: name for name in truth.ids})
        for name in names:
            assert [float(one[0][name][0]) for one in rows] == pytest.approx([1.0] * len(masks), abs=1e-3)
    flat = looked(seen(torch.ones(20, 1, cells, cells, dtype=torch.bool)), truth, groups={n: n for n in truth.ids})
    assert all(float(one[0]["cue"][0]) == pytest.approx(float(one[0]["share"][0])) for one in flat)


def test_without_maps_nothing_is_told() -> None:
    truth = batch(np.ones((1, 8, 8), bool), np.ones((1, 8, 8), bool))
    assert looked(Outputs(image=torch.zeros(1, 1)), truth, groups={"i0": "i0"}) == [[]]
    assert strength(Outputs(image=torch.zeros(1, 1), activation=torch.zeros(1, 2, 4, 4)), truth) is None


def test_cells_that_do_not_divide_the_frame_reach_over_its_edge() -> None:
    assert reach((96, 128), (6, 8)) == (96, 128)
    assert reach((65, 47), (3, 2)) == (96, 64)
    assert on_frame(torch.rand(1, 1, 3, 2), (65, 47)).shape == (1, 1, 65, 47)
