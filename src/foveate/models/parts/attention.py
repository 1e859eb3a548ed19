"""Hierarchical bottleneck attention (Tang et al. 2021): content, relative position and channel, in one block.

Every pixel of a map attends to every other. The logit is content plus position, q k + q r(dx) + q r(dy). The position
term depends on the query, so as a bias it would need h w x h w numbers per head. It is part of the product instead:

    [q, q r(dx), q r(dy)] . [k, onehot(x), onehot(y)]

which is the same to the last digit of the sum, and lets torch's fused attention run without that matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.models.parts.convs import conv_norm


class GridAttention(nn.Module):
    """Multi-head self-attention over a map with learnt relative positions, times a channel gate, without projection.

    The tables of positions are learnt for one grid. For another grid they are interpolated; the middle and the ends
    stay.

    Args:
        channels: of the map, divided evenly among the heads.
        grid: (rows, cols) of the map for which the tables are made.
        heads: number of heads; they share the tables.
        shrink: factor by which the channel gate's hidden layer has fewer channels.

    Raises:
        ValueError: heads does not divide channels.
    """

    def __init__(self, channels: int, *, grid: tuple[int, int], heads: int = 4, shrink: int = 8) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"heads={heads} must divide channels={channels}")
        self.heads, self.width = heads, channels // heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        spread = self.width**-0.5
        self.rows = nn.Parameter(torch.randn(self.width, 2 * grid[0] - 1) * spread)
        self.cols = nn.Parameter(torch.randn(self.width, 2 * grid[1] - 1) * spread)
        self.gate = ChannelGate(channels, shrink=shrink)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return for each pixel the attention over all others, its channels weighed by the gate."""
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, self.width, h * w).transpose(3, 4).unbind(1)
        q = q * self.width**-0.5
        down, across = self.position(q, size=(h, w))
        query = torch.cat([q, down.to(q.dtype), across.to(q.dtype)], 3)
        key = torch.cat([k, _which(h, w, like=k).expand(b, self.heads, -1, -1)], 3)
        # v is padded to the width of q and k: with another width torch's fused kernels do not apply, and the whole
        # matrix of h w x h w would be stored.
        wide = F.pad(v, (0, h + w))
        read = F.scaled_dot_product_attention(query, key, wide, scale=1.0)[..., : self.width]
        gated: Tensor = self.gate(x) * read.transpose(2, 3).reshape(b, c, h, w)
        return gated

    def position(
        self, q: Float[Tensor, "b n p d"], *, size: tuple[int, int]
    ) -> tuple[Float[Tensor, "b n p h"], Float[Tensor, "b n p w"]]:
        """Compute the position logits of each pixel (row by row) for every row and for every column of the map."""
        (h, w), (b, n, _, d) = size, q.shape
        grid = q.reshape(b, n, h, w, d)
        down = torch.einsum("bnhwd,hkd->bnhwk", grid, _offsets(self.rows, h).to(q.dtype))
        across = torch.einsum("bnhwd,wkd->bnhwk", grid, _offsets(self.cols, w).to(q.dtype))
        return down.reshape(b, n, h * w, h), across.reshape(b, n, h * w, w)


class ChannelGate(nn.Module):
    """Channel gate sigmoid(MLP(mean) + MLP(max)) (Woo et al. 2018).

    Args:
        channels: of the map.
        shrink: of the hidden layer.
    """

    def __init__(self, channels: int, *, shrink: int = 8) -> None:
        super().__init__()
        hidden = max(channels // shrink, 1)
        self.shared = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        """Return gates in (0, 1)."""
        opened = torch.sigmoid(self.shared(x.mean((2, 3))) + self.shared(x.amax((2, 3))))
        return opened[:, :, None, None]


class BottleneckAttention(nn.Module):
    """Residual bottleneck with attention instead of its 3x3 convolution; its last normalisation starts at 0.

    Args:
        channels: of the input map.
        width: channels of the result; the attention works on a quarter of them.
        grid: (rows, cols) of the input map.
        stride: 1, or 2 to halve the map after the attention.
        heads: of the attention.
    """

    def __init__(self, channels: int, width: int, *, grid: tuple[int, int], stride: int = 1, heads: int = 4) -> None:
        super().__init__()
        inner = width // 4
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = conv_norm(channels, width, kernel=1, stride=stride)
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            GridAttention(inner, grid=grid, heads=heads),
            nn.AvgPool2d(stride) if stride != 1 else nn.Identity(),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, width, 1, bias=False),
            last,
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Return the refined map."""
        return F.relu(self.shortcut(x) + self.body(x))


class SkipAttention(nn.Module):
    """Self-attention of a skip on a smaller copy of it; the result is joined to the skip, not added.

    Args:
        channels: of the skip.
        grid: (rows, cols) of the skip.
        shrink: side of the blocks whose means take part; at 512 px the finest skip has 65,536 pixels, too many for
            attention between all of them.
        heads: of the attention.
    """

    def __init__(self, channels: int, *, grid: tuple[int, int], shrink: int, heads: int = 4) -> None:
        super().__init__()
        self.shrink = shrink
        self.attention = GridAttention(channels, grid=(grid[0] // shrink, grid[1] // shrink), heads=heads)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, skip: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the attended map at the skip's own resolution."""
        read = self.norm(self.attention(F.avg_pool2d(skip, self.shrink)))
        return F.interpolate(read, scale_factor=float(self.shrink), mode="nearest")


def _offsets(table: Float[Tensor, "d t"], size: int) -> Float[Tensor, "n n d"]:
    """Look up the table for every offset k - i of positions i and k along a side of ``size`` pixels."""
    if table.shape[1] != 2 * size - 1:
        table = F.interpolate(table[None], 2 * size - 1, mode="linear", align_corners=True)[0]
    at = torch.arange(size, device=table.device)
    return table.t()[at[None] - at[:, None] + size - 1]


def _which(h: int, w: int, *, like: Tensor) -> Float[Tensor, "p r"]:
    """Encode row and column of every pixel, one-hot, side by side."""
    eye_h, eye_w = (torch.eye(n, dtype=like.dtype, device=like.device) for n in (h, w))
    return torch.cat([eye_h.repeat_interleave(w, 0), eye_w.repeat(h, 1)], 1)
