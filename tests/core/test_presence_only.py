"""Labels of which a prediction tells the presence alone are told from those that it marks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foveate.core.labels import LabelSchema
from foveate.core.reading import placed, presence_only, read_out
from foveate.core.shapes import Geometry
from foveate.core.types import Outputs, Prediction
from foveate.data.prepare import Prepare

LABELS = ("a", "b", "c")
SCHEMA = LabelSchema((), LABELS)


def prediction(*maps: np.ndarray) -> Prediction:
    probability = np.stack(maps).astype(np.float32)
    return Prediction("eye", {}, {}, probability, probability >= 0.5, LABELS[: len(maps)])


def part(top: int, left: int, bottom: int, right: int, value: float = 1.0) -> np.ndarray:
    drawn = np.zeros((40, 60))
    drawn[top:bottom, left:right] = value
    return drawn


def test_what_is_the_same_everywhere_is_no_place() -> None:
    marked = np.random.default_rng(0).uniform(0.2, 0.9, (40, 60))
    seen = prediction(part(0, 0, 40, 60, 0.3), marked, part(5, 9, 35, 51, 0.8))
    assert presence_only(seen) == ("a", "c")
    left = placed(seen)
    assert left.labels == ("b",)
    np.testing.assert_array_equal(left.probability, seen.probability[1:2])
    np.testing.assert_array_equal(left.masks, seen.masks[1:2])
    assert placed(left) is left


@pytest.mark.parametrize(
    "marked",
    [
        part(0, 0, 0, 0),  # nothing: a gate that is shut
        part(3, 4, 4, 5),  # a single pixel
        part(0, 0, 40, 20),  # a third of the image
        part(5, 5, 35, 55) - part(9, 9, 10, 10),  # a hole
        part(0, 0, 40, 60, 0.5) + part(0, 0, 20, 60, 0.01),
    ],
)
def test_what_has_a_shape_is_a_mark(marked: np.ndarray) -> None:
    marked[9, 9] *= 0.5 if marked.sum() > 1000 else 1
    assert presence_only(prediction(marked)) == ()


def test_a_prediction_may_mark_nothing() -> None:
    nothing = np.zeros((0, 40, 60), np.float32)
    assert presence_only(Prediction("eye", {}, {}, nothing, nothing > 0, ())) == ()


@pytest.mark.parametrize("shape", [(64, 64), (97, 211), (333, 120)])
def test_resampling_leaves_it_the_same_everywhere(shape: tuple[int, int]) -> None:
    """A frame cut out of the original, enlarged or shrunk."""
    image = np.zeros((*shape, 3), np.uint8)
    image[7:-7, 9:-11] = 120
    geometry = Prepare(size=96, crop_field=True).image_only(image, schema=SCHEMA, id="eye").geometry
    assert geometry != Geometry.whole(shape)
    odds = torch.tensor([1.7, -0.3, -6.0])[None, :, None, None].expand(1, 3, 96, 96)
    (seen,) = read_out(Outputs(pixel=odds), schema=SCHEMA, ids=["eye"], geometries=[geometry])
    assert presence_only(seen) == LABELS
    assert presence_only(replace(seen, probability=seen.masks.astype(np.float32))) == ("a",)  # decisions alone
