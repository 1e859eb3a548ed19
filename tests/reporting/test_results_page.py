"""A results page: answers over seeds and patients, its stamp, and the report that it is older than the code."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.metrics.interval import Estimate
from foveate.metrics.listing import full
from foveate.reporting.results_page import decided, make_page
from foveate.reporting.results_plan import read_plan
from foveate.reporting.results_stamp import code_digests, in_step, mark_page, reasons
from foveate.studies import load_study

PAGES = Path(__file__).parent.parent.parent / "docs" / "results"
PLANS = sorted(PAGES.glob("*.toml"))
DRAWN = {"dual_guidance": "oct", "image_quality": "enface"}


def test_a_margin_decides_that_nothing_is_lost() -> None:
    lower = Estimate(-0.005, -0.015, 0.01, 100, 50)
    assert decided(lower) == "this data cannot decide"
    assert decided(lower, margin=-0.02) == "yes"
    assert decided(replace(lower, high=-0.003)) == "no"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_names_what_its_study_has(path: Path) -> None:
    plan = read_plan(path)
    made = {}
    for key, one in plan.studies.items():
        schema = synthetic.SCHEMAS[DRAWN.get(one.study, "fundus")]
        made[key] = load_study(one.study, schema, **one.set).only(tables=one.tables or None, rows=one.rows or None)
        assert len(one.seeds) >= 3
    for question in plan.questions:
        table = made[question.of].tables[question.table]
        assert {question.row, question.minus} <= set(table)
        schema = table[question.row].schema
        full(question.metric, labels=schema.labels, questions=[q.name for q in schema.questions])


def test_a_page_is_made_with_its_stamp_and_reported_when_the_code_changes(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = synthetic.write("enface", tmp_path, n=12, size=64)
    parts = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    split = tuple(replace(r, split=p, patient=r.id) for r, p in zip(rows, parts, strict=True))
    Manifest(synthetic.SCHEMAS["enface"], split, tmp_path).write(tmp_path / "m.jsonl")
    plan = tmp_path / "page.toml"
    plan.write_text(
        'title = "A page"\n[studies.tiny]\nstudy = "image_quality"\nmanifest = "m.jsonl"\nseeds = [0, 1]\n'
        'set = { size = 32, epochs = 1, batch = 2, encoder = "resnet10t", width = 4, precision = "fp32" }\n'
        'tables = ["4 classes"]\nrows = ["Classifier", "U-Net, joint"]\n'
        '[[questions]]\nask = "Does it help?"\nof = "tiny"\ntable = "4 classes"\nrow = "U-Net, joint"\n'
        'minus = "Classifier"\nmetric = "image/accuracy/quality"\n'
    )
    with pytest.raises(ValueError, match="no seed of study 'tiny' is trained"):
        make_page(plan, work=tmp_path, train=False)
    page = make_page(plan, work=tmp_path, device="cpu", quiet=True, say=lambda _: None)
    text = page.read_text()
    assert "only 2 seeds" in text
    assert "| Classifier | 2 (few) |" in text
    assert text.count("runs/") == 0
    assert all(f"tiny/seed{seed}/" in text.splitlines()[0] for seed in (0, 1))
    assert reasons(page) == []
    assert in_step(page)
    changed = {**code_digests(), "losses": "0" * 16}
    assert reasons(page, code=changed) == ["package losses has changed"]
    assert not in_step(page, code=changed)
    mark_page(page, code=changed)
    assert "> **Older than the code.** Package losses has changed." in page.read_text()
    assert in_step(page, code=changed)
    mark_page(page)
    assert page.read_text() == text
    plan.write_text(plan.read_text().replace("A page", "Another page"))
    assert reasons(page) == ["its plan page.toml has changed"]


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_that_is_older_than_the_code_states_so(page: Path) -> None:
    """If this fails: ``foveate results docs/results --mark``."""
    assert in_step(page)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = 1", "title"),
        ('title = "x"\n[studies.a]\nstudy = "b"\nmanifest = "c"\n[[questions]]\nask = "?"\nof = "z"\ntable = "t"\n'
         'row = "r"\nminus = "m"\nmetric = "dice"', "of must be one of"),
        ("title = ", "must be TOML"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_reported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_plan(tmp_path / "p.toml")
    with pytest.raises(ValueError, match="there is no such file"):
        read_plan(tmp_path / "q.toml")
