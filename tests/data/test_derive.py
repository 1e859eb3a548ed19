"""Presence from masks, absence from answers, in files of the original layouts; selection by column, answer and list."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters import scan
from foveate.data.check import check
from foveate.data.choose import choose, condition_of, listed
from foveate.data.derive import declare_absent, declare_healthy, derive_presence, every_label
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def palm(root: Path) -> Manifest:
    """Three images of the training set: atrophy in P0001, an empty mask for P0002, none for N0001; 0 is the lesion."""
    for name in ("P0001", "P0002", "N0001"):
        picture(root / "PALM-Training400" / f"{name}.jpg", np.full((20, 24, 3), 90))
    white, dark = np.full((20, 24), 255), np.full((20, 24), 255)
    dark[5:9, 5:9] = 0
    masks = root / "PALM-Training400-Annotation-Lession" / "Lesion_Masks" / "Atrophy"
    picture(masks / "P0001.bmp", dark)
    picture(masks / "P0002.bmp", white)
    return scan("palm", root)


def test_presence_comes_from_masks_of_the_original_layout(tmp_path: Path) -> None:
    found = palm(tmp_path)
    made = derive_presence(found, {"atrophy_present": ("atrophy",)})
    answers = {row.id: row.answers["atrophy_present"] for row in made.manifest}
    assert answers == {"N0001": "no", "P0001": "yes", "P0002": "no"}
    assert made.gained == {"atrophy_present": 3}
    assert made.manifest.schema.question("atrophy_present").evidence == ("atrophy",)
    assert [q.name for q in found.schema.questions] == ["pathologic_myopia", "myopia"]


def test_a_pixel_that_nobody_knows_leaves_presence_unknown(tmp_path: Path) -> None:
    picture(tmp_path / "x.png", np.zeros((4, 4)))
    ignored = np.zeros((4, 4))
    ignored[0, 0] = 127
    picture(tmp_path / "m.png", ignored)
    marked = (MaskSource("m.png", above=127, ignore=(127,)),)
    rows = (
        Row("ignored", "x.png", masks={"a": marked}),
        Row("one unknown", "x.png", masks={"a": ABSENT}),
        Row("both absent", "x.png", masks={"a": ABSENT, "b": ABSENT}),
        Row("given", "x.png", {"q": "yes"}, masks={"a": ABSENT, "b": ABSENT}),
    )
    manifest = Manifest(LabelSchema((Question("q"),), ("a", "b")), rows, tmp_path)
    made = derive_presence(manifest, {"q": ("a", "b")})
    assert [row.answers.get("q") for row in made.manifest] == [None, None, "no", "yes"]
    assert (made.gained, made.refuted) == ({"q": 1}, ("given",))


def test_every_label_gets_a_question_once() -> None:
    schema = LabelSchema((Question("fluid", evidence=("fluid",)), Question("grade", ("0", "1"))), ("fluid", "drusen"))
    assert every_label(schema) == {"fluid": ("fluid",), "drusen_present": ("drusen",)}


@pytest.mark.parametrize(
    ("questions", "message"),
    [({"q": ("c",)}, "its labels must be some of"), ({"grade": ("a",)}, "needs the answers no and yes")],
)
def test_presence_of_what_is_not_there_is_refused(tmp_path: Path, questions: dict, message: str) -> None:
    schema = LabelSchema((Question("grade", ("0", "1")),), ("a", "b"))
    with pytest.raises(ValueError, match=message):
        derive_presence(Manifest(schema, (), tmp_path), questions)


def kermany(root: Path, folder: str = "OCT2017") -> Path:
    for number, name in enumerate(("CNV-1-1", "CNV-2-1", "DRUSEN-3-1", "NORMAL-4-1", "NORMAL-5-1", "DME-6-1")):
        answer = name.partition("-")[0]
        picture(root / folder / "train" / answer / f"{name}.jpeg", np.full((12, 16), 40 + number))
    return root


def test_normal_has_no_lesion_and_an_unlabelled_one_stays_unknown(tmp_path: Path) -> None:
    found = scan("kermany", kermany(tmp_path))
    schema = LabelSchema(found.schema.questions, ("lesion",))
    drawn = (MaskSource("masks/CNV-1-1.png", above=127),)
    rows = tuple(
        Row(row.id, row.image, row.answers, {"lesion": drawn} if "CNV-1" in row.id else {}, patient=row.patient)
        for row in found
    )
    made = declare_absent(Manifest(schema, rows, tmp_path), ["lesion"], question="diagnosis", answers=["NORMAL"])
    masks = {row.id.rpartition("/")[2]: row.masks.get("lesion") for row in made.manifest}
    assert masks == {"CNV-1-1": drawn, "CNV-2-1": None, "DRUSEN-3-1": None, "NORMAL-4-1": ABSENT,
                     "NORMAL-5-1": ABSENT, "DME-6-1": None}  # fmt: skip
    assert made.gained == {"lesion": 2}
    for labels, answers, message in ((["x"], ["NORMAL"], "labels must be"), (["lesion"], ["no"], "answers of")):
        with pytest.raises(ValueError, match=message):
            declare_absent(made.manifest, labels, question="diagnosis", answers=answers)


def test_evidence_of_a_diagnosis_is_compared_with_masks(tmp_path: Path) -> None:
    picture(tmp_path / "x.png", np.zeros((8, 8)))
    filled = np.zeros((8, 8))
    filled[2:4, 2:4] = 255
    picture(tmp_path / "m.png", filled)
    question = Question("diagnosis", ("CNV", "DRUSEN", "NORMAL"), evidence=("lesion",))
    drawn = (MaskSource("m.png", above=127),)
    rows = (
        Row("a", "x.png", {"diagnosis": "NORMAL"}, {"lesion": drawn}),
        Row("b", "x.png", {"diagnosis": "CNV"}, {"lesion": ABSENT}),
        Row("c", "x.png", {"diagnosis": "CNV"}, {"lesion": drawn}),
        Row("d", "x.png", {"diagnosis": "NORMAL"}, {"lesion": ABSENT}),
    )
    manifest = Manifest(LabelSchema((question,), ("lesion",)), rows, tmp_path).write(tmp_path / "m.jsonl")
    assert Manifest.read(tmp_path / "m.jsonl").schema.questions == (question,)
    found = [line for line in check(manifest).contradictions if "marked" in line]
    assert found == ["a: diagnosis is 'NORMAL', and 4 pixels are marked lesion",
                     "b: diagnosis is 'CNV', and no pixel is marked lesion"]  # fmt: skip
    with pytest.raises(ValueError, match="state healthy"):
        Question("diagnosis", ("CNV", "DRUSEN"), evidence=("lesion",))


# -- selection -------------------------------------------------------------------------------------------------------


def test_rows_are_selected_by_device_diagnosis_list_and_number(tmp_path: Path) -> None:
    schema = LabelSchema((Question("diagnosis", ("AMD", "DME", "NORMAL")),))
    rows = tuple(
        Row(f"{i}", f"{i}.png", {"diagnosis": "NORMAL"} if i % 2 else {}, patient=f"p{i // 2}",
            source="retouch/spectralis" if i < 6 else "retouch/cirrus")
        for i in range(10)
    )  # fmt: skip
    manifest = Manifest(schema, rows, tmp_path)

    def ids(*conditions: str, **more: int) -> list[str]:
        return [row.id for row in choose(manifest, conditions=[condition_of(c) for c in conditions], **more)]

    assert ids("source=retouch/spectralis", "diagnosis=NORMAL") == ["1", "3", "5"]
    assert ids("source!=retouch/spectralis") == ["6", "7", "8", "9"]
    assert ids("diagnosis=unknown", "patient=p0,p1") == ["0", "2"]
    drawn = ids("source=retouch/spectralis", number=3, seed=1)
    assert len(drawn) == 3
    assert drawn == sorted(drawn) == ids("source=retouch/spectralis", number=3, seed=1)
    (tmp_path / "list.txt").write_text("p0\n\np3\n")
    assert [row.id for row in choose(manifest, conditions=[listed(f"patient={tmp_path}/list.txt", among=True)])] == [
        "0", "1", "6", "7"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "message"),
    [("colour=red", "name must be one of"), ("diagnosis=CNV", "the answer must be one of"), ("split=test", "no row")],
)
def test_a_condition_that_cannot_hold_is_reported(tmp_path: Path, condition: str, message: str) -> None:
    manifest = Manifest(LabelSchema((Question("diagnosis", ("AMD", "NORMAL")),)), (Row("1", "1.png"),), tmp_path)
    with pytest.raises(ValueError, match=message):
        choose(manifest, conditions=[condition_of(condition)])
    with pytest.raises(ValueError, match="number must be from 1 to 1"):
        choose(manifest, number=2)
    with pytest.raises(ValueError, match="write NAME=VALUE"):
        condition_of("split")


def test_parents_of_retinal_lesions_are_left_out_of_eyepacs_by_a_command(tmp_path: Path) -> None:
    for name in ("10_left", "10_right", "13_left"):
        picture(tmp_path / "eyepacs" / "train" / f"{name}.jpeg", np.full((8, 8, 3), 50))
    (tmp_path / "eyepacs" / "trainLabels.csv").write_text("image,level\n10_left,0\n10_right,1\n13_left,2\n")
    picture(tmp_path / "lesions" / "images_896x896" / "10_left.jpg", np.full((8, 8, 3), 50))
    (tmp_path / "lesions" / "dr_grades.csv").write_text("image id,kaggle label,our label\n10_left,0,0\n")
    (tmp_path / "lesions" / "lesion_segs_896x896").mkdir()
    run = CliRunner().invoke
    for name, adapter in (("eyepacs", "eyepacs"), ("lesions", "retinal_lesions")):
        made = run(app, ["scan", adapter, str(tmp_path / name), "-o", str(tmp_path / f"{name}.jsonl"), "-q"])
        assert made.exit_code == 0, made.exception
    out = tmp_path / "rest.jsonl"
    command = ["select", str(tmp_path / "eyepacs.jsonl"), "--without", f"patient={tmp_path}/lesions.jsonl"]
    made = run(app, [*command, "-o", str(out)])
    assert made.exit_code == 0, made.exception
    assert [row.id for row in Manifest.read(out)] == ["13_left"]
    assert "1 of 3 images" in made.output
    assert "grade 2: 1" in made.output


def test_derive_is_a_command(tmp_path: Path) -> None:
    palm(tmp_path).write(tmp_path / "m.jsonl")
    out = tmp_path / "d.jsonl"
    made = CliRunner().invoke(
        app,
        ["derive", str(tmp_path / "m.jsonl"), "--present", "atrophy_present=atrophy", "--healthy", "myopia=normal",
         "--absent", "detachment:pathologic_myopia=no", "-o", str(out), "-q"],
    )  # fmt: skip
    assert made.exit_code == 0, made.exception
    found = Manifest.read(out)
    assert {row.id: row.answers["atrophy_present"] for row in found} == {"N0001": "no", "P0001": "yes", "P0002": "no"}
    assert [row.id for row in found if row.masks.get("detachment") == ABSENT] == ["N0001"]
    assert "atrophy_present: answered for 3 more images" in made.output
    with pytest.raises(ValueError, match="healthy must be one of"):
        declare_healthy(found, "myopia", "none")


@pytest.mark.parametrize("name", ["aptos2019", "ddr", "drac2022", "eyepacs", "fgadr", "idrid", "messidor2",
                                  "retinal_lesions"])  # fmt: skip
def test_a_grade_of_an_adapter_has_a_healthy_answer(name: str) -> None:
    from foveate.core import plugins

    assert plugins.load("data/adapters", name).SCHEMA.question("grade").healthy == "0"


def test_a_described_folder_derives_absence_and_presence(tmp_path: Path) -> None:
    kermany(tmp_path)
    filled = np.zeros((12, 16))
    filled[3:6, 3:6] = 255
    picture(tmp_path / "masks" / "CNV-1-1.png", filled)
    picture(tmp_path / "masks" / "DRUSEN-3-1.png", filled)
    (tmp_path / "dataset.toml").write_text(
        'name = "ucsd_masks"\nmodality = "oct"\nimages = "OCT2017/train/*/*.jpeg"\nexclude = "OCT2017/train/DME/*"\n'
        "file_name = '(?P<answer>CNV|DRUSEN|NORMAL)-(?P<person>\\d+)-\\d+'\n[columns]\npatient = \"person\"\n"
        '[questions.diagnosis]\ncolumn = "answer"\nanswers = ["CNV", "DRUSEN", "NORMAL"]\nevidence = "lesion"\n'
        '[questions.lesion_present]\nderive = "lesion present"\n'
        '[labels.lesion]\nmasks = "masks/{stem}.png"\nabove = 127\nmissing = "unknown"\n'
        '[absent_if.diagnosis]\nNORMAL = "lesion"\n'
    )
    found = {row.id: row for row in scan("folder", tmp_path)}
    assert {name: row.answers.get("lesion_present") for name, row in found.items()} == {
        "CNV-1-1": "yes", "CNV-2-1": None, "DRUSEN-3-1": "yes", "NORMAL-4-1": "no", "NORMAL-5-1": "no"
    }  # fmt: skip
    assert "lesion" not in found["CNV-2-1"].masks
