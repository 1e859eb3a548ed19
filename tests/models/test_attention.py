"""Attention over a map against the plain sums of its equation; its tables on other grids; what it keeps in memory."""

import pytest
import torch
from torch import Tensor, nn

from foveate.models.parts.attention import BottleneckAttention, ChannelGate, GridAttention, SkipAttention


def slow(attention: GridAttention, x: Tensor) -> Tensor:
    """Pixel by pixel: softmax of q k + q r(dx) + q r(dy), heads side by side, times the gate."""
    b, c, h, w = x.shape
    d = attention.width
    q, k, v = attention.qkv(x).reshape(b, 3, attention.heads, d, h, w).unbind(1)
    out = torch.zeros(b, attention.heads, d, h, w, dtype=x.dtype)
    for r in range(h):
        for s in range(w):
            one = q[:, :, :, r, s] / d**0.5
            values = torch.zeros(b, attention.heads, h, w, dtype=x.dtype)
            for i in range(h):
                for j in range(w):
                    key = k[:, :, :, i, j] + attention.rows[:, i - r + h - 1] + attention.cols[:, j - s + w - 1]
                    values[:, :, i, j] = (one * key).sum(2)
            share = values.flatten(2).softmax(2)
            out[:, :, :, r, s] = (v.flatten(3) * share[:, :, None]).sum(3)
    return out.reshape(b, c, h, w) * attention.gate(x)


@pytest.mark.parametrize("grid", [(3, 4), (4, 2), (1, 1)])
@pytest.mark.parametrize("heads", [1, 2])
def test_it_is_its_equation(grid: tuple[int, int], heads: int) -> None:
    torch.manual_seed(0)
    attention = GridAttention(8, grid=grid, heads=heads).double()
    x = torch.randn(2, 8, *grid, dtype=torch.float64, requires_grad=True)
    fast, plain = attention(x), slow(attention, x)
    torch.testing.assert_close(fast, plain)
    toward = torch.randn_like(fast)
    ours, theirs = (torch.autograd.grad((y * toward).sum(), [x, *attention.parameters()]) for y in (fast, plain))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_tables_are_interpolated_to_other_grids() -> None:
    """Linear tables stay linear: what a pixel thinks of an offset follows the share of the side that it spans."""
    attention = GridAttention(8, grid=(5, 9), heads=2)
    with torch.no_grad():
        for table in (attention.rows, attention.cols):
            table.copy_(torch.linspace(-1, 1, table.shape[1]).expand_as(table))
    q = torch.ones(1, 2, 3 * 17, 4)
    down, across = attention.position(q, size=(3, 17))
    assert down.shape == (1, 2, 51, 3)
    assert across.shape == (1, 2, 51, 17)
    torch.testing.assert_close(down[0, 0, 0], 4 * torch.tensor([0.0, 0.5, 1.0]))  # from the first row downwards
    torch.testing.assert_close(across[0, 0, 16], 4 * torch.linspace(-1, 0, 17))  # from the last column to the left
    image = torch.rand(1, 8, 3, 17)
    assert attention(image).shape == image.shape


def test_no_matrix_of_all_pairs_is_kept() -> None:
    """32 x 32 pixels: what is kept for the backward pass is smaller than one head's matrix of pairs."""
    attention = GridAttention(64, grid=(32, 32), heads=4)
    x = torch.rand(1, 64, 32, 32, requires_grad=True)
    largest = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        attention(x).sum().backward()
    assert largest < 1024 * 1024 // 2


def test_channel_gate() -> None:
    gate = ChannelGate(16, shrink=8)
    x = torch.rand(2, 16, 3, 3)
    mean, most = gate.shared(x.mean((2, 3))), gate.shared(x.amax((2, 3)))
    torch.testing.assert_close(gate(x)[:, :, 0, 0], torch.sigmoid(mean + most))


def test_a_new_block_passes_its_shortcut() -> None:
    x = torch.rand(2, 16, 4, 6)
    block = BottleneckAttention(16, 16, grid=(4, 6))
    torch.testing.assert_close(block(x), x)
    halving = BottleneckAttention(16, 32, grid=(4, 6), stride=2)
    assert halving(x).shape == (2, 32, 2, 3)
    assert isinstance(halving.shortcut, nn.Sequential)


def test_skip_attention_starts_at_nothing_and_keeps_the_size() -> None:
    skip = SkipAttention(8, grid=(8, 8), shrink=2)
    x = torch.rand(2, 8, 8, 12)
    assert skip(x).shape == x.shape
    assert not skip(x).any()
    nn.init.ones_(skip.norm.weight)
    out = skip.eval()(x)
    assert out.any()
    torch.testing.assert_close(out[:, :, ::2, ::2], out[:, :, 1::2, 1::2])


def test_heads_must_divide() -> None:
    with pytest.raises(ValueError, match="heads=3 must divide channels=8"):
        GridAttention(8, grid=(2, 2), heads=3)
