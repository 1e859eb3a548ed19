"""TransFuse: published sizes, what each output sees, the fusion, weights of both branches."""

from pathlib import Path

import pytest
import timm
import torch
from baselines_cases import SCHEMA, transfuse
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from foveate.core.labels import LabelSchema
from foveate.models.baselines.transfuse import VARIANTS, BiFusion, TransFuse, Up
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.size import parameters

POLYP = LabelSchema((), ("polyp",))


@pytest.mark.parametrize(("variant", "millions"), [("small", 26.25), ("large", 143.54)])
def test_size_is_the_published_one(variant: str, millions: float) -> None:
    with torch.device("meta"):
        net = TransFuse(POLYP, variant=variant)
        theirs = timm.create_model(VARIANTS[variant].tokens_name, num_classes=0).state_dict()
    assert parameters(net) / 1e6 == pytest.approx(millions, rel=5e-4)
    named, wanted = net.tokens.named(theirs), net.tokens.pyramid.state_dict()
    assert all(named[name].shape == value.shape for name, value in wanted.items())


def test_what_each_output_sees() -> None:
    net, image = transfuse(), torch.rand(1, 3, 64, 64)
    outputs = net(image)
    assert [f.shape[2] for f in outputs.features] == [16, 8, 4]
    assert [a.shape for a in outputs.aux] == [outputs.pixel.shape] * 2
    branches = (net.encoder.pyramid["conv1"][0].weight, net.tokens.pyramid.patch_embed.proj.weight)
    seen = [
        [
            g is not None and float(g.abs().sum()) > 0
            for g in torch.autograd.grad(logits.sum(), branches, retain_graph=True, allow_unused=True)
        ]
        for logits in (outputs.pixel, *outputs.aux)
    ]
    assert seen == [[True, True], [False, True], [True, True]]


@torch.no_grad()
def test_fusion_of_three_readings() -> None:
    torch.manual_seed(0)
    fusion = BiFusion(4, 6, 8, ratio=2, dropout=0.5).eval()
    g, t = torch.randn(2, 4, 5, 5), torch.randn(2, 6, 5, 5)
    assert fusion(g, t).shape == (2, 8, 5, 5)
    assert fusion.channel.fc1.out_channels == 3
    torch.nn.init.zeros_(fusion.residual[-1].weight)
    torch.nn.init.zeros_(fusion.residual[-1].bias)
    torch.nn.init.zeros_(fusion.short.bias)
    weight = fusion.short.weight[:, :, 0, 0]
    spatial = torch.sigmoid(fusion.spatial.conv(torch.cat([g.mean(1, keepdim=True), g.amax(1, keepdim=True)], 1)))
    channel = torch.sigmoid(fusion.channel.fc2(fusion.channel.fc1(t.mean((2, 3), keepdim=True)).relu()))
    product = fusion.both(fusion.of_g(g) * fusion.of_t(t))
    expected = torch.einsum("ok,bkij->boij", weight, torch.cat([g * spatial, t * channel, product], 1))
    torch.testing.assert_close(fusion(g, t), expected)


@torch.no_grad()
def test_up_reads_the_skip_through_its_gate() -> None:
    torch.manual_seed(0)
    up, x, skip = Up(6, 4, skip=3).eval(), torch.randn(1, 6, 3, 4), torch.randn(1, 3, 6, 8)
    open_ = up(x, skip)
    assert open_.shape == (1, 4, 6, 8)
    torch.nn.init.constant_(up.psi[1].bias, -50.0)  # the gate shuts
    torch.testing.assert_close(up(x, skip), up(x, torch.zeros_like(skip)))
    assert not torch.allclose(open_, up(x, skip))
    assert Up(6, 4)(x).shape == (1, 4, 6, 8)


def test_one_file_fills_both_branches(tmp_path: Path) -> None:
    resnet = timm.create_model("resnet10t").state_dict()
    transformer = VisionTransformer(img_size=64, embed_dim=16, depth=2, num_heads=2).state_dict()
    assert not set(resnet) & set(transformer)
    save_file(resnet, tmp_path / "resnet.safetensors")
    save_file({**resnet, **transformer}, tmp_path / "both.safetensors")
    net = transfuse()
    pretrain(net, weights=tmp_path / "both.safetensors")
    weight = net.tokens.pyramid.patch_embed.proj.weight
    assert torch.equal(weight, transformer["patch_embed.proj.weight"])
    assert torch.equal(net.encoder.state_dict()["pyramid.conv1.0.weight"], resnet["conv1.0.weight"])
    with pytest.raises(ValueError, match=r"fill 0 of \d+ tensors.*missing are pos_embed"):
        pretrain(transfuse(), weights=tmp_path / "resnet.safetensors")


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(ValueError, match=r"variant='tiny' must be one of \['small', 'large'\]"):
        TransFuse(SCHEMA, variant="tiny")
    with pytest.raises(ValueError, match="take a ResNet"):
        TransFuse(SCHEMA, encoder_name="convnext_atto")
    with pytest.raises(ValueError, match="size=100 must be a multiple of 16; take 96"):
        TransFuse(SCHEMA, encoder_name="resnet10t", size=100)
