"""What travels between the rooms: a batch without its truth."""

from dataclasses import replace

import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch

SCHEMA = LabelSchema((Question("disease"),), ("disc", "cup"))


def test_a_blind_batch_has_lost_its_truth_and_nothing_else() -> None:
    ones = torch.ones(2, 2, 4, 4, dtype=torch.bool)
    batch = Batch(SCHEMA, ("a", "b"), torch.rand(2, 3, 4, 4), torch.ones(2, 1, dtype=torch.long), ones, ones)
    blind = batch.blind()
    assert blind.answers.tolist() == [[-1], [-1]]
    assert not blind.masks.any()
    assert not blind.known.any()
    assert blind.image is batch.image
    assert blind.cues is None
    half = replace(batch, cues=ones[:, :1]).blind(but={"b", "c"})
    assert half.answers.tolist() == [[-1], [1]]
    assert half.known.flatten(1).all(1).tolist() == [False, True]
    assert half.masks.flatten(1).any(1).tolist() == [False, True]
    assert half.cues_known is not None
    assert half.cues_known.tolist() == [[False], [True]]
    none = replace(batch, cues=ones[:, :1], cues_known=~ones[:, :1, 0, 0]).blind(but=["a"])
    assert none.cues_known is not None
    assert not none.cues_known.any()
