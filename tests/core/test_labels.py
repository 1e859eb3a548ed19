"""The schema: channels, probabilities and decisions, variations, truth, and its form on paper."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveate.core.labels import UNKNOWN, LabelSchema, Question

GRADE = Question("grade", ("0", "1", "2", "3"), ordered=True)
BOTH = LabelSchema((Question("atrophy", evidence=("atrophy",)), GRADE), ("disc", "atrophy"), exclusive=True)
LOOSE = LabelSchema((GRADE,), ("drusen", "cnv", "fluid"))


KINDS = st.tuples(st.integers(0, 4), st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=3), st.booleans())
"""Number of labels, questions (1 = yes/no, else that many answers; ordered, or with evidence), exclusive."""


def made(kind: tuple[int, list[tuple[int, bool]], bool]) -> LabelSchema:
    """Any mixture of questions and labels (made in the test: shape checks draw lots, which strategies must not)."""
    number, asked, exclusive = kind
    labels = tuple(f"l{k}" for k in range(number))
    questions = [
        Question(f"q{k}", evidence=labels[:2] if flag else ())
        if answers == 1
        else Question(f"q{k}", tuple(f"a{i}" for i in range(answers)), ordered=flag)
        for k, (answers, flag) in enumerate(asked)
    ]
    return LabelSchema(tuple(questions), labels, exclusive=exclusive)


@given(KINDS)
def test_channels_are_counted_and_shared_out_without_gaps(kind: Any) -> None:
    schema = made(kind)
    taken = [i for part in schema.slices.values() for i in range(part.start, part.stop)]
    assert taken == list(range(schema.image_channels))
    assert schema.pixel_channels == len(schema.labels) + (1 if schema.exclusive and schema.labels else 0)
    for q in schema.questions:
        spoken = [schema.channel(q.name, answer) for answer in q.answers]
        assert len(set(spoken)) == len(q.answers)
        assert all(schema.slices[q.name].start <= channel < schema.slices[q.name].stop for channel, _ in spoken)


@given(KINDS)
def test_paper_and_back(kind: Any) -> None:
    schema = made(kind)
    assert LabelSchema.from_json(schema.to_json()) == schema
    if schema.labels:
        assert LabelSchema.from_json(schema.unite("all").to_json()) == schema.unite("all")


@given(KINDS, st.integers(0, 99))
def test_probabilities_are_probabilities_and_the_likeliest_is_decided(kind: Any, seed: int) -> None:
    schema = made(kind)
    generator = torch.Generator().manual_seed(seed)
    answers = schema.image_probability(3 * torch.randn(5, schema.image_channels, generator=generator))
    arrays = {name: p.numpy() for name, p in answers.items()}
    decided = schema.decide(arrays)
    for q in schema.questions:
        assert answers[q.name].sum(1).numpy() == pytest.approx(1, abs=1e-5)
        assert (arrays[q.name][np.arange(5), decided[q.name]] >= arrays[q.name].max(1) - 1e-6).all()
    if schema.labels:
        pixels = schema.pixel_probability(3 * torch.randn(2, schema.pixel_channels, 3, 4, generator=generator))
        assert pixels.shape == (2, len(schema.labels), 3, 4)
        assert ((pixels >= 0) & (pixels <= 1)).all()
        masks = schema.masks(pixels)
        if schema.exclusive:
            assert (masks.sum(1) <= 1).all()
            rest = 1 - pixels.sum(1)
            assert torch.equal(masks.any(1), pixels.amax(1) > rest)
        else:
            assert torch.equal(masks, pixels >= 0.5)


@pytest.mark.parametrize("probability", [(0.5, 0.0), (0.0, 0.5), (0.25, 0.5), (0.375, 0.25)])
def test_a_label_that_is_only_as_likely_as_the_background_is_not_marked(probability: tuple[float, float]) -> None:
    """Exact in binary, so that the rest is exactly as likely as the likeliest label, or less likely than it."""
    marked = BOTH.masks(torch.tensor(probability)[:, None, None]).flatten().tolist()
    rest = 1 - sum(probability)
    assert marked == [p > rest and p == max(probability) for p in probability]


def test_a_label_from_one_half_on_is_marked_where_labels_overlap() -> None:
    probability = torch.tensor([0.5, 0.499, 1.0])[:, None, None]
    assert LOOSE.masks(probability).flatten().tolist() == [True, False, True]


def test_thresholds_move_yes_alone() -> None:
    probability = {"atrophy": np.array([[0.7, 0.3], [0.2, 0.8]]), "grade": np.eye(4)[[1, 3]]}
    assert BOTH.decide(probability)["atrophy"].tolist() == [0, 1]
    moved = BOTH.decide(probability, thresholds={"atrophy": 0.25})
    assert moved["atrophy"].tolist() == [1, 1]
    assert moved["grade"].tolist() == [1, 3]


def test_united_labels_stand_for_all_and_evidence_follows() -> None:
    schema = LabelSchema(
        (Question("any", evidence=("drusen", "cnv", "fluid")), Question("wet", evidence=("fluid",))), LOOSE.labels
    )
    one = schema.unite("lesion")
    assert (one.labels, one.exclusive, one.pixel_channels) == (("lesion",), False, 1)
    assert one.members("lesion") == ("drusen", "cnv", "fluid")
    assert [q.evidence for q in one.questions] == [("lesion",), ()]
    assert one.unite("again").members("again") == ("drusen", "cnv", "fluid")
    assert schema.members("cnv") == ("cnv",)
    assert one.select(labels=["lesion"]).members("lesion") == ("drusen", "cnv", "fluid")
    with pytest.raises(ValueError, match="no labels to unite"):
        schema.select(labels=()).unite("lesion")
    with pytest.raises(ValueError, match="has not one entry for each"):
        LabelSchema((), ("a", "b"), united=(("a",),))


def test_neighbours_merge_and_old_answers_are_understood() -> None:
    merged = BOTH.group("grade", "01|2|3").question("grade")
    assert merged.answers == ("0-1", "2", "3")
    assert [merged.index(a) for a in ("0", "1", "0-1", "2", "3")] == [0, 0, 0, 1, 2]
    assert merged.index(None) == UNKNOWN
    assert Question("g", ("no", "mild", "severe")).group("no|mild,severe").answers == ("no", "mild-severe")
    for wrong in ("02|13", "0123", "01|3"):
        with pytest.raises(ValueError, match="grouping="):
            GRADE.group(wrong)


@given(st.integers(0, 2**12 - 1))
def test_what_a_pixel_may_still_be(bits: int) -> None:
    """Against the sentence written out: marked = that label alone; else background or any label not known absent."""
    flags = [bool(bits >> k & 1) for k in range(12)]
    marked, known = flags[:2], flags[2:4]
    masks, sure = (torch.tensor(x)[None, :, None, None] for x in (marked, known))
    found = BOTH.possible(masks, sure)[0, :, 0, 0].tolist()
    present = [m and k for m, k in zip(marked, known, strict=True)]
    if any(present):
        assert found == [False, *present]
    else:
        assert found == [True, *(not k for k in known)]


def test_labels_that_are_nowhere_leave_their_share_to_the_others() -> None:
    probability = torch.tensor([0.2, 0.6])[:, None, None]
    left = BOTH.without(probability, ["atrophy"])[:, 0, 0].tolist()
    assert left == pytest.approx([0.2 / 0.4, 0.0])
    loose = LOOSE.without(torch.tensor([0.2, 0.6, 0.9])[:, None, None], ["cnv"])[:, 0, 0].tolist()
    assert loose == pytest.approx([0.2, 0.0, 0.9])
    with pytest.raises(ValueError, match=r"got \['cup'\]"):
        BOTH.without(probability, ["cup"])


@given(st.lists(st.floats(0.01, 0.32), min_size=2, max_size=2))
def test_logits_of_undo_probabilities(values: list[float]) -> None:
    exclusive = torch.tensor([1 - sum(values), *values])[None, :, None, None]
    back = BOTH.pixel_probability(BOTH.logits_of(exclusive))
    assert back.flatten().tolist() == pytest.approx(values, abs=1e-5)
    loose = LabelSchema((), ("a", "b"))
    assert loose.pixel_probability(loose.logits_of(exclusive[:, 1:])).flatten().tolist() == pytest.approx(
        values, abs=1e-5
    )
    assert math.isfinite(float(loose.logits_of(torch.zeros(1, 2, 1, 1)).sum()))


WRONG: list[tuple[Any, str]] = [
    (lambda: Question("q", ("a",)), "at least two"),
    (lambda: Question("q", ("a", "a")), "all different"),
    (lambda: Question("q", ("a", "b"), evidence=("x",)), "needs the answers"),
    (lambda: LabelSchema((GRADE, GRADE)), "used twice"),
    (lambda: LabelSchema((Question("q", evidence=("x",)),), ("y",)), "evidence must be in labels"),
    (lambda: BOTH.question("x"), "question must be one of"),
    (lambda: BOTH.select(labels=["cup"]), "labels must be in"),
    (lambda: GRADE.index("9"), "answer must be one of .* got '9'"),
    (lambda: LabelSchema.from_json({"labels": [], "colour": 1}), "unknown key"),
    (lambda: LabelSchema.from_json({"questions": [{"name": "q", "x": 1}]}), "unknown key"),
]


@pytest.mark.parametrize(("make", "said"), WRONG)
def test_what_is_wrong_is_named(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_tie_with_the_background_is_the_background(kind: Any) -> None:
    """Exclusive labels: [0.5, 0] leaves 0.5 to the background; [0.375, 0.25] leaves 0.375; [0.5, 0.25] leaves less."""
    columns = [[0.5, 0.0], [0.375, 0.25], [0.5, 0.25], [0.0, 0.0]]
    p = kind([[[column[label] for column in columns]] for label in (0, 1)])
    marked = BOTH.masks(p)
    assert marked.tolist() == [[[False, False, True, False]], [[False, False, False, False]]]
    assert LabelSchema(labels=("a", "b")).masks(p).tolist() == [[[True, False, True, False]], [[False] * 4]]


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_of_two_labels_that_tie_the_first_is_marked(kind: Any) -> None:
    assert BOTH.masks(kind([[[0.4]], [[0.4]]])).tolist() == [[[True]], [[False]]]
