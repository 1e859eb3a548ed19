"""Every adapter says what its set is; finding things in a tree; tables of all sorts."""

import ast
import zipfile
from pathlib import Path
from typing import Any

import pytest

from foveate.core import plugins as find
from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.adapters import OWN, ROOM, _sheet, describe, scan
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Line, Tree, plain

PUBLIC = [name for name in find.names(ROOM) if name != OWN]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_adapter_keeps_the_form(name: str) -> None:
    module: Any = find.load(ROOM, name)
    assert find.names(ROOM)[name].endswith(".")
    assert isinstance(module.ABOUT, About)
    assert isinstance(module.SCHEMA, LabelSchema)
    assert module.ABOUT.name == name
    assert hasattr(module, "scan") != (hasattr(module, "read") and callable(module.read))  # a set, or a format
    for said in (module.ABOUT.terms, module.ABOUT.citation, module.ABOUT.source, module.ABOUT.layout):
        assert len(said) > 3
    if module.ABOUT.terms != "your own":
        assert module.ABOUT.expects, "published counts are what a copy is held against"
    if module.SCHEMA.labels:
        assert module.ABOUT.missing, "a missing mask file means something"
    known = {q.name: q.answers for q in module.SCHEMA.questions}
    for what in module.ABOUT.expects:
        first, _, rest = what.partition(" ")
        if what not in ("images", "patients", "eyes", "volumes") and rest not in ("images", "absent"):
            assert rest.removeprefix("of ") in (module.SCHEMA.labels if first == "masks" else known[first]), what
    for text in (module.ABOUT.title, module.ABOUT.citation, module.ABOUT.source):
        assert text.isascii()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_adapter_withstands_a_folder_of_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/a.txt").write_text("hello")
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"there is nothing of .*; give the folder that holds "):
        scan(name, tmp_path)


@pytest.mark.parametrize("name", [*PUBLIC, OWN])
def test_description_names_terms_and_place(name: str) -> None:
    said = describe(name)
    if name != OWN:
        about = find.load(ROOM, name).ABOUT
        for text in (about.terms, about.source, about.citation):
            assert text.split()[0] in said
        assert "terms:" in said


def test_adapters_say_no_word_of_anothers_room() -> None:
    for path in (find.PACKAGE / ROOM).glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_docs_name_every_adapter() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/public_data.md").read_text()
    table = {
        part.strip(" `") for line in page.splitlines() for part in line.partition("|")[2].partition("|")[0].split(",")
    }
    assert sorted(set(find.names(ROOM)) - table) == []


def test_counts_that_differ_are_named() -> None:
    about = About(
        "a", "A", "fundus", "x", "y", "z", "w", expects={"images": 3, "grade 1": 1, "masks of m": 2, "m absent": 1}
    )
    rows = [
        Row("p/1", "1", {"grade": "1"}, {"m": (MaskSource("m", above=0),)}, patient="1"),
        Row("p/2", "2", {"grade": "0"}, {"m": (MaskSource(),)}, patient="1", split="train"),
    ]
    assert about.differences(rows) == ["images: 2 found, 3 expected", "masks of m: 1 found, 2 expected"]
    with pytest.raises(ValueError, match="citation is empty"):
        About("a", "A", "fundus", "x", "y", " ", "w")


# -- trees -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Tree, list[str]]:
    for name in (
        "Set/A.%20Images/IMG_1.JPG",
        "Set/A. Images/A. Images/img_2.jpg",
        "Set/A. Images/img_2.png",
        "__MACOSX/Set/A. Images/img_3.jpg",
        "Set/A. Images/.hidden.jpg",
        "Set/B/img_4.jpg",
        "Set/table (1).CSV",
    ):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    told: list[str] = []
    return Tree(tmp_path / "root", told.append), told


