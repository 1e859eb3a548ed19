"""What baselines have in common: a prior as further channels, any size, answers with Grad-CAM in closed form."""

from collections.abc import Callable

import pytest
import torch
from baselines_cases import CONVOLUTIONAL, SCHEMA, TRANSFORMERS
from torch import nn

from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.cam import closed_form, grad_cam, of_answer

Make = Callable[..., nn.Module]


def opticnet() -> OpticNet71:
    torch.manual_seed(0)
    return OpticNet71(SCHEMA, stem=8, widths=(16, 32), depths=(1, 1), hidden=6).eval()


@pytest.mark.parametrize("make", [*CONVOLUTIONAL, *TRANSFORMERS])
@torch.no_grad()
def test_the_prior_is_a_further_channel(make: Make) -> None:
    image, prior = torch.rand(2, 3, 40, 33), torch.rand(2, 1, 40, 33)
    with_prior, without = make(prior_channels=1), make()
    told = with_prior(image, prior)
    assert told.pixel.shape == (2, 1, 40, 33)
    assert not torch.equal(told.pixel, with_prior(image, torch.zeros_like(prior)).pixel)
    assert torch.equal(without(image, prior).pixel, without(image).pixel)
    with pytest.raises(ValueError, match="prior has 2 maps"):
        with_prior(image, torch.rand(2, 2, 40, 33))
    with pytest.raises(ValueError, match=r"prior=None, the network reads 1 maps beside the image; give it the maps"):
        with_prior(image)


@pytest.mark.parametrize("make", TRANSFORMERS)
@torch.no_grad()
def test_other_sizes_than_it_was_made_for(make: Make) -> None:
    net = make()
    for rows, cols in ((64, 64), (128, 64), (32, 48), (50, 33)):
        outputs = net(torch.rand(1, 3, rows, cols))
        assert all(logits.shape == (1, 1, rows, cols) for logits in (outputs.pixel, *outputs.aux))
        assert outputs.features[-1].shape[2:] == (-(-rows // 16), -(-cols // 16))


@pytest.mark.parametrize("make", [*TRANSFORMERS, opticnet])
def test_answers_with_grad_cam_in_closed_form(make: Make) -> None:
    net, image = make(), torch.rand(2, 3, 40, 33)
    with torch.no_grad():
        outputs = net(image)
    expected = grad_cam(net, image, target=of_answer(2))
    closed = closed_form(outputs.features[-1], weight=net.image_head.weight[2].detach())
    torch.testing.assert_close(closed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [*CONVOLUTIONAL, *TRANSFORMERS])
def test_answers_only_where_asked_and_able(make: Make) -> None:
    image = torch.rand(1, 3, 64, 64)
    assert make(SCHEMA.select(questions=()))(image).image is None
    assert (make()(image).image is not None) is (make in TRANSFORMERS)


@pytest.mark.parametrize("make", [*CONVOLUTIONAL, *TRANSFORMERS])
def test_segmenters_need_labels(make: Make) -> None:
    with pytest.raises(ValueError, match="no labels"):
        make(SCHEMA.select(labels=()))
