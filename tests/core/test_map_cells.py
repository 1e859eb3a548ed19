"""Cells of a map and pixels of its frame: what the cells cover, cues on cells, maps on pixels."""

import pytest
import torch

from foveate.core.map_cells import at_resolution, on_frame, reach


@pytest.mark.parametrize(
    ("frame", "grid", "covered"),
    [
        ((96, 96), (6, 6), (96, 96)),
        ((96, 48), (12, 12), (96, 48)),  # cells need not be square
        ((96, 100), (6, 7), (96, 112)),  # one side alone does not divide: cells of 16, over the right edge
        ((100, 96), (7, 6), (112, 96)),
        ((100, 100), (4, 4), (100, 100)),
        ((33, 17), (2, 2), (64, 64)),  # the next power of two above 17
        ((5, 3), (5, 2), (10, 4)),
    ],
)
def test_cells_cover_the_frame_or_reach_over_its_lower_and_right_edge(
    frame: tuple[int, int], grid: tuple[int, int], covered: tuple[int, int]
) -> None:
    assert reach(frame, grid) == covered


@pytest.mark.parametrize(
    ("pixel", "cell"), [((0, 0), (0, 0)), ((15, 15), (0, 0)), ((16, 31), (1, 1)), ((95, 99), (5, 6))]
)
def test_one_pixel_lights_the_cell_that_covers_it(pixel: tuple[int, int], cell: tuple[int, int]) -> None:
    cue = torch.zeros(1, 1, 96, 100, dtype=torch.bool)
    cue[0, 0, pixel[0], pixel[1]] = True
    assert at_resolution(cue, (6, 7))[0, 0].nonzero().tolist() == [list(cell)]


def test_a_map_ends_where_the_frame_does() -> None:
    """The middle of each cell has the cell's own value; the part of the last column over the edge is cut."""
    maps = torch.arange(42.0).reshape(1, 1, 6, 7)
    large = on_frame(maps, (96, 100))
    assert large.shape == (1, 1, 96, 100)
    middles = large[0, 0, 7::16, 7:96:16]
    around = (large[0, 0, 8::16, 8:96:16] + middles) / 2
    torch.testing.assert_close(around[1:-1, 1:], maps[0, 0, 1:-1, 1:6])  # the outermost cells are flat at the edge
