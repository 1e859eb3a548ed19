"""Side attention: equations 5 to 7 by hand, and that one pass gives masks, presence and grade."""

from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.lesion_net import LesionNet
from foveate.models.side_attention import ATTENTIONS, SHRINK, ChannelMaxPool, Concat, Conv, SideAttention

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


@pytest.mark.parametrize("size", [(70, 96), (64, 33), (32, 160)])
@pytest.mark.parametrize("shrink", SHRINK)
@pytest.mark.parametrize("attention", ATTENTIONS)
@torch.no_grad()
def test_one_pass_gives_the_lesion_networks_masks_and_a_grade_that_hears_them(
    attention: str, shrink: str, size: tuple[int, int]
) -> None:
    lesions = partial(LesionNet, "resnet10t", SCHEMA)
    net = SideAttention("resnet10t", SCHEMA, lesions=lesions, attention=attention, shrink=shrink).eval()
    image = torch.rand(2, 3, *size)
    outputs = net(image)
    assert torch.equal(outputs.pixel, net.lesions(image).pixel)
    assert tuple(outputs.image.shape) == (2, 5)
    assert torch.equal(outputs.features[-2], net.trunk(image)[-1])
    assert tuple(outputs.features[-1].shape[2:]) == (-(-size[0] // 32), -(-size[1] // 32))
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


@pytest.mark.parametrize("factor", [8, 32])
@pytest.mark.parametrize("shrink", SHRINK)
def test_maps_shrink_by_the_factor(shrink: str, factor: int) -> None:
    """What is the same everywhere stays so, places stay where they are, and every pixel of the map is heard."""
    maps = torch.full((1, 2, 3 * factor, 5 * factor), 0.25, requires_grad=True)
    made = SHRINK[shrink](maps, factor)
    torch.testing.assert_close(made, torch.full((1, 2, 3, 5), 0.25))
    block = torch.zeros(1, 1, 3 * factor, 5 * factor)
    block[0, 0, factor : 2 * factor, 3 * factor : 4 * factor] = 1
    assert int(SHRINK[shrink](block, factor)[0, 0].argmax()) == 1 * 5 + 3
    if shrink != "max":
        made.sum().backward()
        assert maps.grad is not None
        assert bool((maps.grad > 0).all())


@torch.no_grad()
def test_bilinear_is_a_triangle_about_the_centre_of_each_block() -> None:
    """Along one axis, blocks of 4: weights fall from 1 at the centre (1.5 in the first block) to 0 four pixels away."""
    maps = torch.rand(1, 1, 4, 12)
    weights = torch.tensor([max(0.0, 1 - abs(x - 5.5) / 4) for x in range(12)])  # of the second block
    by_hand = (maps[0, 0].mean(0) * weights / weights.sum()).sum()
    flat = maps.mean(2, keepdim=True).expand(-1, -1, 4, -1)  # the same in every row
    torch.testing.assert_close(SHRINK["bilinear"](flat, 4)[0, 0, 0, 1], by_hand)
    half = SHRINK["bilinear"](flat.bfloat16(), 4)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), SHRINK["bilinear"](flat, 4), rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_every_shrinking_can_be_exported() -> None:
    image = torch.rand(1, 3, 64, 96)
    for shrink in SHRINK:
        net = SideAttention("resnet10t", SCHEMA, lesions=Dot, attention="cw_maxpool", shrink=shrink).eval()
        torch.testing.assert_close(torch.export.export(net, (image,)).module()(image).image, net(image).image)


def test_what_cannot_be_made_is_said() -> None:
    lesions = partial(LesionNet, "resnet10t", SCHEMA)
    with pytest.raises(ValueError, match=r"attention='none' must be one of \['conv', 'cw_maxpool', 'concat'\]"):
        SideAttention("resnet10t", SCHEMA, lesions=lesions, attention="none")
    with pytest.raises(ValueError, match=r"shrink='min' must be one of \['max', 'mean', 'bilinear'\]"):
        SideAttention("resnet10t", SCHEMA, lesions=lesions, shrink="min")
    with pytest.raises(ValueError, match="no labels"):
        SideAttention("resnet10t", SCHEMA.select(labels=()), lesions=lesions)
    with pytest.raises(ValueError, match="has no question"):
        SideAttention("resnet10t", SCHEMA.select(questions=()), lesions=lesions)
