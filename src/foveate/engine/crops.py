"""Windows drawn at random from training images, a share of them about something marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.core.labels import UNKNOWN
from foveate.core.types import Batch
from foveate.engine.window import Place


@dataclass(frozen=True)
class DrawnWindows:
    """Square windows of a training batch, some placed so that they hold a marked pixel.

    Of all windows of a batch the share ``marked`` has a pixel of a label, each label of an image being as likely as
    another, so that a rare one is seen as often as a common one (nnU-Net, Isensee et al. 2021, places a third so). The
    others are anywhere. The part outside an image that is smaller than the window is 0 and unknown. Random numbers
    are torch's, which the training loop seeds at each step.

    Args:
        size: side of a window in pixels.
        each: windows per image.
        marked: share in [0, 1].

    Raises:
        ValueError: size or each is not positive, or marked is not a share.
    """

    size: int
    each: int = 2
    marked: float = 1 / 3

    def __post_init__(self) -> None:
        if self.size < 1 or self.each < 1 or not 0 <= self.marked <= 1:
            raise ValueError(f"{self}: give a size and windows per image from 1 on, and a share marked from 0 to 1")

    def split(self, batch: Batch) -> Batch:
        """The windows as a batch of their own; answers are unknown, as they are about the whole image."""
        shape = (batch.image.shape[2], batch.image.shape[3])
        count = len(batch) * self.each
        owners = torch.arange(len(batch)).repeat_interleave(self.each)
        tops, lefts = (torch.randint(max(1, n - self.size + 1), (count,)) for n in shape)
        present = (batch.masks & batch.known).flatten(2).any(2).cpu()
        able = present.any(1).nonzero().flatten()
        wanted = round(self.marked * count) if len(able) else 0
        for at in range(wanted):  # in turn, so that each image with a mark has as many
            owner = int(able[at % len(able)])
            window = owner * self.each + (at // len(able)) % self.each
            tops[window], lefts[window] = self._about(batch, owner, present[owner])
        places = [(int(owner), (int(top), int(left))) for owner, top, left in zip(owners, tops, lefts, strict=True)]
        return self._cut(batch, places)

    def _about(self, batch: Batch, owner: int, present: Tensor) -> Place:
        """A place whose window holds a random marked pixel of a random label of the image."""
        labels = present.nonzero().flatten()
        label = int(labels[int(torch.randint(len(labels), (1,)))])
        mask = batch.masks[owner, label] & batch.known[owner, label]
        pixels = mask.flatten().nonzero().flatten()
        row, col = divmod(int(pixels[int(torch.randint(len(pixels), (1,)))]), mask.shape[1])
        offsets = torch.randint(self.size, (2,)).tolist()
        top, left = (
            min(max(at - offset, 0), max(0, length - self.size))
            for at, offset, length in zip((row, col), offsets, mask.shape, strict=True)
        )
        return top, left

    def _cut(self, batch: Batch, places: list[tuple[int, Place]]) -> Batch:
        below, right = (max(0, self.size - length) for length in batch.image.shape[-2:])

        def cut(maps: Tensor) -> Tensor:
            maps = F.pad(maps, (0, right, 0, below)) if below or right else maps
            return torch.stack(
                [maps[i, :, top : top + self.size, left : left + self.size] for i, (top, left) in places]
            )

        def each(of: Callable[[Batch], Tensor | None], change: Callable[[Tensor], Tensor]) -> Tensor | None:
            return None if (value := of(batch)) is None else change(value)

        owners = torch.tensor([owner for owner, _ in places], device=batch.answers.device)
        return replace(
            batch,
            ids=tuple(f"{batch.ids[i]}@{top},{left}" for i, (top, left) in places),
            image=cut(batch.image),
            answers=torch.full_like(batch.answers[owners], UNKNOWN),
            masks=cut(batch.masks),
            known=cut(batch.known),
            prior=each(lambda b: b.prior, cut),
            cues=each(lambda b: b.cues, cut),
            geometries=(),
            cues_known=each(lambda b: b.cues_known, lambda known: known[owners]),
        )
