"""Done can be undone until a person has settled the image; settled images open again; what large marks cost."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from annotate_people import BRUSH, EVERY_MARK, POINT, REGIONS, Person

from foveate.annotate.exchange.export_marks import export
from foveate.annotate.store.project import Project
from foveate.core.consensus import agreed_points
from foveate.core.shapes import Ellipse, Polygon, ellipse, polygon, rasterise
from foveate.data.manifest import Manifest

People = Callable[..., Person]
GRADED = {"answers": {"grade": "1"}, "shapes": [BRUSH]}


def test_done_can_be_undone_until_the_image_is_adjudicated(person: People) -> None:
    anna, ben, judge = person("anna"), person("ben"), person("judge", "adjudicator")
    for one in (anna, ben):
        one.read(GRADED)
    assert anna.get("/api/items/1")["settled"] is True, "the rule settles it"
    assert anna.get("/api/items/1")["closed"] is False
    anna.save(GRADED, version=1)
    assert judge.get("/api/consensus")["items"][0]["state"] == "open"
    anna.save(GRADED, version=2, state="done")
    judge.save(GRADED, where="consensus", state="done")
    assert anna.get("/api/items/1")["closed"] is True
    assert anna.save(GRADED, version=3, status=409)["error"] == "settled"


def test_a_settled_image_is_reopened_with_a_reason(person: People) -> None:
    anna, ben, judge, chief = person("anna"), person("ben"), person("judge", "adjudicator"), person("c", "coordinator")
    judge.send("POST", "/api/items/1/reopen", {"reason": "too early"}, status=409)
    for one in (anna, ben):
        one.read(GRADED)
    anna.send("POST", "/api/items/1/reopen", {"reason": "I want to"}, status=403)
    judge.send("POST", "/api/items/1/reopen", {"reason": ""}, status=422)
    found = judge.send("POST", "/api/items/1/reopen", {"reason": "The grade is wrong."})
    assert found["state"] == "ready"
    start = judge.get("/api/items/1/consensus")["consensus"]
    assert (start["version"], start["state"], start["marks"]["answers"]) == (1, "open", {"grade": "1"})
    judge.save(GRADED | {"answers": {"grade": "2"}}, where="consensus", version=1, state="done")
    assert judge.get("/api/consensus")["items"][0]["state"] == "settled"
    assert judge.send("POST", "/api/items/1/reopen", {"reason": "Again."})["state"] == "ready"
    assert judge.get("/api/items/1/consensus")["consensus"]["marks"]["answers"] == {"grade": "2"}
    noted = [(e["action"], e["subject"]) for e in chief.get("/api/audit")["entries"]]
    assert sum(action == "reopened" and "The grade is wrong." in subject for action, subject in noted) == 1


def test_an_adjudicator_sees_annotations_when_all_are_done_and_is_asked_before(person: People) -> None:
    anna, judge = person("anna"), person("judge", "adjudicator")
    anna.read(GRADED)
    found = judge.get("/api/items/1/consensus")
    assert (found["annotations"], found["finished"], found["proposal"]["shapes"]) == ([], 1, [])
    refused = judge.save(GRADED, where="consensus", state="done", status=409)
    assert (refused["error"], refused["message"]) == ("unfinished", "1 of 2 annotators has finished this image.")
    body = {"version": 0, "save": "k", "state": "done", "seconds": 1, "marks": GRADED, "unfinished": True}
    judge.send("PUT", "/api/items/1/consensus", body)
    assert judge.get("/api/items/1/consensus")["state"] == "settled"


@pytest.mark.parametrize("version", [1, 7, 2**31 - 1])
def test_a_save_from_a_version_that_was_never_saved_is_refused(version: int, person: People) -> None:
    anna = person("anna")
    anna.claim()
    assert anna.save(GRADED, version=version, status=409)["error"] == "stale"
    assert anna.get("/api/items/1")["marks"]["version"] == 0


# -- points -----------------------------------------------------------------------------------------------------------


def test_points_of_several_annotators_are_matched_by_distance() -> None:
    marked = [[(10.0, 10.0), (14.0, 10.0)], [(11.0, 10.0)], [(10.0, 12.0), (80.0, 80.0)]]
    assert agreed_points(marked, at_least=2, reach=5.0) == ((10.0, 10.0),)
    assert len(agreed_points(marked, at_least=1, reach=5.0)) == 3
    assert agreed_points(marked, at_least=2, reach=0.5) == ()
    assert agreed_points([], reach=5.0) == ()
    assert agreed_points([[], []], at_least=2, reach=5.0) == ()
    one = agreed_points([[(0.0, 0.0), (1.0, 0.0)], []], at_least=2, reach=5.0)
    assert one == (), "two points of one annotator are two"


def test_many_points_are_matched_in_time() -> None:
    rng = np.random.default_rng(0)
    marked = [[tuple(p) for p in rng.uniform(0, 3000, (5000, 2)).tolist()] for _ in range(2)]
    began = time.monotonic()
    agreed_points(marked, at_least=2, reach=20.0)
    assert time.monotonic() - began < 20


def test_points_survive_the_rule_majority_and_what_it_drops_is_noted(
    make_project: Callable[..., Project], person: People, tmp_path: Path
) -> None:
    project = make_project(EVERY_MARK + 'marks = "majority"\n', name="majority")
    near = POINT | {"at": [22.0, 30.0]}
    lonely = POINT | {"id": "far", "at": [70.0, 70.0]}
    anna, ben = person("anna", at=project), person("ben", at=project)
    grade = {"answers": {"grade": "1"}}
    anna.read(grade | {"shapes": [POINT, lonely, REGIONS]})
    ben.read(grade | {"shapes": [near]})
    anna.read(grade | {"shapes": [POINT]}, item=2)
    ben.read(grade | {"shapes": [lonely]}, item=2)
    found = export(project, tmp_path / "M2.jsonl")
    row = Manifest.read(tmp_path / "M2.jsonl").rows[0]
    assert [cue.ellipse and cue.ellipse[:2] for cue in row.cues["hard_exudate"]] == [(21.0, 30.0)]
    notes = "\n".join(found.notes)
    assert "too few marked macula, temporal (majority); left out" in notes
    assert "none of 2 points was marked by enough (majority); left out" in notes


# -- large marks ------------------------------------------------------------------------------------------------------


def test_shapes_are_filled_in_their_boxes() -> None:
    shape = (2848, 4288)
    rng = np.random.default_rng(0)
    centres = rng.uniform((0, 0), shape, (5000, 2)).tolist()
    drawn = [Ellipse((row, col), (12.0, 30.0), 0.4) for row, col in centres]
    began = time.monotonic()
    found = rasterise(shape, drawn)
    assert time.monotonic() - began < 15, "with a mask of the image's size for each it takes minutes"
    few = [
        drawn[0],
        Polygon(((10.0, 10.0), (10.0, 90.0), (70.5, 40.0))),
        Polygon(((-9.0, -9.0), (-8.0, -9.0), (-8.0, -8.0))),
    ]
    expected = ellipse(shape, few[0].centre, (12.0, 30.0), 0.4) | polygon(shape, few[1].corners)
    assert (rasterise(shape, few) == expected).all()
    assert found[tuple(np.clip(np.round(centres[0]).astype(int), 0, np.array(shape) - 1))]


def test_checks_of_large_marks_are_made_before_the_store_is_locked(
    person: People, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foveate.annotate.store import saving

    anna = person("anna")
    anna.claim()
    locked: list[bool] = []
    real = saving.check

    def check(*given: object, **how: object) -> object:
        locked.append(project.store.turn.locked())  # type: ignore[attr-defined]
        return real(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(saving, "check", check)
    anna.save(GRADED)
    assert locked == [False]


def test_an_idle_server_does_not_load_torch() -> None:
    import subprocess
    import sys

    script = (
        "import sys, uvicorn, foveate.annotate.web.server; print([m for m in ('torch', 'timm') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