def test_tree_finds_folders_however_they_are_written(tree: tuple[Tree, list[str]]) -> None:
    found, told = tree
    assert set(found.stems("a_images")) == {"img_1", "img_2"}
    assert len(told) == 1
    assert "img_2" in told[0]
    assert found.files("set", ("b", "c")) == ["Set/B/img_4.jpg"]
    assert found.files("b", "set") == []
    assert found.files("root", "b") == ["Set/B/img_4.jpg"]  # the root's own name
    assert found.files("ro*", "b") == []
    assert found.named("table*.csv") == ["Set/table (1).CSV"]
    found.leftover(["Set/B/img_4.jpg"], "b")
    assert len(told) == 1
    found.leftover([], "b")
    assert told[1] == "1 files belong to no image and were not used: Set/B/img_4.jpg"
    assert plain("A.%20Segmentation") == plain("a_segmentation") == plain("A. Segmentation")


def test_tree_enters_linked_folders_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/images").mkdir(parents=True)
    (tmp_path / "elsewhere/images/a.jpg").write_bytes(b"")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere/images")
    (root / "round").symlink_to(root)
    assert Tree(root).files() == ["again/a.jpg"]
    (root / "again").unlink()
    assert Tree(root).files("images") == ["linked/images/a.jpg"]


def test_lines_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Image Name,Grade,,\na.jpg,1,,\n,2,,\nb,2,,,9\nc.PNG, 3 ,,\na,0,,\nd,1\n")
    told: list[str] = []
    tree = Tree(tmp_path, told.append)
    columns = {"image": ("image name", "id"), "grade": "grade"}
    lines = list(tree.lines("t.csv", columns))
    assert [line.values for line in lines] == [
        {"image": "a.jpg", "grade": "1"},
        {"image": "c.PNG", "grade": "3"},
        {"image": "a", "grade": "0"},
        {"image": "d", "grade": "1"},
    ]
    assert [text.partition(":")[0] for text in told] == ["t.csv, line 3", "t.csv, line 4"]
    joined = tree.joined(lines, {"a": "", "c": ""}, "image")
    assert {key: line.values["grade"] for key, line in joined.items()} == {"a": "1", "c": "3"}
    assert "line 6" in told[2]
    assert told[3].startswith("1 lines are about images that are not there, first t.csv, line 7: 'd'")
    assert list(tree.lines("t.csv", {"image": "file"})) == []
    assert "no column 'file'" in told[4]
    assert list(tree.lines("none.csv", columns)) == []
    assert "there is no such file" in told[5]


def test_numbers_and_codes() -> None:
    told: list[str] = []
    line = Line({"x": "1.5", "y": "nan", "z": "?", "grade": "2.0", "other": "7"}, "t.csv, line 2")
    assert line.number("x", warn=told.append) == 1.5
    assert line.number("w", warn=told.append) is None
    assert line.choice("grade", {"2": "two"}, warn=told.append) == "two"
    assert told == []
    assert line.number("y", warn=told.append) is None
    assert line.number("z", warn=told.append) is None
    assert line.choice("other", {"2": "two"}, warn=told.append) is None
    assert len(told) == 3
    assert "z must be a number, got '?'" in told[1]


def test_sheet_reads_texts_numbers_and_gaps(tmp_path: Path) -> None:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rows = (
        '<row r="2"><c r="B2" t="s"><v>1</v></c><c r="AB2"><v>2.5</v></c></row>'
        '<row r="3"><c r="A3"/></row>'
        '<row r="4"><c r="A4" t="inlineStr"><is><t>in </t><t>parts</t></is></c><c r="B4" t="str"><v>f</v></c></row>'
    )
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>")
        book.writestr(
            "xl/sharedStrings.xml", f"<sst {space}><si><t>a</t></si><si><r><t>b</t></r><r><t>c</t></r></si></sst>"
        )
    found = list(_sheet.cells(tmp_path / "t.xlsx"))
    assert found == [(2, ["", "bc", *[""] * 25, "2.5"]), (4, ["in parts", "f"])]
    (tmp_path / "bad.xlsx").write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match=r"bad\.xlsx: is no \.xlsx workbook"):
        list(_sheet.cells(tmp_path / "bad.xlsx"))
    with pytest.raises(ValueError, match="no such file"):
        list(_sheet.cells(tmp_path / "none.xlsx"))
