"""Temperatures, thresholds and gates chosen on validation images: against plain searches, and as a run reads them."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import CLASSES, TinyNet, tiny_recipe, toy_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foveate.core.decisions import Decisions, Gate
from foveate.core.types import Outputs
from foveate.data.manifest import Manifest
from foveate.engine.calibrate import COLDEST, HOTTEST, best_cut, calibrate, fitted, temperature, tempered
from foveate.engine.evaluate import count_rows, evaluate
from foveate.engine.fit import fit
from foveate.engine.keep import lowest
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run
from foveate.losses.answer import cross_entropy
from foveate.losses.weigh import Weigh
from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.summary import summary

GATE = Gate("blob_present", ("blob",))


class Answers(nn.Module):
    """A classifier of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.image = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        return Outputs(image=self.image(self.trunk(image).relu().amax((2, 3))))


class Marks(TinyNet):
    """Marks alone."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        return super().forward(image, prior)._replace(image=None)


def two_steps(*, gates: tuple[Gate, ...] = (GATE,)) -> Recipe:
    """A classifier, then a segmenter, composed by a gate."""
    one = tiny_recipe()
    ask = Stage("ask", network=Answers, loss=Weigh(answers=(1.0, cross_entropy)))
    pixels = Weigh(pixels=one.stages[0].loss.terms["pixels"])  # type: ignore[attr-defined]
    mark = replace(one.stages[0], name="mark", network=Marks, loss=pixels, keep=lowest("loss"))
    return one.with_(stages=(ask, mark), gates=gates)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Manifest]:
    folder = tmp_path_factory.mktemp("two")
    rows = toy_manifest(folder)
    return fit(two_steps(), rows, out=folder / "run", device="cpu", quiet=True, cache=folder / "cache"), rows


def scores(seed: int, m: int, k: int, heat: float = 1.0) -> QuestionScores:
    """Answers drawn from softmax(z), probabilities that are softmax(heat z)."""
    draw = np.random.default_rng(seed)
    z = draw.normal(0, 1.5, (m, k))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    truth = np.array([draw.choice(k, p=row) for row in p])
    return QuestionScores(np.arange(m), tempered(p, 1 / heat), truth, p.argmax(1))


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_temperature_undoes_what_made_the_answers_too_sure(k: int, heat: float) -> None:
    found = scores(0, 4000, k, heat)
    assert temperature(found) == pytest.approx(heat, rel=0.1)
    rows = np.arange(4000)

    def loss(t: float) -> float:
        return float(-np.log(tempered(found.probability, t)[rows, found.truth]).mean())

    best = temperature(found)
    assert loss(best) <= min(loss(t) for t in np.geomspace(COLDEST, HOTTEST, 200)) + 1e-6


def test_tempered_is_the_softmax_of_divided_logits() -> None:
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.softmax(1).numpy()
    np.testing.assert_allclose(tempered(p, 2.5), (logits / 2.5).softmax(1).numpy(), rtol=1e-9)
    np.testing.assert_allclose(tempered(p, 1.0), p, rtol=1e-9)


def test_temperature_stays_where_it_can_not_be_known() -> None:
    sure = scores(0, 20, 2)._replace(truth=np.zeros(20, int))
    assert temperature(sure) == 1.0
    assert temperature(sure._replace(truth=np.zeros(0, int), probability=np.zeros((0, 2)))) == 1.0
    right = QuestionScores(
        np.arange(4), np.array([[0.6, 0.4]] * 2 + [[0.4, 0.6]] * 2), np.array([0, 0, 1, 1]), np.arange(4)
    )
    assert temperature(right) == pytest.approx(COLDEST, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 12))
def test_best_cut_is_the_best_of_all(seed: int, m: int) -> None:
    draw = np.random.default_rng(seed)
    p, opened, closed = np.round(draw.random(m), 1) * 0.9, draw.random(m), draw.integers(0, 2, m).astype(float)
    found = best_cut(p, opened=opened, closed=closed)
    worth = np.where(p >= found, opened, closed).sum()
    assert worth >= max(np.where(p >= t, opened, closed).sum() for t in np.linspace(0, 1, 101)) - 1e-9


def test_best_cut_stays_at_a_half_where_all_are_equal() -> None:
    p = np.array([0.1, 0.9])
    assert best_cut(p, opened=np.ones(2), closed=np.zeros(2)) == 0.0
    assert best_cut(p, opened=np.zeros(2), closed=np.ones(2)) == pytest.approx(0.95)
    assert best_cut(p, opened=np.ones(2), closed=np.ones(2)) == 0.5


def test_two_steps_read_as_one(trained: tuple[Run, Manifest], tmp_path: Path) -> None:
    """The gate acts where masks are decided, image by image; and it is in the record."""
    run, rows = trained
    test = rows.where(split="test")
    masks: dict[bool, dict[str, int]] = {True: {}, False: {}}
    answers = {}

    def note(row, prediction, *, gated: bool) -> None:  # type: ignore[no-untyped-def]
        masks[gated][row.id] = int(prediction.masks.sum())
        answers[row.id] = prediction.answers["blob_present"]

    counted = {}
    for gated in (False, True):
        decisions = Decisions(gates=(GATE,) if gated else ())
        counted[gated] = count_rows(run, test, decisions=decisions, device="cpu", each=partial(note, gated=gated))
    for image, answer in answers.items():
        assert masks[True][image] == (masks[False][image] if answer == "yes" else 0)
    assert evaluate(run, test, device="cpu", intervals=False, out=tmp_path) == counted[True]
    about = json.loads((tmp_path / "metrics.json").read_text())["about"]
    assert about["decisions"]["gates"][0]["question"] == "blob_present"
    assert "gates: (Gate(question='blob_present'" in str(run.recipe)
    assert "gates" not in str(two_steps(gates=()))


def test_calibration_is_fitted_on_validation_alone_and_read_from_the_folder(trained: tuple[Run, Manifest]) -> None:
    run, rows = trained
    assert run.decisions == Decisions(gates=(GATE,))
    try:
        found = calibrate(run, rows, device="cpu")
        val = rows.with_rows([row for row in rows if run.splits[row.id] == "val"])
        counts = count_rows(run, val, decisions=Decisions(), device="cpu")
        assert found == fitted(counts, gates=(GATE,)) == run.decisions
        record = json.loads((run.folder / "calibration.json").read_text())
        assert record["about"]["images"] == len(val) == 6
        held = {
            t: summary(
                count_rows(run, val, decisions=replace(found, gates=(replace(GATE, threshold=t),)), device="cpu")
            )["dice_all"]
            for t in (found.gates[0].threshold, *np.linspace(0, 1, 9))
        }
        assert held[found.gates[0].threshold] == pytest.approx(max(held.values()))
        with pytest.raises(ValueError, match="none of them validated this run"):
            calibrate(run, rows.where(split="test"), device="cpu")
    finally:
        (run.folder / "calibration.json").unlink(missing_ok=True)


def test_the_rule_of_the_threshold_is_chosen_and_kept(trained: tuple[Run, Manifest]) -> None:
    run, rows = trained
    val = rows.with_rows([row for row in rows if run.splits[row.id] == "val"])
    counts = count_rows(run, val, decisions=Decisions(), device="cpu")
    try:
        found = calibrate(run, rows, threshold="sensitivity=1", device="cpu")
        assert found.thresholds == fitted(counts, threshold="sensitivity=1").thresholds == run.decisions.thresholds
        held = count_rows(run, val, decisions=found, device="cpu").questions["blob_present"]
        assert (held.given[held.truth == 1] == 1).all()
        record = json.loads((run.folder / "calibration.json").read_text())
        assert record["about"]["threshold"] == "sensitivity=1"
        plain = calibrate(run, rows, threshold=None, device="cpu")
        assert plain.thresholds == {}
        assert plain.temperatures == found.temperatures
        before = (run.folder / "calibration.json").read_text()
        with pytest.raises(ValueError, match=r"rule must be one of .* got 'best'"):
            calibrate(run, rows, threshold="best", device="cpu")
        assert (run.folder / "calibration.json").read_text() == before
    finally:
        (run.folder / "calibration.json").unlink(missing_ok=True)


def test_a_question_with_one_answer_seen_is_left_alone() -> None:
    counts = Counts.of(
        CLASSES,
        images=["a", "b"],
        groups=["a", "b"],
        probability=np.full((2, 1, 2, 2), 0.9),
        predicted=np.ones((2, 1, 2, 2), bool),
        masks=np.zeros((2, 1, 2, 2), bool),
        known=np.ones((2, 1, 2, 2), bool),
        answer_probability={"blob_present": np.array([[0.7, 0.3], [0.2, 0.8]])},
        given={"blob_present": np.array([0, 1])},
        answers=np.zeros((2, 1), int),
    )
    found = fitted(counts, gates=(GATE,))
    assert found.temperatures == {"blob_present": 1.0}
    assert found.thresholds == {}
    assert 0.8 < found.gates[0].threshold <= 1  # both masks are false alarms: shut for both


def test_a_recipe_may_ask_to_be_calibrated(tmp_path: Path) -> None:
    """Once trained, on validation images; its weights are those of the recipe that does not ask."""
    rows = toy_manifest(tmp_path)
    settings = {"device": "cpu", "quiet": True, "shared": tmp_path, "cache": tmp_path / "cache"}
    plain = fit(two_steps(gates=()), rows, out=tmp_path / "plain", **settings)  # type: ignore[arg-type]
    asked = two_steps().with_(calibrated="youden")
    run = fit(asked, rows, out=tmp_path / "asked", **settings)  # type: ignore[arg-type]
    assert not (plain.folder / "calibration.json").exists()
    told = json.loads((run.folder / "calibration.json").read_text())
    assert told["about"]["threshold"] == "youden"
    for stage in ("ask", "mark"):  # copied, not trained again
        keys = [json.loads((r.folder / stage / "done.json").read_text())["key"] for r in (plain, run)]
        assert keys[0] == keys[1]
    before = (run.folder / "calibration.json").stat().st_mtime_ns
    fit(asked, rows, out=tmp_path / "asked", resume=True, **settings)  # type: ignore[arg-type]
    assert (run.folder / "calibration.json").stat().st_mtime_ns == before
    again = calibrate(run, rows, threshold="youden", device="cpu", cache=tmp_path / "cache")
    assert again == run.decisions
    assert "calibrated: 'youden'" in str(asked)
    assert "calibrated" not in str(two_steps())
    assert two_steps().with_(calibrated="half").calibrated == "half"
    with pytest.raises(ValueError, match=r"rule must be one of .* got 'best'"):
        two_steps().with_(calibrated="best")


def test_a_recipe_checks_its_gates() -> None:
    with pytest.raises(ValueError, match=r"labels must be in \['blob'\], got \['cup'\]"):
        two_steps(gates=(Gate("blob_present", ("cup",)),))
