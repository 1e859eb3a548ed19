"""Where a label begins and its smallest lesion: against plain searches, and left alone where images are few."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.components import components, without_small
from foveate.core.labels import LabelSchema
from foveate.core.types import Prediction
from foveate.engine.mask_choice import GRID, LEAST, Choice, Parts, Tried, choose, tried

ONE = LabelSchema((), ("lesion",))
SIDE = 24


def prediction(probability: np.ndarray, labels: Sequence[str] = ("lesion",)) -> Prediction:
    return Prediction("i", {}, {}, probability.astype(np.float32), probability >= 0.5, tuple(labels))


def seen(probability: np.ndarray, truth: np.ndarray, *, group: str, known: np.ndarray | None = None) -> list[Tried]:
    sure = np.ones_like(truth) if known is None else known
    return tried(
        prediction(probability), schema=ONE, group=group, masks=truth.astype(np.uint8), known=sure.astype(np.uint8),
        field=SIDE * SIDE,
    )  # fmt: skip


def drawn(i: int, *, speck: float, lesion: float, bears: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A lesion of 36 pixels found with one probability, and a false speck of four with another."""
    truth = np.zeros((1, SIDE, SIDE), bool)
    p = np.full((1, SIDE, SIDE), 0.02)
    if bears:
        truth[0, 2:8, 2 + i % 5 : 8 + i % 5] = True
        p[truth] = lesion
    p[0, 16:18, 16:18] = speck
    return p, truth


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    total = mask.sum() + truth.sum()
    return float(2 * (mask & truth).sum() / total) if total else 1.0


def chosen(images: Sequence[tuple[np.ndarray, np.ndarray]], groups: Sequence[str] | None = None) -> Choice:
    every = [t for i, (p, y) in enumerate(images) for t in seen(p, y, group=groups[i] if groups else f"p{i}")]
    return choose(every, labels=["lesion"])[0]


def test_specks_are_removed_and_lesions_stay() -> None:
    """False specks of 4 pixels of 576 in each image; the lesions of 36 are larger."""
    images = [drawn(i, speck=0.95, lesion=0.95, bears=i % 2 == 0) for i in range(12)]
    found = chosen(images)
    assert found.cut is None  # no threshold tells the speck from the lesion
    assert found.speck == 4 / SIDE**2
    assert (found.images, found.bearing) == (12, 6)
    before = np.mean([dice(p[0] >= 0.5, y[0]) for p, y in images])
    after = np.mean([dice(without_small(p[0] >= 0.5, found.speck * SIDE**2), y[0]) for p, y in images])
    assert (found.before, found.after) == (pytest.approx(before), pytest.approx(after))
    assert after == 1
    assert "no other threshold" in found.why
    assert str(found).startswith(
        "lesion: parts of up to 0.694 % of the field removed (Dice of 12 validation images 0.4"
    )


def test_a_threshold_that_every_image_gains_by_is_found() -> None:
    """Lesions at 0.35 are missed at 0.5; of 0.1, 0.2 and 0.3, which mark them alone, 0.3 is the nearest to 0.5."""
    images = [drawn(i, speck=0.02, lesion=0.35) for i in range(6)]
    found = chosen(images)
    assert (found.cut, found.speck) == (0.3, 0)
    assert (found.before, found.after) == (0, 1)
    assert "removing small parts" in found.why


def test_few_images_choose_nothing_and_it_is_said() -> None:
    images = [drawn(i, speck=0.95, lesion=0.35, bears=i < LEAST - 1) for i in range(20)]
    found = chosen(images)
    assert (found.cut, found.speck) == (None, 0)
    assert found.why == f"{LEAST - 1} of 20 validation images bear it, {LEAST} are needed to choose; left as it is"
    assert str(found) == f"lesion: {found.why}"
    one_more = [*images, drawn(0, speck=0.95, lesion=0.35)]
    assert chosen(one_more).speck > 0
    assert chosen(one_more, groups=["same"] * 21).speck == 0  # one patient says nothing of another


