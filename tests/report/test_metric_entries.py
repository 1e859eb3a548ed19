"""One metric is one entry: the list, tables, CSV files, logs and the choice of weights need no other line."""

import csv
import inspect
import io
import math

import numpy as np
import pytest

from foveate import report
from foveate.core.labels import LabelSchema, Question
from foveate.engine.keep import Keep, Support, best, better
from foveate.metrics import lesions, listing, table
from foveate.metrics.counts import Counts
from foveate.metrics.entries import image, pixel
from foveate.metrics.interval import value
from foveate.metrics.listing import Named, full, renamed, short, upgraded
from foveate.metrics.measure import measure
from foveate.metrics.metric import Metric
from foveate.metrics.summary import summary
from foveate.metrics.tally import LOOKS
from foveate.report.tables import heading

SCHEMA = LabelSchema((Question("dr"),), ("ma",))
PART = {"label": "ma", "question": "dr", "finding": "dr"}


@pytest.fixture
def four() -> Counts:
    """Four images of 4 pixels: found by half, missed, rightly empty, a false alarm; the answer is right in three."""
    masks = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4], bool)[:, None, None]
    marked = np.array([[1, 0, 0, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]], bool)[:, None, None]
    names = ["a", "b", "c", "d"]
    yes = np.array([0.9, 0.2, 0.4, 0.1])
    columns = {"image": names[:2], "group": names[:2], "question": ["dr"] * 2, "cue": [0.5, 0.25], "share": [0.1, 0.2]}
    looks = table.build(LOOKS, columns | {"mask": [0.5, 0.0], "hit": [1.0, 0.0], "dice": [0.4, 0.0]})
    return Counts.of(
        SCHEMA, images=names, groups=names, probability=marked * 0.75, predicted=marked, masks=masks,
        known=np.ones_like(masks), answer_probability={"dr": np.stack([1 - yes, yes], 1)},
        given={"dr": (yes > 0.5).astype(int)}, answers=np.array([[1], [1], [0], [0]]), looks=[looks],
    )  # fmt: skip


@pytest.mark.parametrize("name", listing.every())
def test_each_entry_has_an_example_and_a_line(name: str) -> None:
    metric = listing.every()[name]
    assert ">>> " in (inspect.getdoc(metric.function) or "")
    assert listing.lines()[name].startswith(f"{metric.title}: ")
    assert len(listing.lines()[name]) > len(metric.title) + 12
    assert full(metric.short, labels=["ma"] * (metric.of == "label"), questions=["dr"] * (metric.of != "label")) == name
    assert short(name) == metric.short


def test_each_entry_is_a_column_of_a_table_and_of_its_csv(four: Counts) -> None:
    names = [f"{name}/{PART[m.of]}" for name, m in listing.every().items() if m.of != "lesions"]
    made = report.comparison("t", {"a": four}, {name: name for name in names}, repeats=2)
    (line,) = csv.DictReader(io.StringIO(made.csv()))
    every = value(lambda counts, weights: measure(counts, weights, absent="one"), four)
    for name in names:
        printed = float(line[name]) if line[name] else math.nan
        assert printed == pytest.approx(every[name], nan_ok=True), name


def test_each_entry_of_lesions_is_measured(four: Counts) -> None:
    rows = {"image": ["a", "a"], "label": ["ma"] * 2, "drawn": [1, 1], "share": [0.5, 0.5], "hit": [1, 0]}
    found = lesions.metrics(four, np.ones((1, 4)), lesions=table.build(lesions.LESIONS, rows), edges=(0.1,))
    sizes = {name.split("/")[0] + "/" + name.split("/")[1] for name in found}
    assert sizes == {m.name for m in listing.of("lesions")}
    assert found["lesion/recall/from 10 %/ma"] == [0.5]


@pytest.mark.parametrize(("kind", "make"), [("label", report.segmentation), ("question", report.grading)])
def test_entries_with_a_column_are_in_the_tables_of_a_run(four: Counts, kind: str, make) -> None:
    made = make(four, repeats=2)
    titles = [m.title for m in listing.of(kind) if m.table]
    assert [column.name for column in made.columns][-len(titles) :] == titles


def test_values_by_hand(four: Counts) -> None:
    found = value(measure, four)
    assert found["pixel/dice_all/ma"] == pytest.approx((2 / 3 + 0 + 1 + 0) / 4)
    assert found["pixel/dice_present/ma"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["pixel/dice_pooled/ma"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 2))
    assert (found["image/found/ma"], found["image/false_alarms/ma"]) == (0.5, 0.5)
    assert (found["image/accuracy/dr"], found["image/sensitivity/dr"]) == (0.75, 0.5)
    assert (found["map/air/dr"], found["map/cue_share/dr"]) == (0.375, pytest.approx(0.15))


def farthest(part) -> np.ndarray:
    """The largest distance of an image."""
    return part["distance"]


def wrong(part) -> np.ndarray:
    """The images that are answered wrongly."""
    return part.number(part["given"] != part["truth"])


