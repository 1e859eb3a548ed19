"""Encoders: sizes, channels, normalisation, weights from files."""

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from foveate.models.parts.encoders import Encoder, encoder, pretrain
from foveate.models.parts.weights import fill, read

NARROW = ["resnet10t", "resnet18", "efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv3_small_050", "convnext_atto"]


def pretrained(name: str, weights: Path | str, **keywords: object) -> Encoder:
    made = encoder(name, **keywords)
    pretrain(made, weights=weights)
    return made


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        *((name, 1, (65, 47)) for name in NARROW),
        *((name, 3, (32, 64)) for name in NARROW),
        ("vgg11", 1, (32, 33)),
        ("inception_v3", 3, (65, 47)),
        ("inception_v3.tv_in1k", 3, (64, 33)),
        ("inception_v3.gluon_in1k", 1, (96, 32)),
    ],
)
@torch.no_grad()
def test_maps_are_whole_fractions_of_the_padded_image(name: str, channels: int, size: tuple[int, int]) -> None:
    net = encoder(name, channels=channels).eval()
    features = net(torch.rand(2, channels, *size))
    padded = [-(-s // 32) * 32 for s in size]
    assert [tuple(f.shape) for f in features] == [
        (2, c, padded[0] // r, padded[1] // r) for c, r in zip(net.channels, net.reductions, strict=True)
    ]


@pytest.mark.parametrize("name", ["inception_v3", "inception_v3.tv_in1k", "inception_v3.tf_adv_in1k"])
@torch.no_grad()
def test_inception_halves_exactly_whatever_the_tag_of_its_weights(name: str) -> None:
    net = encoder(name).eval()
    assert [tuple(f.shape[2:]) for f in net(torch.rand(1, 3, 64, 96))] == [
        (64 // r, 96 // r) for r in (2, 4, 8, 16, 32)
    ]
    assert net.reductions == [2, 4, 8, 16, 32]


def test_a_tag_brings_the_normalisation_of_its_weights() -> None:
    for name in ("inception_v3.tv_in1k", "inception_v3.gluon_in1k"):
        published = timm.get_pretrained_cfg(name)
        assert encoder(name).expects == (published.mean, published.std)
    assert encoder("inception_v3.gluon_in1k").expects != encoder("inception_v3.tv_in1k").expects


@torch.no_grad()
def test_a_tag_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    make, asked = timm.create_model, []

    def from_hub(name: str, *, features_only: bool, in_chans: int, pretrained: bool = False) -> torch.nn.Module:
        asked.append((name, pretrained))
        return make(name, features_only=features_only, in_chans=in_chans)

    monkeypatch.setattr(timm, "create_model", from_hub)
    net = pretrained("inception_v3.gluon_in1k", "hub")
    assert asked == [("inception_v3.gluon_in1k", False), ("inception_v3.gluon_in1k", True)]
    assert net.filled is not None
    assert net.filled.matched == net.filled.total
    assert net.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_padding_changes_nothing_where_the_size_fits() -> None:
    net = encoder("resnet10t").eval()
    image = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        for ours, plain in zip(net(image), net.pyramid(image), strict=True):
            assert torch.equal(ours, plain)


def test_wrong_channels_are_named() -> None:
    with pytest.raises(ValueError, match=r"1 channels.*reads 3"):
        encoder("resnet10t")(torch.rand(1, 1, 64, 64))


def test_unknown_and_unsuitable_networks_are_named() -> None:
    with pytest.raises(ValueError, match=r"'resnet18x'.*similar names.*resnet18"):
        encoder("resnet18x")
    with pytest.raises(ValueError, match="'convit_tiny' does not take images of every size"):
        encoder("convit_tiny")


def test_a_network_off_the_grid_is_refused() -> None:
    off = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2))
    with pytest.raises(ValueError, match="but the reductions are"):
        Encoder(ListOf(off), name="off", channels=[4], reductions=[2], mean=[0.0] * 3, std=[1.0] * 3)


class ListOf(torch.nn.Module):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.net(x)]


def test_construction_leaves_training_mode_and_statistics_alone() -> None:
    net = encoder("resnet10t")
    assert all(m.training for m in net.modules())
    assert int(net.state_dict()["pyramid.bn1.num_batches_tracked"]) == 0


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file as the hubs have them: three channels, half precision, with a classifier."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet10t.safetensors"
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in timm.create_model("resnet10t").state_dict().items()},
        path,
    )
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(file: Path, tmp_path: Path, suffix: str) -> None:
    source = file
    if suffix == ".pth":
        source = tmp_path / "w.pth"
        torch.save({"state_dict": read(file)}, source)
    net = pretrained("resnet10t", source)
    state = read(file)
    assert net.filled is not None
    assert net.filled.matched == net.filled.total == len(net.pyramid.state_dict())
    assert set(net.filled.unused) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(v, state[k]) and v.dtype == state[k].dtype for k, v in net.pyramid.state_dict().items())
    assert net.mean.flatten().tolist() == pytest.approx(timm.get_pretrained_cfg("resnet10t").mean)


