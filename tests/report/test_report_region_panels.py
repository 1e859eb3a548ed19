"""Regions over an image, softened maps, and what labels cost."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.regions import Regions, located
from foveate.metrics.counts import Counts
from foveate.metrics.localisation import look_rows
from foveate.report.annotation_cost import SECONDS, Labelled, Labels, cost_curves, hours, timed
from foveate.report.grid import Grid, Tile
from foveate.report.region_panels import LINE, Seen, guidance_panel, region_overlay, softened

EYE = Regions((60.0, 110.0), (60.0, 60.0))
IMAGE = np.full((120, 160, 3), 90, np.uint8)


def test_outlines_names_and_marked_regions() -> None:
    plain = np.asarray(region_overlay(IMAGE, EYE, names=False))
    assert plain.shape == IMAGE.shape
    line = (plain == LINE).all(-1)
    index = EYE.masks((120, 160)).argmax(0)
    edge = np.zeros_like(line)
    edge[:, 1:] |= index[:, 1:] != index[:, :-1]
    edge[1:] |= index[1:] != index[:-1]
    near = edge | np.roll(edge, 1, 0) | np.roll(edge, -1, 0) | np.roll(edge, 1, 1) | np.roll(edge, -1, 1)
    inner = np.s_[2:-2, 2:-2]
    grown = line | np.roll(line, 1, 0) | np.roll(line, -1, 0) | np.roll(line, 1, 1) | np.roll(line, -1, 1)
    assert grown[inner][edge[inner]].mean() > 0.95
    assert near[inner][line[inner]].mean() > 0.95
    tinted = np.asarray(region_overlay(IMAGE, EYE, marked=["macula"], names=False))
    assert ((tinted != plain).any(-1) <= (index == 2)).all()
    assert (tinted != plain).any()
    named = np.asarray(region_overlay(IMAGE, EYE, width=320))
    assert named.shape[:2] == (240, 320)
    guessed = located(shape=(120, 160), disc=EYE.disc)
    assert guessed is not None
    assert (np.asarray(region_overlay(IMAGE, guessed))[-20:] == LINE).any()


def test_maps_are_softened_as_in_the_figure() -> None:
    cam = np.zeros((8, 8))
    cam[2, 5] = 7.0
    soft = softened(cam, (512, 512))
    assert soft.min() == 0
    assert soft.max() == 1
    assert np.unravel_index(soft.argmax(), soft.shape) == pytest.approx((2.5 * 64, 5.5 * 64), abs=2)
    sharp = softened(cam, (512, 512), kernel=2)
    assert soft.mean() > sharp.mean()
    assert not softened(np.full((4, 4), 0.3), (64, 64)).any()


def test_what_was_not_looked_at_stays_dark() -> None:
    """And does not darken what lies beside it: a flat map that rises by a step keeps both of its values."""
    cam = np.full((64, 64), np.nan, np.float32)
    cam[16:48, 16:48] = 0.4
    cam[16:48, 32:48] = 0.8
    soft = softened(cam, (64, 64))
    assert not soft[np.isnan(cam)].any()
    assert soft[20, 16] < 0.1
    assert soft[16:48, 47] == pytest.approx(1, abs=0.02)
    assert not softened(np.full((4, 4), np.nan), (64, 64)).any()


def test_a_row_an_image_and_a_column_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Truth outlined, cue tinted within the eight regions, maps; what is missing is said in its place."""
    sheets: list[tuple[list[list[Tile]], list[str]]] = []
    draw = Grid.sheet

    def keep(self: Grid, rows: list[list[Tile]], *, heads: list[str], key: Image.Image) -> Image.Image:
        sheets.append((rows, heads))
        return draw(self, rows, heads=heads, key=key)

    monkeypatch.setattr(Grid, "sheet", keep)
    mask = np.zeros((120, 160), bool)
    mask[50:60, 50:60] = True
    cam = np.zeros((8, 8))
    cam[2, 5] = 1.0
    cue = EYE.cover(["macula"], (120, 160))
    maps, words = {"with": cam, "without": cam.T}, {"with": ("yes 0.90", "AIR 0.50")}
    full = Seen("a", IMAGE, mask, cue, EYE, maps, words)
    bare = Seen("b", IMAGE, np.zeros_like(mask), None, None, {"with": cam}, {})
    picture = guidance_panel([full, bare], methods=["with", "without"], finding="exudate", width=1000)
    (rows, heads), *_ = sheets
    assert heads == ["image", "cue", "with", "without"]
    assert picture.width <= 1000
    assert [tile.words for tile in rows[0]] == [
        ("a", "truth: 0.5% of area"), (f"cue: {cue.mean():.1%} of area",), ("yes 0.90", "AIR 0.50"), (),
    ]  # fmt: skip
    assert [tile.words for tile in rows[1]] == [("b",), ("cue unknown", "disc unknown: no regions"), (), ()]
    drawn = np.asarray(rows[0][1].picture).astype(int)
    scale = drawn.shape[1] / 160
    inside, beside = (drawn[round(40 * scale), round(col * scale)] for col in (60, 5))
    assert inside[0] > beside[0] + 20  # tinted yellow
    assert (drawn == LINE).all(-1).any()
    assert not (np.asarray(rows[1][1].picture) == LINE).all(-1).any()
    assert (np.asarray(rows[1][3].picture)[2, 2] == 238).all()
    with pytest.raises(ValueError, match="nothing to show of 'exudate'"):
        guidance_panel([], methods=["with"], finding="exudate")


