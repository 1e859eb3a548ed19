"""Swin-Unet: published size, expanding patches, windows and sizes, timm's weights."""

from pathlib import Path

import pytest
import timm
import torch
from baselines_cases import ORGANS, SCHEMA, swin_unet
from safetensors.torch import save_file

from foveate.models.baselines.swin_unet import Expand, SwinUNet
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.size import parameters


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
    source = swin_unet().encoder.pyramid.state_dict()
    file = tmp_path / "swin.safetensors"
    save_file({name: torch.full_like(value, 0.5) for name, value in source.items()}, file)
    net = swin_unet()
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


def test_sizes_that_windows_do_not_cover() -> None:
    with pytest.raises(ValueError, match=r"size=256 must be a multiple of 224 .* take size=224 or window=2 or 4 or 8"):
        SwinUNet(SCHEMA, size=256)
    with pytest.raises(ValueError, match=r"size=100 must be a multiple of 224 .* take size=224$"):
        SwinUNet(SCHEMA, size=100)
    with torch.device("meta"):
        SwinUNet(SCHEMA, size=128, window=4)
        SwinUNet(SCHEMA, size=(256, 512), window=8)


def test_shifted_windows_see_beyond_their_window() -> None:
    def reach(depth: int) -> float:
        net = swin_unet(depths=(depth, 1))
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(image).features[0][0, :, 3, 3].square().sum(), image)
        return float(gradient[:, :, 16:].abs().sum())

    assert reach(1) == 0  # a window is 16 px
    assert reach(2) > 0


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(ValueError, match="embed=40 must be a multiple of head=32; take 32"):
        SwinUNet(SCHEMA, embed=40)
