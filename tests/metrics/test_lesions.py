"""Single lesions by size against a count by hand, and their statistic against the definition."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from foveate.core.labels import LabelSchema
from foveate.metrics import table
from foveate.metrics.counts import Counts
from foveate.metrics.interval import interval, value
from foveate.metrics.lesions import (
    LESIONS,
    lesion_rows,
    mean_share,
    metrics,
    read_lesions,
    sizes,
    write_lesions,
)

SCHEMA = LabelSchema(labels=("ma", "he"))
EDGES = (0.01, 0.05)  # of 20 x 20: 4 and 20 pixels


def drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """20 x 20 with boxes (top, left, bottom, right)."""
    mask = np.zeros((20, 20), bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def rows(image: str, truth: dict, found: dict, *, known: np.ndarray | None = None, cover: float = 0.0) -> dict:
    masks, predicted = (np.stack([side.get(k, drawn()) for k in SCHEMA.labels]) for side in (truth, found))
    seen = np.ones_like(masks) if known is None else np.stack([known] * 2)
    return lesion_rows(SCHEMA.labels, image=image, predicted=predicted, masks=masks, known=seen, cover=cover)


def counts(*images: str) -> Counts:
    shape = (len(images), 2, 20, 20)
    no = np.zeros(shape, bool)
    return Counts.of(
        SCHEMA,
        images=images,
        groups=[f"g{i}" for i in range(len(images))],
        probability=no.astype(float),
        predicted=no,
        masks=no,
        known=~no,
        answer_probability={},
        given={},
        answers=np.zeros((len(images), 0), np.int64),
    )


TWO = [
    rows(
        "a",
        {"ma": drawn((0, 0, 1, 1), (5, 5, 6, 6), (10, 10, 12, 14)), "he": drawn((0, 0, 6, 6))},
        {"ma": drawn((0, 0, 1, 2), (11, 10, 13, 14), (18, 18, 19, 19)), "he": drawn((3, 3, 4, 4))},
    ),
    rows("b", {}, {"he": drawn((0, 0, 10, 10))}),
]
LESIONS_OF_TWO = table.stack(TWO)


def test_each_lesion_has_a_row() -> None:
    a = TWO[0]
    assert list(a) == list(LESIONS)
    told = list(zip(a["label"], a["drawn"], (400 * a["share"]).round().astype(int), a["hit"], strict=True))
    assert told == [
        ("ma", 1, 1, 1), ("ma", 1, 1, 0), ("ma", 1, 8, 1),
        ("ma", 0, 2, 1), ("ma", 0, 8, 1), ("ma", 0, 1, 0),
        ("he", 1, 36, 1), ("he", 0, 1, 1),
    ]  # fmt: skip
    assert TWO[1]["hit"].tolist() == [0]


def test_metrics_are_counted_by_size() -> None:
    found = value(partial(metrics, lesions=LESIONS_OF_TWO, edges=EDGES), counts("a", "b"))
    assert sizes(EDGES) == ("below 1 %", "1 to 5 %", "from 5 %")
    assert found["lesion/f1/below 1 %/ma"] == pytest.approx(2 / (2 + 1 + 1))  # one found, one missed, one false alarm
    assert found["lesion/recall/below 1 %/ma"] == 0.5
    assert found["lesion/precision/below 1 %/ma"] == 0.5
    assert found["lesion/f1/1 to 5 %/ma"] == 1
    assert np.isnan(found["lesion/f1/from 5 %/ma"])
    assert found["lesion/f1/from 5 %/he"] == pytest.approx(2 / 3)  # found in a, false alarm in b
    assert found["lesion/recall/from 5 %/he"] == 1  # nothing was missed
    assert found["lesion/precision/from 5 %/he"] == 0.5
    assert np.isnan(found["lesion/f1/below 1 %/he"])  # a prediction that hits is of the size of what it hits
    assert found["lesion/f1/below 1 %"] == found["lesion/f1/below 1 %/ma"]


def test_intervals_draw_patients() -> None:
    found = interval(partial(metrics, lesions=LESIONS_OF_TWO, edges=EDGES), counts("a", "b"), repeats=200)
    large = found["lesion/f1/from 5 %/he"]
    assert (large.low, large.high) == (0.0, 1.0)  # b alone, a alone
    assert found["lesion/f1/1 to 5 %/ma"].undefined > 20


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cover=st.sampled_from([0.0, 0.2, 0.6]))
def test_hits_are_overlaps(seed: int, cover: float) -> None:
    rng = np.random.default_rng(seed)
    truth, found, known = (ndimage.zoom(rng.random((7, 7)), 20 / 7, order=1) > cut for cut in (0.6, 0.6, 0.2))
    got = rows("x", {"ma": truth}, {"ma": found}, known=known, cover=cover)
    area = 0
    for side, own, other in ((1, truth & known, found & known), (0, found & known, truth & known)):
        numbers, n = ndimage.label(own, np.ones((3, 3)))
        told = [int(other[numbers == i + 1].sum() > cover * (numbers == i + 1).sum()) for i in range(n)]
        assert sorted(got["hit"][got["drawn"] == side].tolist()) == sorted(told)
        area += own.sum()
    assert got["share"].sum() * 400 == pytest.approx(area)


def test_labels_are_sorted_by_their_lesions() -> None:
    assert list(mean_share(LESIONS_OF_TWO, ("he", "none", "ma"))) == ["ma", "he", "none"]
    assert mean_share(LESIONS_OF_TWO, ("ma",))["ma"] == pytest.approx((1 + 1 + 8) / 3 / 400)


def test_a_file_reads_back(tmp_path: Path) -> None:
    write_lesions(tmp_path / "lesions.csv", TWO)
    assert table.equal(read_lesions(tmp_path / "lesions.csv"), LESIONS_OF_TWO)
    write_lesions(tmp_path / "none.csv", [])
    assert len(read_lesions(tmp_path / "none.csv")["image"]) == 0


def test_strange_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"edges=\[0.2, 0.1\] must grow"):
        sizes((0.2, 0.1))
    with pytest.raises(ValueError, match=r"cover=1.0"):
        rows("a", {}, {}, cover=1.0)
    with pytest.raises(ValueError, match=r"images \['a'\] were not counted"):
        value(partial(metrics, lesions=LESIONS_OF_TWO), counts("b"))
