"""The eight regions over their image, and activation maps as Son et al. 2018 show them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage

from foveate.core.regions import NAMES, Regions
from foveate.report import colours
from foveate.report.grid import GAP, Grid, Tile
from foveate.report.legend import font, key
from foveate.report.overlay import Picture, activation, overlay, resized
from foveate.report.panels import WIDTH, blank

LINE = (255, 255, 255)
CUE, TINT = colours.MARKS[1], 0.35
"""Colour of marked regions and cues, and its strength."""


def region_overlay(
    image: Picture, regions: Regions, *, marked: Collection[str] = (), width: int | None = None, names: bool = True
) -> Image.Image:
    """An image with the outlines of its eight regions and their names; marked ones are tinted.

    The assumptions (``Regions.assumed``) are written in the lower left corner.

    Args:
        image: RGB, ``(row, col, 3)``.
        regions: in the image's own pixels.
        marked: names of regions.
        width: columns of the picture; None = those of the image.
        names: write the names.

    Raises:
        ValueError: a marked region is unknown.
    """
    picture = resized(image, width)
    factor = picture.shape[1] / image.shape[1]
    masks = regions.masks((image.shape[0], image.shape[1]))
    if marked:
        tint = _fitted(regions.cover(marked, (image.shape[0], image.shape[1])), picture)
        picture[tint] = np.round(picture[tint] * (1 - TINT) + np.array(CUE) * TINT)
    out = Image.fromarray(picture)
    draw = ImageDraw.Draw(out)
    thick = max(1, round(picture.shape[1] / 320))
    for corners in regions.outlines((image.shape[0], image.shape[1])).values():
        line = [((c + 0.5) * factor, (r + 0.5) * factor) for r, c in corners]
        draw.line([*line, line[0]], fill=LINE, width=thick)
    letters = font(picture.shape[1])
    for name, mask in zip(NAMES, masks, strict=True):
        if names and mask.any():
            row, col = _inmost(mask)
            at = ((col + 0.5) * factor, (row + 0.5) * factor)
            draw.multiline_text(
                at, name.replace(" ", "\n"), font=letters, fill=LINE, anchor="mm", align="center",
                stroke_width=thick, stroke_fill=(0, 0, 0),
            )  # fmt: skip
    if regions.assumed:
        words = "assumed: " + ", ".join(regions.assumed)
        draw.text((thick * 4, out.height - thick * 4), words, font=letters, fill=LINE, anchor="lb",
                  stroke_width=thick, stroke_fill=(0, 0, 0))  # fmt: skip
    return out


def softened(cam: Float[np.ndarray, "r c"], size: tuple[int, int], *, kernel: int = 32) -> Float[np.ndarray, "h w"]:
    """A map for showing: enlarged bilinearly, blurred by a Gaussian, scaled to [0, 1] (Son et al. 2018, Figure 3).

    Args:
        cam: at the network's resolution; nan where nothing was looked at.
        size: (rows, cols) of the picture.
        kernel: side of the Gaussian for a picture 512 pixels wide, in proportion for others; its sigma is what OpenCV
            takes for such a kernel, 0.3 ((kernel - 1) / 2 - 1) + 0.8.
    """
    large = cv2.resize(cam.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    seen = ~np.isnan(large)
    sigma = (0.3 * ((kernel - 1) / 2 - 1) + 0.8) * size[1] / 512
    soft, near = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (np.nan_to_num(large), seen.astype(np.float32)))
    soft = np.where(
        seen, soft / np.maximum(near, 1e-6), 0
    )  # parts that were not looked at do not darken their neighbours
    if not seen.any():
        return np.zeros_like(soft)
    low, high = float(soft[seen].min()), float(soft[seen].max())
    return np.asarray(np.where(seen, (soft - low) / (high - low), 0) if high > low else np.zeros_like(soft))


@dataclass(frozen=True)
class Seen:
    """One image with a finding, where it is, and where each method saw it.

    Args:
        id: of the image.
        image: RGB.
        mask: true pixels of the finding, on the image's grid; all false where they are not known.
        cue: pixels of its cue; None where there is none.
        regions: in the image's own pixels; None where the disc is not known.
        maps: method -> activation map over the whole image, at any resolution; nan where nothing was looked at.
        words: method -> lines below its map.
    """

    id: str
    image: Picture
    mask: Bool[np.ndarray, "h w"]
    cue: Bool[np.ndarray, "h w"] | None
    regions: Regions | None
    maps: Mapping[str, Float[np.ndarray, "r c"]]
    words: Mapping[str, Sequence[str]]


def guidance_panel(images: Iterable[Seen], *, methods: Sequence[str], finding: str, width: int = WIDTH) -> Image.Image:
    """The paper's Figure 3: per image one row with mask, cue in the eye's regions, and each method's map, `softened`.

    Args:
        images: taken one after the other.
        methods: columns, in their order; the place of a missing map is empty.
        finding: its name.
        width: pixels across at most.

    Raises:
        ValueError: no images.
    """
    grid = Grid.of(len(methods), lead=2, limit=width)
    rows = [_seen_row(one, methods, finding, grid) for one in images]
    if not rows:
        raise ValueError(f"images is empty: nothing to show of {finding!r}; give at least one")
    foot = key(
        [(f"{finding}: truth", colours.MARKS[0]), ("cue", CUE)],
        width=grid.width - 2 * GAP,
        size=grid.size,
        scale=True,
        ends=("activation: the map's lowest", "highest"),
    )
    return grid.sheet(rows, heads=["image", "cue", *methods], key=foot)


def _seen_row(one: Seen, methods: Sequence[str], finding: str, grid: Grid) -> list[Tile]:
    size = (one.image.shape[0], one.image.shape[1])
    outlined = overlay(one.image, masks=one.mask[None], labels=(finding,), width=grid.tile, alpha=0.0, legend=False)
    share = (f"truth: {one.mask.mean():.1%} of area",) if one.mask.any() else ()
    tiles = [Tile(outlined, (one.id, *share)), Tile(*_cue_tile(one, grid.tile))]
    for method in methods:
        cam = one.maps.get(method)
        if cam is None:
            tiles.append(Tile(blank(grid.tile, outlined.height, "no map")))
            continue
        picture = activation(one.image, cam=softened(cam, size), width=grid.tile, legend=False)
        tiles.append(Tile(picture, tuple(one.words.get(method, ()))))
    return tiles


def _cue_tile(one: Seen, width: int) -> tuple[Image.Image, tuple[str, ...]]:
    """The cue tinted, the eight regions drawn and named over it, and in words what share of the image it is."""
    tinted = one.image.copy()
    words = ["cue unknown"]
    if one.cue is not None:
        tinted[one.cue] = np.round(tinted[one.cue] * (1 - TINT) + np.array(CUE) * TINT)
        words = [f"cue: {one.cue.mean():.1%} of area"]
    if one.regions is None:
        return Image.fromarray(resized(tinted, width)), (*words, "disc unknown: no regions")
    return region_overlay(tinted, one.regions, width=width), tuple(words)


def _inmost(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """The pixel of a region that is farthest from its edge."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(row), float(col)


def _fitted(mask: Bool[np.ndarray, "h w"], picture: Picture) -> Bool[np.ndarray, "h w"]:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
