"""Every network of the house, found by listing: shapes, gradients, saving, export. A file without an entry fails."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from foveate.core import find
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.cross_connected import CrossConnected
from foveate.models.baselines.cross_stitch import CrossStitch
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.pspnet import PSPNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.baselines.ynet import YNet
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.joint import Joint
from foveate.models.parts.decoders import FPN, UNet

ROOMS = ("models", "models/baselines")
SCHEMA = LabelSchema(
    (Question("disease"), Question("grade", ("0", "1", "2"), ordered=True)), ("disc", "cup"), exclusive=True
)
LESIONS = LabelSchema((), ("exudate", "haemorrhage"))
GRADED = LabelSchema((Question("disease"), Question("grade", ("0", "1", "2"))), ("exudate", "haemorrhage"))
NARROW = partial(UNet, widths=(32, 16, 16, 8, 8))
Make = Callable[[], nn.Module]

# file -> its networks, each narrow and made without weights; a file that holds functions alone has none
ZOO: dict[str, dict[str, Make]] = {
    "models/joint": {
        "unet": lambda: Joint("resnet10t", SCHEMA, decoder=NARROW, dropout=0.1),
        "fpn": lambda: Joint("tf_efficientnet_lite0", SCHEMA, decoder=partial(FPN, pyramid=32, width=32), channels=1),
        "classifier": lambda: Joint("mobilenetv3_small_050", SCHEMA.select(labels=())),
        "segmenter": lambda: Joint("efficientnet_b0", LESIONS, decoder=partial(UNet, widths=(32, 16, 8)), channels=1),
    },
    "models/cam": {},
    "models/cm_cnn": {
        "complement": lambda: CMCNN("resnet10t", SCHEMA, channels=1),
        "single": lambda: CMCNN("resnet10t", GRADED, mask="single", dropout=0.1),
    },
    "models/cam_unet": {
        "refine": lambda: CAMUNet("resnet10t", LESIONS, widths=(32, 16, 8, 8), channels=1),
        "widen": lambda: CAMUNet("mobilenetv3_small_050", SCHEMA, fuse="widen", widths=(32, 16)),
    },
    "models/dual": {
        "apart": lambda: DualGuidance("resnet10t", SCHEMA, widths=(32, 16, 8, 8), channels=1),
        "shared": lambda: DualGuidance("resnet10t", GRADED, guide="grade", shared=True, fuse="widen", widths=(32, 16)),
    },
    "models/baselines/ynet": {"narrow": lambda: YNet("resnet10t", SCHEMA, widths=(32, 16, 8, 8), channels=1)},
    "models/baselines/cross_stitch": {
        "narrow": lambda: CrossStitch("resnet10t", GRADED, widths=(32, 16)),
    },
    "models/baselines/cross_connected": {
        "narrow": lambda: CrossConnected("resnet10t", SCHEMA, widths=(32, 16, 8, 8), channels=1)
    },
    "models/baselines/unet": {
        "grey": lambda: ClassicUNet(SCHEMA, widths=(8, 16, 32), channels=1),
    },
    "models/baselines/attention_unet": {
        "prior": lambda: AttentionUNet(LESIONS, widths=(8, 16, 32), prior_channels=2),
    },
    "models/baselines/cenet": {
        "prior": lambda: CENet(LESIONS, encoder_name="resnet10t", width=8, prior_channels=1),
    },
    "models/baselines/pspnet": {
        "prior": lambda: PSPNet(LESIONS, encoder_name="resnet10t", width=16, prior_channels=1),
    },
    "models/baselines/opticnet71": {
        "narrow": lambda: OpticNet71(
            SCHEMA, stem=8, widths=(16, 32, 64), depths=(1, 1, 1), hidden=8, channels=1, dropout=0.1
        )
    },
    "models/baselines/classifier": {"grey": lambda: Classifier("resnet18", SCHEMA, channels=1)},
}
CASES = [pytest.param(make, id=f"{file}/{name}") for file, entries in ZOO.items() for name, make in entries.items()]


def made(make: Make) -> nn.Module:
    torch.manual_seed(0)
    return make()


def image_for(net: nn.Module, *, batch: int = 2, size: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Random image with the channels of the first convolution, less those that a prior takes."""
    first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    channels = first.in_channels - getattr(net, "prior_channels", 0)
    return torch.rand(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def tensors(outputs: Outputs) -> list[torch.Tensor]:
    alone = [t for t in (outputs.pixel, outputs.image, outputs.activation) if t is not None]
    return [*alone, *outputs.features, *outputs.aux]


def test_every_file_has_an_entry() -> None:
    assert {f"{room}/{name}" for room in ROOMS for name in find.names(room)} == set(ZOO)


@pytest.mark.parametrize("file", ZOO)
def test_every_network_of_a_file_is_tried(file: str) -> None:
    room, _, name = file.rpartition("/")
    module = find.load(room, name)
    networks = {
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, nn.Module)
        and cls.__module__ == module.__name__
        and "Outputs" in str(inspect.signature(cls.forward).return_annotation)
    }
    assert networks == {type(make()) for make in ZOO[file].values()}


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("size", [(64, 64), (65, 47), (32, 33)])
@torch.no_grad()
def test_shapes(make: Make, size: tuple[int, int]) -> None:
    net = made(make).eval()
    image = image_for(net, size=size)
    outputs = net(image)
    assert type(outputs) is Outputs
    for pixel in (outputs.pixel, *outputs.aux):
        assert pixel is None or tuple(pixel.shape[2:]) == size
    assert outputs.image is None or outputs.image.ndim == 2
    assert outputs.pixel is not None or outputs.image is not None
    assert all(t.shape[0] == 2 and t.isfinite().all() for t in tensors(outputs))
    rows = [f.shape[2] for f in outputs.features]
    assert rows == sorted(rows, reverse=True)


