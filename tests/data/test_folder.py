"""Folder adapter: a described folder becomes rows; every slip of the description or the tables is named."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import Question
from foveate.core.types import MaskSource
from foveate.data import read
from foveate.data.adapters import folder, scan
from foveate.data.check import check
from foveate.data.manifest import Manifest, sha256
from foveate.data.split import leaks, split

EXAMPLES = Path(__file__).parents[2] / "examples"

TOML = r"""
name = "clinic"
licence = "internal"
modality = "oct"
spacing = [0.004, 0.011]
images = "scans/*.png"
file_name = 'scans/(?P<person>P\d)_(?P<scan>\d)'

[table]
file = "grades.csv"
id = "image"

[columns]
patient = "person"
position = "scan"
laterality = { column = "eye", values = { droit = "R" }, unknown = ["?"] }
split = { column = "set", values = { training = "train" } }
disc = { x = "dx", y = "dy", scale = 0.5 }

[questions.dme]
column = "DME"
values = { 0 = "no", 1 = "yes" }
evidence = "fluid"

[questions.grade]
column = "grade"
answers = ["0", "1", "2"]
ordered = true
unknown = "-"
leave_out = "U"

[[labels.fluid]]
masks = "masks/{id}.png"
bit = 0
missing = "absent"

[[labels.fluid]]
masks = "masks2/{person}-{scan}.png"
above = 127
annotator = "second"
missing = "unknown"

