"""Run lengths of painted pixels as Label Studio's own converter writes them: of four equal channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveate.core.shapes import Layer, packed

SIZES = (3, 4, 8, 16)
"""Bits that a run's length may take."""

CHANNELS = 4


def encode(layer: Layer, pixels: int) -> list[int]:
    """Encode a layer as Label Studio's run lengths.

    Args:
        layer: painted pixels.
        pixels: rows times columns.
    """
    bits = [f"{pixels * CHANNELS:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    at = 0
    stretches = []
    for start, length in zip(layer.runs[0::2], layer.runs[1::2], strict=True):
        stretches += [(start - at, 0), (length, 255)]
        at = start + length
    stretches.append((pixels - at, 0))
    most = 1 << SIZES[-1]
    for length, value in stretches:
        left = length * CHANNELS
        while left:
            part = min(left, most)
            which = next(i for i, size in enumerate(SIZES) if part <= 1 << size)
            bits.append(f"1{which:02b}{part - 1:0{SIZES[which]}b}{value:08b}")
            left -= part
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode(data: Sequence[int], shape: tuple[int, int]) -> Layer:
    """Decode what `encode` wrote, and runs that are stored pixel by pixel.

    Args:
        data: bytes, 0 to 255 each.
        shape: (rows, cols).

    Raises:
        ValueError: cut off, or of another size.
    """
    text = "".join(f"{byte:08b}" for byte in bytes(data))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(text):
            raise ValueError("the run lengths end too early")
        at += count
        return int(text[at - count : at], 2)

    count = take(32)
    if count != shape[0] * shape[1] * CHANNELS:
        raise ValueError(f"run lengths of {count} values, but {shape[0]} x {shape[1]} pixels have {CHANNELS} each")
    word = take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    out = np.zeros(count, np.uint8)
    i = 0
    while i < count:
        same = take(1)
        end = i + 1 + take(sizes[take(2)])
        if end > count:
            raise ValueError("the run lengths hold more than the image")
        if same:
            out[i:end] = take(word) & 255
        else:
            out[i:end] = [take(word) & 255 for _ in range(end - i)]
        i = end
    return packed(out.reshape(*shape, CHANNELS)[..., 3] > 127)
