"""Encoders without their last strides: at every other pixel they are the encoder they came from."""

import pytest
import torch
from torch import nn

from foveate.models.parts.encoders import encoder
from foveate.models.parts.flat import dilated, flatten, stages


@pytest.mark.parametrize("reduction", [8, 16])
@torch.no_grad()
def test_every_other_pixel_is_the_strided_network(reduction: int) -> None:
    """The algorithme a trous: dilation computes the strided network at every offset; exact for ResNet-18."""
    flat, strided = dilated("resnet18", reduction=reduction).eval(), encoder("resnet18").eval()
    strided.load_state_dict(flat.state_dict())
    image = torch.rand(1, 3, 128, 96)
    for a, b in zip(flat(image), strided(image), strict=True):
        step = a.shape[2] // b.shape[2]
        torch.testing.assert_close(a[:, :, ::step, ::step], b, rtol=1e-4, atol=1e-5)
    assert [min(r, reduction) for r in strided.reductions] == flat.reductions


@pytest.mark.parametrize("reduction", [2, 4, 8, 16])
@torch.no_grad()
def test_inception_too_with_its_pools_and_reduction_blocks(reduction: int) -> None:
    """Without weights its maps grow by the stage, so that they are compared relative to their largest value."""
    flat, strided = dilated("inception_v3", reduction=reduction).eval(), encoder("inception_v3").eval()
    strided.load_state_dict(flat.state_dict())
    image = torch.rand(1, 3, 64, 96)
    for a, b in zip(flat(image), strided(image), strict=True):
        step = a.shape[2] // b.shape[2]
        torch.testing.assert_close(a[:, :, ::step, ::step] / b.max(), b / b.max(), rtol=1e-3, atol=1e-5)
    assert flat.reductions == [min(r, reduction) for r in strided.reductions]


@torch.no_grad()
def test_danets_inception_sees_as_far_as_before() -> None:
    """Every spatial layer of the last two stages at an eighth: 1 and 2 where the map shrank, 2 and 4 behind."""
    stage4, stage5 = stages(dilated("inception_v3", reduction=8))[-2:]
    for (first, *others), half in ((stage4, 1), (stage5, 2)):
        for block, dilation in ((first, half), *((other, 2 * half) for other in others)):
            assert block.dilation == dilation
            convs = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
            assert {max(c.dilation) for c in convs if max(c.kernel_size) > 1} == {dilation}
            assert {c.stride for c in convs} == {(1, 1)}


@torch.no_grad()
def test_a_branch_without_stride_is_inception_as_it_is() -> None:
    """Without dilation (ABN) the reduction block alone is another; every other pixel is the strided block's."""
    strided, flat = (stages(encoder("inception_v3").eval().double())[-1][0] for _ in range(2))
    flat.load_state_dict(strided.state_dict())
    flatten([flat])
    x = torch.rand(1, 768, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(flat(x)[:, :, ::2, ::2], strided(x))


@pytest.mark.parametrize("name", ["resnet10t", "inception_v3", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
@torch.no_grad()
def test_stages_one_after_the_other_are_the_encoder(name: str) -> None:
    net = encoder(name).eval()
    image = torch.rand(1, 3, 64, 96)
    x, found = image, []
    for stage in stages(net):
        for layer in stage:
            x = layer(x)
        found.append(x)
    for a, b in zip(found, net(image), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["resnet10t", "inception_v3", "tf_efficientnet_lite0"])
@torch.no_grad()
def test_sizes(name: str) -> None:
    rows = [f.shape[2] for f in dilated(name, reduction=8).eval()(torch.rand(1, 3, 64, 64))]
    assert rows == [32, 16, 8, 8, 8]


def test_a_stage_loses_its_stride_without_dilation() -> None:
    stage = stages(encoder("resnet18"))[-1]
    flatten(stage)
    convs = [part for layer in stage for part in layer.modules() if isinstance(part, nn.Conv2d)]
    assert {(c.stride, c.dilation) for c in convs} == {((1, 1), (1, 1))}


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(ValueError, match=r"reduction=12 must be one of \[2, 4, 8, 16, 32\]"):
        dilated("resnet10t", reduction=12)
    with pytest.raises(ValueError, match="must be a chain of layers"):
        dilated("hrnet_w18_small", reduction=16)