@pytest.mark.parametrize("make", CASES)
def test_gradient_reaches_every_parameter(make: Make) -> None:
    net = made(make).train()
    for module in net.modules():  # timm starts the last normalisation of a block at 0, where nothing passes
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    outputs = net(image_for(net, batch=3))
    sum(t.square().mean() for t in tensors(outputs._replace(features=()))).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize("make", CASES)
@torch.no_grad()
def test_saved_and_loaded_it_answers_the_same(make: Make, tmp_path: Path) -> None:
    net = made(make).eval()
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(7)
    other = make().eval()
    image = image_for(net)
    before = tensors(other(image))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    expected = tensors(net(image))
    assert all(torch.equal(a, b) for a, b in zip(tensors(other(image)), expected, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, expected, strict=True))


@pytest.mark.parametrize("make", CASES)
def test_trains_in_half_precision_with_channels_last(make: Make) -> None:
    net = made(make).train().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = net(image_for(net, batch=3).contiguous(memory_format=torch.channels_last))
    sum(t.float().square().mean() for t in tensors(outputs._replace(features=()))).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("make", CASES)
@torch.no_grad()
def test_images_of_a_batch_do_not_influence_each_other(make: Make) -> None:
    net = made(make).eval()
    image = image_for(net)
    for both, one in zip(tensors(net(image)), tensors(net(image[1:])), strict=True):
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", CASES)
@torch.no_grad()
def test_export_equals_eager(make: Make) -> None:
    net = made(make).eval()
    image = image_for(net, size=(65, 47))
    exported = torch.export.export(net, (image,), dynamic_shapes=({0: torch.export.Dim("b")},)).module()
    larger = image_for(net, batch=3, size=(65, 47))
    outputs = exported(larger)
    assert type(outputs) is Outputs
    for ours, eager in zip(tensors(outputs), tensors(net(larger)), strict=True):
        torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-5)