def test_measured_seconds_take_the_place_of_assumed_ones() -> None:
    assert timed({"regions": 12, "masks": 240.5}) == {**SECONDS, "regions": 12, "masks": 240.5}
    with pytest.raises(ValueError, match=r"kind of label must be one of \['image', 'regions'.* got 'scribbles'"):
        timed({"scribbles": 5})
    for wrong in (0, -1, "3", True, float("inf"), float("nan"), None):
        with pytest.raises(ValueError, match=r"masks=.*: give a number of seconds above 0"):
            timed({"masks": wrong})  # type: ignore[dict-item]


def counts(seed: int, n: int = 30) -> Counts:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    p = np.clip(truth * 0.3 + rng.random(n) * 0.6, 0, 1)
    empty = np.zeros((n, 0, 1, 1))
    looks = [
        look_rows(images=[f"i{k}"], groups=[f"g{k}"], question="ex", cells=rng.random((1, 4, 4)),
                  cues=rng.random((1, 4, 4)) < 0.5, drawn=rng.random((1, 4, 4)) < 0.2,
                  activation=rng.random((1, 4, 4)), masks=rng.random((1, 4, 4)) < 0.2)
        for k in range(1, n, 2)
    ]  # fmt: skip
    return Counts.of(
        LabelSchema((Question("ex"),)), images=[f"i{k}" for k in range(n)], groups=[f"g{k}" for k in range(n)],
        probability=empty, predicted=empty > 0, masks=empty > 0, known=empty > 0,
        answer_probability={"ex": np.stack([1 - p, p], 1)}, given={"ex": (p > 0.5).astype(int)}, answers=truth[:, None],
        looks=looks,
    )  # fmt: skip


def test_labels_cost_what_they_take() -> None:
    assert hours(Labels("image"), images=360, present=100) == pytest.approx(360 * SECONDS["image"] / 3600)
    half = hours(Labels("masks", 0.5), images=0, present=100, seconds={"image": 1, "masks": 72})
    assert half == pytest.approx(1.0)
    order = [hours(Labels(kind), images=10, present=5) for kind in ("image", "regions", "boxes", "ellipses", "masks")]
    assert order == sorted(order)
    with pytest.raises(ValueError, match="no time of"):
        hours(Labels("scribbles"), images=1, present=1)


def test_cost_curves_draw_a_line_a_kind() -> None:
    labels = {"Image": Labels("image"), "R 50": Labels("regions", 0.5), "R": Labels("regions"), "M": Labels("masks")}
    given = {row: [Labelled(100, 20)] for row in labels}
    figure = cost_curves(
        {row: counts(i) for i, row in enumerate(labels)}, labels, labelled=given, question="ex", repeats=20
    )
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3
    _, names = figure.axes[1].get_legend_handles_labels()
    assert names == ["image", "regions", "masks"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    figure.canvas.draw()
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert all(float(text) > 0 for text in shown)
    low, high = figure.axes[0].get_xlim()
    assert 2 <= sum(low <= float(text) <= high for text in shown) <= 6
    with pytest.raises(ValueError, match="name none of the rows"):
        cost_curves({"other": counts(0)}, labels, labelled=given, question="ex")


def test_hours_are_of_what_was_labelled_not_of_what_was_tested() -> None:
    """A mean over the folds of the images that were drawn in, whatever the share that was asked for."""
    labels = {"Image": Labels("image"), "R 50": Labels("regions", 0.5), "R": Labels("regions")}
    labelled = {
        "Image": [Labelled(168, 80), Labelled(172, 84)],
        "R 50": [Labelled(168, 43), Labelled(172, 37)],
        "R": [Labelled(168, 80), Labelled(172, 84)],
    }
    found = {row: counts(i) for i, row in enumerate(labels)}
    seconds = {"image": 36.0, "regions": 72.0}
    figure = cost_curves(found, labels, labelled=labelled, question="ex", seconds=seconds, repeats=20)
    image, regions = (np.asarray(line.lines[0].get_xdata()) for line in figure.axes[0].containers)
    assert image.tolist() == pytest.approx([1.7])
    assert regions.tolist() == pytest.approx([1.7 + 0.8, 1.7 + 1.64])
    for lacking in ({}, {**labelled, "R": []}):
        with pytest.raises(ValueError, match=r"lacks \[.*'R'\]; give the number of labels"):
            cost_curves(found, labels, labelled=lacking, question="ex")
