"""Region CNN and guided classifiers: maps whose mean is the logit, pyramids by lesion size, Xavier weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.baselines.classifier import Classifier
from foveate.models.cam import cam_logits, closed_form
from foveate.models.cm_cnn import CMCNN
from foveate.models.guided import Guided
from foveate.models.parts.size import parameters
from foveate.models.region_cnn import RATES, RegionCNN

SCHEMA = LabelSchema((Question("exudate", evidence=("ex",)), Question("grade", ("0", "1", "2"))), ("ex",))


def image(size: tuple[int, int] = (64, 96), *, b: int = 2) -> torch.Tensor:
    return torch.rand(b, 3, *size, generator=torch.Generator().manual_seed(0))


def rates(net: nn.Module) -> list[int]:
    return [m.dilation[0] for m in net.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 100]


@torch.no_grad()
@pytest.mark.parametrize("lesion_size", RATES)
def test_the_logit_is_the_mean_of_the_map(lesion_size: str) -> None:
    net = RegionCNN(SCHEMA, lesion_size=lesion_size, width=4, pyramid=8, peak=2).eval()
    outputs = net(image())
    assert outputs.activation.shape == (2, 4, 4, 6)
    assert [tuple(f.shape[1:]) for f in outputs.features] == [(8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6)]
    seen = F.max_pool2d(outputs.activation, 2) if lesion_size == "small" else outputs.activation
    torch.testing.assert_close(outputs.image, seen.mean((2, 3)))
    assert rates(net) == list(RATES[lesion_size])


def test_pyramids_follow_the_size_of_the_lesion() -> None:
    sizes = [
        parameters(RegionCNN(SCHEMA, lesion_size=name, width=4, pyramid=8)) for name in ("small", "medium", "large")
    ]
    assert sizes == sorted(sizes)
    assert RATES == {"small": (1, 2), "medium": (1, 2, 4), "large": (1, 2, 4, 8)}
    with pytest.raises(ValueError, match="lesion_size='tiny'"):
        RegionCNN(SCHEMA, lesion_size="tiny")
    with pytest.raises(ValueError, match="has no question"):
        RegionCNN(LabelSchema(labels=("ex",)))


@pytest.mark.parametrize("name", ["width", "levels", "blocks", "pyramid", "peak"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0 must be a whole number of at least 1"):
        RegionCNN(SCHEMA, **{name: 0})


def test_weights_are_xavier() -> None:
    torch.manual_seed(0)
    net = RegionCNN(SCHEMA, width=16)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            area = layer.kernel_size[0] * layer.kernel_size[1]
            bound = (6 / ((layer.in_channels + layer.out_channels) * area)) ** 0.5
            assert layer.weight.detach().abs().max() <= bound
            assert layer.weight.detach().std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
            assert layer.bias is None or not layer.bias.any()


def test_a_bright_spot_is_seen_where_it_is() -> None:
    """Shifting the image by a cell shifts the map by a cell, away from the edges."""
    net = RegionCNN(SCHEMA, lesion_size="small", width=4, pyramid=8).eval()
    spot = torch.zeros(1, 3, 256, 256)
    spot[..., 120:136, 120:136] = 1
    with torch.no_grad():
        plain, moved = (net(x).activation for x in (spot, spot.roll(16, 3)))
    torch.testing.assert_close(moved[..., 5:12, 6:12], plain[..., 5:12, 5:11])


@torch.no_grad()
def test_the_mean_of_a_guided_map_is_its_logit() -> None:
    torch.manual_seed(0)
    net = Guided(Classifier("resnet10t", SCHEMA)).eval()
    for question in net.image_head.questions:
        nn.init.normal_(question.bias)
    outputs = net(image())
    assert outputs.activation.shape == (2, 4, 2, 3)
    torch.testing.assert_close(outputs.activation.mean((2, 3)), outputs.image)
    torch.testing.assert_close(outputs.image, net.network(image()).image)
    plain = cam_logits(outputs.features[-1], weight=net.image_head.weight, bias=torch.zeros(4))
    for channel in range(4):
        cam = closed_form(outputs.features[-1], weight=net.image_head.weight[channel])
        torch.testing.assert_close(cam, plain[:, channel].relu() / 6)


def test_networks_without_a_linear_head_are_refused() -> None:
    assert isinstance(Guided(CMCNN("resnet10t", SCHEMA))(image()), Outputs)
    with pytest.raises(ValueError, match="Conv2d has no image_head"):
        Guided(nn.Conv2d(3, 3, 1))
