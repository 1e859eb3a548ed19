"""Cues: every kind becomes one channel a finding; absent is empty, unknown is unknown; readers are counted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.core.regions import NAMES, Regions
from foveate.core.shapes import Geometry, ellipse, polygon
from foveate.core.types import Cue, MaskSource, Row, Sample
from foveate.data import augment as A
from foveate.data.augment import Augment
from foveate.data.cues import (
    FORMS,
    Cues,
    as_boxes,
    as_ellipses,
    as_regions,
    draw,
    drawn_in,
    outline,
    region_index,
    regions_of,
    unplaced,
)
from foveate.data.loader import collate

SCHEMA = LabelSchema(
    (Question("grade", ("0", "1")), Question("exudate", evidence=("hard", "soft")), Question("drusen")),
    ("hard", "soft", "disc"),
)
SIZE = (40, 60)
EYE = Regions((20.0, 45.0), (20.0, 20.0))


def sample(*, answer: int = 1, marked: tuple[int, int] | None = None, **row: object) -> Sample:
    """A frame that is its image; hard exudates in one pixel, or nothing known of them."""
    masks = np.zeros((3, *SIZE), np.uint8)
    known = np.zeros_like(masks)
    if marked is not None:
        masks[0, marked[0], marked[1]] = 1
        known[:2] = 1
    given = {"disc": EYE.disc, "fovea": EYE.fovea, **row}
    image = np.zeros((*SIZE, 3), np.uint8)
    return Sample(
        Row("a", "a.png", **given), image, masks, known, np.array([0, answer, 1]), Geometry.whole(SIZE)
    )  # fmt: skip


def cue_of(found: Sample, **settings: object) -> np.ndarray | None:
    """The exudate's cue; None where it is not known."""
    cues, known = Cues(SCHEMA, **settings)(found)
    assert cues.shape == (3, *SIZE)
    assert not known[0]
    assert not known[2]  # no evidence
    assert not cues[[0, 2]].any()
    assert known[1] or not cues[1].any()
    return cues[1].astype(bool) if known[1] else None


def test_a_mask_becomes_the_regions_that_hold_it() -> None:
    found = cue_of(sample(marked=(20, 20)))
    np.testing.assert_array_equal(found, EYE.masks(SIZE)[2])
    only = cue_of(sample(marked=(20, 20)), form="masks")
    assert np.argwhere(only).tolist() == [[20, 20]]


def test_absent_is_an_empty_cue_and_unknown_is_none() -> None:
    assert not cue_of(sample(answer=0)).any()
    assert cue_of(sample()) is None
    assert cue_of(sample(answer=-1)) is None
    assert cue_of(sample(marked=(3, 3), disc=None, fovea=None)) is None  # no disc, no regions
    assert cue_of(sample(marked=(3, 3), disc=None, fovea=None), form="boxes") is not None
    empty = sample(marked=(3, 3))
    empty.masks[:] = 0
    assert cue_of(empty) is None  # the answer says yes, the masks show nothing


def test_readers_cues_of_every_kind() -> None:
    kinds = {
        "regions": Cue(regions=("macula",)),
        "box": Cue(box=(9.5, 14.5, 15.5, 24.5)),
        "ellipse": Cue(ellipse=(20.0, 30.0, 5.0, 9.0, 0.5)),
        "polygon": Cue(polygon=((5, 5), (5, 15), (15, 5))),
    }
    expected = {
        "regions": EYE.masks(SIZE)[2],
        "box": np.pad(np.ones((6, 10), bool), ((10, 24), (15, 35))),
        "ellipse": ellipse(SIZE, (20.0, 30.0), (5.0, 9.0), 0.5),
        "polygon": polygon(SIZE, ((5, 5), (5, 15), (15, 5))),
    }
    for kind, cue in kinds.items():
        both = sample(cues={"hard": (cue,), "soft": (Cue(),)})
        found = cue_of(both)
        assert found is not None
        assert (found != expected[kind]).sum() <= (2 if kind == "ellipse" else 0), kind
    assert cue_of(sample(cues={"hard": (kinds["box"],)})) is None  # soft exudates were not looked for
    assert cue_of(sample(cues={"hard": (kinds["regions"],), "soft": (Cue(),)}, disc=None, fovea=None)) is None
    united = sample(cues={"hard": (kinds["box"],), "soft": (kinds["polygon"],)})
    np.testing.assert_array_equal(cue_of(united), expected["box"] | expected["polygon"])


