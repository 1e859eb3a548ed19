"""Plain and hierarchical transformers as pyramids: sizes, depths, decoders, refusals."""

from functools import partial

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.models.joint import Joint
from foveate.models.parts.decoders import FPN, MakeDecoder, UNet
from foveate.models.parts.encoders import encoder
from foveate.models.parts.vit import is_plain

SCHEMA = LabelSchema((Question("disease"),), ("disc", "cup"), exclusive=True)
SMALL_FPN = partial(FPN, pyramid=32, width=32)


@pytest.mark.parametrize(
    ("name", "channels", "stride"),
    [
        ("vit_tiny_patch16_224", 1, 16),
        ("deit_tiny_distilled_patch16_224", 3, 16),
        ("eva02_tiny_patch14_224", 3, 16),  # 14 px per token become 16
        ("vit_tiny_r_s16_p8_224", 3, 32),
        ("xcit_nano_12_p8_224", 3, 8),
    ],
)
@torch.no_grad()
def test_tokens_become_maps_at_4_to_32(name: str, channels: int, stride: int) -> None:
    net = encoder(name, channels=channels).eval()
    assert is_plain(name)
    assert net.reductions == [4, 8, 16, 32]
    width = net.channels[-1]
    assert net.channels == [width // max(stride // r, 1) for r in net.reductions]
    maps = net(torch.rand(2, channels, 65, 47))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 96 // r, 64 // r) for c, r in zip(net.channels, net.reductions, strict=True)
    ]


def test_coarser_maps_are_left_out() -> None:
    net = encoder("vit_tiny_patch16_224", coarsest=16)
    assert (net.reductions, net.channels) == ([4, 8, 16], [48, 96, 192])
    assert encoder("vit_tiny_patch16_224", maps=2).reductions == [4, 8]


@torch.no_grad()
def test_fine_maps_come_from_early_blocks_and_the_coarsest_from_the_last() -> None:
    torch.manual_seed(0)
    net, image = encoder("vit_tiny_patch16_224").eval(), torch.rand(1, 3, 64, 64)
    before = net(image)
    for number, first_changed in ((11, 3), (6, 2), (0, 0)):
        nn.init.normal_(net.net.blocks[number].mlp.fc2.weight)
        after = net(image)
        assert [not torch.equal(a, b) for a, b in zip(after, before, strict=True)] == [
            n >= first_changed for n in range(4)
        ]


@torch.no_grad()
def test_the_coarsest_map_is_the_mean_of_the_tokens() -> None:
    """So that a linear head on its mean reads the mean of all tokens, as networks of this kind are fine-tuned."""
    net, image = encoder("vit_tiny_patch16_224").eval(), torch.rand(1, 3, 64, 64)
    net.pyramid.levels[-1] = nn.Identity()
    tokens = net.net.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)[-1]
    torch.testing.assert_close(net(image)[-1].mean((2, 3)), tokens.mean((2, 3)))


@pytest.mark.parametrize("decoder", [partial(UNet, widths=(16, 16, 8, 8)), SMALL_FPN])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mambaout_femto", "xcit_nano_12_p16_224"])
@torch.no_grad()
def test_decoders_read_every_kind_of_transformer(name: str, decoder: MakeDecoder) -> None:
    net = Joint(name, SCHEMA, decoder=decoder).eval()
    outputs = net(torch.rand(1, 3, 65, 47))
    assert outputs.pixel is not None
    assert outputs.image is not None
    assert (outputs.pixel.shape, outputs.image.shape) == ((1, 3, 65, 47), (1, 1))


@torch.no_grad()
def test_swin_gives_its_maps_channels_first_at_every_size() -> None:
    net = encoder("swin_tiny_patch4_window7_224").eval()
    maps = net(torch.rand(1, 3, 33, 70))
    assert [tuple(m.shape) for m in maps] == [(1, 96 * 2**n, 16 // 2**n, 24 // 2**n) for n in range(4)]


@pytest.mark.parametrize("name", ["convit_tiny", "levit_128s", "crossvit_tiny_240", "sequencer2d_s"])
def test_networks_of_one_size_and_off_the_grid_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"encoder '{name}'.*choose another"):
        encoder(name)


def test_every_trained_parameter_of_eva_gets_a_gradient() -> None:
    net = encoder("eva02_tiny_patch14_224").train()
    sum(m.square().mean() for m in net(torch.rand(1, 3, 64, 64))).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]
