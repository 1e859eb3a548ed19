"""Swin-Unet: published size, expanding patches, windows and sizes, prior, answers, timm's weights."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.swin_unet import Expand, SwinUNet
from foveate.models.cam import closed_form, grad_cam, of_answer
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.size import parameters

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")),), ("lesion",))
ORGANS = LabelSchema((), tuple("abcdefgh"), exclusive=True)


def tiny(schema: LabelSchema = SCHEMA, *, size: int = 64, prior_channels: int = 0) -> SwinUNet:
    torch.manual_seed(0)
    return SwinUNet(
        schema, size=size, window=4, embed=8, depths=(2, 1, 1), head=4, prior_channels=prior_channels
    ).eval()


def test_size_is_the_published_one() -> None:
    with torch.device("meta"):
        assert parameters(SwinUNet(ORGANS)) / 1e6 == pytest.approx(27.17, rel=1e-4)


def test_timms_weights_have_a_place_for_every_tensor() -> None:
    with torch.device("meta"):
        net = SwinUNet(ORGANS)
        theirs = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).state_dict()
    wanted = net.encoder.pyramid.state_dict()
    assert set(wanted) < set(theirs)
    assert all(theirs[name].shape == value.shape for name, value in wanted.items())


def test_starts_from_a_file(tmp_path: Path) -> None:
    source = tiny().encoder.pyramid.state_dict()
    file = tmp_path / "swin.safetensors"
    save_file({name: torch.full_like(value, 0.5) for name, value in source.items()}, file)
    net = tiny()
    pretrain(net, weights=file)
    assert all(bool((p == 0.5).all()) for p in net.encoder.pyramid.parameters())
    assert net.encoder.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])


@torch.no_grad()
def test_expand_lays_the_parts_of_a_patch_side_by_side() -> None:
    expand = Expand(6, 3, factor=2).eval()
    x = torch.randn(2, 4, 5, 6)
    grown = expand(x)
    assert grown.shape == (2, 8, 10, 3)
    for i, j, p, q in ((0, 0, 0, 1), (3, 4, 1, 0), (2, 1, 1, 1)):
        part = expand.linear(x[1, i, j])[(2 * p + q) * 3 : (2 * p + q + 1) * 3]
        torch.testing.assert_close(grown[1, 2 * i + p, 2 * j + q], expand.norm(part))


@torch.no_grad()
def test_other_sizes_than_it_was_made_for() -> None:
    net = tiny()
    for size in ((64, 64), (128, 64), (50, 33)):
        outputs = net(torch.rand(1, 3, *size))
        assert outputs.pixel.shape == (1, 1, *size)
        assert outputs.features[-1].shape[1:] == (32, -(-size[0] // 16), -(-size[1] // 16))


def test_sizes_that_windows_do_not_cover() -> None:
    with pytest.raises(ValueError, match=r"size=256 is no multiple of 224 .* take size=224 or window=2 or 4 or 8"):
        SwinUNet(SCHEMA, size=256)
    with pytest.raises(ValueError, match=r"size=100 is no multiple of 224 .* take size=224$"):
        SwinUNet(SCHEMA, size=100)
    with torch.device("meta"):
        SwinUNet(SCHEMA, size=128, window=4)
        SwinUNet(SCHEMA, size=(256, 512), window=8)


def test_shifted_windows_see_beyond_their_window() -> None:
    def reach(depth: int) -> float:
        torch.manual_seed(0)
        net = SwinUNet(SCHEMA, size=64, window=4, embed=8, depths=(depth, 1), head=4).eval()
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(image).features[0][0, :, 3, 3].square().sum(), image)
        return float(gradient[:, :, 16:].abs().sum())

    assert reach(1) == 0  # a window is 16 px
    assert reach(2) > 0


@torch.no_grad()
def test_the_prior_is_a_further_channel() -> None:
    net, image, prior = tiny(prior_channels=1), torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    assert not torch.equal(net(image, prior).pixel, net(image, torch.zeros_like(prior)).pixel)
    assert torch.equal(tiny()(image, prior).pixel, tiny()(image).pixel)
    with pytest.raises(ValueError, match="prior=None"):
        net(image)


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
        SwinUNet(SCHEMA.select(labels=()))
    with pytest.raises(ValueError, match="embed=40 is no multiple of head=32; take 32"):
        SwinUNet(SCHEMA, embed=40)
