"""Table 1 of Son et al. and what labels cost: a run from rows to looks, tables and curves."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.run import Run
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.studies import load_study, run_study
from foveate.studies.region_guided import PAPER, SIZES, called, charts, curves_of, label_rows

SMALL = {"size": 64, "width": 4, "pyramid": 8, "levels": 3, "batch": 4, "epochs": 1, "vary": False}


def test_the_papers_figures_stand_beside() -> None:
    schema = LabelSchema(
        (Question("hard_exudate", evidence=("ex",)), Question("macular_hole", evidence=("mh",))), ("ex", "mh")
    )
    study = load_study("region_guided", schema)
    assert list(study) == ["Table 1, hard_exudate", "Table 1, macular_hole", "Together", "Forms", "Labels"]
    assert "Together" not in list(load_study("region_guided", schema, findings=["hard_exudate"]))
    for recipe in study["Together"].rows.values():
        assert [q.name for q in recipe.schema.questions] == ["hard_exudate", "macular_hole"]
    assert study["Together"]["Without guidance"].cues is None
    assert "air/macular_hole" in study["Together"].compared
    table = study["Table 1, hard_exudate"]
    assert list(table) == ["Inception-v3", "Without guidance", "With guidance"]
    assert table.paper["With guidance"]["auc/hard_exudate"] == 0.9938
    assert table.paper["Without guidance"]["harmonic_air_tp/hard_exudate"] == 0.5999
    assert set(table.paper) == set(table)
    assert table["Without guidance"].cues is None
    assert table["With guidance"].cues is not None
    assert study["Table 1, macular_hole"]["With guidance"].keywords["lesion_size"] == "medium"
    assert all(len(values) == 7 for values in PAPER.values())
    with pytest.raises(ValueError, match=r"findings=\['grade'\]"):
        load_study("region_guided", schema, findings=["grade"])


def asked(*findings: str) -> LabelSchema:
    """Asks for findings whose evidence has their name."""
    return LabelSchema(tuple(Question(name, evidence=(name,)) for name in findings), findings)


SMALL_ONES = {"haemorrhage", "hard exudate", "cotton wool patch", "drusen", "retinal pigmentary change"}


@pytest.mark.parametrize(
    ("finding", "size", "told"),
    [
        ("haemorrhage", "small", "made for small lesions, as the paper has it."),
        ("exudate", "small", "made for small lesions, as the paper has it."),
        ("pigmentary_change", "small", "made for small lesions, as the paper has it."),
        ("macular_hole", "medium", "made for medium lesions, which is our reading"),
        ("atrophy_present", "medium", "made for medium lesions, which is our reading"),
        ("epiretinal_membrane", "large", "made for large lesions, which is our reading"),
        ("rnfl_defect", "large", "made for large lesions, which is our reading"),
        ("irma", "small", "made for small lesions; the paper gives irma no size."),
    ],
)
def test_a_network_is_made_for_the_size_of_its_finding(finding: str, size: str, told: str) -> None:
    """Every row that learns one finding, and the note of every table says whose word it is."""
    study = load_study("region_guided", asked(finding))
    for table in study.values():
        assert {r.keywords["lesion_size"] for r in table.rows.values() if r.name == "region_guided"} == {size}
        assert told in table.note
    own = load_study("region_guided", asked(finding), lesion_size="medium")["Table 1"]
    assert own["With guidance"].keywords["lesion_size"] == "medium"
    assert "made for medium lesions, as asked for." in own.note


def test_sizes_are_the_papers_and_cover_its_table() -> None:
    assert {finding for finding, size in SIZES.items() if size == "small"} == SMALL_ONES
    assert set(SIZES.values()) == {"small", "medium", "large"}
    assert set(PAPER) <= set(SIZES)
    assert called("RNFL_defect") == called("rnfl_defect") == "RNFL defect"


def test_together_says_its_size() -> None:
    schema = asked("haemorrhage", "membrane")
    assert "made for small lesions whatever they are" in load_study("region_guided", schema)["Together"].note
    large = load_study("region_guided", schema, lesion_size="large")["Together"]
    assert "made for large lesions whatever they are" in large.note


def test_labels_are_trained_evaluated_and_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    rows = Manifest(synthetic.SCHEMAS["fundus"], tuple(synthetic.write("fundus", folder, n=24, size=64)), folder)
    rows = split(rows, ratios=(0.5, 0.25, 0.25), seed=0).write(folder / "drawn.jsonl")
    study = load_study("region_guided", rows.schema, shares=[1.0], **SMALL)
    made = run_study(
        study, rows, out=tmp_path / "study", tables=["Labels"], device="cpu", quiet=True, say=lambda _: None
    )
    assert [line[0] for line in made["Labels"].rows] == list(label_rows([1.0]))
    runs = sorted((tmp_path / "study" / "runs").glob("*/split"))
    assert len(runs) == 4
    for folder in runs:
        run: Run = load_run(folder)
        counts = Counts.read(folder, run.recipe.schema)
        present = counts.questions["atrophy_present"].truth.sum()
        assert 0 < len(counts.looks["image"]) == present
        assert np.isfinite(counts.looks["cue"]).all()
        assert np.isfinite(counts.looks["mask"]).all()
        terms = run.log("findings")[0]["train"]
        assert ("guidance" in terms) == (run.recipe.cues is not None)
    assert isinstance(curves_of(tmp_path / "study"), Figure)
    assert len(list(charts(tmp_path / "study"))) == 1
    (tmp_path / "drawn" / "drawn.jsonl").unlink()
    assert not list(charts(tmp_path / "study"))
    with pytest.raises(ValueError, match=r"drawn\.jsonl: no such manifest"):
        curves_of(tmp_path / "study")
    with pytest.raises(ValueError, match="no study there"):
        curves_of(tmp_path)
