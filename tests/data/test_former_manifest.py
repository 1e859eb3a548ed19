"""A manifest as version 1 wrote it, with every kind of field, loads and is written again to the byte."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from foveate.core.types import Cue, MaskSource, Row
from foveate.data.manifest import Manifest

FORMER = Path(__file__).parent.parent / "fixtures" / "manifest_v1.jsonl"
HASH = "5b7374525b68015c2ba689196f3264da34a4f71e3a19975bf0149f294bd445af"


def given(items: list[object], kind: type) -> set[str]:
    """Fields that differ from their default in one of the items at least."""
    out = set()
    for field in fields(kind):
        default = field.default if field.default is not MISSING else {}
        if any(getattr(item, field.name) != default for item in items):
            out.add(field.name)
    return out


def test_every_field_of_a_former_manifest_is_read() -> None:
    rows = Manifest.read(FORMER)
    sources = [source for row in rows for some in row.masks.values() for source in some]
    cues = [cue for row in rows for some in row.cues.values() for cue in some]
    for items, kind in (([*rows], Row), (sources, MaskSource), (cues, Cue)):
        assert given(items, kind) == {field.name for field in fields(kind)}
    first = rows.rows[0]
    assert [source.annotator for source in first.masks["exudate"]] == ["anna", "ben", "eve"]
    assert first.readings["anna"] == {"grade": "1", "exudate_present": "yes"}
    assert [cue.absent for cue in first.cues["drusen"]] == [True]
    assert rows.schema.question("exudate_present").evidence == ("exudate",)
    assert rows.info["licence"] == "CC BY 4.0"


def test_a_former_manifest_is_written_with_the_names_of_today(tmp_path: Path) -> None:
    former = tmp_path / "former.jsonl"
    former.write_bytes(FORMER.read_bytes())
    Manifest.read(former).write(tmp_path / "again.jsonl")
    expected = FORMER.read_text().replace('"foveate": 1', '"foveate": 2').replace('"grader"', '"annotator"')
    assert (tmp_path / "again.jsonl").read_text() == expected


def test_the_hash_is_that_of_version_1(tmp_path: Path) -> None:
    """Runs name their data by this hash, as the version before computed it."""
    rows = Manifest.read(FORMER)
    assert rows.hash == HASH
    assert rows.write(tmp_path / "again.jsonl").hash == HASH


def test_a_mask_has_one_annotator(tmp_path: Path) -> None:
    mask = '{"path": "m.png", "bit": 0, "grader": "x", "annotator": "y"}'
    line = f'{{"id": "a", "image": "a.png", "masks": {{"fluid": [{mask}]}}}}'
    file = tmp_path / "m.jsonl"
    file.write_text('{"foveate": 1, "schema": {"labels": ["fluid"]}}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"line 2: unknown key 'masks.fluid.*grader'"):
        Manifest.read(file)
