"""A backup and its way back; one whose parts do not fit together is refused by the name of the part."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotate_people import BRUSH, Person

from foveate.annotate.store.backup import backup, restore
from foveate.annotate.store.project import Project

People = Callable[..., Person]


@pytest.fixture
def saved(project: Project, person: People, tmp_path: Path) -> Path:
    """A backup with two annotators' marks."""
    for name in ("Özge", "ben"):
        one = person(name)
        one.claim()
        one.save({"shapes": [BRUSH]})
    backup(project, tmp_path / "b.zip")
    return tmp_path / "b.zip"


def changed(source: Path, part: str, change: Callable[[list[dict[str, Any]]], Any]) -> Path:
    """The same backup with one table changed."""
    out = source.with_name("changed.zip")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == f"tables/{part}.jsonl":
                rows = [json.loads(line) for line in data.splitlines()]
                change(rows)
                data = "".join(json.dumps(row) + "\n" for row in rows).encode()
            new.writestr(name, data)
    return out


def test_a_backup_comes_back(saved: Path, tmp_path: Path, person: People) -> None:
    again = restore(saved, tmp_path / "again")
    chief = person("chief", "coordinator", at=again)
    assert [user["name"] for user in chief.get("/api/users")["users"]] == ["Özge", "ben", "chief"]
    assert chief.get("/api/progress")["annotators"][0]["open"] == 1
    again.store.close()


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("mark_sets", lambda rows: rows[0].update(item_id=99), "tables/mark_sets.jsonl does not fit"),
        ("mark_sets", lambda rows: rows[0].update(version=7), "mark set 1 has version 7"),
        ("mark_sets", lambda rows: rows.append(rows[0]), "tables/mark_sets.jsonl does not fit"),
        ("history", lambda rows: rows.clear(), "the newest in its history is 0"),
        ("history", lambda rows: rows[0].update(marks="AAAA"), "tables/history.jsonl has damaged marks"),
        ("history", lambda rows: rows[0].update(marks="ä"), "tables/history.jsonl does not fit"),
        ("users", lambda rows: rows[1].update(key=rows[0]["key"]), "tables/users.jsonl does not fit"),
        ("users", lambda rows: rows[0].update(strange=1), "tables/users.jsonl does not fit"),
        ("users", lambda rows: rows[0].pop("name"), "tables/users.jsonl does not fit"),
        ("items", lambda rows: rows.pop(), "is in only one of manifest.jsonl and tables/items.jsonl"),
    ],
)
def test_a_backup_that_does_not_fit_together_is_refused(
    part: str, change: Callable[[list[dict[str, Any]]], Any], message: str, saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as found:
        restore(changed(saved, part, change), tmp_path / "again")
    assert "changed.zip" in str(found.value)
    assert "restore another backup" in str(found.value)
    assert not any((tmp_path / "again").iterdir())