[labels.drusen]
"""
CSV = """image;eye;set;DME;grade;dx;dy
P1_0.png;L;training;1;2;21;11
P1_1;droit;test;0;-;;
P2_0.tif;?;test;;U;1;1
P3_0.png;?;;;0;;
P9_9.png;L;test;1;1;1;1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five scans, masks of some of them, a table that lacks one and names a stranger."""
    for name in ("scans/P1_0", "scans/P1_1", "scans/P2_0", "scans/P3_0", "scans/P4_0", "masks/P1_0", "masks2/P1-1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((6, 8), len(list(tmp_path.rglob("*.png"))), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "grades.csv").write_text(CSV, encoding="utf-8-sig")
    (tmp_path / "dataset.toml").write_text(TOML)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8-sig")
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_described_folder_becomes_rows(root: Path) -> None:
    found = scan("folder", root)
    assert [row.id for row in found] == ["P1_0", "P1_1", "P3_0", "P4_0"]
    assert found.schema.labels == ("fluid", "drusen")
    assert found.schema.questions == (
        Question("dme", evidence=("fluid",)),
        Question("grade", ("0", "1", "2"), ordered=True),
    )
    first, second, third, fourth = found
    assert first.image == "scans/P1_0.png"
    assert (first.patient, first.position, first.laterality, first.split) == ("P1", 0, "OS", "train")
    assert first.answers == {"dme": "yes", "grade": "2"}
    assert first.masks == {"fluid": (MaskSource("masks/P1_0.png", bit=0),)}
    assert first.disc == (5.25, 10.25)  # edges stay in place: (11 + 0.5) / 2 - 0.5 down, (21 + 0.5) / 2 - 0.5 across
    assert (first.spacing, first.modality, first.source) == ((0.004, 0.011), "oct", "clinic")
    assert first.sha256 == sha256(root / "scans/P1_0.png")
    assert (second.laterality, second.split, second.disc) == ("OD", "test", None)
    assert second.answers == {"dme": "no"}
    assert second.masks == {"fluid": (MaskSource(), MaskSource("masks2/P1-1.png", above=127, annotator="second"))}
    assert (third.laterality, third.split, third.answers) == (None, None, {"grade": "0"})
    assert fourth.answers == {}
    assert fourth.patient == "P4"


def test_what_is_odd_is_told_and_kept(root: Path) -> None:
    found = scan("folder", root)
    assert found.info == {
        "name": "clinic",
        "licence": "internal",
        "warnings": [
            f"{root / 'grades.csv'}, line 6: there is no image 'P9_9.png'",
            "scans/P4_0.png: there is no line in grades.csv",
            "left out, grade is 'U': 1 images (P2_0)",
        ],
    }
    assert Manifest.read(found.write(root / "m.jsonl").path or "").info == found.info


def test_the_parts_can_be_had_alone(root: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside.toml"
    (root / "dataset.toml").rename(aside)
    whole = scan(str(aside), root)
    assert tuple(folder.scan(root, aside)) == whole.rows
    assert folder.schema(root, aside) == whole.schema
    assert folder.info(root, aside) == {"name": "clinic", "licence": "internal"}


def test_equal_names_in_two_folders_become_paths(tmp_path: Path) -> None:
    for side in ("left", "right"):
        for end, value in (("", 3), ("_mask", 255)):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / side / f"1{end}.png")
    (tmp_path / "dataset.toml").write_text("""
        name = "two"
        images = ["left/*.png", "right/*.png"]
        exclude = "*/*_mask.png"
        file_name = '^(?P<side>\\w+)/'
        [columns]
        laterality = "side"
        [labels.disc]
        masks = "{folder}/{stem}_mask.png"
        above = 127
    """)
    rows = scan("folder", tmp_path).rows
    assert [(row.id, row.laterality) for row in rows] == [("left/1", "OS"), ("right/1", "OD")]
    assert rows[1].masks["disc"] == (MaskSource("right/1_mask.png", above=127),)


def test_two_tables_and_their_quarrels(root: Path) -> None:
    change(root / "dataset.toml", "[table]", '[[table]]\nfile = "more.csv"\nid = "name"\n[[table]]')
    change(root / "dataset.toml", "[columns]", '[columns]\nvolume = "vol"')
    (root / "more.csv").write_text("name\tvol\tDME\nscans/P1_0.png\tv1\t\nP1_1\tv1\t0\n")
    assert [row.volume for row in scan("folder", root)] == ["v1", "v1", None, None]
    (root / "more.csv").write_text("name\tvol\tDME\nP1_1\tv1\t1\n")
    with pytest.raises(
        ValueError, match=r"grades\.csv, line 3: DME of scans/P1_1\.png is '0', but '1' in .*more\.csv, line 2; correct"
    ):
        scan("folder", root)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "clinic"', "name = clinic", r"dataset\.toml must be TOML: .*line 2"),
        ('name = "clinic"\n', "", r"dataset\.toml: key 'name' is missing; add it"),
        ("modality", "modalty", r"dataset\.toml: unknown key 'modalty' \(value 'oct'\); known are \['name'"),
        ("ordered = true", 'ordered = "yes"', r"dataset\.toml: questions\.grade\.ordered='yes': .*boolean"),
        ("bit = 0", "bits = 0", r"dataset\.toml: unknown key 'labels\.fluid\.0\.bits'"),
        (
            "bit = 0",
            "bit = 0\nabove = 3",
            r"labels\.fluid\.0=.*exactly one of index, bit, above, below \(given: \['bit'",
        ),
        ("bit = 0", "", r"labels\.fluid\.0=.*exactly one of index, bit, above, below \(given: none\)"),
        (
            'evidence = "fluid"',
            'evidence = "blood"',
            r"dataset\.toml: question 'dme': evidence must be in labels=.*got \['blood'\]",
        ),
        ('"scans/*.png"', '"scan/*.png"', r"images=\['scan/\*\.png'\]: there are none in .*; correct the pattern"),
        ('"scans/*.png"', '"../*.png"', r"images=.*patterns start inside the data set's folder"),
        (r"(?P<person>P\d)", r"(?P<person>Q\d)", r"file_name=.*scans/P1_0\.png does not fit; widen it, or exclude"),
        (r"(?P<person>P\d)_(?P<scan>\d)", r"P\d", r"file_name=.*names no part of the file name"),
        (r"(?P<person>P\d)", r"(?P<person>P\d", r"file_name=.*no regular expression"),
        ('"grades.csv"', '"grade.csv"', r"grade\.csv: there is no such file; correct table\.file"),
        (
            'id = "image"',
            'id = "file"',
            r"grades\.csv, line 1: no column 'file'; table\.id must be one of \['image', 'eye'",
        ),
        (
            'id = "image"',
            'id = "eye"',
            r"none of 5 lines fits an image by column 'eye'; it should hold names like 'P1_0",
        ),
        ('id = "image"', 'id = "image"\ndelimiter = ","', r"no column 'image'; table\.id must be one of \['image;eye"),
        ('patient = "person"', 'patient = "pid"', r"columns\.patient: no column 'pid'; there are \['DME', 'dx'"),
        ('x = "dx"', 'x = "disc"', r"columns\.disc: no column 'disc'"),
        ('column = "DME"', 'column = "dme"', r"questions\.dme\.column: no column 'dme'"),
        ("masks2/{person}", "masks2/{who}", r"labels\.fluid\.masks: no column 'who'"),
        (
            'missing = "absent"',
            "",
            r"labels\.fluid: there is no mask masks/P1_1\.png for scans/P1_1\.png; .*\"absent\" or",
        ),
        (
            'position = "scan"',
            'position = "eye"',
            r"grades\.csv, line 2, eye='L' .*columns\.position needs whole numbers",
        ),
        ('x = "dx"', 'x = "eye"', r"line 2, eye='L' .*columns\.disc needs numbers"),
        ("training", "trainig", r"line 2, set='training' .*columns\.split takes \['train', 'val', 'test'\]; map it"),
        (', unknown = ["?"]', "", r"line 5, eye='\?' \(scans/P3_0\.png\): columns\.laterality takes"),
    ],
)
def test_every_slip_of_the_description_is_named(root: Path, old: str, new: str, said: str) -> None:
    change(root / "dataset.toml", old, new)
    with pytest.raises(ValueError, match=said):
        scan("folder", root)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "P1_0.png;L",
            "P1_0.png;Z",
            r"grades\.csv, line 2, eye='Z' \(scans/P1_0\.png\): columns\.laterality takes .*map",
        ),
        (
            "P1_0.png;L;training;1",
            "P1_0.png;L;training;2",
            r"line 2, DME='2' .*answers \['no', 'yes'\]; add it to values",
        ),
        ("P1_0.png;L;training;1", "P1_0.png;L;training;yes", r"line 2, DME='yes' .*add it to values"),
        ("test;0;-", "test;0;3", r"line 3, grade='3' .*questions\.grade has the answers \['0', '1', '2'\]; add it"),
        ("test;0;-;;", "test;0;-;;;x", r"line 3: 8 fields, but the header has 7; put text"),
        ("P1_1;", "P1_0;", r"line 3: image 'P1_0' is that of line 2 too; keep one line per image"),
        ("image;eye;set", "image;eye;eye", r"line 1: column 'eye' is there twice; rename one"),
        ("2;21;", "2;left;", r"line 2, dx='left' .*columns\.disc needs numbers"),
    ],
)
def test_every_slip_of_a_table_is_named(root: Path, old: str, new: str, said: str) -> None:
    change(root / "grades.csv", old, new)
    with pytest.raises(ValueError, match=said):
        scan("folder", root)


def test_other_encodings_are_named(root: Path) -> None:
    (root / "grades.csv").write_bytes(CSV.replace("droit", "gauché").encode("cp1252"))
    with pytest.raises(ValueError, match=r"grades\.csv: byte \d+ is not UTF-8; save the table as 'CSV UTF-8'"):
        scan("folder", root)


def test_an_id_that_several_images_have_is_named(tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / side / "1.png")
    (tmp_path / "t.csv").write_text("id\n1\n")
    (tmp_path / "dataset.toml").write_text('name="x"\nimages="*/*.png"\ntable={file="t.csv", id="id"}')
    with pytest.raises(ValueError, match=r"line 2: '1' may be left/1\.png or right/1\.png; write the path there"):
        scan("folder", tmp_path)


def test_adapters_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"adapter must be one of \['.*'folder'.*or a path that ends in \.toml, got 'fluid'"
    ):
        scan("fluid", tmp_path)
    with pytest.raises(ValueError, match=r"root='nowhere' must be a folder"):
        scan("folder", "nowhere")
    with pytest.raises(ValueError, match=r"dataset\.toml: there is no such file; describe the folder"):
        scan("folder", tmp_path)


# -- the public sets that examples/ describes -----------------------------------------------------------------------

REAL: Mapping[str, tuple[int, int, Mapping[str, Mapping[str, int]], Mapping[str, int]]] = {
    # images, groups, answers, images with pixels of each label
    "oct_fluid_chiu": (110, 10, {"fluid": {"yes": 91, "no": 19}}, {"fluid": 91}),
    "fundus_exudates_heimed": (169, 169, {"exudate": {"yes": 54, "no": 115}}, {"exudate": 54, "other_bright": 65}),
    "disc_hemorrhage210": (210, 210, {"haemorrhage": {"yes": 62, "no": 148}}, {"disc": 210, "haemorrhage": 62}),
    "fundus_dr_lesions_idrid20": (
        20,
        20,
        {},
        {"microaneurysm": 20, "haemorrhage": 20, "exudate": 20, "cotton_wool_spot": 7, "disc": 20},
    ),
    "fundus_dr_grading_srahim600": (
        593,  # 600 less 7 of advanced disease
        296,  # 301 names, one of them a slip, three with both eyes left out, two with the same files
        {"grade": {"0": 276, "1": 99, "2": 168, "3": 34, "4": 16}, "maculopathy": {"yes": 131, "no": 462}},
        {},
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_public_sets_hold_what_their_authors_say(real_data: Path, tmp_path: Path, name: str) -> None:
    images, groups, answers, positive = REAL[name]
    manifest = scan(str(EXAMPLES / f"{name}.toml"), real_data / name).write(tmp_path / "m.jsonl")
    divided = split(split(Manifest.read(tmp_path / "m.jsonl"), folds=5))
    assert manifest.hash == Manifest.read(tmp_path / "m.jsonl").hash
    report = check(divided)
    assert report.ok, str(report)
    assert (report.images, report.groups) == (images, groups)
    for question, counts in answers.items():
        assert report.answers["all"][question] == {**counts, "unknown": 0}
    assert {label: c.positive for label, c in report.labels["all"].items()} == positive
    assert all(c.known == images for c in report.labels["all"].values())
    assert not [text for text in report.contradictions if "same pixels" not in text]
    assert leaks(divided) == []
    sizes = Counter(row.fold for row in divided)
    assert max(sizes.values()) - min(sizes.values()) <= 2


@pytest.mark.real
def test_both_graders_are_read_apart(real_data: Path) -> None:
    name = "oct_fluid_chiu"
    manifest = scan(str(EXAMPLES / f"{name}.toml"), real_data / name)
    assert {(row.patient, row.volume) for row in manifest} == {(f"S{i:02}", f"S{i:02}") for i in range(1, 11)}
    assert [row.position for row in manifest][:11] == list(range(11))
    with (real_data / name / "labels.csv").open() as file:
        said = {Path(line["file"]).stem: line for line in csv.DictReader(file)}
    for row in list(manifest)[::10]:
        for annotator in (1, 2):
            mask, _ = read.masks(row, manifest.root, manifest.schema, annotators=f"grader{annotator}", shape=(256, 256))
            assert mask.sum() == int(said[row.id][f"px256_g{annotator}"])


@pytest.mark.real
def test_slips_of_a_public_set_are_set_right(real_data: Path) -> None:
    name = "fundus_dr_grading_srahim600"
    manifest = scan(str(EXAMPLES / f"{name}.toml"), real_data / name)
    eyes = {row.id: (row.patient, row.laterality) for row in manifest}
    assert eyes["Patient254-R"] == ("Patient254", "OD")
    assert eyes["Patient254_L"] == ("Patient254", "OS")
    assert Counter(side for _, side in eyes.values()) == {"OD": 296, "OS": 297}
    report = check(manifest.where(patient=("Patient299", "Patient300")))
    assert report.duplicates == (("Patient299_L", "Patient300_L"), ("Patient299_R", "Patient300_R"))
    assert "grade of the same pixels: Patient299_L '2', Patient300_L '3'" in report.contradictions


@pytest.mark.real
def test_disc_positions_fall_on_the_bright_disc(real_data: Path) -> None:
    """The x and y of the table are across and down: around them the retina is brighter than elsewhere."""
    name = "fundus_exudates_heimed"
    manifest = scan(str(EXAMPLES / f"{name}.toml"), real_data / name)
    for row in list(manifest)[::40]:
        green = read.image(manifest.root / row.image)[..., 1].astype(float)
        assert row.disc is not None
        down, across = round(row.disc[0]), round(row.disc[1])
        assert green[down - 15 : down + 15, across - 15 : across + 15].mean() > np.median(green[green > 20]) + 10


def test_the_documented_description_is_a_valid_one(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "docs/reference/dataset_toml.md").read_text(encoding="utf-8")
    (tmp_path / "dataset.toml").write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    (question, grade), labels = folder.schema(tmp_path).questions, folder.schema(tmp_path).labels
    assert (question, grade.answers, labels) == (Question("dme", evidence=("fluid",)), tuple("01234"), ("fluid",))
