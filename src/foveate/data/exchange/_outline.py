"""Outlines along the edges of pixels: a mask without holes as closed polygons that give back the very same mask."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

Corner = tuple[int, int]
"""(row, col) of a pixel's corner; the first pixel has the corners (0, 0) and (1, 1)."""


def outlines(mask: Bool[np.ndarray, "h w"]) -> list[list[Corner]] | None:
    """Closed outlines of a mask, straight pieces joined; None if it has a hole, because polygons cannot express it.

    Edges are followed with the mask on the right. If two pixels touch at a corner, the path turns right, so that each
    outline goes round one piece.
    """
    inside = np.pad(mask, 1)
    ahead: dict[Corner, list[Corner]] = {}
    for step, edges in _edges(inside).items():
        for row, col in edges:
            ahead.setdefault((row, col), []).append(step)
    found = []
    while ahead:
        start = next(iter(ahead))
        at, step = start, ahead[start][0]
        corners: list[Corner] = []
        area = 0
        while True:
            there = ahead[at]
            turn = (step[1], -step[0])  # right of the way we go
            new = turn if turn in there else step if step in there else (-step[1], step[0])
            if new not in there:
                new = there[0]
            if new != step or not corners:
                corners.append(at)
            there.remove(new)
            if not there:
                del ahead[at]
            following = (at[0] + new[0], at[1] + new[1])
            area += at[1] * following[0] - following[1] * at[0]
            at, step = following, new
            if at == start:
                break
        if area < 0:
            return None
        if len(corners) > 2 and _straight(corners[-1], corners[0], corners[1]):
            corners = corners[1:]
        found.append(corners)
    return found


def _edges(inside: Bool[np.ndarray, "h w"]) -> dict[Corner, list[Corner]]:
    """Starts of the directed edges by direction; the mask is on their right (rows grow downwards)."""
    top = inside[1:, 1:] & ~inside[:-1, 1:]
    bottom = inside[:-1, 1:] & ~inside[1:, 1:]
    left = inside[1:, 1:] & ~inside[1:, :-1]
    right = inside[1:, :-1] & ~inside[1:, 1:]
    return {
        (0, 1): [(r, c) for r, c in np.argwhere(top).tolist()],
        (0, -1): [(r, c + 1) for r, c in np.argwhere(bottom).tolist()],
        (-1, 0): [(r + 1, c) for r, c in np.argwhere(left).tolist()],
        (1, 0): [(r, c) for r, c in np.argwhere(right).tolist()],
    }


def _straight(a: Corner, b: Corner, c: Corner) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0])
