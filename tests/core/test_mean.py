"""Several readings as one: the mean of probabilities, whatever the kind of label and question."""

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.mean import mean, mean_outputs
from foveate.core.types import Outputs

QUESTIONS = (Question("grade", ("0", "1", "2"), ordered=True), Question("drusen"))


def outputs(schema: LabelSchema, seed: int) -> Outputs:
    g = torch.Generator().manual_seed(seed)
    return Outputs(
        pixel=4 * torch.randn(2, schema.pixel_channels, 5, 6, generator=g),
        image=3 * torch.randn(2, schema.image_channels, generator=g),
        activation=torch.randn(2, schema.image_channels, 2, 3, generator=g),
        features=(torch.zeros(2, 1, 1, 1),),
    )


@pytest.mark.parametrize("exclusive", [False, True])
def test_probabilities_are_averaged(exclusive: bool) -> None:
    schema = LabelSchema(QUESTIONS, ("a", "b"), exclusive=exclusive)
    several = [outputs(schema, seed) for seed in range(3)]
    found = mean_outputs(several, schema)
    assert found.pixel is not None
    assert found.image is not None
    assert found.activation is not None
    assert found.features == found.aux == ()
    pixel = sum(schema.pixel_probability(one.pixel) for one in several) / 3  # type: ignore[arg-type]
    torch.testing.assert_close(schema.pixel_probability(found.pixel), pixel, atol=1e-6, rtol=1e-5)
    for question, p in schema.image_probability(found.image).items():
        each = [schema.image_probability(one.image)[question] for one in several]  # type: ignore[arg-type]
        torch.testing.assert_close(p, sum(each) / 3, atol=1e-6, rtol=1e-5)
        assert not torch.allclose(p, schema.image_probability(sum(o.image for o in several) / 3)[question])  # type: ignore[arg-type, misc]
    strong = sum(one.activation.sigmoid() for one in several) / 3  # type: ignore[union-attr]
    torch.testing.assert_close(found.activation.sigmoid(), strong, atol=1e-6, rtol=1e-5)


def test_one_reading_is_itself_and_what_is_missing_stays_missing() -> None:
    schema = LabelSchema(QUESTIONS, ("a", "b"))
    one = outputs(schema, 0)
    assert mean_outputs([one], schema) is one
    marks = [outputs(schema, seed)._replace(image=None, activation=None) for seed in range(2)]
    found = mean_outputs(marks, schema)
    assert (found.image, found.activation) == (None, None)
    assert found.pixel is not None
    assert mean_outputs([o._replace(pixel=None) for o in (one, one)], schema).pixel is None


def test_certain_readings_stay_finite() -> None:
    schema = LabelSchema((Question("drusen"),), ("a",))
    sure = Outputs(pixel=torch.full((1, 1, 1, 2), 200.0), image=torch.full((1, 1), -200.0))
    found = mean_outputs([sure, sure], schema)
    assert found.pixel is not None
    assert found.image is not None
    assert found.pixel.isfinite().all()
    assert found.image.isfinite().all()
    assert schema.pixel_probability(found.pixel).min() > 1 - 1e-6


def test_mean_is_the_same_for_every_flip_of_four() -> None:
    """To the last bit: sums are of pairs, and each flip exchanges the members of pairs, or the pairs."""
    a, b, c, d = (torch.rand(1000, generator=torch.Generator().manual_seed(i)) for i in range(4))
    for order in ([b, a, d, c], [c, d, a, b], [d, c, b, a]):
        assert torch.equal(mean(order), mean([a, b, c, d]))
    torch.testing.assert_close(mean([a, b, c]), (a + b + c) / 3)
