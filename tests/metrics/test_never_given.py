import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts
from foveate.metrics.never_given import ENOUGH, never_answered, never_given, never_marked, unmarked

GRADE = ("0", "1", "2")


def counts_of(truth, marked, *, given=(), answers=(), question=None):
    """One image per number: whether it has the label, was given it; the answer given and the true one."""
    question = question or Question("grade", GRADE, ordered=True)
    n, k = len(truth), len(question.answers)
    pixels = np.zeros((2, n, 1, 1, 3), bool)
    pixels[0, :, 0, 0, 0], pixels[1, :, 0, 0, 1] = truth, marked
    given, answers = np.array(given or [0] * n), np.array(answers or [-1] * n)
    return Counts.of(
        LabelSchema((question,), ("spot",)), images=[f"i{i}" for i in range(n)], groups=[f"p{i}" for i in range(n)],
        probability=pixels[1] * 0.9, predicted=pixels[1], masks=pixels[0], known=np.ones_like(pixels[0]),
        answer_probability={question.name: np.full((n, k), 1 / k)}, given={question.name: given},
        answers=answers[:, None],
    )  # fmt: skip


def test_a_label_that_images_have_and_none_is_given():
    assert never_given(counts_of([1, 1, 0], [0, 0, 0])) == ("label spot: in 2 images, marked in none",)
    assert never_given(counts_of([1, 0, 0], [0, 0, 0])) == ("label spot: in 1 image, marked in none",)
    assert never_given(counts_of([1, 1, 0], [0, 0, 1])) == ()  # a false alarm is a mark
    assert never_given(counts_of([0, 0], [0, 0])) == ()
    assert unmarked(counts_of([1, 1, 0], [0, 0, 0])) == {"spot"}
    assert unmarked(counts_of([1, 1, 0], [0, 1, 0])) == unmarked(counts_of([0], [0])) == frozenset()


@pytest.mark.parametrize("absent", [0, 1, ENOUGH - 1, ENOUGH])
def test_a_label_that_every_image_is_given(absent):
    truth = [1, 1, 1] + [0] * absent
    expected = (f"label spot: marked in all {3 + absent} images, {absent} of them without it",)
    assert never_marked(counts_of(truth, [1] * len(truth))) == (expected if absent == ENOUGH else ())
    assert never_marked(counts_of(truth, [1] * (len(truth) - 1) + [0])) == ()


def test_answers_that_are_true_and_never_given():
    some = counts_of([0] * 5, [0] * 5, given=[0, 0, 2, 0, 0], answers=[0, 1, 1, 2, -1])
    assert never_answered(some) == ("answer grade = 1: true in 2 images, given in none",)
    one = counts_of([0] * 5, [0] * 5, given=[0, 0, 0, 0, 2], answers=[0, 1, 1, 2, -1])
    assert never_given(one) == (  # the 2 was given where the truth is unknown
        "question grade: always answered 0; never given: 1 (true in 2 images), 2 (true in 1 image)",
    )
    right = counts_of([0] * 3, [0] * 3, given=[0, 0, 0], answers=[0, 0, -1])
    assert never_given(right) == ()


def test_a_yes_no_question_and_both_kinds_together():
    counts = counts_of([1, 0], [0, 0], given=[0, 0], answers=[1, 0], question=Question("sick"))
    assert never_given(counts) == (
        "label spot: in 1 image, marked in none",
        "question sick: always answered no; never given: yes (true in 1 image)",
    )


def test_what_is_unknown_is_not_reported(make_counts):
    assert never_given(make_counts(3).take([])) == ()
