"""LoRA: nothing changes at the start, what is trained, merging."""

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.engine.batchnorm_folding import folded
from foveate.models.joint import Joint
from foveate.models.parts.decoders import UNet
from foveate.models.parts.encoders import encoder
from foveate.models.parts.lora import LoRALinear, adapted, merged, with_lora

SCHEMA = LabelSchema((Question("disease"),), ("disc",))
KINDS = ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"]


def joint(name: str) -> nn.Module:
    torch.manual_seed(0)
    return Joint(name, SCHEMA, decoder=lambda *a, **k: UNet(*a, widths=(8, 8, 8, 8), **k)).eval()


def shaken(net: nn.Module) -> nn.Module:
    """LoRA as if it had been trained."""
    for name, parameter in net.named_parameters():
        if name.endswith("lora_up"):
            nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_the_network_answers_as_before_until_it_is_trained(name: str) -> None:
    net, image = joint(name), torch.rand(1, 3, 64, 64)
    before = net(image)
    after = with_lora(net, rank=4)(image)
    torch.testing.assert_close(after.pixel, before.pixel, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(after.image, before.image, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_merged_it_answers_alike_and_has_the_names_of_a_plain_network(name: str) -> None:
    plain, image = joint(name), torch.rand(1, 3, 64, 64)
    names, before = set(plain.state_dict()), plain(image)
    net = shaken(with_lora(plain, rank=4))
    single = merged(net)
    assert set(single.state_dict()) == names
    ours, apart = single(image), net(image)
    assert not torch.allclose(apart.pixel, before.pixel, atol=1e-3)  # every kind's attention reads what was learnt
    torch.testing.assert_close(ours.pixel, apart.pixel, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.image, apart.image, rtol=0, atol=1e-5)
    bare = joint(name)
    bare.load_state_dict(single.state_dict())
    torch.testing.assert_close(bare(image).pixel, apart.pixel, rtol=0, atol=1e-5)


@torch.no_grad()
def test_reading_merges() -> None:
    net, image = shaken(with_lora(joint(KINDS[0]), rank=2)), torch.rand(1, 3, 64, 64)
    quick = folded(net, image)
    assert not any(isinstance(part, LoRALinear) for part in quick.modules())
    assert any(isinstance(part, LoRALinear) for part in net.modules())
    torch.testing.assert_close(quick(image).pixel, net(image).pixel, rtol=0, atol=1e-5)


def test_what_is_trained() -> None:
    """(in + out) r numbers per layer: qkv and proj of 12 blocks, 192 wide; and all that is not of the transformer."""
    plain = joint(KINDS[0])
    new = sum(p.numel() for n, p in plain.named_parameters() if not n.startswith("encoder.pyramid.net."))
    net = with_lora(plain, rank=8).train()
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in trained.values()) == 12 * 8 * ((192 + 3 * 192) + (192 + 192)) + new
    outputs = net(torch.rand(2, 3, 64, 64))
    (outputs.pixel.square().mean() + outputs.image.square().mean()).backward()
    assert all(p.grad is None for p in net.parameters() if not p.requires_grad)
    assert all(p.grad is not None for p in trained.values())
    ups = [p for n, p in trained.items() if n.endswith("lora_up")]
    assert len(ups) == 24
    assert all(p.grad.abs().sum() > 0 for p in ups)


def test_the_scale_is_alpha_over_rank() -> None:
    layer = nn.Linear(4, 3)
    lora = LoRALinear(layer, rank=2, alpha=6.0)
    nn.init.normal_(lora.lora_up)
    x = torch.rand(5, 4)
    torch.testing.assert_close(lora(x), layer(x) + 3 * x @ lora.lora_down.T @ lora.lora_up.T)
    torch.testing.assert_close(lora.plain()(x), lora(x))


def test_what_cannot_be_adapted() -> None:
    with pytest.raises(ValueError, match="plain vision transformers, got 'resnet10t'"):
        with_lora(encoder("resnet10t"), rank=4)
    with pytest.raises(ValueError, match="got no encoder"):
        with_lora(nn.Linear(2, 2), rank=4)
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        with_lora(encoder(KINDS[0]), rank=0)
    with pytest.raises(ValueError, match="rank must be at most 192"):
        adapted(lambda: encoder(KINDS[0]), rank=193)
