"""Test-time augmentation: an image is read in several views, each an exact flip, and what was found is turned back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from foveate.core.types import Batch, Outputs

VIEWS: dict[str, tuple[int, ...]] = {"as is": (), "horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}
"""View -> axes along which the image is flipped."""

ALL = tuple(VIEWS)
"""All four. Only for images that may appear mirrored and upside down: a B-scan has its retina on top of its choroid."""


def check_views(views: Sequence[str]) -> None:
    """ValueError unless each is one of `VIEWS`, named once, and "as is" is among them; empty = that alone."""
    if strange := [view for view in views if view not in VIEWS]:
        raise ValueError(f"views={list(views)}: each must be one of {list(VIEWS)}, got {strange[0]!r}")
    if len(set(views)) < len(views) or (views and "as is" not in views):
        raise ValueError(f"views={list(views)}: name each view once, and 'as is' among them")


def turned(batch: Batch, axes: tuple[int, ...]) -> Batch:
    """The batch flipped along these axes: image, masks, what is known of them, cues, and the maps that it brings."""
    if not axes:
        return batch
    planes = {name: getattr(batch, name) for name in ("image", "masks", "known", "prior", "cues")}
    return replace(batch, **{name: plane.flip(axes) for name, plane in planes.items() if plane is not None})


def turned_back(outputs: Outputs, batch: Batch, axes: tuple[int, ...]) -> Outputs:
    """Outputs of the flipped batch on the pixels of the image as it is.

    Activation maps are left out if their cells do not divide the frame: then a network pads the frame on one side, so
    the cells of a flipped map and of the other view do not cover the same pixels. Features are left out too.

    Args:
        outputs: of a view.
        batch: the same images.
        axes: of the view.
    """
    if not axes:
        return outputs
    frame, maps = batch.image.shape[-2:], outputs.activation
    fits = maps is not None and not any(side % cells for side, cells in zip(frame, maps.shape[-2:], strict=True))

    def back(planes: Tensor | None) -> Tensor | None:
        return None if planes is None else planes.flip(axes)

    return Outputs(
        pixel=back(outputs.pixel),
        image=outputs.image,
        activation=back(maps) if fits else None,
        aux=tuple(planes.flip(axes) for planes in outputs.aux),
    )
