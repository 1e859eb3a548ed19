"""Side attention: equations 5 to 7 by hand, and that one pass gives masks, presence and grade."""

from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.lesion_net import LesionNet
from foveate.models.side_attention import SHRINK, ChannelMaxPool, Concat, Conv, SideAttention

SCHEMA = LabelSchema((Question("grade", tuple("01234"), ordered=True),), ("ma", "he", "ex"))


class Said(NamedTuple):
    f: Tensor
    s: Tensor


@pytest.fixture
def said() -> Said:
    return Said(torch.rand(2, 6, 4, 5), torch.rand(2, 3, 4, 5))


@torch.no_grad()
def test_channel_max_pool_is_equation_6(said: Said) -> None:
    weighted = ChannelMaxPool(6, labels=3)(said.f, said.s)
    for k in range(6):
        assert torch.equal(weighted[:, k], said.f[:, k] * said.s.max(1).values)


@torch.no_grad()
def test_conv_is_equation_7_and_starts_at_the_maps_as_they_are(said: Said) -> None:
    attention = Conv(6, labels=3, hidden=7).eval()
    first, norm, _, last = attention.convs
    weights = last(norm(first(said.s)).relu())
    assert tuple(weights.shape) == tuple(said.f.shape)
    torch.testing.assert_close(attention(said.f, said.s), said.f * weights)
    assert [c.kernel_size for c in (first, last)] == [(3, 3), (3, 3)]
    last.weight.zero_()
    assert torch.equal(attention(said.f, said.s), said.f)


@torch.no_grad()
def test_concat_averages_to_features_and_presence(said: Said) -> None:
    """The mean over the positions, which the head reads, is GAP(f) and then P of equation 1."""
    concat = Concat(6, labels=3)
    means = concat(said.f, said.s).mean((2, 3))
    assert concat.channels == 9
    torch.testing.assert_close(means[:, :6], said.f.mean((2, 3)))
    torch.testing.assert_close(means[:, 6:], said.s.amax((2, 3)))


@pytest.mark.parametrize("attention", ["conv", "cw_maxpool", "concat"])
@torch.no_grad()
def test_one_pass_gives_the_lesion_networks_masks_and_a_grade_that_hears_them(attention: str) -> None:
    net = SideAttention(
        "resnet10t", SCHEMA, lesions=partial(LesionNet, "resnet10t", SCHEMA), attention=attention
    ).eval()
    image = torch.rand(2, 3, 70, 96)
    outputs = net(image)
    assert torch.equal(outputs.pixel, net.lesions(image).pixel)
    assert tuple(outputs.image.shape) == (2, 5)
    assert torch.equal(outputs.features[-2], net.trunk(image)[-1])
    assert isinstance(net.lesions, LesionNet)
    net.lesions.head.conv.bias += torch.tensor([3.0, 1.0, -2.0])
    assert not torch.allclose(net(image).image, outputs.image)


class Dot(nn.Module):
    """Marks one label at one pixel."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        pixel = torch.full((len(image), 3, *image.shape[2:]), -20.0)
        pixel[:, 1, 37, 5] = 20.0
        return Outputs(pixel=pixel)


@torch.no_grad()
def test_a_dot_is_seen_whole_by_the_highest_and_faintly_by_the_mean() -> None:
    """One pixel of 1024: a microaneurysm weighs 1 or a thousandth."""
    probability = SCHEMA.pixel_probability(Dot()(torch.rand(1, 3, 64, 64)).pixel)
    highest, mean = SHRINK["max"](probability, 32), SHRINK["mean"](probability, 32)
    assert float(highest[0, 1, 1, 0]) == pytest.approx(1)
    assert float(mean[0, 1, 1, 0]) == pytest.approx(1 / 1024, rel=1e-3)
    assert tuple(highest.shape) == (1, 3, 2, 2)
    net = SideAttention("resnet10t", SCHEMA, lesions=Dot, attention="cw_maxpool").eval()
    guided = net(torch.rand(1, 3, 64, 64)).features[-1]
    assert guided[0, :, 1, 0].abs().sum() > 0
    assert float(guided[0, :, 0].abs().max()) == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_made_is_said() -> None:
    lesions = partial(LesionNet, "resnet10t", SCHEMA)
    with pytest.raises(ValueError, match=r"attention='none' is none of \['conv', 'cw_maxpool', 'concat'\]"):
        SideAttention("resnet10t", SCHEMA, lesions=lesions, attention="none")
    with pytest.raises(ValueError, match=r"shrink='min' is none of \['max', 'mean', 'bilinear'\]"):
        SideAttention("resnet10t", SCHEMA, lesions=lesions, shrink="min")
    with pytest.raises(ValueError, match="no labels"):
        SideAttention("resnet10t", SCHEMA.select(labels=()), lesions=lesions)
    with pytest.raises(ValueError, match="asks no question"):
        SideAttention("resnet10t", SCHEMA.select(questions=()), lesions=lesions)