def test_readers_are_counted() -> None:
    left, right = Cue(box=(0, 0, 20, 30), annotator="a"), Cue(box=(0, 10, 20, 40), annotator="b")
    nothing = Cue(annotator="c")
    read = sample(cues={"hard": (left, right, nothing), "soft": (Cue(),)})
    union, both = cue_of(read), cue_of(read, at_least=2)
    assert union.sum() == 20 * 40
    assert both.sum() == 20 * 20
    assert cue_of(read, at_least=3) is None  # nobody's cue is left, although the answer is yes
    open_answer = replace(read, answers=np.array([0, -1, 1]))
    assert cue_of(open_answer) is None  # readers differ and nobody settled it: left out
    agreeing = sample(answer=-1, cues={"hard": (left, right), "soft": (Cue(box=(0, 0, 2, 2)),)})
    assert cue_of(agreeing) is not None


def test_readers_who_disagree_in_their_answers_alone_leave_the_cue_out() -> None:
    """One reader's cue and two answers "no" settle to unknown, and an unknown finding must not guide."""
    box = {"hard": (Cue(box=(0, 0, 20, 30), annotator="a"),), "soft": (Cue(box=(0, 0, 9, 9), annotator="a"),)}
    no = {"exudate": "no"}
    assert cue_of(sample(answer=-1, cues=box)) is not None
    assert cue_of(sample(answer=-1, cues=box, readings={"b": no, "c": no})) is None
    assert cue_of(sample(answer=-1, marked=(3, 3), readings={"a": {"exudate": "yes"}, "b": no})) is None
    assert cue_of(sample(cues=box, readings={"b": no})).sum() == 20 * 30  # settled: the union guides
    assert cue_of(sample(answer=-1, cues=box, readings={"b": {"grade": "1"}})) is not None


def test_rules_count_readers_who_said_no_in_words() -> None:
    left, right = Cue(box=(0, 0, 20, 30), annotator="a"), Cue(box=(0, 10, 20, 40), annotator="b")
    nowhere = tuple(Cue(annotator=reader) for reader in "ab")
    read = sample(cues={"hard": (left, right), "soft": nowhere})
    areas = {rule: cue_of(read, at_least=rule).sum() for rule in ("union", "majority", "intersection")}
    assert areas == {"union": 20 * 40, "majority": 20 * 20, "intersection": 20 * 20}
    against = {"c": {"exudate": "no"}, "a": {"exudate": "yes"}}
    third = replace(read, row=replace(read.row, readings=against))
    assert cue_of(third, at_least="union").sum() == 20 * 40
    assert cue_of(third, at_least="majority").sum() == 20 * 20
    assert cue_of(third, at_least="intersection") is None  # c marked nothing
    fourth = replace(read, row=replace(read.row, readings={**against, "d": {"exudate": "no"}}))
    assert cue_of(fourth, at_least="majority") is None
    np.testing.assert_array_equal(cue_of(fourth, at_least=2), cue_of(read, at_least=2))


def test_masks_come_before_rough_cues_where_a_finer_form_is_asked() -> None:
    rough = {"hard": (Cue(regions=("macula",)),), "soft": (Cue(),)}
    both = sample(marked=(2, 2), cues=rough)
    areas = {form: int(cue_of(both, form=form).sum()) for form in FORMS}
    assert areas == {"regions": EYE.masks(SIZE)[2].sum(), "boxes": 1, "ellipses": 1, "masks": 1}
    alone = sample(cues=rough)
    for form in FORMS:
        np.testing.assert_array_equal(cue_of(alone, form=form), EYE.masks(SIZE)[2])


