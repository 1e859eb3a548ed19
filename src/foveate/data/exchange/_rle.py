"""Run lengths of COCO: a mask as counts down the columns, and the counts as text.

Counts alternate between pixels outside and inside, column after column, beginning outside. As text each count is a
little-endian chain of 5-bit groups with a sixth bit for "more follows", two's complement, from character 48 on; from
the fourth count on it is the difference to the count before the last (Lin et al. 2014, Microsoft COCO; mask format of
its reference tools).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def runs(inside: Int[np.ndarray, " n"], pixels: int) -> list[int]:
    """Counts of a mask.

    Args:
        inside: places of the marked pixels, counted down the columns, ascending.
        pixels: rows times columns.
    """
    if inside.size == 0:
        return [pixels]
    gaps = np.flatnonzero(np.diff(inside) > 1)
    starts = np.concatenate([inside[:1], inside[gaps + 1]])
    ends = np.concatenate([inside[gaps], inside[-1:]]) + 1
    borders = np.stack([starts, ends], 1).ravel()
    counts = np.diff(np.concatenate([[0], borders, [pixels]])).tolist()
    return [int(c) for c in (counts if counts[-1] else counts[:-1])]


def encode(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Counts of a mask."""
    return runs(np.flatnonzero(mask.ravel(order="F")), mask.size)


def decode(counts: Sequence[int], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask of counts.

    Args:
        counts: outside and inside in turn.
        shape: (rows, cols).

    Raises:
        ValueError: they are negative or do not sum to the number of pixels.
    """
    mask = np.zeros(shape, bool, order="F")
    draw(counts, mask)
    return mask


def draw(counts: Sequence[int], mask: Bool[np.ndarray, "h w"]) -> None:
    """Mark the pixels inside in a mask that is stored column by column (``order="F"``); see `decode`."""
    rows, cols = mask.shape
    if min(counts, default=0) < 0 or sum(counts) != mask.size:
        raise ValueError(f"counts sum to {sum(counts)}, but {rows} x {cols} has {mask.size} pixels")
    flat = mask.ravel(order="F")
    assert flat.base is not None, "the mask is not stored column by column"
    ends = np.cumsum(counts).tolist()
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        flat[start:end] = True


def to_text(counts: Sequence[int]) -> str:
    """Counts as text."""
    out = []
    for i, count in enumerate(counts):
        rest = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            group = rest & 31
            rest >>= 5
            more = rest != (-1 if group & 16 else 0)
            out.append(chr(48 + (group | (32 if more else 0))))
    return "".join(out)


def from_text(text: str) -> list[int]:
    """Inverse of `to_text`.

    Raises:
        ValueError: a character is not one of the 64, or the text ends inside a count.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"counts: {character!r} cannot be in a run-length text")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("counts: the text ends inside a number; it was cut off")
    return counts
