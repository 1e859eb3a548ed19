"""From readings and cues to answers, through a manifest on disk; and how far the readers agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.regions import NAMES
from foveate.core.types import Cue, MaskSource, Row
from foveate.data.agreement import answered, fleiss
from foveate.data.check import check
from foveate.data.consensus import outcome, readings, settle
from foveate.data.lines import row_from_line, row_to_line
from foveate.data.manifest import Manifest

SCHEMA = LabelSchema(
    (Question("exudate", evidence=("hard", "soft")), Question("grade", ("0", "1", "2"), ordered=True)),
    ("hard", "soft"),
)
EX, GRADE = SCHEMA.questions
DOCS = Path(__file__).parent.parent.parent / "docs/reference/manifest.md"


def test_cues_speak_for_their_readers() -> None:
    row = Row(
        "a",
        "a.png",
        cues={
            "hard": (
                Cue(regions=("macula",), annotator="a"),
                Cue(annotator="b"),
                Cue(annotator="c"),
                Cue(annotator="d"),
            ),
            "soft": (Cue(annotator="a"), Cue(annotator="b"), Cue(box=(0, 0, 2, 2), annotator="c")),
        },
        readings={"b": {"grade": "2"}},
    )
    assert readings(row, EX, SCHEMA) == {"a": "yes", "b": "no", "c": "yes"}  # d looked for hard ones alone
    assert readings(row, GRADE, SCHEMA) == {"b": "2"}
    mixed = Row("a", "a.png", cues={"hard": (Cue(annotator="a"), Cue(box=(0, 0, 2, 2), annotator="a"))})
    assert readings(mixed, EX, SCHEMA) == {"a": "yes"}


def test_settle_is_the_papers_rule() -> None:
    def row(name: str, *exudate: str, grades: str = "") -> Row:
        said = {f"r{i}": {"exudate": answer} for i, answer in enumerate(exudate)}
        for i, grade in enumerate(grades):
            said.setdefault(f"r{i}", {})["grade"] = grade
        return Row(name, f"{name}.png", {"exudate": "no", "grade": "0"}, readings=said)

    rows = (row("0", "no", "no", "no"), row("1", "yes", "no", "no"), row("2", "yes", "yes", "no", grades="221"),
            row("3", grades="012"), row("none"))  # fmt: skip
    settled = settle(Manifest(SCHEMA, rows, Path()))
    assert [dict(r.answers) for r in settled] == [
        {"exudate": "no", "grade": "0"},
        {"grade": "0"},  # one of three: left out
        {"exudate": "yes", "grade": "2"},
        {"exudate": "no"},
        {"exudate": "no", "grade": "0"},  # nobody read it: as it was
    ]
    assert settle(Manifest(SCHEMA, rows[1:2], Path()), at_least=1)[0].answers["exudate"] == "yes"
    ruled = {
        rule: [r.answers.get("exudate") for r in settle(Manifest(SCHEMA, rows[:3], Path()), at_least=rule)]
        for rule in ("union", "majority", "intersection")
    }
    assert ruled == {"union": ["no", "yes", "yes"], "majority": ["no", None, "yes"], "intersection": ["no", None, None]}


def test_the_documented_lines_are_valid(tmp_path: Path) -> None:
    """The page of the data contract: its manifest, and the line with cues and readings."""
    text = DOCS.read_text(encoding="utf-8")
    blocks = [part.partition("```")[0] for part in text.split("```json\n")[1:]]
    (tmp_path / "m.jsonl").write_text("".join(blocks), encoding="utf-8")
    rows = Manifest.read(tmp_path / "m.jsonl")
    read = rows[-1]
    assert {cue.annotator for cue in read.cues["exudate"]} == {"anna", "ben", "carla"}
    said = readings(read, rows.schema.question("exudate_present"), rows.schema)
    assert said == {"anna": "yes", "ben": "yes", "carla": "no", "dora": "no"}
    assert settle(rows)[-1].answers == {"grade": "1", "exudate_present": "yes"}
    assert "exudate_present" not in settle(rows, at_least="majority")[-1].answers
    for name in (*(f"`{key}`" for key in ("cues", "readings")), *(f"`{name}`" for name in NAMES)):
        assert name in text, name


def test_what_became_of_each_question_is_told() -> None:
    def row(name: str, *exudate: str) -> Row:
        return Row(
            name, f"{name}.png", {"grade": "1"}, readings={f"r{i}": {"exudate": a} for i, a in enumerate(exudate)}
        )

    before = Manifest(SCHEMA, (row("0", "no", "no"), row("1", "yes", "no"), row("2", "yes", "yes"), row("3")), Path())
    exudate, grade = outcome(before, settle(before))
    assert (exudate.read, dict(exudate.answers), exudate.left_out) == (3, {"no": 1, "yes": 1}, 1)
    assert str(exudate) == "exudate: 3 images read by 2 annotators; no 1, yes 1; left out 1"
    assert str(grade) == "grade: read by nobody"


def test_rows_with_cues_are_written_and_read_back(tmp_path: Path) -> None:
    row = Row(
        "a",
        "a.png",
        {"exudate": "yes"},
        cues={
            "hard": (
                Cue(regions=("macula", "temporal"), annotator="a"),
                Cue(box=(1.0, 2.0, 3.0, 4.0), annotator="b"),
                Cue(ellipse=(1.0, 2.0, 3.0, 4.0, 0.5), annotator="c"),
                Cue(polygon=((0.0, 0.0), (0.0, 9.0), (9.0, 0.0)), annotator="d"),
                Cue(annotator="e"),
            ),
            "soft": (Cue(),),
        },
        readings={"a": {"grade": "1"}, "b": {"grade": "2", "exudate": "no"}},
    )
    assert row_from_line(row_to_line(row)) == row
    assert json.loads(row_to_line(row))["cues"]["soft"] == "absent"
    manifest = Manifest(SCHEMA, (row,), tmp_path).write(tmp_path / "m.jsonl")
    assert Manifest.read(tmp_path / "m.jsonl").rows == manifest.rows
    chosen = manifest.select(questions=["exudate"], labels=["soft"])
    assert set(chosen[0].cues) == {"soft"}
    assert dict(chosen[0].readings) == {"b": {"exudate": "no"}}


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"cues": {"hard": []}}, r"cues.hard=\[\]"),
        ({"cues": {"hard": [{"regions": ["fovea"]}]}}, "region must be one of .* got 'fovea'"),
        ({"cues": {"hard": [{"box": [0, 0, 1]}]}}, "cues.hard"),
        ({"cues": {"hard": [{"circle": [0, 0, 1]}]}}, "unknown key"),
        ({"cues": {"drusen": "absent"}}, "label must be one of .* got 'drusen'"),
        ({"readings": {"a": {"grade": "7"}}}, "answer must be one of .* got '7'"),
        ({"readings": {"a": {"drusen": "yes"}}}, "question must be one of .* got 'drusen'"),
    ],
)
def test_slips_are_named(part: dict, says: str, tmp_path: Path) -> None:
    header = json.dumps({"foveate": 1, "schema": SCHEMA.to_json(), "info": {}})
    (tmp_path / "m.jsonl").write_text("\n".join([header, json.dumps({"id": "a", "image": "a.png", **part})]))
    with pytest.raises(ValueError, match=says) as error:
        Manifest.read(tmp_path / "m.jsonl")
    assert "line 2" in str(error.value)


def test_agreement_of_readers() -> None:
    said = ("yes yes no", "no no no", "yes no yes", "no no")
    given = [dict(zip("abc", one.split(), strict=False)) for one in said]
    *pairs, together = answered("exudate", ("no", "yes"), given)
    assert [p.annotators for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.images for p in pairs] == [4, 3, 3]
    assert pairs[0].kappa == pytest.approx(0.5)  # 3 of 4 alike; by chance 0.5 * 0.25 + 0.5 * 0.75
    counts = [[1, 2], [3, 0], [1, 2]]
    assert together.kappa == pytest.approx(fleiss(np.array(counts)))
    assert together.annotators == ("a", "b", "c")
    varying = [
        {"a": "yes", "b": "yes", "c": "no"},
        {"d": "no", "e": "no", "f": "no"},
        {"a": "yes", "e": "no", "f": "no"},
    ]
    (some,) = [x for x in answered("exudate", ("no", "yes"), varying) if x.annotators[0].startswith("any")]
    assert some.annotators == ("any 3 of 6 annotators",)
    assert some.images == 3
    assert answered("exudate", ("no", "yes"), [{"a": "yes"}]) == ()


def test_check_tells_how_far_readers_agree(tmp_path: Path) -> None:
    rows = []
    for i in range(4):
        Image.new("RGB", (40, 30), (i * 40, 80, 60)).save(tmp_path / f"{i}.png")
        cues = {"hard": (Cue(box=(0, 0, 10, 10), annotator="a"), Cue(box=(0, 5, 10, 15), annotator="b"))} if i else {}
        said = {"a": {"grade": str(i % 3)}, "b": {"grade": str(i % 3)}}
        rows.append(Row(str(i), f"{i}.png", cues=cues, readings=said))
    report = check(Manifest(SCHEMA, tuple(rows), tmp_path), workers=0)
    found = {a.label: a for a in report.agreement}
    assert found["hard (cue)"].mean == pytest.approx(0.5)
    assert found["grade"].kappa == pytest.approx(1.0)
    assert "grade" in str(report)


def test_check_places_regions_as_training_does(tmp_path: Path) -> None:
    """The disc comes from its mask where the row does not say it; where neither does, that is noted."""
    schema = LabelSchema((Question("exudate", evidence=("hard",)),), ("hard", "disc"))
    disc = np.zeros((40, 60), np.uint8)
    disc[16:25, 41:50] = 255
    Image.fromarray(disc).save(tmp_path / "disc.png")
    Image.fromarray(np.roll(disc, -25, 1)).save(tmp_path / "hard.png")
    marks, drawn = {"disc": (MaskSource("disc.png", above=0),)}, {"hard": (MaskSource("hard.png", above=0),)}
    near, far = ("macula",), ("macula", "temporal")
    cues = {"hard": (Cue(regions=near, annotator="a"), Cue(regions=far, annotator="b"))}
    kinds = [
        {"cues": cues, "masks": marks},
        {"cues": cues},
        {"masks": drawn},
        {"masks": drawn, "disc": (20.0, 45.0)},
        {},
        {"masks": drawn, "answers": {"exudate": "no"}},
        {"masks": drawn, "modality": "oct"},
    ]
    rows = []
    for i, kind in enumerate(kinds):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(
            tmp_path / f"{i}.png"
        )
        rows.append(Row(str(i), f"{i}.png", **{"answers": {"exudate": "yes"}, "patient": str(i), **kind}))
    report = check(Manifest(schema, tuple(rows), tmp_path), workers=0)
    (found,) = [a for a in report.agreement if a.label == "hard (cue)"]
    assert found.images == 1
    assert 0 < found.mean < 1
    (note,) = report.notes
    assert note.startswith("2 of 5 images with exudate have no region cue, for the disc is not known")
    assert check(Manifest(schema, tuple(rows[3:]), tmp_path), workers=0).notes == ()
