"""Projects and backups of former versions open, save and export; those of newer versions are refused by name."""

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import cv2
import pytest
from annotate_people import Person
from sqlalchemy import text
from starlette.testclient import TestClient

from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.exchange.export_marks import export
from foveate.annotate.store.backup import restore
from foveate.annotate.store.project import Project
from foveate.annotate.web.request_context import cookie_of
from foveate.annotate.web.server import make_app
from foveate.data.manifest import Manifest
from foveate.web import accounts, sessions
from foveate.web.passwords import Hashing

FIXTURE = Path(__file__).parent / "fixtures" / "project_v1"


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A copy of the project of the first version."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "project_v1"))


def same_export(found: Path, expected: Path) -> None:
    """Compare two manifests and their masks."""
    for one, two in zip(Manifest.read(found), Manifest.read(expected), strict=True):
        assert (one.id, one.answers, one.readings, one.cues) == (two.id, two.answers, two.readings, two.cues)
        assert (one.disc, one.fovea, one.patient) == (two.disc, two.fovea, two.patient)
        assert one.masks.keys() == two.masks.keys()
    folder = found.with_name("M2_masks")
    written = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    assert written == sorted(path.relative_to(expected.parent / "M2_masks") for path in expected.parent.rglob("*.png"))
    for path in written:
        assert (cv2.imread(str(folder / path)) == cv2.imread(str(expected.parent / "M2_masks" / path))).all(), path


def test_a_project_of_the_first_version_opens_exports_and_saves(former: Path, tmp_path: Path) -> None:
    project = Project.open(former / "room")
    assert (project.name, project.protocol.annotators) == ("Old room", 2)
    export(project, tmp_path / "out" / "M2.jsonl")
    same_export(tmp_path / "out" / "M2.jsonl", FIXTURE / "expected" / "M2.jsonl")
    same_export(tmp_path / "out" / "M2.annotators.jsonl", FIXTURE / "expected" / "M2.readers.jsonl")
    with project.store.write() as db:
        user = accounts.find(db, "anna")
        assert user is not None
        token, who = sessions.log_in(db, user)
        assert who.roles == ("annotator",), "the former role reader"
        assert db.execute(text("SELECT roles FROM invites")).scalars().all() == ["annotator,adjudicator"]
    with TestClient(make_app(project), base_url="http://127.0.0.1", cookies={cookie_of(project): token}) as client:
        anna = Person(client, "anna", who.csrf)
        before = anna.get("/api/items/3")["marks"]
        assert (before["version"], before["marks"]["answers"]) == (1, {"grade": "0"})
        assert anna.save({"answers": {"grade": "1"}}, item=3, version=1, state="done")["version"] == 2
        assert [v["version"] for v in anna.get("/api/items/3/history")["versions"]] == [1, 2]
    project.store.close()
    again = Project.open(former / "room")
    with again.store.read() as db:
        assert db.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0003"
    again.store.close()


def test_the_password_of_the_first_version_still_fits(former: Path) -> None:
    project = Project.open(former / "room")
    with project.store.write() as db:
        kept = accounts.find(db, "DORA")
    assert kept is not None
    assert Hashing().matches(kept.password, "a long enough secret")
    assert not Hashing().matches(kept.password, "another long secret")
    project.store.close()


def test_a_backup_of_the_first_version_is_restored(former: Path, tmp_path: Path) -> None:
    project = restore(former / "room.zip", tmp_path / "restored", images=former / "images")
    with project.store.read() as db:
        roles = dict(db.execute(text("SELECT name, roles FROM users")).all())
    assert roles["ben"] == "annotator,adjudicator"
    export(project, tmp_path / "out" / "M2.jsonl")
    same_export(tmp_path / "out" / "M2.jsonl", FIXTURE / "expected" / "M2.jsonl")
    project.store.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(former: Path) -> None:
    file = former / "room" / "store.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    with pytest.raises(ValueError, match=r"store\.sqlite.*newer version of foveate \(revision 0999.*install a newer"):
        Project.open(former / "room")
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        roles = {row[0] for row in connection.execute("SELECT roles FROM users")}
    connection.close()
    assert found == [("0999",)]
    assert "reader" in roles, "nothing was changed"


def test_a_backup_of_a_newer_version_is_refused(former: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(former / "room.zip") as old, zipfile.ZipFile(newer, "w") as new:
        for part in old.namelist():
            data = old.read(part)
            new.writestr(part, json.dumps(json.loads(data) | {"format": 99}) if part == "backup.json" else data)
    with pytest.raises(ValueError, match=r"format=99: .*newer version of foveate"):
        restore(newer, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_the_former_name_of_annotators_in_a_protocol() -> None:
    rest = 'name = "p"\n[[questions]]\nname = "grade"\n[consensus]\nat_least = 1\n'
    assert Protocol.parse("readers = 2\n" + rest).annotators == 2
    with pytest.raises(ValueError, match="is the former name of `annotators`"):
        Protocol.parse("readers = 2\nannotators = 2\n" + rest)


def test_equal_names_of_former_versions_become_separate_accounts(former: Path, tmp_path: Path) -> None:
    file = former / "room" / "store.sqlite"
    with sqlite3.connect(file) as connection:
        for name in ("Özge", "özge"):
            line = (name, "reader", None, 1, 0.0)
            connection.execute(
                "INSERT INTO users (name, roles, password, active, created) VALUES (?, ?, ?, ?, ?)", line
            )
    connection.close()
    project = Project.open(former / "room")
    with project.store.read() as db:
        found = [accounts.find(db, name) for name in ("ÖZGE", "Özge (2)")]
        assert [user.name for user in found if user] == ["Özge", "özge (2)"]
    project.store.close()
