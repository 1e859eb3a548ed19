"""How networks start: active residual blocks, Kaiming decoders, heads at a bias of 0; earlier 1x1 heads still load."""

import math

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.models.joint import Joint
from foveate.models.parts.convs import conv_norm, double_conv
from foveate.models.parts.decoders import FPN, UNet
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import PixelHead

SCHEMA = LabelSchema((Question("dr"),), ("ma", "he"))


@pytest.mark.parametrize("name", ["resnet18", "resnet10t", "seresnet18"])
def test_every_residual_block_is_active_from_the_start(name: str) -> None:
    norms = [m for m in encoder(name).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(bool((m.weight == 1).all()) for m in norms)


@pytest.mark.parametrize("layers", [conv_norm(64, 64), double_conv(64, 64)])
def test_convolutions_before_relu_have_kaimings_spread(layers: nn.Module) -> None:
    """std = sqrt(2 / fan_in), 2.4 times PyTorch's default."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)


def test_decoders_state_the_kernel_of_their_head_and_the_head_starts_at_a_half() -> None:
    torch.manual_seed(0)
    for decoder, kernel in ((UNet, 3), (FPN, 1)):
        network = Joint("resnet10t", SCHEMA, decoder=decoder)
        assert network.pixel_head is not None
        assert network.pixel_head.conv.kernel_size == (kernel, kernel)
        assert not network.pixel_head.conv.bias.any()


def test_a_head_of_one_pixel_loads_into_a_larger_one_and_answers_alike() -> None:
    old, new = PixelHead(5, logits=2, reduction=1), PixelHead(5, logits=2, reduction=1, kernel=3)
    new.load_state_dict(old.state_dict())
    decoded = torch.randn(1, 5, 7, 9)
    torch.testing.assert_close(new(decoded, size=(7, 9)), old(decoded, size=(7, 9)))
    with pytest.raises(RuntimeError, match="size mismatch"):
        new.load_state_dict(PixelHead(4, logits=2, reduction=1).state_dict())
