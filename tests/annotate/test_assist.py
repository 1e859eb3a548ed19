"""A run's drafts: shown, never saved by themselves, and what became of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotate_people import BRUSH, Person

from foveate.annotate.domain.draft_review import outcomes
from foveate.annotate.domain.marks import Marks
from foveate.annotate.exchange.drafting import draft_images, uncertainty
from foveate.annotate.store.project import Project
from foveate.annotate.store.records import annotations_of, item_of
from foveate.core.types import Prediction
from foveate.data.manifest import Manifest

People = Callable[..., Person]


def predict(path: Path, *, frame: int | None, name: str, cam: bool = False) -> Prediction:
    """One haemorrhage, surer in later images."""
    assert not cam, "where no finding is marked by regions nothing else is asked of the run"
    sure = 0.55 + 0.05 * int(name[-1])
    probability = np.zeros((2, 96, 96), np.float32)
    probability[0, 10:20, 10:20] = sure
    probability[0, 50, 50] = 0.9  # a speck
    return Prediction(
        name, {"grade": {"0": 1 - sure, "2": sure}}, {"grade": "2"}, probability, probability > 0.5,
        ("haemorrhage", "hard_exudate"),
    )  # fmt: skip


def test_drafts_are_shown_and_never_saved_by_themselves(project: Project, person: People) -> None:
    anna, chief = person("anna"), person("chief", "coordinator")
    assert draft_images(project, predict, name="first") == 6
    assert anna.get("/api/items/1")["drafts"] is None, "not before the image is begun"
    anna.claim()
    told = anna.get("/api/items/1")
    assert told["marks"]["marks"]["shapes"] == []
    (shape,) = told["drafts"]["shapes"]
    assert shape["kind"] == "brush"
    assert sum(shape["runs"][1::2]) == 100, "without the speck"
    assert told["drafts"] | {"shapes": []} == {
        "run": "first", "answers": {"grade": "2"}, "findings": {"haemorrhage": "present", "hard_exudate": "absent"},
        "shapes": [],
    }  # fmt: skip
    taken = shape | {"id": "mine", "draft": shape["id"]}
    anna.save({"answers": {"grade": "1"}, "shapes": [taken]}, state="done")
    anna.read({"answers": {"grade": "2"}, "rejected": ["d1"]}, item=2)
    assert chief.get("/api/progress")["drafts"] == {"accepted": 2, "edited": 1, "rejected": 1, "untouched": 0}
    draft_images(project, predict, name="second")
    anna.claim(3)
    assert anna.get("/api/items/3")["drafts"]["run"] == "second"
    with project.store.read() as db:
        assert annotations_of(db, item_of(db, 3), done=False)[0][2] == Marks()


def test_the_disc_comes_from_a_mask_or_from_the_run(
    make_project: Callable[..., Project], person: People, images: Manifest
) -> None:
    rows = [replace(row, disc=None, fovea=None) for row in images]
    rows[1] = replace(rows[1], masks={})
    project = make_project(name="discs", manifest=images.with_rows(rows))
    anna = person("anna", at=project)
    assert images[0].disc is not None
    told = anna.get("/api/items/1")
    assert told["landmarks"] == "mask"
    assert np.allclose(told["disc"], images[0].disc, atol=2.0)
    assert anna.get("/api/items/2")["landmarks"] is None

    def with_disc(path: Path, *, frame: int | None, name: str, cam: bool) -> Prediction:
        found = predict(path, frame=frame, name=name)
        disc = np.zeros((1, 96, 96), np.float32)
        disc[0, 30:41, 50:61] = 1
        both = np.concatenate([found.probability[:1], disc])
        return replace(found, probability=both, masks=both > 0.5, labels=("haemorrhage", "disc"))

    draft_images(project, with_disc, name="r")
    anna.claim(2)
    assert anna.get("/api/items/2")["landmarks"] == "run"
    assert anna.get("/api/items/2/regions")["disc"] == [35.0, 55.0]


def test_an_edited_draft_is_told_from_an_accepted_one() -> None:
    draft = Marks.model_validate({"answers": {"grade": "2"}, "shapes": [BRUSH]})
    same = BRUSH | {"id": "x", "draft": "b"}
    for shapes, became in (
        ([same], "accepted"),
        ([same | {"runs": [5, 4]}], "edited"),
        ([], "untouched"),
        ([BRUSH | {"id": "new"}], "untouched"),
    ):
        found = outcomes(draft, Marks.model_validate({"shapes": shapes, "rejected": ["answer:grade"]}))
        assert found == {"b": became, "answer:grade": "rejected"}


def test_what_is_less_sure_is_more_uncertain() -> None:
    values = [uncertainty(predict(Path(), frame=None, name=f"x{i}")) for i in range(6)]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < values[0] < 1
    blind = Prediction(
        "a", {"q": {"no": 0.5, "yes": 0.5}}, {"q": "no"}, np.zeros((0, 2, 2)), np.zeros((0, 2, 2), bool), ()
    )
    assert uncertainty(blind) == pytest.approx(1.0)
