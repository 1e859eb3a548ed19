"""TransUNet: published sizes, names of timm's weights, positions, prior, answers."""

import pytest
import timm
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.transunet import TransUNet
from foveate.models.cam import closed_form, grad_cam, of_answer
from foveate.models.parts.size import parameters

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")),), ("lesion",))
ORGANS = LabelSchema((), tuple("abcdefgh"), exclusive=True)


def tiny(schema: LabelSchema = SCHEMA, *, size: int = 64, prior_channels: int = 0) -> TransUNet:
    torch.manual_seed(0)
    return TransUNet(
        schema,
        size=size,
        stem=32,
        widths=(128, 128, 128),
        layers=(1, 1, 1),
        embed=16,
        depth=1,
        heads=2,
        decoder=(16, 16, 8, 8, 8),
        prior_channels=prior_channels,
    ).eval()


@pytest.mark.parametrize(("size", "millions"), [(224, 105.28), (512, 105.91)])
def test_size_is_the_published_one(size: int, millions: float) -> None:
    with torch.device("meta"):
        assert parameters(TransUNet(ORGANS, size=size)) / 1e6 == pytest.approx(millions, rel=1e-4)


def test_timms_weights_have_a_place_for_every_tensor() -> None:
    with torch.device("meta"):
        net = TransUNet(ORGANS, size=512)
        theirs = timm.create_model("vit_base_r50_s16_224", num_classes=0).state_dict()
    named = net.encoder.named(theirs)
    wanted = net.encoder.pyramid.state_dict()
    assert {name: value.shape for name, value in wanted.items() if named[name].shape != value.shape} == {}
    assert set(wanted) < set(named)


@torch.no_grad()
def test_other_sizes_than_it_was_made_for() -> None:
    net = tiny(size=32)
    for size in ((32, 32), (64, 48), (50, 33)):
        outputs = net(torch.rand(1, 3, *size))
        assert outputs.pixel.shape == (1, 1, *size)
        assert [f.shape[1] for f in outputs.features] == [32, 128, 128, 16]
        assert outputs.features[-1].shape[2:] == (-(-size[0] // 16), -(-size[1] // 16))
    with pytest.raises(ValueError, match="size=100 is no multiple of 16; take 96"):
        tiny(size=100)


@torch.no_grad()
def test_the_prior_is_a_further_channel() -> None:
    net, image, prior = tiny(prior_channels=1), torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    assert not torch.equal(net(image, prior).pixel, net(image, torch.zeros_like(prior)).pixel)
    assert torch.equal(tiny()(image, prior).pixel, tiny()(image).pixel)
    with pytest.raises(ValueError, match="prior=None"):
        net(image)
    with pytest.raises(ValueError, match="prior has 2 maps"):
        net(image, torch.rand(1, 2, 32, 32))


def test_every_token_reaches_every_pixel() -> None:
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    net = tiny(size=128)
    corner = net(image).features[-1][0, :, 0, 0].square().sum()
    (gradient,) = torch.autograd.grad(corner, image)
    assert float(gradient[:, :, 112:, 112:].abs().sum()) > 0


def test_answers_with_grad_cam_in_closed_form() -> None:
    net, image = tiny(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        outputs = net(image)
    expected = grad_cam(net, image, target=of_answer(2))
    closed = closed_form(outputs.features[-1], weight=net.image_head.weight[2].detach())
    torch.testing.assert_close(closed, expected, rtol=1e-5, atol=1e-6)
    assert tiny(SCHEMA.select(questions=()))(image).image is None


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(ValueError, match="no labels"):
        TransUNet(SCHEMA.select(labels=()))
    with pytest.raises(ValueError, match="stem=30"):
        TransUNet(SCHEMA, stem=30)
    with pytest.raises(ValueError, match=r"widths=\(100, 128, 128\)"):
        TransUNet(SCHEMA, widths=(100, 128, 128))