def test_cues_that_are_known_are_counted() -> None:
    there, lost = sample(marked=(3, 3)), sample(marked=(3, 3), disc=None)
    samples = [there, lost, sample(), sample(answer=0), sample(answer=-1, marked=(3, 3))]
    assert Cues(SCHEMA).known(samples) == {"exudate": (1, 3)}
    assert Cues(SCHEMA, form="boxes").known(samples) == {"exudate": (2, 3)}
    assert unplaced(lost, SCHEMA) == ("exudate",)
    named = {"hard": (Cue(regions=("macula",)),)}
    assert unplaced(sample(disc=None, cues=named), SCHEMA) == ("exudate",)
    outlined = {"hard": (Cue(box=(0, 0, 9, 9)),)}
    for other in (there, sample(disc=None), sample(disc=None, cues=outlined), sample(answer=0, disc=None, cues=named)):
        assert unplaced(other, SCHEMA) == ()


def test_who_drew_where_a_finding_is() -> None:
    question, mask = SCHEMA.questions[1], (MaskSource("m.png", above=0),)
    yes = Row("a", "a.png", {"exudate": "yes"})
    rows = [
        replace(yes, masks={"soft": mask}),
        replace(yes, cues={"hard": (Cue(annotator="a"), Cue(regions=("macula",), annotator="b"))}),
        yes,
        replace(yes, masks={"hard": (MaskSource(),), "disc": mask}, cues={"soft": (Cue(),)}),
        replace(yes, masks={"hard": mask}, answers={"exudate": "no"}),
        replace(yes, masks={"hard": mask}, answers={}),
    ]
    assert [drawn_in(row, question, SCHEMA) for row in rows] == [True, True, *[False] * 4]
    united = SCHEMA.unite("any")
    assert drawn_in(rows[0], Question("exudate", evidence=("any",)), united)


def test_nothing_is_held_against_pixels_of_unknown_truth() -> None:
    partly = sample(marked=(20, 20))
    partly.known[0, :5] = 0
    found = cue_of(partly, form="masks")
    assert found[:5].all()
    assert found[5:].sum() == 1
    padded = replace(partly, geometry=Geometry(SIZE, (0, 0, *SIZE), (3, 0, 37, 60), SIZE))
    assert not cue_of(padded, form="masks")[:3].any()  # padding is no retina


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), form=st.sampled_from(list(FORMS)))
def test_a_cue_holds_what_it_was_made_of(seed: int, form: str) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE, bool)
    for _ in range(int(rng.integers(1, 4))):
        mask |= ellipse(SIZE, tuple(rng.uniform(0, 40, 2)), tuple(rng.uniform(1, 6, 2)), float(rng.uniform(0, 3)))
    mask[tuple(rng.integers(0, 40, 2))] = True
    cue = FORMS[form](mask, EYE, Geometry.whole(SIZE))
    assert cue[mask].all()
    if form == "masks":
        np.testing.assert_array_equal(cue, mask)
    if form == "regions":
        assert all(cue[region].all() == bool((mask & region).any()) for region in EYE.masks(SIZE) if region.any())


def test_ellipses_and_boxes_are_tight() -> None:
    mask = ellipse(SIZE, (20.0, 30.0), (5.0, 12.0), 0.6)
    drawn = as_ellipses(mask, None, Geometry.whole(SIZE))
    assert drawn.sum() < 1.25 * mask.sum()
    box = as_boxes(mask, None, Geometry.whole(SIZE))
    rows, cols = np.nonzero(mask)
    assert box.sum() == (np.ptp(rows) + 1) * (np.ptp(cols) + 1)
    apart = mask.copy()
    apart[1, 1] = True
    assert as_boxes(apart, None, Geometry.whole(SIZE)).sum() == box.sum() + 1
    assert as_ellipses(apart, None, Geometry.whole(SIZE))[1, 1]


