"""Findings that exclude each other: what happens where two of them cover a pixel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from annotate_people import Person

from foveate.annotate.exchange.export_marks import export
from foveate.annotate.exchange.import_marks import import_file
from foveate.annotate.store.project import Project
from foveate.core.labels import LabelSchema
from foveate.data import read
from foveate.data.manifest import Manifest

People = Callable[..., Person]
SHAPE = (96, 96)
FLUID = """
name = "fluid"
annotators = 2
[[findings]]
name = "intraretinal"
marks = ["brush", "polygon"]
[[findings]]
name = "subretinal"
title = "subretinal fluid"
marks = ["brush", "polygon"]
[consensus]
at_least = 1
"""


def paint(label: str, start: int, length: int, *, doubtful: bool = False) -> dict[str, object]:
    return {"id": f"{label}{doubtful}", "label": label, "kind": "brush", "runs": [start, length], "doubtful": doubtful}


def pixels(start: int, length: int) -> np.ndarray:
    mask = np.zeros(SHAPE[0] * SHAPE[1], bool)
    mask[start : start + length] = True
    return mask.reshape(SHAPE)


def masks(path: Path, *, annotators: str = "union") -> tuple[np.ndarray, np.ndarray]:
    manifest = Manifest.read(path)
    found, known = read.masks(manifest[0], manifest.root, manifest.schema, annotators=annotators, shape=SHAPE)
    return found > 0, known > 0


@pytest.fixture
def make(make_project: Callable[..., Project], bare: Manifest) -> Callable[..., Project]:
    """A project whose manifest says that a pixel has one label."""
    schema = LabelSchema(labels=("intraretinal", "subretinal"), exclusive=True)
    manifest = Manifest(schema, bare.rows, bare.root)

    def made(*, overlap: str | None = None, exclusive: bool = True) -> Project:
        text = FLUID if overlap is None else f'overlap = "{overlap}"\n' + FLUID
        asked = manifest if exclusive else Manifest(LabelSchema(labels=schema.labels), bare.rows, bare.root)
        return make_project(text, name="fluid", manifest=asked)

    return made


BOTH = {"shapes": [paint("intraretinal", 100, 10), paint("subretinal", 105, 10)]}


def test_done_is_refused_with_both_findings_and_the_place(make: Callable[..., Project], person: People) -> None:
    project = make()
    anna, eve = person("anna", at=project), person("eve", "adjudicator", at=project)
    anna.claim()
    anna.save(BOTH, status=200)  # while it is worked on nothing stands in the way
    told = anna.save(BOTH, version=1, state="done", status=422)
    assert told["error"] == "overlap"
    assert "intraretinal and subretinal fluid cover 5 pixels together" in told["message"]
    assert told["at"] == [1, 9]
    assert eve.save(BOTH, where="consensus", state="done", status=422)["error"] == "overlap"
    doubted = {"shapes": [paint("intraretinal", 100, 10), paint("subretinal", 105, 10, doubtful=True)]}
    anna.save(doubted, version=1, state="done")


def test_findings_that_may_overlap_do(make: Callable[..., Project], person: People, tmp_path: Path) -> None:
    project = make(exclusive=False)
    for name in ("anna", "ben"):
        person(name, at=project).read(BOTH)
    export(project, tmp_path / "M2.jsonl")
    mask, known = masks(tmp_path / "M2.jsonl")
    assert (mask.sum((1, 2)) == 10).all()
    assert known.all()


def test_the_first_finding_has_the_pixel_where_the_protocol_says_so(
    make: Callable[..., Project], person: People, tmp_path: Path
) -> None:
    project = make(overlap="first")
    anna, ben = person("anna", at=project), person("ben", at=project)
    anna.read(BOTH)
    ben.read({"shapes": [paint("subretinal", 95, 10)]})
    written = export(project, tmp_path / "M2.jsonl")
    mask, known = masks(tmp_path / "M2.annotators.jsonl", annotators="anna")
    assert (mask == np.stack([pixels(100, 10), pixels(110, 5)])).all()
    assert known.all(), "the second finding is known to be absent where the first is"
    mask, known = masks(tmp_path / "M2.jsonl")
    assert (mask == np.stack([pixels(100, 10), pixels(95, 5) | pixels(110, 5)])).all()
    assert known.all()
    assert not written.notes


def test_what_two_annotators_call_by_two_names_is_unknown(
    make: Callable[..., Project], person: People, tmp_path: Path
) -> None:
    project = make()
    anna, ben = person("anna", at=project), person("ben", at=project)
    anna.read({"shapes": [paint("intraretinal", 100, 10)]})
    ben.read({"shapes": [paint("subretinal", 105, 10)]})
    written = export(project, tmp_path / "M2.jsonl")
    mask, known = masks(tmp_path / "M2.jsonl")
    assert (mask == np.stack([pixels(100, 5), pixels(110, 5)])).all()
    assert (known == ~pixels(105, 5)).all()
    assert any(
        "5 pixels are intraretinal for one annotator and subretinal for another" in note for note in written.notes
    )
    manifest = Manifest.read(tmp_path / "M2.jsonl")
    assert manifest.schema.exclusive


def test_an_import_that_overlaps_is_taken_as_begun(
    make: Callable[..., Project], person: People, tmp_path: Path, make_project: Callable[..., Project], bare: Manifest
) -> None:
    loose = Manifest(LabelSchema(labels=("intraretinal", "subretinal")), bare.rows, bare.root)
    source = make_project(FLUID.replace("annotators = 2", "annotators = 1"), name="loose", manifest=loose)
    person("cleo", at=source).read(BOTH)
    export(source, tmp_path / "M2.jsonl")
    project = make()
    taken = import_file(project, tmp_path / "M2.annotators.jsonl", annotator="cleo", source_annotator="cleo")
    assert any("cover 5 pixels together; imported as not finished" in note for note in taken.notes)
    assert person("ben", at=project).get("/api/work")["total"] == 6
