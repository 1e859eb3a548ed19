"""What was drawn is what is written, to the pixel; what nobody said is unknown; and the way back in."""

import json
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotate_people import BRUSH, ELLIPSE, EVERY_MARK, POINT, POLYGON, REGIONS, Person
from PIL import Image

from foveate.annotate.domain import consensus
from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.outlining import as_shapes
from foveate.annotate.exchange import export_rows
from foveate.annotate.exchange.export_marks import export
from foveate.annotate.exchange.import_marks import import_file
from foveate.annotate.exchange.label_studio_runs import decode, encode
from foveate.annotate.store.backup import backup, restore
from foveate.annotate.store.project import Project
from foveate.annotate.store.records import annotations_of, item_of
from foveate.core.shapes import Layer, Polygon, ellipse, packed, polygon, rasterise, unpacked
from foveate.data import read
from foveate.data.manifest import Manifest

People = Callable[..., Person]
SHAPE = (96, 96)
LABELS = ("haemorrhage", "hard_exudate")


def painted(runs: list[int]) -> np.ndarray:
    mask = np.zeros(SHAPE[0] * SHAPE[1], bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        mask[start : start + length] = True
    return mask.reshape(SHAPE)


E = ellipse(SHAPE, (40.25, 50.5), (6.0, 12.5), 0.7)
P = polygon(SHAPE, [(60.0, 60.0), (60.5, 80.0), (75.0, 70.0)])
B = painted([5, 3, 101, 7])


def masks(path: Path, row: int, *, annotators: str = "union") -> tuple[np.ndarray, np.ndarray]:
    manifest = Manifest.read(path)
    return read.masks(manifest[row], manifest.root, manifest.schema, annotators=annotators, shape=SHAPE)


@pytest.fixture
def filled(project: Project, person: People) -> Project:
    """Image 1: both marked; 2: doubtful and unsure; 3: one has read it; 4: adjudicated; 5: ungradable; 6: nobody."""
    anna, ben, eve = person("anna"), person("ben"), person("eve", "adjudicator")
    anna.read({"answers": {"grade": "2"}, "shapes": [ELLIPSE, POLYGON, REGIONS]})
    ben.read({"answers": {"grade": "2"}, "shapes": [BRUSH, POINT]})
    anna.read({"answers": {"grade": "1"}, "shapes": [BRUSH, ELLIPSE | {"doubtful": True}]}, item=2)
    ben.read({"answers": {"grade": "1"}, "findings": {"haemorrhage": "unsure", "hard_exudate": "unsure"}}, item=2)
    anna.read({"answers": {"grade": "3"}, "shapes": [POLYGON]}, item=3)
    anna.read({"answers": {"grade": "0"}}, item=4)
    ben.read({"answers": {"grade": "4"}, "shapes": [ELLIPSE]}, item=4)
    eve.save({"answers": {"grade": "3"}, "shapes": [POLYGON]}, item=4, where="consensus", state="done")
    for who in (anna, ben):
        who.read({"ungradable": {"reasons": ["blurred"]}}, item=5)
    return project


def test_what_was_drawn_is_written_to_the_pixel(filled: Project, tmp_path: Path) -> None:
    out = tmp_path / "out" / "M2.jsonl"
    written = export(filled, out)
    assert (written.images, written.settled) == (6, 4)
    people = out.with_name("M2.annotators.jsonl")
    mask, known = masks(people, 0, annotators="anna")
    assert (mask[0] == (E | P)).all()
    assert known[0].all()
    assert not known[1].any(), "regions alone do not say which pixels"
    mask, known = masks(people, 0, annotators="ben")
    assert (mask[0] == B).all()
    mask, known = masks(out, 0)
    assert (mask[0] == (E | P | B)).all(), "the union"
    picture = np.asarray(
        Image.open(out.parent / "M2_masks" / "consensus" / "haemorrhage" / f"{filled.manifest[0].id}.png")
    )
    assert (picture == np.where(E | P | B, 255, 0)).all()
    row = Manifest.read(out)[0]
    assert row.answers == {"grade": "2"}
    assert {c.regions for c in row.cues["hard_exudate"] if c.regions} == {("macula", "temporal")}
    assert [c.ellipse for c in row.cues["hard_exudate"] if c.ellipse] == [(20.0, 30.0, 3.0, 3.0, 0.0)]
    assert {name: given["grade"] for name, given in row.readings.items()} == {"anna": "2", "ben": "2"}


def test_what_nobody_said_is_unknown(filled: Project, tmp_path: Path) -> None:
    out = tmp_path / "M2.jsonl"
    export(filled, out)
    rows = {row.id: row for row in Manifest.read(out)}
    names = [row.id for row in filled.manifest]
    mask, known = masks(out, 1)
    assert (mask[0] == B).all()
    assert (known[0] == (~E | B)).all(), "ben was unsure and has no vote; what anna doubts is unknown"
    assert known[1].all()
    assert not mask[1].any(), "absent, as anna says"
    _, known = masks(out.with_name("M2.annotators.jsonl"), 1, annotators="anna")
    assert (known[0] == (~E | B)).all(), "doubtful pixels are unknown"
    for unread in (2, 5):
        assert rows[names[unread]].answers == {}
        assert rows[names[unread]].masks == {}
    assert rows[names[4]].answers == {}, "ungradable"
    assert rows[names[4]].masks == {}
    assert rows[names[3]].answers == {"grade": "3"}, "the adjudicator's word"
    mask, known = masks(out, 3)
    assert (mask[0] == P).all()
    assert not mask[1].any()
    assert known.all()
    assert Manifest.read(out).schema.labels == LABELS, "only what was asked"
    export(filled, out, keep=True)
    kept = Manifest.read(out)
    assert set(kept.schema.labels) == set(filled.manifest.schema.labels)
    assert kept[5].masks["disc"], "what the project does not ask stays"
    assert "haemorrhage" not in kept[5].masks
    assert masks(out, 5)[1][kept.schema.labels.index("disc")].all(), "and is found again"


@pytest.mark.parametrize("way", ["manifest", "label studio", "coco"])
def test_what_goes_out_comes_in_again(
    filled: Project, make_project: Callable[..., Project], tmp_path: Path, way: str
) -> None:
    out, studio, coco = tmp_path / "M2.jsonl", tmp_path / "ls.json", tmp_path / "coco"
    export(filled, out, label_studio=studio, coco=coco)
    source = {"manifest": out.with_name("M2.annotators.jsonl"), "label studio": studio, "coco": coco}[way]
    annotator = None if way == "coco" else "anna"
    text = EVERY_MARK.replace("annotators = 2", "annotators = 1")
    if way == "coco":  # it knows no answers
        text = text.replace('key = "g"', "required = false")
    other = make_project(text, name="other")
    taken = import_file(other, source, annotator="anna", source_annotator=annotator)
    assert taken.images == {"manifest": 4, "label studio": 5, "coco": 3}[way], taken.notes
    again = tmp_path / "again.jsonl"
    export(other, again)
    for image in (0, 1, 2):
        if way == "coco" and image == 2:
            continue
        before = masks(out, image) if way == "coco" else masks(source_of(out), image, annotators="anna")
        after = masks(again.with_name("again.annotators.jsonl"), image, annotators="anna")
        if way == "coco":  # it knows no unknown pixels; what is marked is the same
            assert (before[0] == after[0]).all()
            continue
        for old, new in zip(before, after, strict=True):
            assert (old == new).all()
    assert import_file(other, source, annotator="anna", source_annotator=annotator).images == 0, (
        "what was read stays as it is"
    )
    if way == "label studio":
        with other.store.read() as db:
            kept = annotations_of(db, item_of(db, 1))[0][2]
        assert [s.kind for s in kept.shapes] == ["ellipse", "polygon", "regions"], "shapes stay shapes"


def source_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.annotators.jsonl")


def test_a_mask_of_another_size_is_named(filled: Project, tmp_path: Path) -> None:
    out = tmp_path / "M2.jsonl"
    export(filled, out)
    small = next((tmp_path / "M2_masks" / "anna").rglob("*.png"))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(small)
    with pytest.raises(ValueError, match=r"the mask is \(9, 9\)"):
        import_file(filled, source_of(out), annotator="cleo", source_annotator="anna")
    (tmp_path / "none.json").write_text("{")
    with pytest.raises(ValueError, match="must be JSON"):
        import_file(filled, tmp_path / "none.json", annotator="cleo")


def test_an_export_does_not_take_a_folder_that_is_not_its_own(filled: Project, tmp_path: Path) -> None:
    (tmp_path / "M2_masks").mkdir()
    with pytest.raises(ValueError, match="was not made by an export"):
        export(filled, tmp_path / "M2.jsonl")


def test_a_room_goes_into_one_file_and_back_into_the_other_database(
    filled: Project, person: People, tmp_path: Path, postgres: str
) -> None:
    counts = backup(filled, tmp_path / "project.zip")
    assert (counts["items"], counts["history"]) == (6, 10)
    there = restore(tmp_path / "project.zip", tmp_path / "there", database=postgres)
    cleo = person("cleo", at=there)
    cleo.read({"answers": {"grade": "2"}}, item=6)  # numbers go on where they were
    back_file = tmp_path / "back.zip"
    more = backup(there, back_file)
    assert more["history"] == 11
    there.store.close()
    back = restore(back_file, tmp_path / "back")
    export(filled, tmp_path / "a" / "M2.jsonl")
    export(back, tmp_path / "b" / "M2.jsonl")
    for image, (one, two) in enumerate(zip(*(Manifest.read(tmp_path / n / "M2.jsonl") for n in "ab"), strict=True)):
        assert (one.answers, one.cues) == (two.answers, two.cues)
        assert two.readings == one.readings | ({"cleo": {"grade": "2"}} if image == 5 else {})
        for mine, theirs in zip(*(masks(tmp_path / n / "M2.jsonl", image) for n in "ab"), strict=True):
            assert (mine == theirs).all()
    back.store.close()
    with pytest.raises(ValueError, match=r"belongs to another project|is not empty"):
        restore(tmp_path / "project.zip", tmp_path / "twice", database=postgres)
    assert not any((tmp_path / "twice").iterdir())
    (tmp_path / "bad.zip").write_bytes(back_file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="must be a backup"):
        restore(tmp_path / "bad.zip", tmp_path / "bad")


def test_a_file_made_to_fill_the_disk_is_no_backup(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("backup.json", '{"format": 1}')
        with archive.open("manifest.jsonl", "w") as part:
            for _ in range(65):
                part.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"manifest\.jsonl unpacks to"):
        restore(tmp_path / "bomb.zip", tmp_path / "bomb")
    for number, text in enumerate(("{", "[]", '{"format": 1}')):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr("backup.json", text)
        with pytest.raises(ValueError, match="must be a backup"):
            restore(tmp_path / f"{number}.zip", tmp_path / f"out{number}")
    assert not any(path.is_dir() and any(path.iterdir()) for path in tmp_path.glob("out*"))


def test_shapes_of_a_mask_hold_its_pixels() -> None:
    rng = np.random.default_rng(1)
    for share in (0.1, 0.4):
        mask = rng.random((24, 31)) < share
        assert (unpacked(packed(mask), mask.shape) == mask).all()
        layer = packed(mask)
        assert decode(encode(layer, mask.size), mask.shape) == layer
    mask = np.zeros((40, 40), bool)
    mask[3:9, 4:20] = mask[9:15, 4:7] = mask[30, 30] = mask[31, 31] = True
    shapes = as_shapes(mask, "x", allowed=("polygon",), regions=None)
    assert shapes is not None
    again = rasterise(mask.shape, [Polygon(tuple(map(tuple, s["corners"]))) for s in shapes])
    assert (again == mask).all()
    oval = ellipse((64, 64), (30.0, 33.0), (9.0, 15.0), 0.4)
    (one,) = as_shapes(oval, "x", allowed=("ellipse",), regions=None) or [{}]
    again = ellipse((64, 64), tuple(one["centre"]), tuple(one["radii"]), one["turn"])
    assert 2 * (again & oval).sum() / (again.sum() + oval.sum()) > 0.98
    with pytest.raises(ValueError, match="in turn"):
        unpacked(Layer((1,)), (3, 3))
    with pytest.raises(ValueError, match="too early"):
        decode(encode(packed(oval), oval.size)[:-4], oval.shape)


def test_every_annotation_fits_into_the_interface_beside_it(
    make_project: Callable[..., Project], person: People, tmp_path: Path
) -> None:
    text = EVERY_MARK.replace("annotators = 2", "annotators = 1")
    text = text.replace('name = "grade"', 'name = "grade"\n\n[[questions]]\nname = "comment"\nanswers = ["a", "b"]', 1)
    project = make_project("extends = true\n" + text, name="studio")
    anna = person("anna", at=project)
    doubtful = REGIONS | {"id": "d", "regions": ["superior"], "doubtful": True}
    said = {"answers": {"grade": "2", "comment": "b"}, "findings": {"hard_exudate": "present"}, "disc": [9.5, 11.25]}
    shapes = [ELLIPSE, POLYGON, BRUSH, REGIONS, doubtful, POINT]
    anna.read(said | {"shapes": shapes, "comments": [{"text": "faint"}]})
    anna.read({"ungradable": {"reasons": []}}, item=2)
    written = export(project, tmp_path / "M2.jsonl", label_studio=tmp_path / "studio.json")
    assert tmp_path / "studio.xml" in written.paths
    view = ET.parse(tmp_path / "studio.xml").getroot()
    tags = {tag.get("name"): tag for tag in view if tag.tag != "Header"}
    assert len(tags) == sum(tag.tag != "Header" for tag in view), "every name once"
    results = [
        r for t in json.loads((tmp_path / "studio.json").read_text()) for a in t["annotations"] for r in a["result"]
    ]
    assert {r["from_name"] for r in results} == set(tags) - {"image"}
    for one in results:
        tag = tags[one["from_name"]]
        assert (tag.tag.lower(), one["to_name"]) == (one["type"], tag.get("toName"))
        chosen = one["value"].get("choices", one["value"].get(one["type"], ()))
        assert set(chosen) <= {choice.get("value") for choice in tag}
    other = make_project("extends = true\n" + text, name="back")
    assert import_file(other, tmp_path / "studio.json", annotator="anna").images == 2
    with other.store.read() as db:
        again = annotations_of(db, item_of(db, 1))[0][2]
    assert again.answers == said["answers"]
    kept = [(s.kind, s.label, s.doubtful, getattr(s, "regions", ())) for s in again.shapes]
    assert ("regions", "hard_exudate", True, ("superior",)) in kept
    assert ("regions", "hard_exudate", False, ("macula", "temporal")) in kept
    assert np.allclose(again.disc or (), (9.5, 11.25))


def test_label_studio_notes_what_it_cannot_take(project: Project, tmp_path: Path) -> None:
    tasks = [
        {"data": {"id": "nowhere"}, "annotations": []},
        {
            "data": {"image": f"/d/{project.manifest[0].id}.png"},
            "annotations": [{"result": [{"type": "x", "value": {}}]}],
        },
        {"data": {"id": project.manifest[1].id}, "annotations": [{"result": [{"value": 3}]}]},
        {"data": {"id": project.manifest[2].id}, "annotations": []},
    ]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    taken = import_file(project, tmp_path / "t.json", annotator="cleo")
    assert taken.images == 1
    said = " ".join(taken.notes)
    for words in ("the project has no such image", "got 'x'", "not in the format of Label Studio", "no annotation"):
        assert words in said


def test_an_export_decides_each_image_once(filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = consensus.decide

    def counted(annotations: Sequence[Marks], **how: Any) -> consensus.Decided:
        calls.append(annotations)
        return original(annotations, **how)

    for module in (consensus, export_rows):
        monkeypatch.setattr(module, "decide", counted)
    written = export(filled, tmp_path / "M2.jsonl", label_studio=tmp_path / "l.json")
    assert (written.settled, len(calls)) == (4, 3), "of the settled images one has an adjudicator's consensus"
