"""TransUNet: published sizes, names of timm's weights, positions."""

import pytest
import timm
import torch
from baselines_cases import ORGANS, SCHEMA, transunet

from foveate.models.baselines.transunet import TransUNet
from foveate.models.parts.size import parameters


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
def test_maps_are_the_trunk_s_but_the_coarsest() -> None:
    maps = transunet()(torch.rand(1, 3, 64, 64)).features
    assert [tuple(f.shape[1:]) for f in maps] == [(32, 32, 32), (128, 16, 16), (128, 8, 8), (16, 4, 4)]


def test_every_token_reaches_every_pixel() -> None:
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    net = transunet(size=128)
    corner = net(image).features[-1][0, :, 0, 0].square().sum()
    (gradient,) = torch.autograd.grad(corner, image)
    assert float(gradient[:, :, 112:, 112:].abs().sum()) > 0


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(ValueError, match="stem=30"):
        TransUNet(SCHEMA, stem=30)
    with pytest.raises(ValueError, match=r"widths=\(100, 128, 128\)"):
        TransUNet(SCHEMA, widths=(100, 128, 128))
    with pytest.raises(ValueError, match="size=100 must be a multiple of 16; take 96"):
        transunet(size=100)
