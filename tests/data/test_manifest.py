"""Manifest: written and read back the same, wherever it lies; every slip named by file and line."""

import json
import os
import shutil
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.lines import ABSENT, row_from_line, row_to_line
from foveate.data.manifest import Manifest

SCHEMA = LabelSchema(
    (Question("fluid", evidence=("fluid",)), Question("grade", ("0", "1", "2"), ordered=True)), ("fluid", "exudate")
)
HEADER = json.dumps({"foveate": 1, "schema": SCHEMA.to_json(), "info": {"name": "mine"}})
WORD = st.text(string.ascii_letters + "äß _-", min_size=1, max_size=6).filter(str.strip)
NUMBER = st.floats(-1e4, 1e4)
POINT = st.tuples(NUMBER, NUMBER)
# Fields, not nouns: beartype picks the items it checks at random, and hypothesis forbids that inside a strategy.
WAY = st.one_of(
    st.fixed_dictionaries(
        {"path": WORD, "index": st.tuples(st.integers(0, 9)), "ignore": st.tuples(st.integers(0, 255))}
    ),
    st.fixed_dictionaries({"path": WORD, "bit": st.integers(0, 7), "annotator": WORD}),
    st.fixed_dictionaries({"path": WORD, "above": st.floats(0, 255)}),
    st.fixed_dictionaries({"path": WORD, "below": st.just(0.0)}),
    st.fixed_dictionaries({"annotator": WORD}),
)
MAYBE_WORD = st.none() | WORD
FIELDS = st.fixed_dictionaries(
    {
        "id": WORD,
        "image": WORD,
        "answers": st.fixed_dictionaries(
            {}, optional={"fluid": st.sampled_from(["no", "yes"]), "grade": st.sampled_from("012")}
        ),
        "masks": st.dictionaries(st.sampled_from(SCHEMA.labels), st.lists(WAY, min_size=1, max_size=3) | st.just([{}])),
        "patient": MAYBE_WORD,
        "eye": MAYBE_WORD,
        "laterality": st.sampled_from([None, "OD", "OS"]),
        "modality": MAYBE_WORD,
        "volume": MAYBE_WORD,
        "position": st.none() | st.integers(0, 99),
        "spacing": st.none() | st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)),
        "disc": st.none() | POINT,
        "fovea": st.none() | POINT,
        "source": MAYBE_WORD,
        "sha256": MAYBE_WORD,
        "split": st.sampled_from([None, "train", "val", "test"]),
        "fold": st.none() | st.integers(0, 9),
    }
)


def made(fields: dict[str, Any]) -> Row:
    masks = {label: tuple(MaskSource(**way) for way in ways) for label, ways in fields["masks"].items()}
    return Row(**{**fields, "masks": masks})


@settings(max_examples=60)
@given(FIELDS)
def test_a_row_comes_back_from_its_line(fields: dict[str, Any]) -> None:
    row = made(fields)
    assert row_from_line(row_to_line(row)) == row


@settings(max_examples=25, deadline=None)
@given(several=st.lists(FIELDS, max_size=4, unique_by=lambda fields: fields["id"]))
def test_a_manifest_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, several: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    rows = [made(fields) for fields in several]
    manifest = Manifest(SCHEMA, tuple(rows), folder, info={"name": "ä", "deep": {"a": [1, 2.5, None]}})
    written = manifest.write(folder / "m.jsonl")
    read = Manifest.read(folder / "m.jsonl")
    assert (read.schema, read.rows, read.info, read.root) == (SCHEMA, tuple(rows), manifest.info, folder)
    assert read == written
    assert read.hash == manifest.hash


def small(root: Path) -> Manifest:
    masks = {
        "fluid": (MaskSource("masks/a.png", bit=0), MaskSource("masks/a.png", bit=1, annotator="b")),
        "exudate": ABSENT,
    }
    return Manifest(
        SCHEMA,
        (
            Row("a", "images/a.png", {"fluid": "yes"}, masks, patient="p1", fold=0, split="train"),
            Row("b", "images/b.png", {"grade": "2"}, patient="p2", fold=1, split="test"),
            Row("c", "images/c.png", patient="p3", fold=2, split="test"),
        ),
        root,
    )


