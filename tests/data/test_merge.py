"""Merge: one schema over several sets, unknown stays unknown, people stay apart, every slip of the map is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.mapping import Mapping, read_mapping
from foveate.data.merge import merge, source_name

LESION = (MaskSource("m/1.png", bit=0),)
GRADE = Question("grade", ("0", "1", "2"), ordered=True)


@pytest.fixture
def lesions(tmp_path: Path) -> Manifest:
    schema = LabelSchema((Question("exudate", evidence=("exudate",)),), ("exudate", "disc"))
    rows = (
        Row("1", "i/1.png", {"exudate": "yes"}, {"exudate": LESION, "disc": ABSENT}, patient="7", split="train"),
        Row("2", "i/2.png", {"exudate": "no"}, {"exudate": ABSENT}, patient="8", split="test"),
    )
    return Manifest(schema, rows, tmp_path / "a", info={"name": "lesions", "licence": "CC BY 4.0", "citation": "Doe"})


@pytest.fixture
def grades(tmp_path: Path) -> Manifest:
    rows = (
        Row("1", "1.jpg", {"grade": "0"}, patient="7", eye="r", volume="v", source="clinic two"),
        Row("9", "9.jpg", {"grade": "2"}),
    )
    return Manifest(LabelSchema((GRADE,)), rows, tmp_path / "b", info={"name": "grades", "licence": "internal"})


def mapped(**sources: dict[str, Any]) -> Mapping:
    return Mapping.model_validate({"sources": sources})


def test_what_a_source_does_not_have_is_unknown_there(lesions: Manifest, grades: Manifest, tmp_path: Path) -> None:
    whole = merge(
        [lesions, grades],
        mapping=mapped(
            lesions={"labels": {"exudate": "hard_exudate", "disc": False}, "questions": {"exudate": "hard"}}
        ),
    )
    assert whole.schema == LabelSchema((Question("hard", evidence=("hard_exudate",)), GRADE), ("hard_exudate",))
    first, second, third, fourth = whole
    assert [row.id for row in whole] == ["lesions/1", "2", "grades/1", "9"]
    assert dict(first.answers) == {"hard": "yes"}
    assert dict(first.masks) == {"hard_exudate": (MaskSource("a/m/1.png", bit=0),)}
    assert dict(second.masks) == {"hard_exudate": ABSENT}
    assert (dict(third.answers), dict(third.masks)) == ({"grade": "0"}, {})
    assert (first.patient, third.patient, third.eye, third.volume) == ("lesions/7", "grades/7", "grades/r", "grades/v")
    assert [row.source for row in whole] == ["lesions", "lesions", "clinic two", "grades"]
    assert [row.split for row in whole] == ["train", "test", None, None]
    assert (fourth.group, whole.root, first.image) == ("9", tmp_path, "a/i/1.png")
    assert whole.info == {
        "name": "merged",
        "licence": "lesions: CC BY 4.0; grades: internal",
        "citation": "lesions: Doe",
        "sources": {"lesions": {**lesions.info, "images": 2}, "grades": {**grades.info, "images": 2}},
        "splits": "keep",
    }
    written = whole.write(tmp_path / "m.jsonl")
    assert Manifest.read(tmp_path / "m.jsonl") == written
    assert written.hash == whole.hash


def test_people_may_be_shared_and_splits_reset(lesions: Manifest, grades: Manifest) -> None:
    said = Mapping.model_validate(
        {"splits": "reset", "sources": {"lesions": {"people": "clinic"}, "grades": {"people": "clinic"}}}
    )
    whole = merge([lesions, grades], mapping=said)
    assert whole[0].patient == whole[2].patient == "clinic/7"
    assert {row.split for row in whole} == {None}
    assert whole.schema.labels == ("exudate", "disc")


def test_answers_become_others(lesions: Manifest, grades: Manifest) -> None:
    answers = {"0": "no", "1": False, "2": "yes"}
    whole = merge(
        [lesions, grades], mapping=mapped(grades={"questions": {"grade": {"to": "exudate", "answers": answers}}})
    )
    assert whole.schema.questions == (Question("exudate", evidence=("exudate",)),)
    assert [dict(row.answers) for row in whole][2:] == [{"exudate": "no"}, {"exudate": "yes"}]
    lost = merge(
        [lesions, grades], mapping=mapped(grades={"questions": {"grade": {"to": "g", "answers": {"2": False}}}})
    )
    assert lost.schema.question("g").answers == ("0", "1")
    assert dict(lost[3].answers) == {}
    gone = merge([lesions, grades], mapping=mapped(grades={"questions": {"grade": False}}))
    assert [q.name for q in gone.schema.questions] == ["exudate"]


def test_questions_that_differ_need_a_word(lesions: Manifest, grades: Manifest) -> None:
    finer = replace(
        grades, schema=LabelSchema((Question("grade", ("0", "1", "2", "3"), ordered=True),)), info={"name": "finer"}
    )
    with pytest.raises(
        ValueError, match=r"question 'grade' is not the same in all sources \(grades: .*'2'\] in order; f"
    ):
        merge([grades, finer], mapping=Mapping())
    said = {"questions": {"grade": {"answers": ["0", "1", "2", "3"], "ordered": True}}}
    assert merge([grades, finer], mapping=Mapping.model_validate(said)).schema == finer.schema
    said["questions"]["grade"]["answers"] = ["0", "1", "2"]
    with pytest.raises(
        ValueError, match=r"sources\.finer: its answer to 'grade' must be one of \['0', '1', '2'\], got '3'; map"
    ):
        merge([grades, finer], mapping=Mapping.model_validate(said))
    said["questions"]["grades"] = {}
    with pytest.raises(ValueError, match=r"questions\.grades: no source has it; the questions are \['grade'\]"):
        merge([grades, finer], mapping=Mapping.model_validate(said))


def test_labels_that_become_one_are_united_where_both_are_known(lesions: Manifest, grades: Manifest) -> None:
    both = mapped(lesions={"labels": {"exudate": "bright", "disc": "bright"}})
    whole = merge([lesions, grades], mapping=both)
    assert whole.schema.labels == ("bright",)
    assert dict(whole[0].masks) == {"bright": (MaskSource("a/m/1.png", bit=0), MaskSource())}
    assert dict(whole[1].masks) == {}  # the disc was not looked for there
    other = replace(lesions[0], masks={"exudate": LESION, "disc": (MaskSource(annotator="b"),)})
    whole = merge([lesions.with_rows([other]), grades], mapping=both)
    assert dict(whole[0].masks) == {}  # each was looked for by another annotator
    with pytest.raises(ValueError, match=r"\['exudate', 'disc'\] all become 'disc'; write disc = 'disc' too if so"):
        merge([lesions, grades], mapping=mapped(lesions={"labels": {"exudate": "disc"}}))


def test_exclusive_sets_enter_overlapping_ones_and_not_back(lesions: Manifest, tmp_path: Path) -> None:
    layers = Manifest(LabelSchema(labels=("rnfl", "gcl"), exclusive=True), (), tmp_path, info={"name": "layers"})
    more = replace(layers, info={"name": "more"})
    assert merge([layers, more], mapping=Mapping()).schema.exclusive
    assert not merge([layers, lesions], mapping=Mapping()).schema.exclusive
    assert not merge([layers, more], mapping=Mapping(exclusive=False)).schema.exclusive
    with pytest.raises(
        ValueError, match=r"exclusive = true, but labels of 'lesions' may overlap; .*\[sources\.lesions\] too"
    ):
        merge([layers, lesions], mapping=Mapping(exclusive=True))
    stated = Mapping.model_validate({"exclusive": True, "sources": {"lesions": {"exclusive": True}}})
    assert merge([layers, lesions], mapping=stated).schema.exclusive


def test_folds_must_fit(lesions: Manifest, grades: Manifest) -> None:
    folded = lesions.with_rows(replace(row, fold=i) for i, row in enumerate(lesions))
    with pytest.raises(
        ValueError, match=r"the sources have \{'lesions': 2, 'grades': 0\} folds; set splits = \"reset\""
    ):
        merge([folded, grades], mapping=Mapping())
    assert {row.fold for row in merge([folded, grades], mapping=Mapping(splits="reset"))} == {None}


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"lesion": {}}, r"sources\.lesion: there is no such manifest; there are \['lesions', 'grades'\]"),
        ({"lesions": {"labels": {"drusen": "x"}}}, r"sources\.lesions\.labels\.drusen: .*it has \['exudate', 'disc'\]"),
        ({"lesions": {"questions": {"dme": "x"}}}, r"sources\.lesions\.questions\.dme: .*it has \['exudate'\]"),
        (
            {"grades": {"questions": {"grade": {"to": "g", "answers": {"7": "1"}}}}},
            r"questions\.grade\.answers\.7: the question has no such answer; it has \['0', '1', '2'\]",
        ),
        (
            {"grades": {"questions": {"grade": {"to": "g", "answers": {"0": "1", "2": "1"}}}}},
            r"its answers become \['1'\]; leave two or drop it",
        ),
    ],
)
def test_every_slip_is_named(lesions: Manifest, grades: Manifest, sources: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        merge([lesions, grades], mapping=mapped(**sources))


def test_two_questions_of_a_set_stay_two(lesions: Manifest, grades: Manifest) -> None:
    two = replace(grades, schema=LabelSchema((GRADE, Question("stage", GRADE.answers))))
    with pytest.raises(ValueError, match=r"only yes/no questions unite.*drop one, grade = false"):
        merge([lesions, two], mapping=mapped(grades={"questions": {"stage": "grade"}}))


def test_sources_need_names_of_their_own(lesions: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two are called 'lesions'; give one another name"):
        merge([lesions, lesions], mapping=Mapping())
    with pytest.raises(ValueError, match="give two or more to merge"):
        merge([lesions], mapping=Mapping())
    assert source_name(replace(lesions, info={}, path=tmp_path / "b.jsonl")) == "b"
    with pytest.raises(ValueError, match="neither info"):
        source_name(replace(lesions, info={}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = x", r"map\.toml must be TOML"),
        ("[source.a]", r"map\.toml: unknown key 'source'"),
        ("splits = 'new'", r"map\.toml: splits='new'"),
        ("[sources.a.labels]\nx = true", r"map\.toml: sources\.a\.labels\.x=True"),
        ("[sources.a.questions]\nx = {answers = {}}", r"map\.toml: key 'sources\.a\.questions\.x\.to' is missing"),
        ("[sources.a]\nexclusive = false", r"sources\.a\.exclusive=False"),
    ],
)
def test_every_slip_of_the_map_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_mapping(tmp_path / "map.toml")


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"map\.toml: there is no such file; without --map what has the same name"):
        read_mapping(tmp_path / "map.toml")


def test_the_map_of_the_examples_and_of_the_page_are_valid(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    said = read_mapping(root / "examples/merge_diabetic.toml")
    assert said.sources["fundus_dr_lesions_idrid20"].labels["exudate"].to == "hard_exudate"
    page = (root / "docs/guides/merge.md").read_text(encoding="utf-8")
    (tmp_path / "map.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    assert set(read_mapping(tmp_path / "map.toml").sources) == {"idrid", "clinic"}


# -- several questions become one; declared absence; answers from masks ----------------------------------------------


@pytest.fixture
def fluids(tmp_path: Path) -> Manifest:
    labels = ("irf", "srf")
    schema = LabelSchema(tuple(Question(f"{n}_present", evidence=(n,)) for n in labels), labels, exclusive=True)
    answers: tuple[dict[str, str], ...] = (
        {"irf_present": "no", "srf_present": "yes"},
        {"irf_present": "no", "srf_present": "no"},
        {"irf_present": "no"},
    )
    rows = tuple(
        Row(f"v_{i}", "v/oct.mhd", one, dict.fromkeys(labels, ABSENT), eye="v", frame=i)
        for i, one in enumerate(answers)
    )
    return Manifest(schema, rows, tmp_path / "retouch", info={"name": "retouch"})


@pytest.fixture
def diagnoses(tmp_path: Path) -> Manifest:
    rows = tuple(Row(f"{a}1/1", f"{a}1/1.tif", {"diagnosis": a}, eye=f"{a}1") for a in ("NORMAL", "AMD"))
    schema = LabelSchema((Question("diagnosis", ("AMD", "DME", "NORMAL")),))
    return Manifest(schema, rows, tmp_path / "duke", info={"name": "srinivasan"})


def test_several_yes_no_questions_become_one_and_normals_are_free_of_its_label(
    fluids: Manifest, diagnoses: Manifest
) -> None:
    said = Mapping.model_validate(
        {
            "questions": {"fluid": {"derive": "fluid present"}},
            "sources": {
                "retouch": {
                    "questions": {"irf_present": "fluid", "srf_present": "fluid"},
                    "labels": {"irf": "fluid", "srf": "fluid"},
                },
                "srinivasan": {"absent_if": {"diagnosis": {"NORMAL": "fluid"}}},
            },
        }
    )
    whole = merge([fluids, diagnoses], mapping=said)
    assert whole.schema.question("fluid") == Question("fluid", evidence=("fluid",))
    assert {row.id: row.answers.get("fluid") for row in whole} == {
        "v_0": "yes", "v_1": "no", "v_2": "no", "NORMAL1/1": "no", "AMD1/1": None
    }  # fmt: skip
    assert {row.id: row.masks.get("fluid") for row in whole}["AMD1/1"] is None
    without = mapped(retouch={"questions": {"irf_present": "fluid", "srf_present": "fluid"}})
    joined = merge([fluids, diagnoses], mapping=without)
    assert [row.answers.get("fluid") for row in joined] == ["yes", "no", None, None, None]
    assert joined.schema.question("fluid").evidence == ("irf", "srf")


def test_a_source_is_declared_free_of_a_label(fluids: Manifest, diagnoses: Manifest) -> None:
    whole = merge([fluids, diagnoses], mapping=mapped(srinivasan={"absent": ["srf"]}))
    assert [row.masks.get("srf") for row in whole][3:] == [ABSENT, ABSENT]
    assert [row.masks.get("irf") for row in whole][3:] == [None, None]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"absent": "cyst"}, "absent label 'cyst' must be one of"),
        ({"absent_if": {"diagnosis": {"CNV": "srf"}}}, "an answer must be one of .* got 'CNV'"),
    ],
)
def test_absence_of_what_is_not_there_is_refused(
    fluids: Manifest, diagnoses: Manifest, said: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        merge([fluids, diagnoses], mapping=mapped(srinivasan=said))


def test_a_healthy_answer_that_one_source_states_is_that_of_all(grades: Manifest, tmp_path: Path) -> None:
    stated = Manifest(LabelSchema((replace(GRADE, healthy="0"),)), (), tmp_path, info={"name": "other"})
    assert merge([grades, stated], mapping=Mapping()).schema.question("grade").healthy == "0"
