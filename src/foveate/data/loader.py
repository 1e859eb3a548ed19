"""Rows to batches: what is known travels with the truth, and the order follows from (seed, epoch) alone.

Threads, not processes: Pillow, OpenCV, numpy and torch let go of the interpreter while they work. A batch is the same
whatever the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Row, Sample
from foveate.data.augment import Augment
from foveate.data.cache import Cache
from foveate.data.prepare import Prepare
from foveate.data.read import MERGE, Unreadable
from foveate.data.sampling import spread

Priors = Callable[[str], Float[np.ndarray, "k r c"]]
MakeCues = Callable[[Sample], tuple[UInt8[np.ndarray, "r h w"], UInt8[np.ndarray, " r"]]]


@dataclass(frozen=True)
class Dataset:
    """Rows that can be read as samples.

    Args:
        rows: images of a manifest.
        root: folder that their paths are relative to.
        schema: what is asked and marked; may select from the manifest's.
        prepare: file -> frame.
        augment: random variations, used where a generator is given.
        cache: prepared samples on disk.
        priors: image id -> maps of an earlier stage ``(map, row, col)`` float32 over the frame, at any resolution.
        cues: sample, not varied yet -> cues ``(region, row, col)`` 0/1 in its frame, and ``(region,)`` 0/1 which of
            them are known (`data.cues.Cues`).

    Raises:
        ValueError: ``prepare.annotators`` must be a rule, or an annotator of these rows.
    """

    rows: Sequence[Row]
    root: Path
    schema: LabelSchema
    prepare: Prepare
    augment: Augment | None = None
    cache: Cache | None = None
    priors: Priors | None = None
    cues: MakeCues | None = None

    def __post_init__(self) -> None:
        annotators = self.prepare.annotators
        if annotators not in MERGE:
            there = {s.annotator for row in self.rows for sources in row.masks.values() for s in sources}
            if annotators not in there:
                raise ValueError(
                    f"annotators must be a rule of {sorted(MERGE)} or one of the rows' annotators {sorted(there)}, "
                    f"got {annotators!r}"
                )

    def __len__(self) -> int:
        return len(self.rows)

    def sample(self, index: int, *, rng: np.random.Generator | None = None) -> Sample:
        """One prepared sample.

        Args:
            index: of the row.
            rng: varies it by ``augment``; None leaves it as it is.

        Raises:
            Unreadable: with the row's id. A damaged file is never skipped: a data set that shrinks in silence gives
                figures for other images than those reported.
        """
        row = self.rows[index]
        try:
            if self.cache is None:
                sample = self.prepare(row, self.root, self.schema)
            else:
                sample = self.cache.sample(row, self.root, self.schema, self.prepare)
        except Unreadable as error:
            raise Unreadable(error.path, f"{error.reason} (image {row.id!r})") from error
        if self.priors is not None:
            sample = replace(sample, prior=_prior(self.priors(row.id), sample.geometry.size))
        if self.cues is not None:
            cues, known = self.cues(sample)
            sample = replace(sample, cues=cues, cues_known=known)
        return sample if rng is None or self.augment is None else self.augment(sample, rng)


def _prior(maps: Float[np.ndarray, "k r c"], size: tuple[int, int]) -> Float[np.ndarray, "k h w"]:
    maps = np.asarray(maps, np.float32)
    if maps.shape[1:] == size:
        return maps
    return np.stack([cv2.resize(m, size[::-1], interpolation=cv2.INTER_LINEAR) for m in maps])


def collate(samples: Sequence[Sample], schema: LabelSchema) -> Batch:
    """Samples of one size as tensors; the image becomes float32 in [0, 1].

    Args:
        samples: at least one; priors and regions are in all of them or in none.
        schema: that they were made by.

    Raises:
        ValueError: there is none, sizes differ, or some have a prior (cues) and some none.
    """
    if not samples:
        raise ValueError("samples is empty; a batch needs one at least")
    if len(shapes := {s.image.shape for s in samples}) > 1:
        raise ValueError(f"samples are of different sizes {sorted(shapes)}; prepare them by one Prepare")
    height, width, channels = samples[0].image.shape
    planes = np.empty((len(samples), channels, height, width), samples[0].image.dtype)
    for place, sample in zip(planes, samples, strict=True):
        cv2.split(sample.image, list(place))  # a fifth of the time of numpy's transposed copy
    pixels = torch.from_numpy(planes)
    if planes.dtype == np.uint8:
        pixels = pixels.float().div_(255)
    cues = _all_or_none("cues", [s.cues for s in samples])
    known = _all_or_none("cues_known", [s.cues_known for s in samples])
    return Batch(
        schema=schema,
        ids=tuple(s.row.id for s in samples),
        image=pixels,
        answers=torch.from_numpy(np.stack([s.answers for s in samples])),
        masks=torch.from_numpy(np.stack([s.masks for s in samples])).view(torch.bool),
        known=torch.from_numpy(np.stack([s.known for s in samples])).view(torch.bool),
        prior=_all_or_none("prior", [s.prior for s in samples]),
        cues=None if cues is None else cues.bool(),
        geometries=tuple(s.geometry for s in samples),
        cues_known=None if known is None else known.bool(),
    )


def _all_or_none(name: str, arrays: list[np.ndarray | None]) -> torch.Tensor | None:
    there = [a for a in arrays if a is not None]
    if there and len(there) < len(arrays):
        raise ValueError(
            f"{name}: {len(arrays) - len(there)} of {len(arrays)} samples have none; give all or none of them"
        )
    return torch.from_numpy(np.stack(there)) if there else None


def steps(count: int, *, batch: int, drop_last: bool = False) -> int:
    """Number of batches that ``count`` images make."""
    return count // batch if drop_last else -(-count // batch)


def batches(
    dataset: Dataset,
    *,
    batch: int,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    threads: int = 2,
    ahead: int = 2,
    weights: Float[np.ndarray, " n"] | None = None,
) -> Iterator[Batch]:
    """One epoch of batches, made ahead by threads that end with the iterator (also on an error or Ctrl-C).

    The order is drawn from (seed, epoch), each image's variations from (seed, epoch, index, how often it came before),
    so the same batches come whatever the threads, the start and the number of processes.

    Args:
        `dataset`: rows to read.
        batch: images of a batch over all processes together.
        seed: whole number, not negative.
        epoch: from 0.
        shuffle: otherwise in the order of the rows.
        drop_last: leave out a last batch that is not full.
        start: batches that are already done.
        rank: of this process.
        world: number of processes; each gets every ``world``-th image of each batch. A last batch that does not
            divide among them is filled up from the beginning, so that all have as many images (an evaluation sees
            those ids twice).
        threads: that read; 0 reads in the caller's own thread.
        ahead: batches that are ready or being made while one is used.
        weights: how often each row is drawn in proportion (`balanced`, `data.sampling.raised`); as many rows are drawn
            as there are, each as often as its weight asks, rounded up or down.

    Raises:
        ValueError: a number that cannot be, or no batch is left.
        Unreadable: from the iterator, at the batch that holds the damaged file.
    """
    if batch < 1 or batch % world or not 0 <= rank < world:
        raise ValueError(
            f"batch={batch}, rank={rank}, world={world}: batch must be a positive multiple of world, rank less"
        )
    if threads < 0 or ahead < 1 or start < 0:
        raise ValueError(f"threads={threads}, ahead={ahead}, start={start}: give threads >= 0, ahead >= 1, start >= 0")
    count = len(dataset)
    total = steps(count, batch=batch, drop_last=drop_last)
    if total == 0:
        raise ValueError(
            f"{count} rows make no batch of {batch} (drop_last={drop_last}); give more rows or a smaller batch"
        )
    if weights is not None and (len(weights) != count or min(weights) < 0 or not sum(weights) > 0):
        raise ValueError(f"weights: {len(weights)} numbers for {count} rows; give one a row, none negative, not all 0")
    plan = _plan(_order(count, seed, epoch, shuffle, weights), batch, total, rank, world)[start:]
    return _made(dataset, plan, (seed, epoch), threads, ahead)


Draw = tuple[int, int]
"""Index of a row, and how often it came before in the epoch."""


def _order(count: int, seed: int, epoch: int, shuffle: bool, weights: np.ndarray | None) -> list[Draw]:
    rng = np.random.default_rng([seed, epoch])
    drawn = np.arange(count)
    if weights is not None:
        drawn = spread(weights, rng)
    elif shuffle:
        drawn = rng.permutation(count)
    before: dict[int, int] = {}
    order = []
    for index in drawn.tolist():
        order.append((index, before.get(index, 0)))
        before[index] = before.get(index, 0) + 1
    return order


def _plan(order: list[Draw], batch: int, total: int, rank: int, world: int) -> list[list[Draw]]:
    whole = [order[i * batch : (i + 1) * batch] for i in range(total)]
    missing = -len(whole[-1]) % world
    whole[-1] = whole[-1] + [order[i % len(order)] for i in range(missing)]
    return [part[rank::world] for part in whole]


def _made(
    dataset: Dataset, plan: list[list[Draw]], seeds: tuple[int, int], threads: int, ahead: int
) -> Iterator[Batch]:
    def make(draws: list[Draw]) -> Batch:
        varied = dataset.augment is not None
        samples = [
            dataset.sample(index, rng=np.random.default_rng([*seeds, index, before]) if varied else None)
            for index, before in draws
        ]
        return collate(samples, dataset.schema)

    if threads == 0:
        yield from map(make, plan)
        return
    todo, coming = iter(plan), deque[Future[Batch]]()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
    try:
        for _ in range(max(ahead, threads)):
            if (draws := next(todo, None)) is not None:
                coming.append(pool.submit(make, draws))
        while coming:
            ready = coming.popleft().result()
            if (draws := next(todo, None)) is not None:
                coming.append(pool.submit(make, draws))
            yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def balanced(rows: Sequence[Row], schema: LabelSchema, question: str) -> Float[np.ndarray, " n"]:
    """Weights for `batches` that make all known answers of a question equally likely.

    A row without the answer gets the mean weight of the others, so that such rows keep their share.

    Args:
        rows: those of the data set, in its order.
        schema: has the question.
        question: its name.

    Raises:
        ValueError: no such question, or no row answers it.
    """
    asked = schema.question(question)
    given = np.array([asked.index(row.answers.get(question)) for row in rows])
    known = given >= 0
    if not known.any():
        raise ValueError(f"question={question!r}: none of {len(given)} rows answers it, so nothing can be balanced")
    counts = np.bincount(given[known], minlength=len(asked.answers))
    weights = np.ones(len(given))
    weights[known] = 1 / counts[given[known]]
    weights[~known] = weights[known].mean()
    return np.asarray(weights / weights.sum())
