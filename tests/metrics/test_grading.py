import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from torchmetrics.functional.classification import multiclass_auroc, multiclass_cohen_kappa

from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts
from foveate.metrics.grading import confusion, kappa, roc
from foveate.metrics.interval import interval, value
from foveate.metrics.measure import measure


def counts_of(question, truth, probability, given=None):
    """Counts of one question."""
    truth, probability = np.array(truth), np.array(probability, float)
    n = len(truth)
    none = np.zeros((n, 0, 2, 2), bool)
    return Counts.of(
        LabelSchema((question,)), images=[str(k) for k in range(n)], groups=[str(k) for k in range(n)],
        probability=none.astype(float), predicted=none, masks=none, known=none,
        answer_probability={question.name: probability}, answers=truth[:, None],
        given={question.name: probability.argmax(1) if given is None else np.array(given)},
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5))
def test_all_metrics_equal_scikit_learn(seed, k):
    draw = np.random.default_rng(seed)
    names = tuple("abcde"[:k])
    truth = np.concatenate([np.arange(k), draw.integers(0, k, 25)])
    probability = draw.dirichlet(np.ones(k), len(truth)).round(2)
    given_ = np.concatenate([np.arange(k), probability.argmax(1)[k:]])
    found = value(measure, counts_of(Question("q", names, ordered=True), truth, probability, given_))
    hot = np.eye(k)[truth]
    answers = list(range(k))
    expected = {
        "accuracy": accuracy_score(truth, given_),
        "auc": np.mean([roc_auc_score(hot[:, a], probability[:, a]) for a in answers]),
        "ap": average_precision_score(hot, probability),
        "sensitivity": balanced_accuracy_score(truth, given_),
        "precision": precision_score(truth, given_, average="macro"),
        "specificity": np.mean([recall_score(truth != a, given_ != a) for a in answers]),
        "f1": f1_score(truth, given_, average="macro"),
        "f1_macro": f1_score(truth, given_, average="macro"),
        "f1_weighted": f1_score(truth, given_, average="weighted"),
        "kappa": cohen_kappa_score(truth, given_),
        "qkappa": cohen_kappa_score(truth, given_, weights="quadratic"),
    }
    assert {n: found[f"{n}/q"] for n in expected} == pytest.approx(expected)
    assert {n: found[n] for n in expected} == pytest.approx(expected)
    for name, score in (("f1", f1_score), ("precision", precision_score), ("sensitivity", recall_score)):
        each = score(truth, given_, average=None)
        assert [found[f"{name}/q/{a}"] for a in names] == pytest.approx(each)
    for a, name in enumerate(names):
        assert found[f"auc/q/{name}"] == pytest.approx(roc_auc_score(hot[:, a], probability[:, a]))
        assert found[f"ap/q/{name}"] == pytest.approx(average_precision_score(hot[:, a], probability[:, a]))


def test_all_metrics_equal_torchmetrics():
    draw = np.random.default_rng(3)
    truth, probability = np.arange(60) % 4, draw.dirichlet(np.ones(4), 60)
    found = value(measure, counts_of(Question("q", tuple("abcd"), ordered=True), truth, probability))
    p, t = torch.from_numpy(probability), torch.from_numpy(truth)
    assert found["auc/q"] == pytest.approx(multiclass_auroc(p, t, 4).item(), abs=1e-6)
    assert found["kappa/q"] == pytest.approx(multiclass_cohen_kappa(p, t, 4).item(), abs=1e-6)
    assert found["qkappa/q"] == pytest.approx(multiclass_cohen_kappa(p, t, 4, weights="quadratic").item(), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5))
