"""Losses of answers against torch's own means and a loop from the equation."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import OVERLAPPING, logits, truth

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.losses.answer import answer_focal, cross_entropy, squared_emd


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.3, 1.0]), smoothing=st.sampled_from([0.0, 0.2]))
def test_answers_are_their_equations(seed: int, known: float, smoothing: float) -> None:
    batch = truth(OVERLAPPING, seed, b=5, known=known)
    outputs = logits(batch, seed)
    weights = {"grade": (0.5, 1.0, 3.0), "referable": (1.0, 4.0)}
    plain, weighted, focused = [], [], []
    for name, p in OVERLAPPING.image_probability(outputs.image.detach()).items():
        w, rows = weights[name], []
        for row, answer in zip(p.tolist(), batch.answer(name).tolist(), strict=True):
            if answer < 0:
                continue
            y = [smoothing / len(row) + (1 - smoothing) * (k == answer) for k in range(len(row))]
            rows.append(
                (
                    -sum(a * math.log(b) for a, b in zip(y, row, strict=True)),
                    -sum(v * a * math.log(b) for v, a, b in zip(w, y, row, strict=True)),
                    -((1 - row[answer]) ** 2) * math.log(row[answer]) * w[answer],
                    w[answer],
                )
            )
        if rows:
            ce, weighted_ce, focal, amount = map(sum, zip(*rows, strict=True))
            plain.append(ce / len(rows))
            weighted.append(weighted_ce / amount)
            focused.append(focal / amount)
    n = max(len(plain), 1)
    assert cross_entropy(outputs, batch, smoothing=smoothing).item() == pytest.approx(sum(plain) / n)
    loss = cross_entropy(outputs, batch, weights=weights, smoothing=smoothing)
    assert loss.item() == pytest.approx(sum(weighted) / n)
    assert answer_focal(outputs, batch, weights=weights).item() == pytest.approx(sum(focused) / n)


def test_answers_agree_with_torch() -> None:
    batch = truth(OVERLAPPING, 1, b=6, known=1.0)
    outputs = logits(batch, 1)
    w = (0.5, 1.0, 3.0)
    grade = cross_entropy(outputs, batch, questions=["grade"], weights={"grade": w}, smoothing=0.1)
    weight = torch.tensor(w, dtype=torch.float64)
    told = F.cross_entropy(outputs.image[:, :3], batch.answer("grade"), weight, label_smoothing=0.1)
    torch.testing.assert_close(grade, told)
    yes = batch.answer("referable").double()
    told = F.binary_cross_entropy_with_logits(outputs.image[:, 3], yes)
    torch.testing.assert_close(cross_entropy(outputs, batch, questions=["referable"]), told)
    torch.testing.assert_close(answer_focal(outputs, batch, questions=["referable"], gamma=0.0), told)


def test_question_that_nobody_answered_is_left_out() -> None:
    batch = truth(OVERLAPPING, 1, known=1.0)
    outputs = logits(batch, 1)
    answers = batch.answers.clone()
    answers[:, 1] = -1
    alone = cross_entropy(outputs, batch, questions=["grade"])
    torch.testing.assert_close(cross_entropy(outputs, replace(batch, answers=answers)), alone)


def test_each_question_weighs_the_same_however_many_answered() -> None:
    batch = truth(OVERLAPPING, 2, b=4, known=1.0)
    outputs = logits(batch, 2)
    answers = batch.answers.clone()
    answers[1:, 1] = -1
    batch = replace(batch, answers=answers)
    parts = [cross_entropy(outputs, batch, questions=[name]) for name in ("grade", "referable")]
    torch.testing.assert_close(cross_entropy(outputs, batch), sum(parts) / 2)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (partial(cross_entropy, questions=["stage"]), "question must be one of .* got 'stage'"),
        (partial(cross_entropy, questions=[]), r"questions=\[\] leaves no question"),
        (partial(cross_entropy, smoothing=1.0), "smoothing=1.0"),
        (partial(cross_entropy, weights={"grade": (1.0, 2.0)}), "grade.*give 3 numbers"),
        (partial(answer_focal, weights={"grade": (1.0, -2.0, 1.0)}), "0 or positive"),
        (partial(answer_focal, weights={"stage": (1.0, 2.0)}), "'stage'.*must be one of.*the questions asked"),
        (partial(answer_focal, gamma=-1.0), "gamma=-1.0"),
    ],
)
def test_strange_settings_are_refused(term: partial, message: str) -> None:
    batch = truth(OVERLAPPING)
    with pytest.raises(ValueError, match=message):
        term(logits(batch), batch)


def test_schema_without_questions_is_refused() -> None:
    batch = truth(OVERLAPPING)
    batch = replace(batch, schema=LabelSchema((), OVERLAPPING.labels), answers=batch.answers[:, :0])
    with pytest.raises(ValueError, match="give the schema questions"):
        cross_entropy(logits(truth(OVERLAPPING)), batch)


def test_earth_movers_distance_is_its_equation() -> None:
    batch = truth(OVERLAPPING, 8, b=6, known=0.8)
    outputs = logits(batch, 8)
    told = []
    for row, answer in zip(
        OVERLAPPING.image_probability(outputs.image.detach())["grade"].tolist(),
        batch.answer("grade").tolist(),
        strict=True,
    ):
        if answer >= 0:
            told.append(sum((sum(row[: k + 1]) - (answer <= k)) ** 2 for k in range(3)))
    assert squared_emd(outputs, batch).item() == pytest.approx(sum(told) / len(told))


def test_earth_moves_further_for_a_further_grade() -> None:
    batch = replace(truth(OVERLAPPING, b=3, known=1.0), answers=torch.tensor([[0, 1]] * 3))
    sure = [Outputs(image=torch.tensor([[30.0 * (k == g) for k in range(3)] + [0.0]] * 3)) for g in range(3)]
    assert [round(squared_emd(o, batch).item(), 5) for o in sure] == [0, 1, 2]
    assert squared_emd(sure[0], batch, questions=["referable"]).item() == pytest.approx(0.25)


def test_earth_movers_distance_needs_an_order() -> None:
    loose = LabelSchema((Question("kind", ("a", "b", "c")),), OVERLAPPING.labels)
    batch = replace(truth(OVERLAPPING), schema=loose)
    with pytest.raises(ValueError, match=r"squared_emd: questions=\[\] leaves no question"):
        squared_emd(logits(batch), batch)
    with pytest.raises(ValueError, match=r"\['kind'\] have no order"):
        squared_emd(logits(batch), batch, questions=["kind"])
