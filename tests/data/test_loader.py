"""Batches: the same for every number of threads, from every start, over every number of processes."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.shapes import Geometry
from foveate.core.types import Batch, MaskSource, Row, Sample
from foveate.data import augment as A
from foveate.data.augment import Augment
from foveate.data.cache import Cache
from foveate.data.loader import Dataset, balanced, batches, collate, steps
from foveate.data.prepare import Prepare
from foveate.data.read import Unreadable

SCHEMA = LabelSchema((Question("dr", ("none", "mild", "severe")),), ("exudate", "vessel"))
VARIED = Augment((A.flip_horizontal(), A.rotate(20), A.brightness(0.3), A.noise(0.05)))
COUNT = 11


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("rows")
    rng, rows = np.random.default_rng(0), []
    for i in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(folder / f"{i}.png")
        Image.fromarray(rng.integers(0, 3, (20, 24), np.uint8)).save(folder / f"m{i}.png")
        masks = {"exudate": (MaskSource(f"m{i}.png", index=(1,)),)} if i % 2 else {"vessel": (MaskSource(),)}
        rows.append(Row(f"i{i}", f"{i}.png", {"dr": "mild"} if i % 3 else {}, masks))
    return Dataset(tuple(rows), folder, SCHEMA, Prepare(16), VARIED, Cache(folder / "cache"))


def equal(one: Batch, other: Batch) -> bool:
    same = all(torch.equal(getattr(one, n), getattr(other, n)) for n in ("image", "answers", "masks", "known"))
    return same and one.ids == other.ids and one.geometries == other.geometries


def ids(found: list[Batch]) -> list[str]:
    return [i for b in found for i in b.ids]


def test_threads_make_no_difference(dataset: Dataset) -> None:
    one, four, none = (list(batches(dataset, batch=3, seed=5, epoch=2, threads=t, ahead=3)) for t in (1, 4, 0))
    assert [len(b) for b in one] == [3, 3, 3, 2]
    for a, b, c in zip(one, four, none, strict=True):
        assert equal(a, b)
        assert equal(a, c)
    other = list(batches(dataset, batch=3, seed=5, epoch=3))
    assert ids(other) != ids(one)
    assert sorted(ids(other)) == sorted(ids(one)) == sorted(r.id for r in dataset.rows)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(0, 6), st.booleans(), st.booleans())
def test_a_resumed_epoch_is_the_tail_of_the_whole(
    dataset: Dataset, batch: int, start: int, drop: bool, weighted: bool
) -> None:
    options = {"batch": batch, "seed": 1, "drop_last": drop, "weights": np.arange(1.0, COUNT + 1) if weighted else None}
    whole = list(batches(dataset, **options))
    assert len(whole) == steps(COUNT, batch=batch, drop_last=drop)
    rest = list(batches(dataset, start=start, **options))
    assert len(rest) == max(0, len(whole) - start)
    for a, b in zip(whole[start:], rest, strict=True):
        assert equal(a, b)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_processes_share_each_batch(dataset: Dataset, world: int, each: int, drop: bool) -> None:
    plain = replace(dataset, augment=None)
    if drop and world * each > COUNT:
        return
    options = {"batch": world * each, "seed": 3, "drop_last": drop}
    alone = list(batches(plain, **options))
    parts = [list(batches(plain, rank=rank, world=world, **options)) for rank in range(world)]
    assert {len(p) for p in parts} == {len(alone)}
    for step, whole in enumerate(alone):
        shares = [part[step] for part in parts]
        assert len({len(s) for s in shares}) == 1
        together = [i for group in zip(*(s.ids for s in shares), strict=True) for i in group]
        assert tuple(together[: len(whole)]) == whole.ids
        assert together[len(whole) :] == ids(alone)[: len(together) - len(whole)]


def test_rows_in_order_and_truth_in_place(dataset: Dataset) -> None:
    plain = replace(dataset, augment=None, cache=None)
    (batch,) = batches(plain, batch=COUNT, shuffle=False)
    assert batch.ids == tuple(r.id for r in dataset.rows)
    assert batch.image.shape == (COUNT, 3, 16, 16)
    assert batch.image.dtype == torch.float32
    assert batch.image.is_contiguous()
    assert batch.masks.dtype == batch.known.dtype == torch.bool
    for i, row in enumerate(dataset.rows):
        sample = plain.sample(i)
        np.testing.assert_array_equal(batch.image[i].permute(1, 2, 0).numpy(), sample.image / np.float32(255))
        np.testing.assert_array_equal(batch.masks[i].numpy(), sample.masks)
        np.testing.assert_array_equal(batch.known[i].numpy(), sample.known)
        assert batch.known[i].any(-1).any(-1).tolist() == [label in row.masks for label in SCHEMA.labels]
        assert batch.answers[i].tolist() == [1 if row.answers else -1]
    assert batch.geometries[0] == plain.sample(0).geometry
    grey = next(iter(batches(replace(plain, prepare=Prepare(16, grey=True)), batch=2)))
    assert grey.image.shape == (2, 1, 16, 16)
    assert grey.image.max() > 0.2


def test_each_epoch_and_each_repeat_varies_anew(dataset: Dataset) -> None:
    one_row = replace(dataset, rows=dataset.rows[:1])
    first, second = (next(iter(batches(one_row, batch=1, epoch=e))) for e in (0, 1))
    assert not torch.equal(first.image, second.image)
    often = np.zeros(COUNT)
    often[4] = 1
    (batch,) = batches(dataset, batch=COUNT, weights=often)
    assert set(batch.ids) == {"i4"}
    assert len({image.numpy().tobytes() for image in batch.image}) == COUNT


def test_priors_and_cues_move_with_the_image(dataset: Dataset) -> None:
    bright = {row.id: replace(dataset, augment=None).sample(i).image[::2, ::2, 0] for i, row in enumerate(dataset.rows)}

    def cue(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        assert sample.geometry.size == (16, 16)
        return np.tile((np.arange(16) < 8).astype(np.uint8), (3, 16, 1)), np.array([1, 0, 1], np.uint8)

    flipped = Augment((A.flip_horizontal(1.0),))
    guided = replace(dataset, priors=lambda i: bright[i][None] / np.float64(255), cues=cue, augment=flipped)
    plain, turned = guided.sample(2), guided.sample(2, rng=np.random.default_rng(0))
    assert plain.prior.shape == (1, 16, 16)
    assert plain.prior.dtype == np.float32
    np.testing.assert_allclose(plain.prior.mean(), bright["i2"].mean() / 255, atol=0.02)
    np.testing.assert_array_equal(turned.prior, plain.prior[:, :, ::-1])
    np.testing.assert_array_equal(turned.cues, plain.cues[:, :, ::-1])
    batch = next(iter(batches(guided, batch=4)))
    assert batch.prior.shape == (4, 1, 16, 16)
    assert batch.cues.shape == (4, 3, 16, 16)
    assert batch.cues.dtype == torch.bool
    assert batch.cues_known.tolist() == [[True, False, True]] * 4
    with pytest.raises(ValueError, match="prior: 1 of 2 samples have none"):
        collate([plain, replace(plain, prior=None)], SCHEMA)


def test_collate_refuses_nothing_and_mixed_sizes(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="empty"):
        collate([], SCHEMA)
    other = replace(dataset, prepare=Prepare(8))
    with pytest.raises(ValueError, match="different sizes"):
        collate([dataset.sample(0), other.sample(0)], SCHEMA)


def test_a_damaged_file_stops_and_is_named(dataset: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = (*dataset.rows[:3], replace(dataset.rows[3], id="the bad one", image=str(broken)))
    for cache in (None, dataset.cache):
        bad = replace(dataset, rows=rows, cache=cache)
        with pytest.raises(Unreadable, match=r"broken\.png: cannot be decoded .* \(image 'the bad one'\)"):
            list(batches(bad, batch=2, shuffle=False))
        assert not loader_threads()


def loader_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_threads_end_when_the_reader_stops(dataset: Dataset) -> None:
    def read_one(stop: BaseException | None) -> None:
        for batch in batches(dataset, batch=2, threads=3):
            assert len(batch) == 2
            if stop is not None:
                raise stop
            break

    read_one(None)
    assert not loader_threads()
    with pytest.raises(KeyboardInterrupt) as caught:
        read_one(KeyboardInterrupt())
    caught.traceback[-1].frame.f_locals.clear()
    del caught
    running = batches(dataset, batch=2, threads=3)
    next(running)
    assert loader_threads()
    running.close()
    assert not loader_threads()


def test_numbers_that_cannot_be(dataset: Dataset) -> None:
    for wrong, named in (
        ({"batch": 0}, "batch=0"),
        ({"batch": 3, "world": 2}, "multiple of world"),
        ({"batch": 2, "world": 2, "rank": 2}, "rank=2"),
        ({"batch": 2, "threads": -1}, "threads=-1"),
        ({"batch": 2, "ahead": 0}, "ahead=0"),
        ({"batch": COUNT + 1, "drop_last": True}, "11 rows make no batch of 12"),
        ({"batch": 2, "weights": np.ones(3)}, "3 numbers for 11 rows"),
        ({"batch": 2, "weights": np.zeros(COUNT)}, "not all 0"),
    ):
        with pytest.raises(ValueError, match=named):
            batches(dataset, **wrong)
    with pytest.raises(ValueError, match=r"annotators must be a rule .* \['grader1'\], got 'second'"):
        replace(dataset, prepare=Prepare(16, annotators="second"))
    replace(dataset, prepare=Prepare(16, annotators="grader1"))


def test_balanced_answers_are_equally_likely(dataset: Dataset) -> None:
    given = ["none"] * 6 + ["mild"] * 2 + ["severe"] + [None] * 3
    rows = [Row(f"r{i}", "x", {} if a is None else {"dr": a}) for i, a in enumerate(given)]
    weights = balanced(rows, SCHEMA, "dr")
    total = Counter()
    for row, weight in zip(rows, weights, strict=True):
        total[row.answers.get("dr")] += weight
    assert total["none"] == pytest.approx(0.25)
    assert total["mild"] == pytest.approx(total["severe"]) == pytest.approx(total["none"])
    assert total[None] == pytest.approx(3 / 12), "those without an answer keep their share"
    with pytest.raises(ValueError, match="none of 1 rows answers"):
        balanced([Row("a", "x")], SCHEMA, "dr")
    with pytest.raises(ValueError, match=r"question must be one of .* got 'age'"):
        balanced(rows, SCHEMA, "age")


def test_a_float_image_is_taken_as_it_is() -> None:
    image = np.random.default_rng(0).random((4, 5, 3), np.float32)
    nothing = np.zeros((2, 4, 5), np.uint8)
    batch = collate([Sample(Row("a", "a"), image, nothing, nothing, np.array([-1]), Geometry.whole((4, 5)))], SCHEMA)
    np.testing.assert_array_equal(batch.image[0].permute(1, 2, 0).numpy(), image)