def test_brier_score_and_likelihood_equal_scikit_learn(seed, k):
    """Of several answers the sum over all, of a yes/no question that of "yes"; sure and wrong answers included."""
    draw = np.random.default_rng(seed)
    names, truth = tuple("abcde"[:k]), draw.integers(0, k, 25)
    probability = draw.dirichlet(np.full(k, 0.1), 25)
    probability[:3] = np.eye(k)[draw.integers(0, k, 3)]
    clipped, labels, weights = probability.clip(1e-7, 1.0), list(range(k)), draw.integers(0, 4, (3, 25)).astype(float)
    weights[:, 0] = 1
    found = measure(counts_of(Question("q", names), truth, probability), weights)
    for row, weight in enumerate(weights):
        about = {"labels": labels, "sample_weight": weight}
        brier = brier_score_loss(truth, probability, scale_by_half=False, **about)
        assert found["brier/q"][row] == found["brier"][row] == pytest.approx(brier)
        right = -np.log(clipped[np.arange(25), truth])
        assert found["nll/q"][row] == pytest.approx(np.average(right, weights=weight))
    inside = probability[3:].clip(1e-3) / probability[3:].clip(1e-3).sum(1, keepdims=True)
    sure = value(measure, counts_of(Question("q", names), truth[3:], inside))
    assert sure["nll/q"] == pytest.approx(log_loss(truth[3:], inside, labels=labels))
    yes, said = probability[:, 0], (truth == 0).astype(int)
    told = measure(counts_of(Question("dme"), said, np.stack([1 - yes, yes], 1)), weights)
    for row, weight in enumerate(weights):
        brier = brier_score_loss(said, yes, sample_weight=weight, labels=[0, 1], pos_label=1)
        assert told["brier/dme"][row] == pytest.approx(brier)


def test_brier_score_and_likelihood_by_hand():
    """A quarter and ln 2 where nothing is known; wrong and sure is 1 (2 where answers are summed) and ln 1e7."""
    half = value(measure, counts_of(Question("dme"), [0, 1], [[0.5, 0.5], [0.5, 0.5]]))
    assert half["skill/dme"] == pytest.approx(0.0)  # half of them are "yes": 0.5 knows no more
    assert (half["brier/dme"], half["nll/dme"]) == pytest.approx((0.25, np.log(2)))
    wrong = value(measure, counts_of(Question("dme"), [0, 1], [[0.0, 1.0], [1.0, 0.0]]))
    assert (wrong["brier/dme"], wrong["nll/dme"]) == pytest.approx((1.0, 7 * np.log(10)))
    several = value(measure, counts_of(Question("q", ("a", "b")), [0, 1], [[0.0, 1.0], [1.0, 0.0]]))
    assert several["brier/q"] == pytest.approx(2.0)
    right = value(measure, counts_of(Question("dme"), [0, 1], [[1.0, 0.0], [0.0, 1.0]]))
    assert right["brier/dme"] == right["nll/dme"] == 0.0
    assert right["skill/dme"] == 1.0


def test_brier_score_and_likelihood_leave_out_unknown_answers(make_counts):
    question, truth = Question("dme"), [0, -1, 1, 1]
    yes = np.array([0.2, 0.9, 0.6, 0.7])
    probability = np.stack([1 - yes, yes], 1)
    found = value(measure, counts_of(question, truth, probability))
    assert found["brier/dme"] == pytest.approx((0.04 + 0.16 + 0.09) / 3)
    assert found["nll/dme"] == pytest.approx(-np.log([0.8, 0.6, 0.7]).mean())
    drawn = interval(measure, make_counts(30), repeats=50)
    for name in ("brier", "nll"):
        assert drawn[f"{name}/dme"].low < drawn[f"{name}/dme"].value < drawn[f"{name}/dme"].high