@torch.no_grad()
def test_pretrain_fills_every_encoder_of_a_network(file: Path) -> None:
    image = torch.rand(1, 3, 64, 64)
    expected = pretrained("resnet10t", file).eval()(image)[-1]
    both = torch.nn.ModuleList([encoder("resnet10t"), torch.nn.Sequential(encoder("resnet10t"))]).eval()
    pretrain(both, weights="none")
    assert not torch.equal(both[0](image)[-1], expected)
    pretrain(both, weights=file)
    assert torch.equal(both[0](image)[-1], expected)
    assert torch.equal(both[1](image)[-1], expected)
    with pytest.raises(ValueError, match="Linear has no encoder"):
        pretrain(torch.nn.Linear(1, 1), weights=file)


@torch.no_grad()
def test_hub_weights_are_timms_for_these_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    published, asked = timm.create_model("resnet10t", features_only=True, in_chans=1), []
    make = timm.create_model

    def from_hub(name: str, *, features_only: bool, in_chans: int, pretrained: bool = False) -> torch.nn.Module:
        asked.append((name, features_only, in_chans, pretrained))
        return published if pretrained else make(name, features_only=features_only, in_chans=in_chans)

    monkeypatch.setattr(timm, "create_model", from_hub)
    net = pretrained("resnet10t", "hub", channels=1)
    assert asked == [("resnet10t", True, 1, False), ("resnet10t", True, 1, True)]
    assert all(torch.equal(v, net.pyramid.state_dict()[k]) for k, v in published.state_dict().items())
    assert net.mean.item() == pytest.approx(sum((0.485, 0.456, 0.406)) / 3)


@torch.no_grad()
def test_random_weights_take_the_image_as_it_is() -> None:
    net, image = encoder("resnet10t").eval(), torch.rand(1, 3, 64, 64)
    assert torch.equal(net(image)[-1], net.pyramid(image)[-1])


@torch.no_grad()
def test_normalisation_is_inside(file: Path) -> None:
    net = pretrained("resnet10t", file).eval()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    image = torch.rand(1, 3, 64, 64)
    for ours, plain in zip(net(image), net.pyramid((image - mean) / std), strict=True):
        torch.testing.assert_close(ours, plain)