@pytest.fixture
def listed_anew():
    """The list of metrics is made once; it is made again when a test has changed the entries, and after it."""
    yield listing.every.cache_clear
    listing.every.cache_clear()


def test_a_new_entry_is_everywhere(listed_anew, four: Counts, tmp_path, monkeypatch) -> None:
    """A metric of a further column of counts.csv and one of answers: each is added in one place."""
    distance = Metric(
        "pixel/distance", "distance", farthest, better="lower", per_image=True, absent="exclude", columns=("distance",)
    )
    errors = Metric("image/errors", "errors", wrong, of="question", better="lower")
    monkeypatch.setattr(pixel, "METRICS", (*pixel.METRICS, distance))
    monkeypatch.setattr(image, "METRICS", (*image.METRICS, errors))
    listed_anew()
    assert listing.lines()["pixel/distance"] == "distance: The largest distance of an image."

    assert "pixel/distance/ma" not in summary(four)  # the counts have no such column, so no log has it
    with pytest.raises(ValueError, match=r"metric 'pixel/distance': the counts have no column 'distance'; they have"):
        value(lambda counts, weights: measure(counts, weights, names=["distance"]), four)

    longer = Counts(SCHEMA, {**four.pixels, "distance": np.array([2.0, 4.0, 9.0, 9.0])}, four.answers, four.looks)
    longer.write(tmp_path)
    read = Counts.read(tmp_path, SCHEMA)
    assert read == longer
    found = summary(Counts.join([read.take(["a", "b"]), read.take(["c", "d"])]))
    assert found["pixel/distance/ma"] == found["distance"] == 3  # of the images with the label
    assert found["image/errors/dr"] == 1

    marks, answers = report.segmentation(read, repeats=2), report.grading(read, repeats=2)
    assert (marks.columns[-1].name, marks.rows[0][-1].value) == ("distance", 3)
    assert "distance,distance low,distance high" in marks.csv()
    assert answers.rows[0][[column.name for column in answers.columns].index("errors")].value == 1
    compared = report.comparison("t", {"a": read, "b": read}, ["distance", "errors/dr"], repeats=2)
    assert next(column.heading for column in compared.columns if column.better is min) == "distance ↓"

    assert better("distance/ma") == Keep("distance/ma", highest=False)
    assert better("errors").of(found) == -1
    support = Support(images=4)
    support.bearing["ma"] = 2
    chosen = Keep("distance", highest=False, least=2).within(support)
    assert chosen is not None
    assert chosen.metric == "distance/ma"


def test_unknown_and_ambiguous_names_are_refused(four: Counts) -> None:
    with pytest.raises(ValueError, match=r"metric must be one of \['pixel/dice', .*\], got 'dicee'"):
        full("dicee")
    with pytest.raises(ValueError, match=r"metric must be one of .*, got 'map/dice/ma'"):
        full("map/dice/ma")
    with pytest.raises(ValueError, match=r"metric must be one of .*, got 'dicee'"):
        best("dicee").of(summary(four))
    with pytest.raises(ValueError, match=r"'sensitivity' must be one of \['pixel/sensitivity', 'image/sensitivity'\]"):
        report.comparison("t", {"a": four}, ["sensitivity"], repeats=2)
    with pytest.raises(ValueError, match=r"name='dice' must be LEVEL/NAME"):
        Metric("dice", "Dice", farthest)
    with pytest.raises(ValueError, match=r"pixel/x: better must be one of \['higher', 'lower', 'neither'\], got 'up'"):
        Metric("pixel/x", "x", farthest, better="up")


def test_files_of_earlier_versions_read_the_same() -> None:
    """All names that a summary had before names had levels."""
    old = [
        "loss",
        "dice",
        "sensitivity",
        "precision/ma",
        "sensitivity/dr/yes",
        "presence_f1/ma",
        "pixel_accuracy_pooled",
    ]
    assert list(renamed(old).values()) == [
        "loss", "pixel/dice", "pixel/sensitivity", "pixel/precision/ma", "image/sensitivity/dr/yes",
        "image/presence_f1/ma", "pixel/accuracy_pooled",
    ]  # fmt: skip
    assert upgraded({"iou_std/ma": 0.1})["pixel/iou_std/ma"] == 0.1
    assert upgraded({"pixel/dice": 0.1}) == {"pixel/dice": 0.1}


def test_values_are_found_with_and_without_levels() -> None:
    found = Named({"pixel/dice/ma": 0.5, "image/auc": 0.9})
    assert (found["dice/ma"], found["auc"], found["image/auc"]) == (0.5, 0.9, 0.9)
    assert "dice/ma" in found
    assert "dice" not in found
    with pytest.raises(ValueError, match="got 'dice'"):
        found["dice"]


def test_headings_of_names_without_a_metric_stay() -> None:
    assert [heading(name) for name in ("loss", "map/air/dr", "harmonic_air_tp/dr")] == [
        "loss",
        "AIR, dr",
        "AIR of TP, dr",
    ]
