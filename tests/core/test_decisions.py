"""Gates, temperatures and thresholds: what is decided between logits and predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.decisions import Decisions, Gate, combined
from foveate.core.labels import LabelSchema, Question
from foveate.core.reading import marked, read_out
from foveate.core.shapes import Geometry
from foveate.core.types import Outputs

QUESTIONS = (Question("grade", ("0", "1", "2"), ordered=True), Question("atrophy_present", evidence=("atrophy",)))
EXCLUSIVE = LabelSchema(QUESTIONS, ("disc", "atrophy"), exclusive=True)
OVERLAPPING = replace(EXCLUSIVE, exclusive=False)
SCHEMAS = {"exclusive": EXCLUSIVE, "overlapping": OVERLAPPING}
GATE = Gate("atrophy_present", ("atrophy",))


def outputs(schema: LabelSchema, answers: list[float], seed: int = 0) -> Outputs:
    """Random logits; those of the yes/no question are given, one an image."""
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(len(answers), schema.image_channels, generator=g)
    image[:, 3] = torch.tensor(answers)
    return Outputs(pixel=3 * torch.randn(len(answers), schema.pixel_channels, 6, 7, generator=g), image=image)


def read(schema: LabelSchema, out: Outputs, decisions: Decisions | None = None) -> list:
    ids = [str(i) for i in range(len(out.image))]
    return read_out(out, schema=schema, ids=ids, geometries=[Geometry.whole((6, 7))] * len(ids), decisions=decisions)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_closed_gate_leaves_no_pixel_and_an_open_one_changes_nothing(schema: LabelSchema) -> None:
    out = outputs(schema, [-2.0, 2.0])
    plain, gated = read(schema, out), read(schema, out, Decisions(gates=(GATE,)))
    assert plain[0].masks[1].any()
    assert not gated[0].masks[1].any()
    assert not gated[0].probability[1].any()
    np.testing.assert_array_equal(gated[1].masks, plain[1].masks)
    np.testing.assert_array_equal(gated[1].probability, plain[1].probability)
    assert [p.answers for p in gated] == [p.answers for p in plain]
    if not schema.exclusive:
        np.testing.assert_array_equal(gated[0].masks[0], plain[0].masks[0])


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_without_is_the_probability_given_that_the_label_is_absent(schema: LabelSchema, seed: int) -> None:
    """Exclusive: the softmax over the channels that are left; overlapping: the others as they are."""
    logits = torch.randn(2, schema.pixel_channels, 3, 4, generator=torch.Generator().manual_seed(seed))
    p = schema.pixel_probability(logits)
    left = schema.without(p, ["atrophy"])
    assert not left[:, 1].any()
    expected = logits[:, :2].softmax(1)[:, 1] if schema.exclusive else p[:, 0]
    torch.testing.assert_close(left[:, 0], expected)
    assert not schema.without(p, ["atrophy", "disc"]).any()
    torch.testing.assert_close(schema.without(p, []), p)


def test_without_where_nothing_else_is_possible() -> None:
    """Where the label was certain the background takes the pixel, and no number is nan."""
    sure = torch.tensor([0.0, 1.0])[:, None, None]
    left = EXCLUSIVE.without(sure, ["atrophy"])
    assert left.isfinite().all()
    assert not EXCLUSIVE.masks(left).any()
    with pytest.raises(ValueError, match=r"labels must be in \['disc', 'atrophy'\], got \['drusen'\]"):
        EXCLUSIVE.without(sure, ["drusen"])


def test_a_gate_of_several_answers_and_its_threshold() -> None:
    """Grades 1 and 2 together open it."""
    out = outputs(EXCLUSIVE, [0.0])
    grade = out.image[:, :3].softmax(1)
    evidence = float(grade[0, 1] + grade[0, 2])
    for threshold, is_open in ((evidence - 1e-4, True), (evidence + 1e-4, False), (0.0, True)):
        gate = Gate("grade", ("disc", "atrophy"), ("1", "2"), threshold)
        found = read(EXCLUSIVE, out, Decisions(gates=(gate,)))[0]
        assert found.masks.any() == is_open


def test_all_gates_must_be_open() -> None:
    out = outputs(EXCLUSIVE, [4.0, 4.0])
    shut = Gate("grade", ("atrophy",), ("0",), 1.0)
    for found in read(EXCLUSIVE, out, Decisions(gates=(GATE, shut))):
        assert not found.masks[1].any()
        assert found.masks[0].any()


def test_temperature_divides_the_logits_of_its_question() -> None:
    out = outputs(EXCLUSIVE, [1.0, -3.0])
    found = read(EXCLUSIVE, out, Decisions(temperatures={"atrophy_present": 2.0}))
    plain = read(EXCLUSIVE, out)
    for i, logit in enumerate((1.0, -3.0)):
        assert found[i].probabilities["atrophy_present"]["yes"] == pytest.approx(1 / (1 + np.exp(-logit / 2)), rel=1e-5)
        assert found[i].probabilities["grade"] == plain[i].probabilities["grade"]
        np.testing.assert_array_equal(found[i].masks, plain[i].masks)


def test_thresholds_replace_those_before() -> None:
    base = Decisions(thresholds={"atrophy_present": 0.9, "other": 0.2}, gates=(GATE,))
    assert base.with_thresholds(None) == base
    assert base.with_thresholds({"atrophy_present": 0.1}).thresholds == {"atrophy_present": 0.1, "other": 0.2}
    out = outputs(EXCLUSIVE, [1.0])
    assert read(EXCLUSIVE, out, base)[0].answers["atrophy_present"] == "no"


def test_json_round_trip() -> None:
    decisions = Decisions({"grade": 1.5}, {"atrophy_present": 0.3}, (GATE, Gate("grade", ("disc",), ("1", "2"), 0.25)))
    assert Decisions.from_json(decisions.to_json()) == decisions
    assert Decisions.from_json(Decisions().to_json()) == Decisions()


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"threshold=1\.5; give a probability"):
        Gate("q", ("a",), threshold=1.5)
    with pytest.raises(ValueError, match="give one of each"):
        Gate("q", ())
    with pytest.raises(ValueError, match=r"labels must be in .* got \['drusen'\]"):
        Gate("atrophy_present", ("drusen",)).check(EXCLUSIVE)
    with pytest.raises(ValueError, match=r"answer must be one of .* got 'maybe'"):
        Gate("atrophy_present", ("disc",), ("maybe",)).check(EXCLUSIVE)
    with pytest.raises(ValueError, match="no network of the run answers it"):
        GATE.opened({}, EXCLUSIVE)


def test_a_label_begins_at_its_own_threshold() -> None:
    """Overlapping: from there on; exclusive: from there on where it is the likeliest label, whatever the background."""
    p = torch.tensor([[[0.2, 0.45, 0.6]], [[0.3, 0.3, 0.1]]])
    assert OVERLAPPING.masks(p).tolist() == [[[False, False, True]], [[False, False, False]]]
    assert OVERLAPPING.masks(p, thresholds={"disc": 0.2}).tolist() == [[[True, True, True]], [[False] * 3]]
    assert EXCLUSIVE.masks(p).tolist() == [[[False, True, True]], [[False, False, False]]]
    found = EXCLUSIVE.masks(p, thresholds={"disc": 0.5, "atrophy": 0.3})
    assert found.tolist() == [[[False, False, True]], [[True, False, False]]]
    assert EXCLUSIVE.masks(p, thresholds={}).equal(EXCLUSIVE.masks(p))


def test_parts_too_small_are_removed_in_any_resolution() -> None:
    """A share of the field: twice the resolution, four times the pixels; one pixel less than the share stays."""
    for scale in (1, 2):
        p = np.zeros((2, 6 * scale, 8 * scale), np.float32)
        p[0, : 2 * scale, : 2 * scale] = 0.9
        p[0, 4 * scale :, 4 * scale : 7 * scale] = 0.9
        p[1] = p[0]
        geometry = Geometry((6 * scale, 8 * scale), (0, 0, 6 * scale, 8 * scale), (0, 0, 6, 8), (6, 8))
        maps = torch.from_numpy(p)
        none = marked(maps, schema=OVERLAPPING, geometry=geometry, decisions=Decisions(specks={"disc": 0.9 * 4 / 48}))
        assert none.sum((1, 2)).tolist() == [10 * scale**2, 10 * scale**2]
        one = marked(maps, schema=OVERLAPPING, geometry=geometry, decisions=Decisions(specks={"disc": 4 / 48}))
        assert one.sum((1, 2)).tolist() == [6 * scale**2, 10 * scale**2]
        cropped = replace(geometry, crop=(0, 0, 3 * scale, 8 * scale))
        half = marked(maps, schema=OVERLAPPING, geometry=cropped, decisions=Decisions(specks={"disc": 4 / 48}))
        assert half.sum((1, 2)).tolist() == [10 * scale**2, 10 * scale**2]


def test_a_reading_keeps_its_probabilities_whatever_is_removed() -> None:
    out = outputs(OVERLAPPING, [1.0])
    plain = read(OVERLAPPING, out)[0]
    cleaned = read(OVERLAPPING, out, Decisions(cuts={"disc": 0.1}, specks={"disc": 1.0, "atrophy": 0.0}))[0]
    np.testing.assert_array_equal(cleaned.probability, plain.probability)
    np.testing.assert_array_equal(cleaned.masks[1], plain.masks[1])
    assert plain.masks[0].any()
    assert not cleaned.masks[0].any()


def test_cuts_and_specks_travel_in_the_file_and_older_files_load() -> None:
    decisions = Decisions({"grade": 1.5}, {}, (GATE,), {"disc": 0.3}, {"atrophy": 0.001})
    assert Decisions.from_json(decisions.to_json()) == decisions
    first = {"temperatures": {"grade": 1.5}, "thresholds": {}, "gates": []}  # as the first version wrote it
    assert Decisions.from_json(first) == Decisions({"grade": 1.5})
    with pytest.raises(ValueError, match="format 3; this version reads up to 2"):
        Decisions.from_json({**decisions.to_json(), "format": 3})


def test_decisions_of_several_are_the_means_of_theirs() -> None:
    a = Decisions({"grade": 2.0}, {"atrophy_present": 0.3}, (replace(GATE, threshold=0.2),), {"disc": 0.3}, {})
    b = Decisions({}, {}, (replace(GATE, threshold=0.6),), {}, {"disc": 0.002})
    found = combined([a, b])
    assert found.temperatures == {}
    assert found.thresholds == {"atrophy_present": pytest.approx(0.4)}
    assert [gate.threshold for gate in found.gates] == [pytest.approx(0.4)]
    assert found.cuts == {"disc": pytest.approx(0.4)}
    assert found.specks == {"disc": pytest.approx(0.001)}
    assert combined([b]) == b