@torch.no_grad()
def test_normalisation_travels_with_the_weights(file: Path) -> None:
    """A run is read back where the weights file is not: same numbers from a network made without weights."""
    trained, bare = pretrained("resnet10t", file).eval(), encoder("resnet10t").eval()
    bare.load_state_dict(trained.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(trained(image)[-1], bare(image)[-1])


@torch.no_grad()
def test_one_channel_answers_like_the_same_image_in_every_channel(file: Path) -> None:
    grey, colour = pretrained("resnet10t", file, channels=1).eval(), pretrained("resnet10t", file).eval()
    image = torch.rand(1, 1, 64, 64)
    for a, b in zip(grey.pyramid(image), colour.pyramid(image.expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    assert grey.mean.item() == pytest.approx(sum((0.485, 0.456, 0.406)) / 3)


def test_another_networks_file_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(str(file)) + r".*of \d+ tensors.*missing are"):
        pretrain(encoder("resnet34"), weights=file)


def test_five_in_a_hundred_may_miss_and_nothing_is_filled_otherwise() -> None:
    net = torch.nn.Sequential(*(torch.nn.Linear(1, 1, bias=False) for _ in range(20)))
    state = {name: torch.full((1, 1), 7.0) for name in net.state_dict()}
    before = net[0].weight.item()
    with pytest.raises(ValueError, match=r"fill 18 of 20.*missing are 18\.weight, 19\.weight"):
        fill(net, dict(list(state.items())[:18]), file="w")
    assert net[0].weight.item() == before
    filled = fill(net, dict(list(state.items())[:19]), file="w")
    assert (filled.matched, filled.total, filled.missing) == (19, 20, ("19.weight",))
    assert net[0].weight.item() == 7.0


def test_a_wrong_shape_counts_as_missing() -> None:
    net = torch.nn.Linear(2, 2)
    assert fill(net, {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, file="w", least=0.5).missing == ("weight",)


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 'none', 'hub', 'auto' or the path"):
        pretrain(encoder("resnet10t"), weights=tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="save a state_dict"):
        read(tmp_path / "list.pth")


@torch.no_grad()
def test_stride_first_moves_the_stride_and_keeps_the_sizes() -> None:
    torch.manual_seed(0)
    first, second = encoder("resnet50", stride_first=True).eval(), encoder("resnet50").eval()
    for block in second.modules():  # timm starts the last normalisation of a block at 0, which hides its branch
        if isinstance(block, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(block.weight)
    first.load_state_dict(second.state_dict())
    for layer in ("layer2", "layer3", "layer4"):
        block = first.pyramid[layer][0]
        assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    image = torch.rand(1, 3, 64, 64)
    a, b = first(image), second(image)
    assert [f.shape for f in a] == [f.shape for f in b]
    assert torch.equal(a[1], b[1])
    assert not torch.allclose(a[2], b[2])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "stem", "channels", "unused"),
    [
        ("resnet50", "resnet50_keras_v1_nofc_fp16", 3, 0),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0", 1, 8),
        ("inception_v3", "inception_v3_fid_nofc_fp16", 3, 0),
    ],
)
@torch.no_grad()
def test_real_weights_fill_every_tensor(real_weights: Path, name: str, stem: str, channels: int, unused: int) -> None:
    net = pretrained(name, real_weights / f"{stem}.pth", channels=channels).eval()
    assert net.filled is not None
    assert net.filled.matched == net.filled.total
    assert len(net.filled.unused) == unused
    assert all(torch.isfinite(f).all() for f in net(torch.rand(1, channels, 64, 64)))


@pytest.mark.real
@torch.no_grad()
def test_real_images_have_the_statistics_that_the_weights_were_trained_for(real_weights: Path, real_data: Path) -> None:
    """Catches a normalisation or a stride that the weights do not have: variances would be off by factors."""
    files = sorted((real_data / "fundus_dr_grading_srahim600" / "images").iterdir())[::80]
    if not files:
        pytest.skip("the fundus images are not here")
    image = torch.stack([torch.from_numpy(np.array(Image.open(f).convert("RGB").resize((128, 128)))) for f in files])
    image = image.permute(0, 3, 1, 2).float() / 255

    def off(stride_first: bool) -> float:
        """Mean over layer3's normalisations of the median |log(variance seen / variance in training)|."""
        net = pretrained("resnet50", real_weights / "resnet50_keras_v1_nofc_fp16.pth", stride_first=stride_first)
        found: list[float] = []

        def see(norm: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            found.append(float((inputs[0].var((0, 2, 3)) / norm.running_var).log().abs().median()))

        for norm in net.pyramid["layer3"].modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.register_forward_hook(see)
        net.eval()(image)
        return sum(found) / len(found)

    right, wrong = off(True), off(False)
    assert right < 0.75 * wrong
    assert right < 0.7