def test_lines_are_compact(tmp_path: Path) -> None:
    small(tmp_path).write(tmp_path / "m.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert lines[0] == {"foveate": 2, "schema": SCHEMA.to_json(), "info": {}}
    assert lines[1]["masks"] == {
        "fluid": [{"path": "masks/a.png", "bit": 0}, {"path": "masks/a.png", "bit": 1, "annotator": "b"}],
        "exudate": "absent",
    }
    assert lines[2] == {
        "id": "b", "image": "images/b.png", "answers": {"grade": "2"}, "patient": "p2", "split": "test", "fold": 1,
    }  # fmt: skip


def test_written_elsewhere_the_paths_still_lead_to_the_files(tmp_path: Path) -> None:
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/images/a.png").write_bytes(b"pixels")
    here = small(tmp_path / "set")
    there = here.write(tmp_path / "studies/one/m.jsonl")
    assert there[0].image == "../../set/images/a.png"
    assert there[0].masks["fluid"][0].path == "../../set/masks/a.png"
    assert (there.root / there[0].image).read_bytes() == b"pixels"
    assert Manifest.read(there.path or "").hash == here.hash
    back = there.write(tmp_path / "set/m.jsonl")
    assert back.rows == here.rows


def test_hash_follows_the_truth_not_the_place(tmp_path: Path) -> None:
    here = small(tmp_path / "here")
    here.write(tmp_path / "here/m.jsonl")
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Manifest.read(tmp_path / "there/m.jsonl")
    assert moved.hash == here.hash
    assert moved.with_rows([replace(moved[0], answers={"fluid": "no"}), *moved.rows[1:]]).hash != here.hash
    assert moved.with_rows([replace(moved[0], image="images/b.png"), *moved.rows[1:]]).hash != here.hash
    assert moved.with_rows(moved.rows[:2]).hash != here.hash
    assert moved.select(labels=["fluid"]).hash != here.hash
    assert Manifest(SCHEMA, (), tmp_path).hash != Manifest(SCHEMA.select(labels=[]), (), tmp_path).hash


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.jsonl"
    small(tmp_path).write(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disc full")))
    with pytest.raises(OSError, match="disc full"):
        small(tmp_path).with_rows([]).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_info_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"info=.*keep plain text"):
        replace(small(tmp_path), info={"when": {1, 2}}).write(tmp_path / "m.jsonl")
    assert not list(tmp_path.iterdir())


def test_where(tmp_path: Path) -> None:
    manifest = small(tmp_path)
    assert [row.id for row in manifest.where(split="test")] == ["b", "c"]
    assert [row.id for row in manifest.where(fold=(0, 2))] == ["a", "c"]
    assert [row.id for row in manifest.where(lambda row: "fluid" in row.masks, split="train")] == ["a"]
    assert [row.id for row in manifest.where(laterality=None)] == ["a", "b", "c"]
    assert len(manifest.where(split="val")) == 0
    with pytest.raises(ValueError, match=r"where\(sex=\.\.\.\): rows have no such column; there are \['id'"):
        manifest.where(sex="f")
    with pytest.raises(ValueError, match="answers"):
        manifest.where(answers={})


def test_fold_gives_each_part_its_turn(tmp_path: Path) -> None:
    manifest = small(tmp_path)
    assert [[row.split for row in manifest.fold(k)] for k in range(3)] == [
        ["test", "val", "train"],
        ["train", "test", "val"],
        ["val", "train", "test"],
    ]
    with pytest.raises(ValueError, match=r"fold\(3\): there are 3 folds; k counts from 0"):
        manifest.fold(3)
    with pytest.raises(ValueError, match=r"fold\(-1\)"):
        manifest.fold(-1)
    with pytest.raises(ValueError, match=r"fold\(0\): 1 of 3 rows have no fold, like 'c'; split with folds=5"):
        manifest.with_rows([*manifest.rows[:2], replace(manifest[2], fold=None)]).fold(0)
    with pytest.raises(ValueError, match="three folds are the least"):
        manifest.with_rows(manifest.rows[:2]).fold(0)


def test_select_trims_schema_and_rows(tmp_path: Path) -> None:
    chosen = small(tmp_path).select(questions=["grade"], labels=["exudate"])
    assert chosen.schema.labels == ("exudate",)
    assert [dict(row.answers) for row in chosen] == [{}, {"grade": "2"}, {}]
    assert dict(chosen[0].masks) == {"exudate": ABSENT}
    with pytest.raises(ValueError, match="drusen"):
        small(tmp_path).select(labels=["drusen"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "b", "image": "b.png"', r"not JSON at character \d+"),
        ('{"id": "b", "imgae": "b.png"}', r"key 'image' is missing; add it"),
        ('{"id": "b", "image": "b.png", "sex": "f"}', r"unknown key 'sex' \(value 'f'\); known are \['id', .*correct"),
        ('{"id": "b", "image": 3}', r"image=3: input should be a valid string; correct it"),
        ('{"id": "b", "image": "b.png", "fold": "1"}', r"fold='1': input should be a valid integer"),
        ('{"id": "b", "image": "b.png", "disc": [1]}', r"disc\.1"),
        ('{"id": "b", "image": "b.png", "disc": [1, NaN]}', r"disc\.1=nan: input should be a finite number"),
        ('{"id": "b", "id": "c", "image": "b.png"}', r"key 'id' is there twice; keep one"),
        ('{"id": "a", "image": "b.png"}', r"id 'a' is that of line 2 too"),
        ('{"id": " ", "image": "b.png"}', r"id=' ' is empty"),
        (
            '{"id": "b", "image": "b.png", "answers": {"dme": "yes"}}',
            r"question must be one of \['fluid', 'grade'\], got 'dme'",
        ),
        (
            '{"id": "b", "image": "b.png", "answers": {"grade": "7"}}',
            r"answer must be one of \['0', '1', '2'\], got '7'",
        ),
        (
            '{"id": "b", "image": "b.png", "masks": {"drusen": "absent"}}',
            r"label must be one of .*'exudate'.* got 'drusen'",
        ),
        ('{"id": "b", "image": "b.png", "masks": {"fluid": []}}', r'masks\.fluid=\[\]: leave .* or write "absent"'),
        ('{"id": "b", "image": "b.png", "masks": {"fluid": "none"}}', r"masks\.fluid.*'none'.*absent"),
        ('{"id": "b", "image": "b.png", "masks": {"fluid": [{"path": "m.png"}]}}', r"exactly one of index, bit"),
        (
            '{"id": "b", "image": "b.png", "masks": {"fluid": [{"pth": "m.png"}]}}',
            r"unknown key 'masks\.fluid\.0\.pth'",
        ),
        ('{"id": "b", "image": "b.png", "laterality": "left"}', r"laterality='left': write 'OD' for a right eye"),
        (
            '{"id": "b", "image": "b.png", "split": "training"}',
            r"split must be one of \['train', 'val', 'test'\], got 'training'",
        ),
        ('{"id": "b", "image": "b.png", "fold": -1}', r"fold=-1: folds count from 0"),
        ('{"id": "b", "image": "b.png", "spacing": [0, 1]}', r"spacing=\[0.0, 1.0\]: give millimetres"),
    ],
)
def test_every_slip_of_a_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f'{HEADER}\n{{"id": "a", "image": "a.png"}}\n\n{line}\n')
    with pytest.raises(ValueError, match=rf"m\.jsonl, line 4: .*{said}"):
        Manifest.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"m\.jsonl is empty; its first line must be"),
        ('{"id": "a", "image": "a.png"}\n', r"line 1: key 'foveate' is missing"),
        ('{"foveate": 3, "schema": {}}\n', r"line 1: foveate=3: input should be 1 or 2"),
        ('{"foveate": 1, "schema": {"labels": "fluid"}}\n', r"line 1: schema\.labels='fluid'"),
        ('{"foveate": 1, "schema": {"labels": ["a", "a"]}}\n', r"line 1: .*a name is used twice"),
        ('{"foveate": 1, "schema": {"classes": []}}\n', r"line 1: unknown key 'schema.classes'"),
    ],
)
def test_every_slip_of_the_header_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(ValueError, match=said):
        Manifest.read(tmp_path / "m.jsonl")


def test_other_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(HEADER.encode() + b'\n{"id": "\xe4", "image": "a.png"}\n')
    with pytest.raises(ValueError, match="is not UTF-8; save the file as UTF-8"):
        Manifest.read(tmp_path / "m.jsonl")


def test_rows_made_by_hand_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="id 'a' is there twice"):
        Manifest(SCHEMA, (Row("a", "1.png"), Row("a", "2.png")), tmp_path)
    with pytest.raises(ValueError, match=r"image 'a': answers: question must be one of .* got 'x'"):
        Manifest(SCHEMA, (Row("a", "1.png", {"x": "yes"}),), tmp_path)
