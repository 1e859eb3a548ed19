"""Every network of the house, found by listing: shapes, gradients, saving, export. A file without an entry fails."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from foveate.core import plugins as find
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.answering import Answering
from foveate.models.baselines.abn import ABN
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.cross_connected import CrossConnected
from foveate.models.baselines.cross_stitch import CrossStitch
from foveate.models.baselines.danet import DANet
from foveate.models.baselines.deeplabv3plus import DeepLabV3Plus
from foveate.models.baselines.fcn import FCN
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.presence import Presence
from foveate.models.baselines.pspnet import PSPNet
from foveate.models.baselines.swin_unet import SwinUNet
from foveate.models.baselines.transfuse import TransFuse
from foveate.models.baselines.transunet import TransUNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.baselines.ynet import YNet
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.guided import Guided, HBAClassifier
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint
from foveate.models.lesion_net import LesionNet
from foveate.models.parts.decoders import FPN, UNet
from foveate.models.region_cnn import RegionCNN
from foveate.models.side_attention import SideAttention

ROOMS = ("models", "models/baselines")
SCHEMA = LabelSchema(
    (Question("disease"), Question("grade", ("0", "1", "2"), ordered=True)), ("disc", "cup"), exclusive=True
)
LESIONS = LabelSchema((), ("exudate", "haemorrhage"))
GRADED = LabelSchema((Question("disease"), Question("grade", ("0", "1", "2"))), ("exudate", "haemorrhage"))
NARROW = partial(UNet, widths=(32, 16, 16, 8, 8))
Make = Callable[[], nn.Module]


def opened(net: nn.Module) -> nn.Module:
    """A network whose attentions, which start at 0, let something pass."""
    for name, parameter in net.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.5)
    return net


# file -> its networks, each narrow and made without weights; a file that holds functions alone has none
ZOO: dict[str, dict[str, Make]] = {
    "models/joint": {
        "unet": lambda: Joint("resnet10t", SCHEMA, decoder=NARROW, dropout=0.1),
        "fpn": lambda: Joint("tf_efficientnet_lite0", SCHEMA, decoder=partial(FPN, pyramid=32, width=32), channels=1),
        "classifier": lambda: Joint("mobilenetv3_small_050", SCHEMA.select(labels=())),
        "transformer": lambda: Joint("vit_tiny_patch16_224", SCHEMA, decoder=NARROW),
        "segmenter": lambda: Joint("efficientnet_b0", LESIONS, decoder=partial(UNet, widths=(32, 16, 8)), channels=1),
    },
    "models/cam": {},
    "models/region_cnn": {
        "small": lambda: RegionCNN(GRADED, width=4, pyramid=8),
        "large": lambda: RegionCNN(SCHEMA, lesion_size="large", width=4, levels=3, blocks=2, pyramid=8, channels=1),
    },
    "models/guided": {
        "classifier": lambda: Guided(Classifier("resnet10t", GRADED)),
        "hba": lambda: HBAClassifier(HBAUNet("resnet10t", GRADED, size=64, widths=(16, 8, 8, 8, 8), channels=1)),
    },
    "models/answering": {"unet": lambda: Answering(ClassicUNet(SCHEMA, widths=(8, 16, 32)), SCHEMA, width=32)},
    "models/hba_unet": {
        "grey": lambda: HBAUNet("resnet10t", SCHEMA, size=64, widths=(32, 16, 16, 8, 8), channels=1, dropout=0.1),
        "skips": lambda: HBAUNet("resnet10t", LESIONS, size=32, widths=(16, 16, 8, 8, 8), attend_skips=True),
    },
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
    "models/baselines/transunet": {
        "narrow": lambda: TransUNet(
            SCHEMA,
            size=64,
            stem=32,
            widths=(128, 128, 128),
            layers=(1, 1, 1),
            embed=16,
            depth=1,
            heads=2,
            decoder=(16, 16, 8, 8, 8),
            channels=1,
        )
    },
    "models/baselines/swin_unet": {
        "narrow": lambda: SwinUNet(GRADED, size=64, window=4, embed=8, depths=(2, 2, 2), head=4, prior_channels=1),
    },
    "models/baselines/transfuse": {
        "narrow": lambda: TransFuse(SCHEMA, encoder_name="resnet10t", embed=16, depth=1, heads=2, size=64, channels=1),
        "marks": lambda: TransFuse(LESIONS, encoder_name="resnet10t", embed=8, depth=1, heads=2, size=(32, 48)),
    },
    "models/lesion_net": {
        "2s": lambda: LesionNet("resnet10t", SCHEMA, stride=2, channels=1),
        "16s": lambda: LesionNet("mobilenetv3_small_050", LESIONS, stride=16),
        "32s": lambda: LesionNet("resnet10t", LESIONS, stride=32),
    },
    "models/side_attention": {
        "conv": lambda: SideAttention("resnet10t", GRADED, lesions=partial(LesionNet, "resnet10t", LESIONS)),
        "cw_maxpool": lambda: SideAttention(
            "resnet10t",
            SCHEMA,
            lesions=partial(FCN, "resnet10t", SCHEMA, channels=1),
            attention="cw_maxpool",
            shrink="mean",
            channels=1,
        ),
        "concat": lambda: SideAttention(
            "resnet10t", GRADED, lesions=partial(LesionNet, "resnet10t", LESIONS), attention="concat", dropout=0.1
        ),
    },
    "models/baselines/fcn": {
        "8s": lambda: FCN("resnet10t", SCHEMA, stride=8, channels=1),
        "32s": lambda: FCN("resnet10t", LESIONS),
    },
    "models/baselines/deeplabv3plus": {
        "narrow": lambda: DeepLabV3Plus("resnet10t", LESIONS, width=16),
        "grey": lambda: DeepLabV3Plus("mobilenetv3_small_050", SCHEMA, width=8, dropout=0.1, channels=1),
    },
    "models/baselines/danet": {
        "opened": lambda: opened(DANet("resnet10t", LESIONS, width=16, reduction=16, dropout=0.1)),
    },
    "models/baselines/abn": {
        "grey": lambda: ABN("resnet10t", GRADED, channels=1, dropout=0.1),
        "mobile": lambda: ABN("mobilenetv3_small_050", GRADED),
    },
    "models/baselines/presence": {
        "classifier": lambda: Presence(LESIONS, classifier=partial(Classifier, "resnet10t", channels=1)),
        "branch": lambda: Presence(LESIONS, classifier=partial(ABN, "resnet10t")),
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


def given(net: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The image, and where the network does not do without a prior, one made of the image."""
    maps = getattr(net, "prior_channels", 0) or int(isinstance(net, CAMUNet))
    return (image, image[:, :1].flip(3).repeat(1, maps, 1, 1)) if maps else (image,)


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
    outputs = net(*given(net, image))
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
    outputs = net(*given(net, image_for(net, batch=3)))
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
    before = tensors(other(*given(net, image)))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    expected = tensors(net(*given(net, image)))
    assert all(torch.equal(a, b) for a, b in zip(tensors(other(*given(net, image))), expected, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, expected, strict=True))


@pytest.mark.parametrize("make", CASES)
def test_trains_in_half_precision_with_channels_last(make: Make) -> None:
    net = made(make).train().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = net(*given(net, image_for(net, batch=3).contiguous(memory_format=torch.channels_last)))
    sum(t.float().square().mean() for t in tensors(outputs._replace(features=()))).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("make", CASES)
@torch.no_grad()
def test_images_of_a_batch_do_not_influence_each_other(make: Make) -> None:
    net = made(make).eval()
    image = image_for(net)
    for both, one in zip(tensors(net(*given(net, image))), tensors(net(*given(net, image[1:]))), strict=True):
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", CASES)
@torch.no_grad()
def test_export_equals_eager(make: Make) -> None:
    net = made(make).eval()
    image = image_for(net, size=(65, 47))
    args, batch = given(net, image), {0: torch.export.Dim("b")}
    exported = torch.export.export(net, args, dynamic_shapes=(batch,) * len(args)).module()
    larger = image_for(net, batch=3, size=(65, 47))
    outputs = exported(*given(net, larger))
    assert type(outputs) is Outputs
    for ours, eager in zip(tensors(outputs), tensors(net(*given(net, larger))), strict=True):
        torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-5)
