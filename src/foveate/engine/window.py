"""Images cut into windows: trained on tile by tile, read window by window with what overlaps averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.core.types import Batch, Outputs

Place = tuple[int, int]
"""Top and left of a window, in pixels."""


@dataclass(frozen=True)
class SlidingWindow:
    """Square windows laid over an image at even steps.

    The last window of a row or column ends at the image's edge, and so may overlap more. An image smaller than the
    window is padded with zeros below and on the right, which is cut off again (and unknown where tiles are trained on).

    Args:
        size: side of a window in pixels.
        stride: from one window to the next in pixels; ``size`` = side by side.
        batch: windows that go through the network at a time when an image is read.

    Raises:
        ValueError: size, stride or batch is not positive, or the stride leaves gaps.
    """

    size: int
    stride: int
    batch: int = 16

    def __post_init__(self) -> None:
        if self.size < 1 or self.batch < 1 or not 1 <= self.stride <= self.size:
            raise ValueError(f"{self}: give a size and a batch from 1 on, and a stride from 1 to the size (no gaps)")

    def places(self, shape: tuple[int, int]) -> list[Place]:
        """Places of the windows in an image of (rows, cols), row by row."""
        down, across = (_starts(length, self.size, self.stride) for length in shape)
        return [(top, left) for top in down for left in across]

    def split(self, batch: Batch) -> Batch:
        """Every window of every image as an image of its own, image by image: what a patch-wise network trains on.

        An answer is about the whole image, so those of the windows are unknown.
        """
        places = self.places((batch.image.shape[2], batch.image.shape[3]))
        several = len(places)

        def cut(maps: Tensor) -> Tensor:
            padded = self._padded(maps)
            return torch.stack([self._cut(padded, place) for place in places], 1).flatten(0, 1)

        return Batch(
            schema=batch.schema,
            ids=tuple(f"{name}@{top},{left}" for name in batch.ids for top, left in places),
            image=cut(batch.image),
            answers=torch.full_like(batch.answers.repeat_interleave(several, 0), -1),
            masks=cut(batch.masks),
            known=cut(batch.known),
            prior=None if batch.prior is None else cut(batch.prior),
            cues=None if batch.cues is None else cut(batch.cues),
            cues_known=None if batch.cues_known is None else batch.cues_known.repeat_interleave(several, 0),
        )

    def read(self, batch: Batch, network: Callable[[Tensor, Tensor | None], Outputs]) -> Outputs:
        """Pixel logits of whole images, and those of deep supervision, from the windows.

        Probabilities are averaged where windows overlap (Wei et al. 2020 average "scores"), not logits: one window that
        is sure of itself then does not outvote the others. What comes back are the logits of the averages.

        Args:
            batch: whole images.
            network: image and prior of some windows -> outputs, in float32.

        Raises:
            ValueError: the network has no pixel logits, or answers about the whole image, which no window shows.
        """
        shape = (batch.image.shape[2], batch.image.shape[3])
        sums: list[Tensor] = []
        covered = batch.image.new_zeros(max(shape[0], self.size), max(shape[1], self.size))
        for places, image, prior in self._windows(batch):
            outputs = network(image, prior)
            if outputs.pixel is None or outputs.image is not None:
                raise ValueError(
                    "a sliding window reads pixel by pixel; the network has "
                    + ("no pixel logits" if outputs.pixel is None else "image logits, and no window is the whole image")
                    + "; take the recipe's window away (infer=None)"
                )
            for at, logits in enumerate((outputs.pixel, *outputs.aux)):
                found = batch.schema.channel_probability(logits)
                found = found.reshape(len(places), batch.image.shape[0], *found.shape[1:])
                if at == len(sums):
                    sums.append(found.new_zeros(batch.image.shape[0], found.shape[2], *covered.shape))
                for place, one in zip(places, found, strict=True):
                    self._cut(sums[at], place).add_(one)
            for place in places:
                self._cut(covered, place).add_(1)
        pixel, *aux = (batch.schema.logits_of((total / covered)[..., : shape[0], : shape[1]]) for total in sums)
        return Outputs(pixel=pixel, aux=tuple(aux))

    def windows(self, batch: Batch) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Image and prior of all windows, as many at a time as go through the network when images are read."""
        for _, image, prior in self._windows(batch):
            yield image, prior

    def _windows(self, batch: Batch) -> Iterator[tuple[list[Place], Tensor, Tensor | None]]:
        """Some places at a time, and image and prior of the windows there, place by place."""
        places = self.places((batch.image.shape[2], batch.image.shape[3]))
        image = self._padded(batch.image)
        prior = None if batch.prior is None else self._padded(batch.prior)
        step = max(1, self.batch // len(batch))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            cut = torch.cat([self._cut(image, place) for place in some])
            yield some, cut, None if prior is None else torch.cat([self._cut(prior, place) for place in some])

    def _cut(self, maps: Tensor, place: Place) -> Tensor:
        return maps[..., place[0] : place[0] + self.size, place[1] : place[1] + self.size]

    def _padded(self, maps: Tensor) -> Tensor:
        below, right = (max(0, self.size - length) for length in maps.shape[-2:])
        return F.pad(maps, (0, right, 0, below)) if below or right else maps


def _starts(length: int, size: int, stride: int) -> list[int]:
    last = max(0, length - size)
    return [*range(0, last, stride), last]
