"""Bottleneck attention forward and backward against one that writes the matrix of all pairs down.

    python benchmarks/attention.py [--sizes 256 512] [--batch 2] [--rounds 3] [--device cpu]

The map is that of HBA-U-Net's first block: 256 channels, 4 heads, a sixteenth of the image's side. Both sides compute
the same numbers, which is checked. Memory: on CUDA the peak of what is allocated; on a CPU the bytes that are kept for
the backward pass, counted once a storage. Rounds alternate; ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from foveate.models.parts.attention import GridAttention


class ByHand(nn.Module):
    """The same attention, step by step: logits of content, of rows and of columns, their sum, softmax, product."""

    def __init__(self, attention: GridAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        a, (b, c, h, w) = self.attention, x.shape
        q, k, v = a.qkv(x).reshape(b, 3, a.heads, a.width, h * w).transpose(3, 4).unbind(1)
        q = q * a.width**-0.5
        down, across = a.position(q, size=(h, w))
        place = down[..., :, None] + across[..., None, :]
        logits = q @ k.transpose(2, 3) + place.reshape(b, a.heads, h * w, h * w)
        read = logits.softmax(-1) @ v
        return a.gate(x) * read.transpose(2, 3).reshape(b, c, h, w)


def kept(step: Callable[[], None]) -> int:
    """Bytes of the storages that a step keeps for its backward pass."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        step()
    return sum(storages.values())


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    ask.add_argument("--batch", type=int, default=2)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--device", default="cpu")
    args = ask.parse_args()
    for size in args.sizes:
        compare(size, args)


def compare(size: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    side = size // 16
    ours = GridAttention(256, grid=(side, side), heads=4).to(args.device)
    sides: dict[str, nn.Module] = {"fused": ours, "by hand": ByHand(ours)}
    x = torch.randn(args.batch, 256, side, side, device=args.device, requires_grad=True)
    torch.testing.assert_close(sides["fused"](x), sides["by hand"](x), rtol=1e-3, atol=1e-4)

    def step(name: str) -> None:
        sides[name](x).square().sum().backward()

    def memory(name: str) -> float:
        if args.device == "cpu":
            return kept(lambda: step(name)) / 2**20
        torch.cuda.reset_peak_memory_stats()
        step(name)
        return torch.cuda.max_memory_allocated() / 2**20

    held = {name: memory(name) for name in sides}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name in sides:
            begin = time.perf_counter()
            step(name)
            if args.device != "cpu":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - begin)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{size} px, {side} x {side} pixels, batch {args.batch}, {args.device}, {torch.get_num_threads()} threads")
    for name in sides:
        print(f"  {name:<8} {1000 * middle[name]:9.1f} ms  {held[name]:9.1f} MiB")
    print(
        f"by hand / fused: time {middle['by hand'] / middle['fused']:.2f}, memory {held['by hand'] / held['fused']:.2f}"
    )


if __name__ == "__main__":
    main()
