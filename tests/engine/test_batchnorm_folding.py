"""Folding normalisation into convolutions: the same answers, fewer layers, and nothing folded that others read."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.engine.batchnorm_folding import fold_when_called, folded
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.cam import grad_cam, of_answer
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.joint import Joint

SCHEMA = LabelSchema((Question("disease"),), ("drusen", "fluid"))

NETWORKS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "CM-CNN": (0, lambda: CMCNN("resnet10t", SCHEMA, channels=1)),
    "CAM-UNet": (0, lambda: CAMUNet("resnet10t", SCHEMA, widths=(32, 16, 8, 8), channels=1)),
    "U-Net with biases": (0, lambda: ClassicUNet(SCHEMA, widths=(8, 16, 32), channels=1)),
    "normalisation with an activation": (0, lambda: Joint("efficientnet_b0", SCHEMA, channels=1)),
    "transposed": (0, lambda: CENet(SCHEMA, encoder_name="resnet10t", width=8, channels=1, prior_channels=1)),
    "normalisation of sums": (
        12,
        lambda: OpticNet71(SCHEMA, stem=8, widths=(16, 32), depths=(1, 1), hidden=8, channels=1),
    ),
}
"""How many normalisations are left, and the network."""


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def lived(network: nn.Module) -> nn.Module:
    """With statistics and scales as after training."""
    generator = torch.Generator().manual_seed(1)
    for norm in norms(network):
        size = norm.num_features
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(torch.randn(size, generator=generator) * 0.1)
        norm.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
        norm.weight.data.copy_(torch.rand(size, generator=generator) * 0.5 + 0.5)
        norm.bias.data.copy_(torch.randn(size, generator=generator) * 0.1)
    return network.eval()


def tensors(outputs: Outputs) -> list[Tensor]:
    return [t for t in (outputs.pixel, outputs.image, *outputs.features) if t is not None]


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_it_answers_as_before(name: str, image: Tensor) -> None:
    torch.manual_seed(0)
    left, make = NETWORKS[name]
    network, prior = lived(make()), image.roll(5, 2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    expected = tensors(network(image, prior))
    quick = folded(network, image, prior=prior)
    for ours, theirs in zip(tensors(quick(image, prior)), expected, strict=True):
        scale = max(float(theirs.abs().max()), 1.0)
        torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)
    assert len(norms(quick)) == left < len(norms(network))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in quick.modules())


def test_the_map_of_an_answer_stays(image: Tensor) -> None:
    torch.manual_seed(0)
    network = lived(CMCNN("resnet10t", SCHEMA, channels=1))
    expected = grad_cam(network, image, target=of_answer(0))
    ours = grad_cam(folded(network, image), image, target=of_answer(0))
    assert expected.max() > 0
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


class Toy(nn.Module):
    """One pair that may be folded, and the ways in which one may not."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv, self.norm = kind, nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.other = nn.Conv2d(1, 3, 1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        x = self.conv(image)
        if self.kind == "both":
            return Outputs(pixel=self.norm(x) + x)
        if self.kind == "shown":
            return Outputs(pixel=self.norm(x), features=(x,))
        if self.kind == "twice":
            return Outputs(pixel=self.norm(x) + self.norm(self.other(image)))
        if self.kind == "shared":
            return Outputs(pixel=self.norm(x) + self.conv(image * 2))
        if self.kind == "apart":
            return Outputs(pixel=self.norm(self.other(image)) + x)
        return Outputs(pixel=self.norm(x) * x.shape[1])


@pytest.mark.parametrize(
    ("kind", "left"), [("plain", 0), ("apart", 0), ("both", 1), ("shown", 1), ("twice", 1), ("shared", 1)]
)
@torch.no_grad()
def test_what_others_read_is_not_folded(kind: str, left: int, image: Tensor) -> None:
    torch.manual_seed(0)
    network = lived(Toy(kind))
    quick = folded(network, image)
    assert len(norms(quick)) == left
    for ours, theirs in zip(tensors(quick(image)), tensors(network(image)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_batch_statistics_are_not_folded(image: Tensor) -> None:
    network = Toy("plain")
    network.norm = nn.BatchNorm2d(3, track_running_stats=False)
    assert len(norms(folded(network.eval(), image))) == 1


def test_training_mode_is_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"network is in training mode.*network\.eval\(\)"):
        folded(Toy("plain").train(), image)


@torch.no_grad()
def test_the_first_call_folds_once_for_all_threads(image: Tensor) -> None:
    torch.manual_seed(0)
    network = lived(CMCNN("resnet10t", SCHEMA, channels=1))
    expected = network(image).image
    fold_when_called(network)
    assert norms(network)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: network(image).image, range(8)):
            torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-5)
    assert not norms(network)
    assert not network._forward_pre_hooks
