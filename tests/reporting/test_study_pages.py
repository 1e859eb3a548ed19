"""Pages of the studies that offer figures of their own: activation maps with cues and regions, sizes, costs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.data import synthetic
from foveate.data.loader import Dataset
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.study import Study
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.report.annotation_cost import SECONDS
from foveate.report.grid import Grid, Tile
from foveate.reporting.figure_plans import plans
from foveate.reporting.figure_results import FigureResults
from foveate.reporting.finding_figures import seen_of
from foveate.reporting.pages import write_report
from foveate.studies import load_study, run_study, study_charts, study_record

FUNDUS = synthetic.SCHEMAS["fundus"]
SMALL = {"size": 64, "width": 4, "pyramid": 8, "levels": 3, "batch": 4, "epochs": 1, "vary": False}
ROWS = ("Image labels", "Regions, 100%")


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of what labels are worth with two rows, on drawn retinas larger than the networks' frame."""
    folder = tmp_path_factory.mktemp("guided")
    drawn = Manifest(FUNDUS, tuple(synthetic.write("fundus", folder, n=24, size=96)), folder)
    rows = split(drawn, ratios=(0.4, 0.2, 0.4), seed=0).write(folder / "fundus.jsonl")
    whole = load_study("region_guided", rows.schema, shares=[1.0], **SMALL)
    table = whole["Labels"]
    few = type(table)({row: table[row] for row in ROWS}, table.metrics, reference=table.reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        run_study(Study("region_guided", {"Labels": few}), rows, out=folder / "study", device="cpu", quiet=True,
                  say=lambda _: None)  # fmt: skip
    return folder / "study"


def test_the_page_has_maps_and_costs(guided: Path, tmp_path: Path) -> None:
    """With a reading centre's own seconds, from the command line."""
    (tmp_path / "s.json").write_text('{"regions": 3600, "image": 36}')
    told = CliRunner().invoke(app, ["report", str(guided), "--device", "cpu", "--seconds", str(tmp_path / "s.json")])
    assert told.exit_code == 0, told.exception
    assert sorted(path.name for path in (guided / "figures").iterdir()) == ["labels_cost.png", "labels_maps.png"]
    page = (guided / "report.html").read_text(encoding="utf-8")
    inside = page.partition('id="tables"')[2].partition("</section>")[0]
    assert inside.count('class="beside-another"') == 2
    assert "regions 3600 s" in inside
    assert "masks 300 s" in inside
    assert "(as given)" in inside
    assert "Activation maps of atrophy_present" in inside
    assert "among the" in inside
    for path in (guided / "figures").iterdir():
        with Image.open(path) as picture:
            assert 600 < picture.width <= 2400


def test_seconds_move_the_points(guided: Path) -> None:
    """The hours are those of the images that were labelled, to train and to validate on."""
    spent = []
    for seconds in ({}, {"image": 3600.0}):
        (made,) = study_charts(guided, seconds=seconds)
        spent.append([float(part.lines[0].get_xdata()[0]) for part in made.figure.axes[0].containers])
    run = load_run(guided / "runs" / study_record(guided)["tables"]["Labels"]["rows"]["Image labels"] / "split")
    rows = {row.id: row for row in Manifest.read(study_record(guided)["manifest"]["path"])}
    seen = [rows[image] for image, part in run.splits.items() if part in ("train", "val")]
    drawn = sum(row.answers["atrophy_present"] == "yes" for row in seen)
    assert len(seen) != len(Counts.read(run.folder, run.recipe.schema))
    images, regions = len(seen), SECONDS["regions"] * drawn / 3600
    assert spent[0] == pytest.approx([images * 10 / 3600, images * 10 / 3600 + regions])
    assert spent[1] == pytest.approx([images, images + regions])
    with pytest.raises(ValueError, match=r"seconds: the kind of label must be one of .* got 'mask'"):
        study_charts(guided, seconds={"mask": 3})


def test_what_is_shown_of_a_finding_is_what_was_evaluated(guided: Path) -> None:
    """Cue and maps in the image's own pixels are those of the frame; AIR below a map is of cells (looks.csv)."""
    record = study_record(guided)
    rows = Manifest.read(record["manifest"]["path"])
    (plan,) = plans(guided, record)
    assert plan.finding == "atrophy_present"
    assert list(plan.rows) == list(ROWS)
    readings = FigureResults([plan], rows)
    for name in plan.rows.values():
        readings.read(name, Predictor.load(guided / "runs" / name / "split", device="cpu"))
    run = load_run(guided / "runs" / plan.rows["Image labels"] / "split")
    counts = {row: Counts.read(guided / "runs" / name / "split", run.recipe.schema) for row, name in plan.rows.items()}
    looks = counts["Image labels"].looks
    airs = sorted(looks["cue"].tolist())
    of_chooser = dict(zip(looks["image"].tolist(), looks["cue"].tolist(), strict=True))
    assert [of_chooser[image] for image in plan.images] == [airs[0], airs[(len(airs) - 1) // 2], airs[-1]]
    data = Dataset(rows.rows, rows.root, run.recipe.schema, run.recipe.prepare, cues=run.recipe.eval_cues)
    order = [row.id for row in rows.rows]
    for seen in seen_of(plan, rows, readings._predictions(plan)):
        sample = data.sample(order.index(seen.id))
        assert sample.cues is not None
        assert seen.cue is not None
        top, left, height, width = sample.geometry.crop
        part = seen.cue[top : top + height, left : left + width]
        inner = sample.geometry.inner
        framed = sample.cues[0][inner[0] : inner[0] + inner[2], inner[1] : inner[1] + inner[3]]
        assert part.mean() == pytest.approx(framed.mean(), abs=0.01)
        assert seen.regions is not None
        deep = max(60, int(0.02 * seen.mask.size))  # at the seams a pixel may fall to either side
        assert set(seen.regions.holding(seen.cue, least=deep)) <= set(seen.regions.holding(seen.mask))
        for method in ROWS:
            found = counts[method].looks
            at = found["image"].tolist().index(seen.id)
            assert seen.words[method][1] == f"AIR {found['cue'][at]:.2f}, of the mask {found['mask'][at]:.2f}"
            cam = seen.maps[method]
            inside = ~np.isnan(cam)
            assert inside.sum() == height * width
            assert cam[seen.mask & inside].sum() / cam[inside].sum() == pytest.approx(found["mask"][at], abs=0.05)


def test_looks_of_findings_are_of_their_own_maps(guided: Path) -> None:
    page = write_report(guided, device="cpu", looks=True).read_text(encoding="utf-8")
    assert "where the answer was seen" in page
    assert "own map if the network has one" in page
    assert (guided / "tables" / "labels_looks.txt").is_file()


def test_seconds_that_are_of_no_use_are_refused(guided: Path, tmp_path: Path) -> None:
    run = next((guided / "runs").glob("*/split"))
    with pytest.raises(ValueError, match="must be a study; the page of a run has no figure of annotation costs"):
        write_report(run, device="cpu", seconds={})
    for text, expected in (
        ("{", "not a JSON file"),
        ("[1]", "must have an object"),
        (json.dumps({"masks": 0}), "give a number of seconds above 0"),
    ):
        (tmp_path / "s.json").write_text(text)
        told = CliRunner().invoke(app, ["report", str(guided), "--seconds", str(tmp_path / "s.json")])
        assert isinstance(told.exception, ValueError)
        assert expected in str(told.exception)


def test_charts_of_a_study_stand_under_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures 4 and 5 beside the panels of what was marked, of four lesions; who tells presence alone marks nothing."""
    seen: list[list[str]] = []
    draw = Grid.sheet

    def keep(self: Grid, rows: list[list[Tile]], *, heads: list[str], key: Image.Image) -> Image.Image:
        seen.append(heads)
        return draw(self, rows, heads=heads, key=key)

    monkeypatch.setattr(Grid, "sheet", keep)
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    drawn = Manifest(FUNDUS, tuple(synthetic.write("fundus", tmp_path / "d", n=20, size=64)), tmp_path / "d")
    rows = split(drawn, ratios=(0.4, 0.3, 0.3), seed=0).write(tmp_path / "d" / "fundus.jsonl")
    learnt = ["microaneurysm", "haemorrhage", "hard_exudate", "cotton_wool_spot"]
    small = {"encoder": "resnet10t", "size": 64, "batch": 4, "epochs": 1, "lr": 0.003, "stretch": False}
    # one epoch on eight images: with stretched frames one of the two networks marks nothing yet and has no column
    whole = load_study("lesion_net", FUNDUS, labels=learnt, **small)
    table = whole["Path"]
    two = {row: table[row] for row in ("Lesion-Net-16s", "Lesion-Net-2s")}
    two["Inception-v3"] = whole["Table II classification"]["Inception-v3"]
    few = Study("lesion_net", {"Path": type(table)(two, ("dice_pooled",))})
    run_study(few, rows, out=tmp_path / "s", device="cpu", quiet=True, say=lambda _: None)
    page = write_report(tmp_path / "s", device="cpu").read_text(encoding="utf-8")
    written = {path.name for path in (tmp_path / "s" / "figures").iterdir()}
    marking = ["image", "truth", "Lesion-Net-16s", "Lesion-Net-2s"]
    assert seen == [marking] * 4 + [[*marking, "Inception-v3"]]
    shown = {"path_labels.png", *(f"path_masks_{label}.png" for label in learnt)}
    assert written == {"path_f1_by_label.png", "path_f1_by_size.png", *shown}
    assert page.partition("</style>")[2].count('class="beside-another"') == 7
    assert "F1 of single lesions by their size" in page


def test_a_study_of_ones_own_has_no_charts(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"name": "mine", "tables": {}, "folds": []}))
    assert study_charts(tmp_path) == []
    with pytest.raises(ValueError, match="the study 'mine' has no chart that uses it"):
        study_charts(tmp_path, seconds={})