def test_a_gain_within_its_own_error_changes_nothing() -> None:
    """One image of eight gains: its mean is no larger than the standard error of one in eight."""
    images = [drawn(i, speck=0.02, lesion=0.95) for i in range(7)]
    assert chosen([*images, drawn(7, speck=0.95, lesion=0.95)]).speck == 0
    several = [drawn(i, speck=0.95, lesion=0.95) for i in range(3)]
    assert chosen([*images, *several]).speck == 4 / SIDE**2


def test_a_lesion_that_was_found_is_removed_only_if_that_pays() -> None:
    """A true lesion of 4 pixels in one image, as large as the false specks of all others."""
    images = [drawn(i, speck=0.95, lesion=0.95) for i in range(10)]
    p, truth = drawn(0, speck=0.95, lesion=0.95)
    truth[0, 16:18, 16:18] = True
    assert chosen([*images, (p, truth)]).speck == 4 / SIDE**2
    rare = [drawn(i, speck=0.02, lesion=0.95) for i in range(10)]
    assert chosen([*rare, (p, truth)]).speck == 0


def test_what_is_not_known_does_not_count() -> None:
    p, truth = drawn(0, speck=0.95, lesion=0.95)
    known = np.ones_like(truth)
    known[0, 15:, 15:] = False
    (one,) = seen(p, truth, group="a", known=known)
    parts = one.parts[None]
    assert parts.fp.sum() == 0
    assert parts.share.tolist() == [36 / SIDE**2, 4 / SIDE**2]  # a part counts with all its pixels when it is removed
    assert not seen(p, truth, group="a", known=np.zeros_like(truth))


def test_labels_of_which_only_the_presence_is_known_are_passed_over() -> None:
    even = np.full((1, SIDE, SIDE), 0.7)
    assert seen(even, even > 1, group="a") == []
    bare = Prediction("i", {}, {}, np.zeros((0, 4, 4), np.float32), np.zeros((0, 4, 4), bool), ())
    assert tried(bare, schema=ONE, group="a", masks=np.zeros((0, 4, 4)), known=np.zeros((0, 4, 4)), field=16) == []
    assert choose([], labels=["lesion"])[0].why.startswith("0 of 0 validation images bear it")


def test_exclusive_labels_are_tried_where_they_are_the_likeliest() -> None:
    schema = LabelSchema((), ("a", "b"), exclusive=True)
    p = np.array([[[0.35, 0.6, 0.2]], [[0.4, 0.3, 0.1]]])  # a loses to b in the first pixel, wins in the second
    truth = np.array([[[0, 1, 1]], [[1, 0, 0]]], np.uint8)
    a, b = tried(prediction(p, ("a", "b")), schema=schema, group="g", masks=truth, known=np.ones_like(truth), field=3)
    assert a.parts[0.1].tp.sum() == 2
    assert a.parts[0.3].tp.sum() == a.parts[None].tp.sum() == 1
    assert a.parts[0.3].fp.sum() == 0
    assert b.parts[None].tp.sum() == 1  # 0.4 beats the background's 0.25
    assert b.parts[0.5].tp.sum() == 0
    assert set(a.parts) == {None, *GRID}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_dice_of_the_parts_that_are_left(seed: int) -> None:
    draw = np.random.default_rng(seed)
    mask, truth = draw.random((12, 12)) > 0.6, draw.random((12, 12)) > draw.choice([0.5, 1.0])
    found = components(mask)
    parts = [found.numbers == i + 1 for i in range(len(found.area))]
    right = np.array([(part & truth).sum() for part in parts], int)
    these = Parts(found.area / 144, right, found.area - right)
    above = np.concatenate([[0.0], np.unique(found.area) / 144])
    expected = [dice(without_small(mask, round(share * 144)), truth) for share in above]
    np.testing.assert_allclose(these.dice(int(truth.sum()), above=above), expected)
