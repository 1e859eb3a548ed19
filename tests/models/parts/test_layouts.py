"""Weights as others' training code writes them: made checkpoints of each layout, random tensors."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor

from foveate.models.parts.encoders import NORMALISE, Encoder, encoder, pretrain

TINY = "vit_tiny_patch16_224"
RESNET = "resnet10t"
State = dict[str, Tensor]


def random_state(name: str, **keywords: Any) -> State:
    """Names and shapes of a timm network, all tensors random."""
    torch.manual_seed(3)
    net = timm.create_model(name, num_classes=0, **keywords)
    return {n: torch.randn_like(v) * 0.02 if v.is_floating_point() else v for n, v in net.state_dict().items()}


def same(net: Encoder, state: State, *, but: tuple[str, ...] = ()) -> bool:
    return all(torch.equal(v, state[n]) for n, v in net.net.state_dict().items() if n not in but)


@torch.no_grad()
def test_masked_autoencoder(tmp_path: Path) -> None:
    """RETFound's and MAE's: under "model", a decoder beside it, the command line's Namespace among the entries."""
    state = random_state(TINY)
    extra = {
        "mask_token": torch.rand(1, 1, 8),
        "decoder_pos_embed": torch.rand(1, 197, 8),
        "decoder_norm.bias": torch.rand(8),
    }
    path = tmp_path / "mae.pth"
    torch.save({"model": {**state, **extra}, "epoch": 799, "args": argparse.Namespace(lr=1e-3, mask_ratio=0.75)}, path)
    net = encoder(TINY).eval()
    (line,) = pretrain(net, weights=path)
    assert same(net, state)
    assert net.filled is not None
    assert net.filled.matched == net.filled.total
    assert set(net.filled.unused) == set(extra)
    assert "decoder_pos_embed" in line
    assert "normalised by 'imagenet'" in line
    assert net.mean.flatten().tolist() == pytest.approx(NORMALISE["imagenet"][0])  # timm's name alone has 0.5
    reference = timm.create_model(TINY, num_classes=0).eval()
    reference.load_state_dict(state)
    image = torch.rand(1, 3, 224, 224)
    ours, theirs = (
        of.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)[0] for of in (net.net, reference)
    )
    torch.testing.assert_close(ours, theirs)


def test_fine_tuned_autoencoder_keeps_its_last_normalisation(tmp_path: Path) -> None:
    state = random_state(TINY)
    tuned = {n.replace("norm.", "fc_norm.") if n.startswith("norm.") else n: v for n, v in state.items()}
    torch.save({"model": {**tuned, "head.weight": torch.rand(5, 192), "head.bias": torch.rand(5)}}, tmp_path / "w.pth")
    net = encoder(TINY)
    pretrain(net, weights=tmp_path / "w.pth")
    assert same(net, state)
    assert net.filled is not None
    assert set(net.filled.unused) == {"head.weight", "head.bias"}
    assert net.filled.normalise == "timm"


def dinov2(state: State) -> State:
    """timm's names of a network with registers as DINOv2 has them."""
    found = {**state, "register_tokens": state["reg_token"], "mask_token": torch.rand(1, 384)}
    cls_position = torch.rand(1, 1, 384)
    found["cls_token"] = state["cls_token"] - cls_position[:, 0]
    found["pos_embed"] = torch.cat([cls_position, state["pos_embed"]], 1)
    return {n: v for n, v in found.items() if n != "reg_token"}


def test_dinov2_with_registers(tmp_path: Path) -> None:
    """A teacher's backbone with patches of 14 px on a grid of 37: both are resampled to 16 px."""
    name = "vit_small_patch14_reg4_dinov2"
    state = random_state(name)
    file = {f"backbone.{n}": v for n, v in dinov2(state).items()} | {"dino_head.mlp.0.weight": torch.rand(2, 2)}
    torch.save({"teacher": file, "student": {"x": torch.rand(1)}, "iteration": 3}, tmp_path / "dino.pth")
    net = encoder(name)
    pretrain(net, weights=tmp_path / "dino.pth", normalise="half")
    resampled = ("patch_embed.proj.weight", "pos_embed")
    found = net.net.state_dict()
    assert same(net, state, but=(*resampled, "cls_token"))
    torch.testing.assert_close(found["cls_token"], state["cls_token"])
    torch.testing.assert_close(
        found["patch_embed.proj.weight"], resample_patch_embed(state["patch_embed.proj.weight"], (16, 16))
    )
    torch.testing.assert_close(
        found["pos_embed"], resample_abs_pos_embed(state["pos_embed"], (32, 32), old_size=(37, 37), num_prefix_tokens=0)
    )
    assert net.filled is not None
    assert set(net.filled.resampled) == set(resampled)
    assert "dino_head.mlp.0.weight" in net.filled.unused
    assert net.mean.flatten().tolist() == [0.5] * 3
    other = encoder("vit_small_patch14_dinov2")
    with pytest.raises(ValueError, match=r"dino\.pth.*(reg_token|do not fit)"):
        pretrain(other, weights=tmp_path / "dino.pth")


