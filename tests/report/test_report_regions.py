"""Regions over an image, softened maps, and what labels cost."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from foveate.core.labels import LabelSchema, Question
from foveate.core.regions import Regions, located
from foveate.metrics.counts import Counts
from foveate.metrics.localisation import look_rows
from foveate.report.cases import sheet
from foveate.report.cost import SECONDS, Labels, cost_curves, hours
from foveate.report.regions import LINE, guidance_panels, region_overlay, softened

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
    mask = np.zeros((120, 160), bool)
    mask[40:60, 40:60] = True
    row = guidance_panels(IMAGE, finding="exudate", mask=mask, maps={"with": cam, "without": cam.T}, width=80)
    assert [panel.title for panel in row] == ["image", "mask", "with", "without"]
    assert sheet({"exudate": row}).width > 4 * 80


def counts(seed: int, n: int = 30) -> Counts:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    p = np.clip(truth * 0.3 + rng.random(n) * 0.6, 0, 1)
    empty = np.zeros((n, 0, 1, 1))
    looks = [
        look_rows(images=[f"i{k}"], groups=[f"g{k}"], question="ex", activation=rng.random((1, 4, 4)),
                  cues=rng.random((1, 4, 4)) < 0.5, masks=rng.random((1, 4, 4)) < 0.2)
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
    figure = cost_curves({row: counts(i) for i, row in enumerate(labels)}, labels, question="ex", repeats=20)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3
    _, names = figure.axes[1].get_legend_handles_labels()
    assert names == ["image", "regions", "masks"]
    with pytest.raises(ValueError, match="name none of the rows"):
        cost_curves({"other": counts(0)}, labels, question="ex")
