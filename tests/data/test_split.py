"""Split: no group straddles, shares and classes come out even, an official split stays."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.split import groups, leaks, split, stratify

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")), Question("dme")), ("lesion",))
MASKS = ({}, {"lesion": ABSENT}, {"lesion": (MaskSource("m.png", bit=0),)})


def manifest(rows: list[Row]) -> Manifest:
    return Manifest(SCHEMA, tuple(rows), Path())


def patients(sizes: list[int], *, seed: int = 0) -> Manifest:
    """Patients with so many images each, one grade a patient, some with masks."""
    rng = np.random.default_rng(seed)
    rows = []
    for p, size in enumerate(sizes):
        answers = {"grade": str(rng.choice(3, p=[0.6, 0.3, 0.1]))} | ({"dme": "yes"} if rng.random() < 0.3 else {})
        masks = MASKS[rng.integers(3)]
        rows += [Row(f"{p}_{i}", f"{p}_{i}.png", answers, masks, patient=f"p{p}") for i in range(size)]
    return manifest(rows)


SIZES = st.lists(st.integers(1, 4), min_size=5, max_size=40)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(0, 5))
def test_no_group_straddles_and_shares_are_kept(sizes: list[int], seed: int) -> None:
    rows = patients(sizes, seed=seed)
    divided = split(split(rows, seed=seed), folds=4, seed=seed)
    assert leaks(divided) == []
    for column, shares in (("split", {"train": 0.7, "val": 0.1, "test": 0.2}), ("fold", dict.fromkeys(range(4), 0.25))):
        found = Counter(getattr(row, column) for row in divided)
        assert set(found) == set(shares)
        for part, share in shares.items():
            assert abs(found[part] - share * len(rows)) <= max(sizes) + 2, (column, found)
    assert [replace(row, split=None, fold=None) for row in divided] == list(rows)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_and_seed_decides(sizes: list[int], random: object) -> None:
    rows = patients(sizes)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = split(rows, seed=3), split(manifest(shuffled), seed=3)
    assert {r.id: r.split for r in one} == {r.id: r.split for r in other}
    assert split(one, seed=3).rows == one.rows


def test_another_seed_divides_otherwise() -> None:
    rows = patients([1] * 60)
    assert split(rows, seed=0).rows != split(rows, seed=1).rows


def test_every_stratum_is_spread() -> None:
    rows = [
        Row(
            f"{i}",
            f"{i}.png",
            {"grade": "2" if i < 10 else "0", "dme": "yes" if i % 3 == 0 else "no"},
            MASKS[1 + i % 2],
        )
        for i in range(100)
    ]
    divided = split(manifest(rows), folds=5)
    for k in range(5):
        part = divided.where(fold=k).rows
        assert len(part) == 20
        assert sum(row.answers["grade"] == "2" for row in part) == 2
        assert sum(row.answers["dme"] == "yes" for row in part) in (6, 7)
        assert sum(row.masks["lesion"] == ABSENT for row in part) == 10


def test_sources_are_spread() -> None:
    rows = [Row(f"{i}", f"{i}.png", source="a" if i < 15 else "b") for i in range(60)]
    divided = split(manifest(rows), folds=3)
    assert [sum(r.source == "a" for r in divided.where(fold=k)) for k in range(3)] == [5, 5, 5]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0, 1]), min_size=6, max_size=60), st.integers(0, 3))
def test_exchange_reaches_the_even_deal(truth: list[int], seed: int) -> None:
    """With single images and one yes/no question the best deal is known: sizes and positives differ by one at most."""
    counts = np.stack([np.ones_like(truth), truth, 1 - np.array(truth)], 1)
    place = stratify(counts, [1 / 3] * 3, seed=seed)
    for column in (1, 2):
        each = [counts[place == k, column].sum() for k in range(3)]
        assert max(each) - min(each) <= 1


def test_official_test_split_is_kept() -> None:
    rows = patients([2] * 30)
    rows = rows.with_rows(replace(r, split="test" if i < 12 else "train") for i, r in enumerate(rows))
    divided = split(rows, ratios=(0.6, 0.2, 0.2))
    assert [r.id for r in divided.where(split="test")] == [r.id for r in rows.where(split="test")]
    assert Counter(r.split for r in divided) == {"train": 36, "val": 12, "test": 12}
    assert divided.info["split"] == {"ratios": [0.6, 0.2, 0.2], "seed": 0, "kept": ["test"]}
    again = split(divided, ratios=(0.6, 0.2, 0.2), seed=9)
    assert [r.id for r in again.where(split="test")] == [r.id for r in rows.where(split="test")]
    assert again.rows != divided.rows


def test_official_val_and_test_leave_the_rest_to_train() -> None:
    rows = patients([1] * 12)
    official = [*["test"] * 3, *["val"] * 3, *[None] * 6]
    divided = split(rows.with_rows(replace(r, split=s) for r, s in zip(rows, official, strict=True)))
    assert [r.split for r in divided] == [*["test"] * 3, *["val"] * 3, *["train"] * 6]


def test_folds_leave_the_split() -> None:
    rows = split(patients([1] * 20))
    divided = split(rows, folds=5)
    assert [r.split for r in divided] == [r.split for r in rows]
    assert divided.info["folds"] == {"folds": 5, "seed": 0}
    assert "split" in divided.info


def test_a_part_may_be_left_out() -> None:
    divided = split(patients([1] * 20), ratios=(0.8, 0.0, 0.2))
    assert Counter(r.split for r in divided) == {"train": 16, "test": 4}


def test_no_part_stays_empty() -> None:
    divided = split(patients([1, 1, 9]), ratios=(0.98, 0.01, 0.01))
    assert {r.split for r in divided} == {"train", "val", "test"}


def test_the_same_file_under_two_names_stays_together() -> None:
    rows = patients([1] * 30)
    rows = rows.with_rows(replace(r, sha256=f"h{i // 2}") for i, r in enumerate(rows))
    assert len(groups(rows.rows)) == 15
    divided = split(rows, folds=5)
    assert leaks(divided) == []
    assert all(a.fold == b.fold for a, b in zip(divided.rows[::2], divided.rows[1::2], strict=True))


def test_leaks_are_found() -> None:
    rows = [
        Row("a", "a.png", patient="p", split="train", fold=0),
        Row("b", "b.png", patient="p", split="test", fold=0),
        Row("c", "c.png", patient="q", split="train", fold=1),
        Row("d", "d.png", patient="r", split="train", fold=2),
        Row("e", "e.png", patient="r"),
    ]
    (leak,) = leaks(manifest(rows))
    assert (leak.group, leak.column, leak.parts, leak.ids) == ("p", "split", ("test", "train"), ("a", "b"))
    assert str(leak) == "p: 2 images (a, b) in split test and train"
    found = leaks(manifest(rows[2:]), same=[("c", "d")])
    assert [(leak.group, leak.column) for leak in found] == [("q = r", "fold")]


def test_a_patient_and_an_image_of_one_name_are_two() -> None:
    rows = [Row("a", "a.png", patient="b"), Row("b", "b.png", patient="c")]
    assert len(groups(rows)) == 2


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"ratios": (0.7, 0.1, 0.1)}, r"ratios=\(0.7, 0.1, 0.1\) .*sum to 1"),
        ({"ratios": (1.2, -0.1, -0.1)}, "numbers from 0"),
        ({"folds": 2}, "folds=2: three are the least"),
        ({"folds": 9}, "5 groups cannot fill 9 parts"),
    ],
)
def test_what_cannot_be_divided_is_said(keywords: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split(patients([2] * 5), **keywords)  # type: ignore[arg-type]


def test_nothing_left_to_fill_is_said() -> None:
    rows = manifest([Row("a", "a.png", split="test"), Row("b", "b.png")])
    with pytest.raises(
        ValueError, match=r"official \['test'\] is kept, so nothing is left to fill; give train a share"
    ):
        split(rows, ratios=(0.0, 0.0, 1.0))
