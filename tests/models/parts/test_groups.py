"""Rates by depth: the formula, timm's own as a second opinion, what has no weight decay."""

from functools import partial

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.engine.optimise import fused
from foveate.models.joint import Joint
from foveate.models.parts.decoders import UNet
from foveate.models.parts.groups import by_depth

SCHEMA = LabelSchema((Question("disease"),), ("disc",))


def joint(name: str) -> nn.Module:
    return Joint(name, SCHEMA, decoder=partial(UNet, widths=(8, 8, 8, 8)))


def settings(network: nn.Module, **keywords: float) -> dict[str, tuple[float, bool]]:
    """Parameter -> its rate and whether it decays; fails if one comes twice."""
    names = {id(p): name for name, p in network.named_parameters()}
    groups = by_depth(network, **keywords)
    pairs = [(names[id(p)], (g["lr"], "weight_decay" not in g)) for g in groups for p in g["params"]]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_rates_fall_with_the_distance_from_the_end_of_a_transformer() -> None:
    net = joint("vit_tiny_patch16_224")
    found = settings(net, lr=1e-3, decay=0.5)
    assert set(found) == {name for name, _ in net.named_parameters()}
    inner = "encoder.pyramid.net."
    assert found[f"{inner}blocks.11.attn.qkv.weight"] == (pytest.approx(1e-3 * 0.5), True)
    assert found[f"{inner}blocks.0.mlp.fc1.weight"] == (pytest.approx(1e-3 * 0.5**12), True)
    for name in ("patch_embed.proj.weight", "cls_token", "pos_embed"):
        assert found[f"{inner}{name}"] == (pytest.approx(1e-3 * 0.5**13), name.startswith("patch"))
    assert found[f"{inner}norm.weight"] == (pytest.approx(1e-3 * 0.5), False)
    for name, (rate, decays) in found.items():
        if not name.startswith(inner):
            assert rate == 1e-3, name
        assert decays == (net.get_parameter(name).ndim > 1 and not name.endswith(("_token", "pos_embed"))), name


def test_blocks_have_the_rates_that_timm_gives_them() -> None:
    net = joint("vit_tiny_patch16_224")
    found = settings(net, lr=1.0, decay=0.75)
    plain = timm.create_model("vit_tiny_patch16_224")  # with a head, which is timm's last layer
    scales = {id(p): g["lr_scale"] for g in param_groups_layer_decay(plain, layer_decay=0.75) for p in g["params"]}
    for name, parameter in plain.named_parameters():
        if name.startswith(("blocks", "patch_embed")):
            assert found[f"encoder.pyramid.net.{name}"][0] == pytest.approx(scales[id(parameter)]), name


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "convnext_atto"])
def test_rates_rise_along_a_convolutional_encoder(name: str) -> None:
    net = joint(name)
    found = settings(net, lr=1.0, decay=0.9, encoder=0.1)
    rates = [found[n][0] for n, p in net.named_parameters() if n.startswith("encoder.") and p.ndim == 4]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.09)
    assert rates[0] < 0.07
    assert {rate for n, (rate, _) in found.items() if not n.startswith("encoder.")} == {1.0}


def test_the_first_group_has_the_full_rate_and_frozen_parameters_are_left_out() -> None:
    net = joint("resnet10t")
    assert by_depth(net, lr=0.3, decay=0.5)[0]["lr"] == 0.3
    net.get_submodule("encoder").requires_grad_(False)
    assert {g["lr"] for g in by_depth(net, lr=0.3, decay=0.5)} == {0.3}
    with pytest.raises(ValueError, match="no parameter is trained"):
        by_depth(net.requires_grad_(False), lr=0.3)


@pytest.mark.parametrize(
    ("keywords", "named"), [({"decay": 0.0}, "decay"), ({"decay": 1.1}, "decay"), ({"encoder": 0.0}, "encoder")]
)
def test_what_is_out_of_range(keywords: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} must be above 0"):
        by_depth(joint("resnet10t"), lr=1.0, **keywords)


def test_fused_optimizers_take_groups() -> None:
    net = joint("resnet10t")
    optimizer = fused(partial(torch.optim.AdamW, lr=9.0, weight_decay=0.1), by_depth(net, lr=1.0, decay=0.5))
    assert all(group["fused"] for group in optimizer.param_groups)
    assert optimizer.param_groups[0]["lr"] == 1.0
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_an_optimizer_without_fused_kernel_gets_the_groups_as_they_were() -> None:
    net, tried = joint("resnet10t"), []

    def make(groups: list[dict[str, object]], *, fused: bool = False) -> torch.optim.Optimizer:
        tried.append((fused, any("fused" in group for group in groups)))
        made = torch.optim.AdamW(groups, lr=1.0, fused=fused)
        if fused:
            raise RuntimeError("no kernel")
        return made

    assert not any(group["fused"] for group in fused(make, by_depth(net, lr=1.0, decay=0.5)).param_groups)
    assert tried == [(True, False), (False, False)]
