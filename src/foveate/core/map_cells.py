"""The cells of a map and the pixels of the frame that it was made of: cues brought to cells, maps to pixels.

Where a map's cells do not divide the frame they are taken to be the next power of two of pixels wide, and to reach over
its lower and right edge, as encoders pad it.
"""

from __future__ import annotations

import math

from jaxtyping import Bool, Float

from foveate.core.arrays import Tensor

Size = tuple[int, int]
"""(rows, cols)."""


def reach(frame: Size, grid: Size) -> Size:
    """Rows and columns of pixels that the cells cover; more than the frame's where they do not divide it."""
    if frame[0] % grid[0] or frame[1] % grid[1]:
        cell = 1 << (max(math.ceil(frame[0] / grid[0]), math.ceil(frame[1] / grid[1])) - 1).bit_length()
        return grid[0] * cell, grid[1] * cell
    return frame


def at_resolution(cues: Bool[Tensor, "b r h w"], size: Size) -> Bool[Tensor, "b r i j"]:
    """Cues on the cells of a map: a cell is inside where any of its pixels is.

    Args:
        cues: on the pixels of the frame.
        size: (rows, cols) of the map.
    """
    import torch.nn.functional as F

    planes, (rows, cols) = cues.float(), (cues.shape[2], cues.shape[3])
    down, across = reach((rows, cols), size)
    if down >= rows and across >= cols:
        planes = F.pad(planes, (0, across - cols, 0, down - rows))
    return F.adaptive_max_pool2d(planes, size) > 0.5


def on_frame(maps: Float[Tensor, "b c i j"], size: Size) -> Float[Tensor, "b c h w"]:
    """Maps on the pixels of the frame (bilinear).

    Args:
        maps: of any values.
        size: (rows, cols) of the frame.
    """
    import torch.nn.functional as F

    full = reach(size, (maps.shape[2], maps.shape[3]))
    return F.interpolate(maps, full, mode="bilinear", align_corners=False)[:, :, : size[0], : size[1]]