def test_yes_is_the_figure_of_a_yes_no_question():
    draw = np.random.default_rng(1)
    truth, yes = draw.integers(0, 2, 40), draw.random(40).round(1)
    given_ = (yes >= 0.5).astype(int)
    found = value(measure, counts_of(Question("dme"), truth, np.stack([1 - yes, yes], 1), given_))
    assert found["f1/dme"] == found["f1/dme/yes"] == pytest.approx(f1_score(truth, given_))
    assert found["f1/dme"] != pytest.approx(found["f1/dme/no"])
    assert found["f1_macro/dme"] == pytest.approx(f1_score(truth, given_, average="macro"))
    assert found["sensitivity/dme"] == pytest.approx(recall_score(truth, given_))
    assert found["specificity/dme"] == pytest.approx(recall_score(truth, given_, pos_label=0))
    assert found["precision/dme"] == pytest.approx(precision_score(truth, given_))
    assert found["auc/dme"] == pytest.approx(roc_auc_score(truth, yes))
    assert found["ap/dme"] == pytest.approx(average_precision_score(truth, yes))
    assert found["qkappa/dme"] == pytest.approx(found["kappa/dme"])


def test_what_one_class_cannot_tell_is_undefined_and_never_0():
    no = value(measure, counts_of(Question("dme"), [0, 0], [[0.9, 0.1], [0.8, 0.2]]))
    for name in ("auc", "ap", "sensitivity", "precision", "f1", "kappa", "qkappa"):
        assert np.isnan(no[f"{name}/dme"]), name
    assert no["accuracy/dme"] == no["specificity/dme"] == 1.0
    nothing = value(measure, counts_of(Question("dme"), [-1], [[0.9, 0.1]]))
    assert all(np.isnan(v) for v in nothing.values())


def test_an_answer_that_never_occurs_is_left_out_of_the_mean():
    question = Question("q", ("a", "b", "c"), ordered=True)
    found = value(
        measure, counts_of(question, [0, 0, 1, 1], [[0.8, 0.2, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.3, 0.7, 0]])
    )
    assert np.isnan(found["auc/q/c"])
    assert np.isnan(found["f1/q/c"])
    assert found["auc/q"] == pytest.approx((found["auc/q/a"] + found["auc/q/b"]) / 2)
    assert found["f1/q"] == pytest.approx(f1_score([0, 0, 1, 1], [0, 1, 1, 1], average="macro"))


def test_weighted_kappa_needs_an_order():
    p = np.eye(3)[[0, 1, 2, 2]]
    assert np.isnan(value(measure, counts_of(Question("q", ("a", "b", "c")), [0, 1, 2, 1], p))["qkappa/q"])
    ordered = value(measure, counts_of(Question("q", ("a", "b", "c"), ordered=True), [0, 1, 2, 1], p))
    assert ordered["qkappa/q"] == pytest.approx(cohen_kappa_score([0, 1, 2, 1], [0, 1, 2, 2], weights="quadratic"))


def test_linear_kappa_and_kappa_below_chance():
    truth, given_ = [0, 1, 2, 2, 0], [0, 2, 1, 2, 1]
    matrix = confusion_matrix(truth, given_)[None].astype(float)
    assert kappa(matrix, power=1)[0] == pytest.approx(cohen_kappa_score(truth, given_, weights="linear"))
    assert kappa(np.array([[[0.0, 5.0], [5.0, 0.0]]]))[0] == -1.0


def test_confusion_has_truth_in_rows_and_counts_every_weighting(make_counts):
    counts = make_counts(30)
    scores = counts.questions["grade"]
    weights = np.random.default_rng(0).integers(0, 3, (3, 30)).astype(float)
    for row, matrix in zip(weights, confusion(scores, weights), strict=True):
        expected = confusion_matrix(scores.truth, scores.given, labels=range(4), sample_weight=row[scores.image])
        np.testing.assert_array_equal(matrix, expected)


def test_roc_of_one_answer(make_counts):
    counts = make_counts(30)
    curve = roc(counts, question="grade", answer="2")
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(value(measure, counts)["auc/grade/2"])
    assert len(roc(counts, question="dme").threshold) > 2
    with pytest.raises(ValueError, match="'9'"):
        roc(counts, question="grade", answer="9")
    with pytest.raises(ValueError, match="colour"):
        roc(counts, question="colour")
