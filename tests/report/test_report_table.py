import csv
import io
import math
import re

import pytest

from foveate.metrics.interval import Estimate
from foveate.report import Column, Table
from foveate.report.table_cells import Share

ROWS = (
    ("U-Net", Estimate(0.9004, 0.85, 0.95, 10, 5), 0.25, 12),
    ("CAM_UNet & co", Estimate(0.9001, 0.84, 0.94, 10, 5), 0.75, 12),
    ("other", Estimate(0.5, -0.1, 0.6, 10, 5), math.nan, None),
)
COLUMNS = (Column("method"), Column("Dice", max), Column("error", min, 2), Column("n"))
TABLE = Table("Dice <100 %>", COLUMNS, ROWS, ("A note: 5 % | x_1.",))


def test_best_is_judged_at_the_printed_digits_and_by_its_direction():
    assert TABLE.best(1) == {0, 1}
    assert TABLE.best(2) == {0}
    assert TABLE.best(3) == frozenset()
    assert TABLE.columns[1].heading.endswith("↑")
    assert TABLE.columns[2].heading.endswith("↓")


def test_a_single_number_is_not_best_of_anything():
    assert Table("", (Column("Dice", max),), ((0.5,), (math.nan,))).best(0) == frozenset()


def test_text_has_values_intervals_and_notes_in_line():
    lines = str(TABLE).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("U-Net"))
    assert re.search(r"0\.900\* +0\.25\* +12$", lines[first])
    assert lines[first + 1].strip() == "0.850–0.950"
    assert lines[first].index("0.900*") + len("0.900*") == lines[first + 1].index("0.850") + len("0.850–0.950") + 1
    assert "-0.100 to 0.600" in str(TABLE)
    assert "—: not defined" in str(TABLE)
    assert "A note: 5 % | x_1." in lines


def test_csv_keeps_all_digits_and_splits_intervals():
    head, first, _, last = csv.reader(io.StringIO(TABLE.csv()))
    assert head == ["method", "Dice", "Dice low", "Dice high", "error", "n"]
    assert first == ["U-Net", "0.9004", "0.85", "0.95", "0.25", "12"]
    assert last[-2:] == ["", ""]


def test_shares_are_written_out_and_ranked_as_shares():
    rows = (("a", Share(18, 25)), ("b", Share(3, 4)), ("c", Share(0, 0)))
    table = Table("t", (Column("method"), Column("found", max)), rows)
    assert re.search(r"^a +18 of 25 *$", str(table), re.M)
    assert re.search(r"^b +3 of 4\* *$", str(table), re.M)
    assert re.search(r"^c +— *$", str(table), re.M)
    assert "—: not defined" in str(table)
    assert table.csv() == "method,found,found of\na,18,25\nb,3,4\nc,0,0\n"
    assert all(ord(sign) < 128 for sign in table.latex())


def test_cells_may_be_left_out_of_the_ranking():
    rows = (("a", 0.9), ("b", 0.8), ("c", 0.7))
    columns = (Column("method"), Column("Dice", max))
    assert Table("t", columns, rows, unranked=frozenset({(0, 1)})).best(1) == {1}
    assert Table("t", columns, rows, unranked=frozenset({(0, 1), (1, 1)})).best(1) == frozenset()


def test_a_table_below_is_written_with_it(tmp_path):
    table = Table("above", (Column("a"),), ((1,),), below=Table("under", (Column("b"),), ((2,),), ("<note>",)))
    for text in (str(table), table.latex(), table.html(), table.markdown()):
        assert text.index("above") < text.index("under")
    assert table.html().count("<table>") == table.latex().count("\\begin{table}") == 2
    assert "&lt;note&gt;" in table.html()
    paths = table.write(tmp_path, "t")
    assert [p.name for p in paths] == ["t.txt", "t.csv", "t.tex", "t_below.csv"]
    assert (table.csv(), paths[-1].read_text()) == ("a\n1\n", "b\n2\n")


def test_latex_is_escaped_booktabs():
    text = TABLE.latex()
    for line in ("\\toprule", "\\midrule", "\\bottomrule", "\\caption{Dice \\textless{}100 \\%\\textgreater{}}"):
        assert line in text
    assert "\\textbf{0.900 (0.850--0.950)}" in text
    assert "CAM\\_UNet \\& co" in text
    assert "x\\_1" in text
    assert all(ord(sign) < 128 for sign in text)


def test_html_is_escaped():
    text = Table("<b>", (Column("<i>"),), (("<script>",),), ("<u>",)).html()
    assert not re.search(r"<(b|i|u|script)>", text)
    assert "&lt;script&gt;" in text
    assert "<strong>0.900</strong><small>0.850–0.950</small>" in TABLE.html()


def test_markdown_has_one_pipe_more_than_columns():
    lines = [line for line in TABLE.markdown().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert "**0.900 (0.850–0.950)**" in lines[2]


def test_write_makes_three_files(tmp_path):
    paths = TABLE.write(tmp_path / "tables", "dice")
    assert [p.name for p in paths] == ["dice.txt", "dice.csv", "dice.tex"]
    assert paths[0].read_text(encoding="utf-8") == f"{TABLE}\n"


def test_a_row_of_other_length_is_refused():
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        Table("", (Column("a"),), (("x", 1.0),))
