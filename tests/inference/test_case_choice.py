"""Which images a report shows: their scores by hand, and the order best, middle, worst."""

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.inference.case_choice import pick, score_images
from foveate.metrics.counts import Counts

SCORES = {f"i{k}": k / 10 for k in (3, 0, 9, 5, 1, 7, 2, 8, 4, 6)}


def test_the_best_come_first_and_the_worst_last() -> None:
    assert pick(SCORES, each=1) == ["i9", "i5", "i0"]
    assert pick(SCORES, each=2) == ["i9", "i8", "i5", "i4", "i1", "i0"]


def test_few_images_are_all_shown_best_first() -> None:
    few = {name: SCORES[name] for name in ("i2", "i9", "i5")}
    assert pick(few, each=1) == ["i9", "i5", "i2"]
    assert pick(SCORES, each=4) == [f"i{k}" for k in range(9, -1, -1)]
    assert pick({}) == []


def counts(*, labels: tuple[str, ...]) -> Counts:
    """Three images of 4 pixels: half found, empty and found empty, a false alarm; the true answers get 0.9, 0.2, -."""
    schema = LabelSchema((Question("ill"),), labels)
    truth, found = (np.zeros((3, len(labels), 2, 2), bool) for _ in range(2))
    if labels:
        truth[0, 0, 0], found[0, 0, :, 0], found[2, 0, 1, 1] = True, True, True
    yes = np.array([0.9, 0.8, 0.5])
    return Counts.of(
        schema,
        images=("a", "b", "c"),
        groups=("a", "b", "c"),
        probability=found.astype(float),
        predicted=found,
        masks=truth,
        known=np.ones_like(truth),
        answer_probability={"ill": np.stack([1 - yes, yes], 1)},
        given={"ill": np.array([1, 1, 1])},
        answers=np.array([[1], [0], [-1]]),
    )


def test_an_image_scores_its_dice_or_the_probability_of_its_true_answer() -> None:
    assert score_images(counts(labels=("spot",))) == {"a": 0.5, "b": 1.0, "c": 0.0}
    assert score_images(counts(labels=())) == pytest.approx({"a": 0.9, "b": 0.2})
