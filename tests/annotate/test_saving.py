"""Saves: acknowledged once, never over another's, all kept; on SQLite and on PostgreSQL."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from annotate_people import BRUSH, ELLIPSE, POINT, POLYGON, REGIONS, Person
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError

from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import History, MarkSet
from foveate.annotate.store.records import item_of
from foveate.web.refusal import Refusal

People = Callable[..., Person]
DONE = {"answers": {"grade": "2"}, "shapes": [BRUSH, ELLIPSE, POLYGON, REGIONS, POINT]}


@pytest.fixture
def anna(make_project: Callable[..., Project], person: People, database: str | None) -> Person:
    project = make_project(database=database, name="own")
    someone = person("anna", "annotator", at=project)
    someone.project = project  # type: ignore[attr-defined]
    return someone


def test_what_is_saved_comes_back(anna: Person) -> None:
    anna.claim()
    marks = DONE | {"comments": [{"text": "über ✓", "at": [1.0, 2.0]}], "fovea": [40.0, 41.5]}
    made = anna.save(marks, seconds=2.5)
    assert made["version"] == 1
    got = anna.get("/api/items/1")["marks"]
    assert (got["version"], got["seconds"], got["by"]) == (1, 2.5, "anna")
    for kept, sent in zip(got["marks"]["shapes"], marks["shapes"], strict=True):
        assert {k: kept[k] for k in sent} == sent
    assert got["marks"]["comments"] == marks["comments"]
    assert got["marks"]["fovea"] == [40.0, 41.5]


def test_a_stale_save_is_refused_and_shown(anna: Person) -> None:
    anna.claim()
    anna.save({"answers": {"grade": "1"}})
    refused = anna.save({"answers": {"grade": "3"}}, version=0, status=409)
    assert refused["error"] == "stale"
    assert refused["current"]["version"] == 1
    assert refused["current"]["marks"]["answers"] == {"grade": "1"}
    assert anna.get("/api/items/1")["marks"]["marks"]["answers"] == {"grade": "1"}


def test_a_save_sent_twice_is_one(anna: Person) -> None:
    anna.claim()
    first = anna.save({"answers": {"grade": "1"}}, key="same", seconds=10)
    assert anna.save({"answers": {"grade": "1"}}, key="same", seconds=10) == first
    assert anna.save({"answers": {"grade": "2"}}, version=1)["version"] == 2
    again = anna.save({"answers": {"grade": "1"}}, key="same", seconds=10)
    assert (again["version"], again["seconds"]) == (1, 11.5)


def test_every_version_stays(anna: Person) -> None:
    anna.claim()
    for version, grade in enumerate("120"):
        anna.save({"answers": {"grade": grade}}, version=version)
    assert [v["version"] for v in anna.get("/api/items/1/history")["versions"]] == [1, 2, 3]
    assert anna.get("/api/items/1/history/2")["marks"]["answers"] == {"grade": "2"}
    anna.get("/api/items/1/history/4", status=404)


def test_the_database_itself_keeps_the_history(anna: Person) -> None:
    anna.claim()
    anna.save({})
    anna.get("/api/items/1")  # a line of the audit log
    for statement in ("UPDATE history SET version = 9", "DELETE FROM history", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="only grows"), anna.project.store.write() as db:  # type: ignore[attr-defined]
            db.execute(text(statement))


def test_of_saves_at_the_same_time_one_wins(anna: Person) -> None:
    anna.claim()

    def save(number: int) -> int:
        body = {"version": 0, "save": f"at once {number}".replace(" ", "-"), "state": "open", "seconds": 0, "marks": {}}
        return anna.client.put("/api/items/1/marks", json=body, headers={"x-csrf-token": anna.csrf}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(save, range(6))) == [200] + [409] * 5
    with anna.project.store.read() as db:  # type: ignore[attr-defined]
        assert db.scalar(select(func.count()).select_from(History)) == 1


def test_an_image_never_has_more_annotators_than_the_protocol_says(
    make_project: Callable[..., Project], person: People, database: str | None
) -> None:
    project = make_project(database=database, name="own")
    people = [person(f"annotator {i}", at=project) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        codes = pool.map(
            lambda p: p.client.post("/api/items/3/claim", headers={"x-csrf-token": p.csrf}).status_code, people
        )
    assert sorted(codes) == [200, 200, 409, 409]
    with project.store.read() as db:
        assert db.scalar(select(func.count()).select_from(MarkSet)) == 2


def test_nothing_is_saved_when_the_disk_is_full(project: Project, person: People) -> None:
    anna = person("anna")
    anna.claim()
    anna.save({"answers": {"grade": "1"}})
    with project.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    project.store.engine.dispose()

    @event.listens_for(project.store.engine, "connect")
    def full(connection: object, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

    large = {"answers": {"grade": "2"}, "comments": [{"text": secrets.token_hex(1500)} for _ in range(150)]}
    answer = anna.save(large, version=1, status=507)
    assert answer["error"] == "disk full"
    event.remove(project.store.engine, "connect", full)
    project.store.engine.dispose()
    assert anna.get("/api/items/1")["marks"]["marks"]["answers"] == {"grade": "1"}
    assert anna.save(large, version=1)["version"] == 2


NOT_ALLOWED: list[tuple[dict[str, object], str]] = [
    ({"answers": {"quality": "1"}}, "must be one of the questions"),
    ({"answers": {"grade": "7"}}, "must be one of"),
    ({"findings": {"drusen": "present"}}, "no such finding"),
    ({"shapes": [ELLIPSE | {"label": "hard_exudate"}]}, "not by ellipse"),
    ({"shapes": [ELLIPSE | {"label": "drusen"}]}, "there is no finding"),
    ({"shapes": [ELLIPSE, ELLIPSE]}, "is used twice"),
    ({"shapes": [BRUSH, BRUSH | {"id": "c"}]}, "a second brush"),
    ({"shapes": [BRUSH | {"runs": [5, 3, 6, 1]}]}, "ascend"),
    ({"shapes": [BRUSH | {"runs": [96 * 96 - 1, 2]}]}, "pixels"),
    ({"shapes": [BRUSH | {"runs": [5, 3, 6]}]}, "in turn"),
    ({"shapes": [ELLIPSE | {"radii": [0, 1]}]}, "radii"),
    ({"shapes": [ELLIPSE | {"centre": [1e9, 1]}]}, "centre"),
    ({"shapes": [POLYGON | {"corners": [[1, 1], [2, 2]]}]}, "corners"),
    ({"shapes": [REGIONS | {"regions": ["choroid"]}]}, "got 'choroid'"),
    ({"shapes": [POINT | {"kind": "star"}]}, "kind"),
    ({"shapes": [BRUSH], "findings": {"haemorrhage": "absent"}}, "absent, but it has marks"),
    ({"comments": [{"text": "a\x00b"}]}, "character 0"),
    ({"mood": "good"}, "mood"),
]


def test_what_the_protocol_does_not_allow_is_named(person: People) -> None:
    anna = person("anna")
    anna.claim()
    for marks, said in NOT_ALLOWED:
        answer = anna.save(marks, status=422)
        assert answer["error"] == "invalid"
        assert said in answer["message"]
    assert anna.get("/api/items/1")["marks"]["version"] == 0


def test_done_needs_the_required_answers(person: People) -> None:
    anna = person("anna")
    anna.claim()
    assert "grade: not answered yet" in anna.save({}, state="done", status=422)["message"]
    assert anna.save({"ungradable": {"reasons": ["blurred"]}}, state="done")["state"] == "done"


def test_an_image_must_be_claimed_first(person: People) -> None:
    anna = person("anna")
    anna.save({}, status=403)
    assert anna.get("/api/items/1")["marks"] is None
    anna.send("POST", "/api/items/99/claim", status=404)


def test_an_unknown_item_is_named(project: Project) -> None:
    with project.store.read() as db, pytest.raises(Refusal, match="no image 77"):
        item_of(db, 77)