def test_shapes_lie_in_the_frame_as_in_the_image() -> None:
    """A frame that is a crop, squeezed differently along rows and columns, and padded."""
    geometry = Geometry((80, 100), (10, 20, 60, 70), (5, 0, 30, 60), (40, 60))
    eye = Regions((40.0, 70.0), (42.0, 40.0))
    for cue in (
        Cue(box=(20, 30, 50, 60)),
        Cue(ellipse=(40.0, 50.0, 12.0, 20.0, 0.7)),
        Cue(polygon=((15, 25), (60, 40), (30, 80))),
        Cue(regions=("macula", "superior")),
    ):
        frame = draw(cue, geometry, regions=eye)
        whole = draw(cue, Geometry.whole((80, 100)), regions=eye)
        rows, cols = np.indices((30, 60))
        at = np.array(
            [
                geometry.to_source((r + 5.0, c))
                for r, c in zip(rows.ravel().tolist(), cols.ravel().tolist(), strict=True)
            ]
        )
        expected = whole[tuple(np.rint(at).astype(int).T)].reshape(30, 60)
        assert (frame[5:35] != expected).mean() < 0.03
    assert outline(Cue()) == ()
    index = region_index(eye, geometry)
    assert NAMES[index[20, 30]] == eye.at(geometry.to_source((20, 30)))
    assert as_regions(np.zeros((40, 60), bool), None, geometry) is None


def test_the_disc_comes_from_its_mask() -> None:
    found = sample(marked=(20, 20), disc=None, fovea=None, laterality="OD")
    assert regions_of(found, SCHEMA) is None
    found.masks[2], found.known[2] = ellipse(SIZE, (20.0, 45.0), (4.0, 4.0)), 1
    eye = regions_of(found, SCHEMA)
    assert eye.disc == pytest.approx((20.0, 45.0))
    assert eye.distance == pytest.approx(2.5 * 8, rel=0.1)
    assert eye.fovea[1] < 45
    given_disc = replace(found, row=replace(found.row, disc=(19.0, 44.0)))
    eye = regions_of(given_disc, SCHEMA)
    assert eye.disc == (19.0, 44.0)
    assert eye.assumed == ("fovea",)


def test_cues_move_with_the_image() -> None:
    found = sample(marked=(20, 20))
    cues, known = Cues(SCHEMA)(found)
    turned = Augment((A.flip_horizontal(1.0),))(replace(found, cues=cues, cues_known=known), np.random.default_rng(0))
    np.testing.assert_array_equal(turned.cues, cues[:, :, ::-1])
    np.testing.assert_array_equal(turned.cues_known, known)
    batch = collate([turned, turned], SCHEMA)
    assert batch.cues_known.tolist() == [[False, True, False]] * 2
    assert batch.to("cpu").cues_known is not None


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"form must be one of .* got 'circle'"):
        Cues(SCHEMA, form="circle")
    with pytest.raises(ValueError, match="at_least=0"):
        Cues(SCHEMA, at_least=0)
    with pytest.raises(
        ValueError, match=r"at_least must be one of \['union', 'intersection', 'majority'\] .* got 'most'"
    ):
        Cues(SCHEMA, at_least="most")
    with pytest.raises(ValueError, match="at most one of regions, box"):
        Cue(regions=("macula",), box=(0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"region must be one of .* got 'fovea'"):
        Cue(regions=("fovea",))
    with pytest.raises(ValueError, match="three or more"):
        Cue(polygon=((0, 0), (1, 1)))
    with pytest.raises(ValueError, match=r"box=.* is empty"):
        Cue(box=(2, 0, 1, 1))
    with pytest.raises(ValueError, match=r"ellipse=.* is empty"):
        Cue(ellipse=(2, 0, 0, 1, 0))
