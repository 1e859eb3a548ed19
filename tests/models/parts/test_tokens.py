"""Tokens as maps, positions on another grid, sizes that tokens cover, timm's weights for transformers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from foveate.models.parts.encoders import pretrain
from foveate.models.parts.tokens import Tokens, TransformerEncoder, expected, on_grid, sides


def tiny(*, size: tuple[int, int] = (32, 48), channels: int = 3) -> TransformerEncoder:
    tokens = Tokens(size=size, patch=16, channels=channels, width=8, depth=1, heads=2)
    name = "deit_small_patch16_224"
    return TransformerEncoder(tokens, name=name, channels=[8], reductions=[16], **expected(name, channels))


@torch.no_grad()
def test_a_token_lies_where_its_patch_is() -> None:
    torch.manual_seed(0)
    net, image = tiny().eval(), torch.rand(1, 3, 32, 48)
    (before,) = net(image)
    assert before.shape == (1, 8, 2, 3)
    changed = image.clone()
    changed[:, :, 16:, 32:] += 1
    torch.nn.init.zeros_(net.pyramid.blocks[0].attn.proj.weight)  # each token for itself
    moved = (net(changed)[0] - net(image)[0]).abs().sum((0, 1)) > 0
    assert moved.tolist() == [[False, False, False], [False, False, True]]


def test_positions_on_another_grid() -> None:
    own = torch.rand(1, 6, 4)
    assert on_grid(own, (2, 3)) is own
    ramp = torch.arange(5.0).repeat_interleave(5)[None, :, None].repeat(1, 1, 2)
    with_class = torch.cat([torch.full((1, 1, 2), 99.0), ramp], 1)
    finer = on_grid(with_class, (10, 5)).view(10, 5, 2)
    assert float(finer.max()) < 4.2  # the class token's position is not among them
    torch.testing.assert_close(finer[2:8, 0, 0], torch.arange(0.75, 3.5, 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(finer, finer[:, :1].expand_as(finer))


@pytest.mark.parametrize("size", [(32, 48), (48, 80)])
def test_weights_of_a_square_grid_with_class_token(size: tuple[int, int], tmp_path: Path) -> None:
    source = VisionTransformer(img_size=64, embed_dim=8, depth=3, num_heads=2, num_classes=5)
    torch.nn.init.constant_(source.pos_embed, 0.25)
    save_file(source.state_dict(), tmp_path / "tiny.safetensors")
    net = tiny(size=size)
    pretrain(net, weights=tmp_path / "tiny.safetensors")
    assert net.filled is not None
    assert net.filled.missing == ()
    assert torch.equal(net.pyramid.blocks[0].mlp.fc1.weight, source.blocks[0].mlp.fc1.weight)
    torch.testing.assert_close(net.pyramid.pos_embed, torch.full((1, size[0] * size[1] // 256, 8), 0.25))
    torch.testing.assert_close(net.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.rand(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"fill 0 of \d+ tensors"):
        tiny().pretrain(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("size", "remedy"), [(100, "take 96"), ((64, 40), r"take \(64, 32\)"), (5, "take 16"), (0, "take 16")]
)
def test_sizes_that_tokens_do_not_cover(size: int | tuple[int, int], remedy: str) -> None:
    with pytest.raises(ValueError, match=f"must be a multiple of 16; {remedy}"):
        sides(size, multiple=16)


def test_what_is_expected_of_images() -> None:
    assert sides(64, multiple=16) == (64, 64)
    assert sides((64, 32), multiple=16) == (64, 32)
    assert expected("deit_small_patch16_224", 3)["mean"] == [0.485, 0.456, 0.406]
    assert expected("deit_small_patch16_224", 4)["std"] == pytest.approx([0.226] * 4)
    with pytest.raises(ValueError, match="heads=3"):
        Tokens(size=(32, 32), patch=16, channels=3, width=8, depth=1, heads=3)
