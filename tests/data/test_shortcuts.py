"""Hints: a shortcut is told with its figure, chance is not, and a patient counts once."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, normalized_mutual_info_score

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.inspect_files import FileFacts
from foveate.data.shortcuts import accuracy, find_shortcuts, information

SCHEMA = LabelSchema((Question("ill"), Question("grade", ("0", "1", "2"))), ("fluid",))


def rows(number: int, seed: int = 0) -> tuple[list[Row], list[FileFacts]]:
    """Answers, sizes, files and brightness that have nothing to do with one another."""
    rng = np.random.default_rng(seed)
    made = [
        Row(
            f"{i}",
            f"{i}.{rng.choice(['png', 'jpg'])}",
            {"ill": str(rng.choice(["no", "yes"])), "grade": str(rng.integers(3))},
            source=str(rng.choice(["a", "b"])),
        )
        for i in range(number)
    ]
    found = [
        FileFacts(
            b"x", shape=(int(rng.choice([50, 60])), 50), brightness=float(rng.random()), marked=(1,), known=(True,)
        )
        for _ in made
    ]
    return made, found


def test_chance_is_not_told() -> None:
    assert find_shortcuts(*rows(200), SCHEMA) == ()


def test_a_source_that_gives_the_answer_away_comes_first() -> None:
    made, found = rows(200)
    made = [replace(r, source="clinic" if r.answers["ill"] == "yes" else "screening") for r in made]
    found = [
        replace(f, brightness=f.brightness + 0.4 * (r.answers["ill"] == "yes"))
        for r, f in zip(made, found, strict=True)
    ]
    first, second = find_shortcuts(made, found, SCHEMA)
    assert (first.question, first.feature, first.accuracy, first.chance, first.images) == (
        "ill",
        "source",
        1.0,
        0.5,
        200,
    )
    assert first.information == pytest.approx(1)
    assert first.limit < 0.7
    assert (second.question, second.feature) == ("ill", "brightness")
    assert second.limit < second.accuracy < 1
    assert str(first).startswith("ill can be guessed from the source alone: balanced accuracy 1.00 (chance 0.50, 99 % ")


@pytest.mark.parametrize("feature", ["image size", "aspect", "kind of file"])
def test_sizes_shapes_and_endings_are_looked_at(feature: str) -> None:
    made, found = rows(120)
    for i, row in enumerate(made):
        code = int(row.answers["grade"])
        if feature == "kind of file":
            made[i] = replace(row, image=f"{i}.{['png', 'jpg', 'tif'][code]}")
        else:
            side = 40 * (code + 1)
            found[i] = replace(found[i], shape=(side, 2 * side if feature == "image size" else 50))
    told = {(h.question, h.feature): h for h in find_shortcuts(made, found, SCHEMA)}
    assert told["grade", feature].accuracy == 1.0
    assert told["grade", feature].chance == pytest.approx(1 / 3)


def test_whether_a_label_is_marked_is_an_answer_too() -> None:
    made, found = rows(60)
    found = [replace(f, marked=(int(r.source == "a"),)) for r, f in zip(made, found, strict=True)]
    (told,) = find_shortcuts(made, found, SCHEMA)
    assert (told.question, told.feature) == ("any fluid", "source")
    unknown = [replace(f, known=(False,)) for f in found]
    assert find_shortcuts(made, unknown, SCHEMA) == ()


def test_a_patient_with_many_images_counts_once() -> None:
    made, found = rows(300)
    few = [
        replace(r, patient=f"p{i % 12}", source="ab"[i % 2], answers={"ill": "yes" if i % 2 else "no"})
        for i, r in enumerate(made)
    ]
    assert find_shortcuts(few, found, SCHEMA) == ()  # 12 people are too few to say it
    more = [
        replace(r, patient=f"p{i % 30}", source="ab"[i % 2], answers={"ill": "yes" if i % 2 else "no"})
        for i, r in enumerate(made)
    ]
    assert [h.images for h in find_shortcuts(more, found, SCHEMA)] == [30]


def test_unreadable_images_and_rare_answers_are_left_out() -> None:
    made, found = rows(100)
    made = [replace(r, source="a" if r.answers["ill"] == "yes" else "b") for r in made]
    assert find_shortcuts(made, [FileFacts(unreadable=("x",)) for _ in found], SCHEMA) == ()
    rare = [replace(r, answers={"ill": "yes" if i < 4 else "no"}, source="ab"[i < 4]) for i, r in enumerate(made)]
    assert find_shortcuts(rare, found, SCHEMA) == ()


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    value, truth = rng.integers(0, 4, 90), rng.integers(0, 3, 90)
    assert information(value, truth) == pytest.approx(normalized_mutual_info_score(truth, value))
    fold = np.arange(90) % 5
    guess = np.empty(90, np.int64)
    for k in range(5):
        inside = fold != k
        share = np.array(
            [
                [((value == v) & (truth == t) & inside).sum() / ((truth == t) & inside).sum() for t in range(3)]
                for v in range(4)
            ]
        )
        guess[fold == k] = share.argmax(1)[value[fold == k]]
    assert accuracy(value, truth, fold) == pytest.approx(balanced_accuracy_score(truth, guess))


def test_a_value_not_seen_in_training_gets_the_commonest_answer() -> None:
    value, truth = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0])
    assert accuracy(value, truth, np.arange(4)) == pytest.approx((1 / 3 + 0) / 2)
