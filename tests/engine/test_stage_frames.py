"""A stage with a frame or windows of its own: what it sees in training and when images are read."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs
from foveate.data.prepare import Prepare
from foveate.engine.crops import DrawnWindows
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import StagePipeline, enlarged, shrunk
from foveate.engine.window import SlidingWindow
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh

SCHEMA = LabelSchema((Question("q"),), ("a",))


class Echo(nn.Module):
    """Pixel logits are the image; the answer, if it gives one, is the image's side."""

    def __init__(self, answers: bool) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        side = torch.full((len(image), 1), float(image.shape[-1]))
        return Outputs(pixel=image[:, :1], image=side if self.answers else None)


def recipe() -> Recipe:
    loss = Weigh(pixels=(1.0, bce))
    answer = Stage("answer", partial(Echo, True), loss, size=8)
    mark = Stage("mark", partial(Echo, False), loss, patches=DrawnWindows(4), infer=SlidingWindow(4, 2))
    return Recipe(SCHEMA, Prepare(size=16, grey=True), (answer, mark))


def batch(side: int = 16) -> Batch:
    masks = torch.ones(2, 1, side, side, dtype=torch.bool)
    return Batch(SCHEMA, ("a", "b"), torch.rand(2, 1, side, side), torch.ones(2, 1, dtype=torch.long), masks, masks)


def test_the_recipe_as_a_stage_sees_it() -> None:
    whole = recipe()
    answer, mark = map(whole.seen_by, whole.stages)
    assert (answer.prepare.shape, answer.patches, answer.infer) == ((8, 8), None, None)
    assert mark.prepare.shape == (16, 16)
    assert (mark.patches, mark.infer) == (DrawnWindows(4), SlidingWindow(4, 2))


def test_a_smaller_frame_is_the_mean_of_the_larger() -> None:
    one = batch()
    small = shrunk(one, 8)
    assert torch.allclose(small.image, torch.nn.functional.avg_pool2d(one.image, 2))
    assert not small.known.any()
    assert shrunk(one, None) is one
    assert shrunk(one, 16) is one
    assert enlarged(Outputs(pixel=small.image), one).pixel is not None
    assert enlarged(Outputs(pixel=small.image), one).pixel.shape == one.image.shape  # type: ignore[union-attr]


def test_reading_takes_answers_of_one_and_masks_of_the_other() -> None:
    one = batch()
    whole = recipe()
    outputs = StagePipeline(whole, {stage.name: stage.network() for stage in whole.stages})(one)
    assert outputs.image is not None
    assert outputs.image.flatten().tolist() == [8.0, 8.0]
    assert outputs.pixel is not None
    torch.testing.assert_close(outputs.pixel, one.image, atol=1e-5, rtol=1e-4)
    alone = replace(whole, stages=whole.stages[:1])
    alone_out = StagePipeline(alone, {"answer": Echo(True)})(one)
    assert alone_out.pixel is not None
    assert alone_out.pixel.shape == one.image.shape


def test_a_frame_of_its_own_has_no_windows_and_hands_nothing_on() -> None:
    with pytest.raises(ValueError, match="size=8 is of a stage that sees whole images"):
        Stage("a", partial(Echo, True), Weigh(pixels=(1.0, bce)), size=8, infer=SlidingWindow(4, 2))
