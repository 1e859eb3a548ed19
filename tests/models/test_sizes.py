"""Sizes of the networks against those that the tables of Diao et al. 2023 print, in float32 MiB; size.py itself."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.classifier import ROWS, Classifier
from foveate.models.baselines.cross_connected import CrossConnected
from foveate.models.baselines.cross_stitch import CrossStitch
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.pspnet import PSPNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.baselines.ynet import YNet
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.parts.size import multiply_adds, parameters, peak_mib, size_mib

SCHEMA = LabelSchema((Question("disease", ("CNV", "drusen", "normal")),), ("lesion",))
R18 = "resnet18"


# name -> network, printed size, share by which ours may differ
PRINTED: dict[str, tuple[Callable[[], nn.Module], float, float]] = {
    "CM-CNN": (lambda: CMCNN(R18, SCHEMA, channels=1), 60.63, 5e-4),
    "CAM-UNet": (lambda: CAMUNet(R18, SCHEMA, channels=1), 60.79, 5e-4),
    "CAM-UNet, widened": (lambda: CAMUNet(R18, SCHEMA, fuse="widen", channels=1), 60.79, 5e-4),
    "both": (lambda: DualGuidance(R18, SCHEMA, channels=1), 121.42, 5e-4),
    "Y-Net": (lambda: YNet(R18, SCHEMA, channels=1), 54.61, 1e-3),
    "cross-stitch": (lambda: CrossStitch(R18, SCHEMA, channels=1), 97.21, 1e-3),
    "cross-connected": (lambda: CrossConnected(R18, SCHEMA, channels=1), 103.40, 1e-3),
    "U-Net": (lambda: ClassicUNet(SCHEMA, channels=1), 29.62, 1e-3),
    "Attention U-Net": (lambda: AttentionUNet(SCHEMA, channels=1), 33.29, 1e-3),
    "PSPNet": (lambda: PSPNet(SCHEMA, channels=1), 77.18, 1e-3),
    "CE-Net": (lambda: CENet(SCHEMA, channels=1), 110.07, 1e-2),
    "Inception-v3": (lambda: Classifier(ROWS["inception_v3"], SCHEMA, channels=1), 83.13, 1e-3),
    "MobileNet": (lambda: Classifier(ROWS["mobilenet"], SCHEMA, channels=1), 12.26, 2e-3),
}


@pytest.mark.parametrize("name", PRINTED)
def test_size_is_the_printed_one(name: str) -> None:
    make, printed, share = PRINTED[name]
    assert size_mib(make()) == pytest.approx(printed, rel=share)


def test_counts_to_the_last_parameter() -> None:
    """Those that come to a published count exactly, and how far VGG16 and SE-ResNet-50 are from the printed rows."""
    assert parameters(Classifier("inception_v3", SCHEMA)) == 21_791_715
    fused, plain = (parameters(CAMUNet(R18, SCHEMA, fuse=fuse, channels=1)) for fuse in ("widen", None))
    assert fused - plain == 1_622_016
    optic = OpticNet71(SCHEMA, channels=1)
    statistics = sum(b.numel() for name, b in optic.named_buffers() if "running" in name)
    assert (parameters(optic) + statistics) / 2**20 == pytest.approx(11.91, abs=0.005)
    assert parameters(Classifier(ROWS["vgg16"], SCHEMA, channels=1)) == 14_715_075
    assert size_mib(Classifier(ROWS["senet"], SCHEMA, channels=1)) == pytest.approx(99.33, abs=0.01)


def test_size_counts_four_bytes_a_parameter_and_shared_ones_once() -> None:
    layer = nn.Linear(3, 5)
    assert parameters(nn.ModuleList([layer, layer])) == 20
    assert size_mib(nn.Sequential(layer, nn.BatchNorm1d(5)).half()) == 30 * 4 / 2**20


def test_multiply_adds_of_a_convolution() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)

        def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> torch.Tensor:
            return self.norm(self.conv(image))

    net = One()
    net.conv.eval()
    assert multiply_adds(net, torch.rand(2, 3, 8, 16)) == 2 * 8 * 16 * 5 * 3 * 9
    assert (net.training, net.conv.training, net.norm.training) == (True, False, True)
    assert int(net.norm.num_batches_tracked) == 0


def test_multiply_adds_without_computing() -> None:
    net = CMCNN("resnet10t", SCHEMA, channels=1)
    counted = multiply_adds(net, torch.rand(1, 1, 64, 64))
    assert counted == multiply_adds(net.to("meta"), torch.empty(1, 1, 64, 64, device="meta"))


def test_peak_memory_is_that_of_what_is_alive() -> None:
    """Input, 4 maps, and 4 more while the first are still read: 1 + 4 + 4 MiB of 512 x 512 floats, and weights."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)
            )

        def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> torch.Tensor:
            out: torch.Tensor = self.layers(image)
            return out

    net = Plain()
    found = peak_mib(net, torch.zeros(1, 1, 512, 512))
    assert found == pytest.approx(9 + size_mib(net), abs=1e-6)
    assert peak_mib(net, torch.zeros(2, 1, 512, 512)) == pytest.approx(2 * 9 + size_mib(net), abs=1e-6)
    assert found == peak_mib(net.to("meta"), torch.zeros(1, 1, 512, 512, device="meta"))
    assert net.training