def test_dinov3(tmp_path: Path) -> None:
    name = "vit_small_patch16_dinov3"
    state = random_state(name)
    file = {
        n.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma").replace("reg_token", "storage_tokens"): v
        for n, v in state.items()
    }
    file |= {"mask_token": torch.rand(1, 384), "rope_embed.periods": torch.rand(16)}
    biases = {f"blocks.{n}.attn.qkv.bias": torch.zeros(3 * 384) for n in range(12)}
    torch.save({**file, **biases}, tmp_path / "dinov3.pth")
    net = encoder(name)
    pretrain(net, weights=tmp_path / "dinov3.pth")
    assert same(net, state)
    biases["blocks.3.attn.qkv.bias"][5] = 1
    torch.save({**file, **biases}, tmp_path / "dinov3.pth")
    with pytest.raises(ValueError, match="_qkvb"):
        pretrain(net, weights=tmp_path / "dinov3.pth")


@torch.no_grad()
def test_mirage(tmp_path: Path) -> None:
    """One grey input of several, fixed positions as a map, a global token without position, images in [0, 1]."""
    state = random_state(TINY)
    file = {n.replace("blocks.", "encoder."): v for n, v in state.items() if n.startswith("blocks.")}
    file |= {"global_tokens": torch.rand(1, 1, 192), "output_adapters.bscan.mask_token": torch.rand(1)}
    for kind in ("bscan", "slo"):
        file[f"input_adapters.{kind}.proj.weight"] = torch.rand(192, 1, 16, 16)
        file[f"input_adapters.{kind}.proj.bias"] = torch.rand(192)
        file[f"input_adapters.{kind}.pos_emb"] = torch.rand(1, 192, 14, 14)
    torch.save({"model": file, "args": argparse.Namespace(in_domains=["bscan", "slo"])}, tmp_path / "mirage.pth")
    net = encoder(TINY, channels=1).eval()
    pretrain(net, weights=tmp_path / "mirage.pth")
    found = net.net.state_dict()
    assert torch.equal(found["blocks.7.attn.qkv.weight"], state["blocks.7.attn.qkv.weight"])
    assert torch.equal(found["patch_embed.proj.weight"], file["input_adapters.bscan.proj.weight"])
    assert torch.equal(found["pos_embed"][0, 0], torch.zeros(192))
    assert torch.equal(found["pos_embed"][0, 1 + 2 * 14 + 5], file["input_adapters.bscan.pos_emb"][0, :, 2, 5])
    assert torch.equal(found["cls_token"], file["global_tokens"])
    assert net.filled is not None
    assert set(net.filled.missing) == {"norm.weight", "norm.bias"}
    assert (net.mean.item(), net.std.item()) == (0, 1)
    colour = encoder(TINY).eval()
    pretrain(colour, weights=tmp_path / "mirage.pth")
    colour.pyramid.levels.load_state_dict(net.pyramid.levels.state_dict())
    image = torch.rand(1, 1, 64, 64)
    for a, b in zip(net(image), colour(image.expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone.", "encoder.", "model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_wrappers_and_prefixes(tmp_path: Path, prefix: str, wrapper: str | None) -> None:
    state = random_state(RESNET)
    file: dict[str, Any] = {prefix + n: v for n, v in state.items()}
    torch.save({wrapper: file, "epoch": 3} if wrapper else file, tmp_path / "w.pt")
    net = encoder(RESNET)
    pretrain(net, weights=tmp_path / "w.pt")
    assert same(net, state)


@pytest.mark.parametrize("name", ["convnext_atto", "mambaout_femto"])
def test_timms_own_names_fill_networks_whose_stages_are_listed_flat(tmp_path: Path, name: str) -> None:
    state = random_state(name)
    save_file(state, tmp_path / "w.safetensors")
    net = encoder(name)
    pretrain(net, weights=tmp_path / "w.safetensors")
    assert net.filled is not None
    assert net.filled.matched == net.filled.total


@pytest.mark.parametrize("without", ["pos_embed", "cls_token", "blocks.5.attn.qkv.weight"])
def test_a_transformer_needs_every_tensor(tmp_path: Path, without: str) -> None:
    state = random_state(TINY)
    del state[without]
    save_file(state, tmp_path / "w.safetensors")
    net = encoder(TINY)
    before = net.net.blocks[0].attn.qkv.weight.clone()
    with pytest.raises(ValueError, match=rf"w\.safetensors.*missing are {without}"):
        pretrain(net, weights=tmp_path / "w.safetensors")
    assert torch.equal(net.net.blocks[0].attn.qkv.weight, before)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    save_file(random_state(RESNET), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        pretrain(encoder(TINY), weights=tmp_path / "w.safetensors")


def test_tokens_that_the_network_lacks_are_refused(tmp_path: Path) -> None:
    save_file({**random_state(TINY), "dist_token": torch.rand(1, 1, 192)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"have dist_token, which the network lacks"):
        pretrain(encoder(TINY), weights=tmp_path / "w.safetensors")


class Anything:
    """An object that only running code could make."""


@pytest.mark.parametrize("content", [{"model": {"w": Anything()}}, Anything()])
def test_objects_are_never_made(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"bad\.pth.*cannot be read as tensors alone"):
        pretrain(encoder(RESNET), weights=tmp_path / "bad.pth")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(ValueError, match=r"cut\.safetensors"):
        pretrain(encoder(RESNET), weights=tmp_path / "cut.safetensors")
