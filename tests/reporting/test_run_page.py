"""The page and the figures of a study: which images they show, of which methods, and that little is kept of each."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Case
from foveate.data import read, synthetic
from foveate.data.loader import collate
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.study import Study, StudyTable, run_name
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.models.cam import on_image
from foveate.recipes import load_recipe
from foveate.recipes.dual_guidance import guiding_map
from foveate.report.grid import Grid, Tile
from foveate.reporting import figure_plans as figures
from foveate.reporting.figure_plans import dices, most_falsely_marked, one_per_answer, plans, three
from foveate.reporting.figure_results import CAM_SIZE, Figure, FigureResults, Kept
from foveate.reporting.pages import write_report
from foveate.studies import run_study, study_record
from foveate.studies._rows import row_recipe

OCT = synthetic.SCHEMAS["oct"]
SMALL = {"encoder": "resnet10t", "size": 64, "batch": 8, "epochs": 1}
ROWS = {"ResNet": {"mask": "none", "segmenter": None}, "CAM-UNet": {}, "Dual": {"classifier": "dual"}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade, a classifier that marks nothing and a network that does both, trained for one epoch."""
    folder = tmp_path_factory.mktemp("study")
    drawn = Manifest(OCT, tuple(synthetic.write("oct", folder, n=24, size=64)), folder)
    rows = split(drawn, ratios=(0.4, 0.2, 0.4), seed=0).write(folder / "oct.jsonl")
    recipes = {row: row_recipe("dual_guidance", OCT, SMALL, **keywords) for row, keywords in ROWS.items()}
    alone = {"CAM-UNet": recipes["CAM-UNet"]}
    tables = {
        "Table 3": StudyTable(recipes, ("dice", "accuracy/class"), reference="CAM-UNet"),
        "Alone": StudyTable(alone, ("dice",)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        run_study(Study("drawn", tables), rows, out=folder / "study", device="cpu", quiet=True, say=lambda _: None)
    return folder / "study"


@pytest.fixture(scope="module")
def told(study: Path) -> dict[str, list[list[Tile]]]:
    """The report is written; names above the columns -> the tiles of each sheet."""
    sheets: dict[str, list[list[Tile]]] = {}
    opened: list[str] = []
    draw, load = Grid.sheet, Predictor.__init__

    def keep(self: Grid, rows: list[list[Tile]], *, heads: list[str], key: Image.Image) -> Image.Image:
        sheets[f"{len(sheets)}: {', '.join(heads)}"] = rows
        return draw(self, rows, heads=heads, key=key)

    def count(self: Predictor, run: object, **keywords: object) -> None:
        opened.append(str(run))
        load(self, run, **keywords)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Grid, "sheet", keep)
        patch.setattr(Predictor, "__init__", count)
        write_report(study, device="cpu")
    assert len(opened) == len(set(opened)) == 3
    return sheets


def counts_of(study: Path, row: str) -> Counts:
    name = study_record(study)["tables"]["Table 3"]["rows"][row]
    return Counts.read(study / "runs" / name / "split", OCT)


def test_tables_with_several_rows_get_their_figures(study: Path, told: dict[str, list[list[Tile]]]) -> None:
    wanted = ["cams.png", "labels.png", "masks_cnv.png", "masks_drusen.png", "masks_fluid.png"]
    assert sorted(p.name for p in (study / "figures").iterdir()) == [f"table_3_{name}" for name in wanted]
    assert list(told) == [
        "0: image, truth, CAM-UNet, Dual",
        "1: image, truth, CAM-UNet, Dual",
        "2: image, truth, CAM-UNet, Dual",
        "3: image, truth, CAM-UNet, Dual",
        "4: image, ResNet, CAM-UNet, Dual",
    ]
    assert len(list((study / "sheets").iterdir())) == 3
    for path in (study / "figures").iterdir():
        with Image.open(path) as picture:
            assert 600 < picture.width <= 2400


def test_the_page_shows_them_under_their_table(study: Path, told: dict[str, list[list[Tile]]]) -> None:
    page = (study / "report.html").read_text(encoding="utf-8")
    inside = page.partition('id="tables"')[2].partition("</section>")[0]
    assert inside.count('class="beside-another"') == 5
    first, second = inside.find("drawn, Table 3"), inside.find("drawn, Alone")
    assert inside[first:second].count("another seed") == 1  # where methods are compared
    assert "another seed" not in inside[second:]
    assert first < inside.find("beside-another") < inside.rfind("beside-another") < second
    assert "lowest, median and highest Dice of CAM-UNet among the" in inside
    assert "chosen by these scores before another method was read" in inside
    assert "for every answer the image in which it is true" in inside


def test_images_are_those_of_the_reference(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts in which every image has another Dice, and the reference another order than the others."""
    draw = np.random.default_rng(3)
    made: dict[str, Counts] = {}

    def scored(folder: Path, schema: LabelSchema) -> Counts:
        true = Counts.read(folder, schema)
        hits = (true.pixels["tp"] + true.pixels["fn"]) * draw.random(len(true.pixels["tp"]))
        made[folder.parent.name] = Counts(schema, true.pixels | {"tp": hits.astype(np.int64)}, true.answers)
        return made[folder.parent.name]

    monkeypatch.setattr(figures, "Counts", SimpleNamespace(read=scored))
    record = study_record(study)
    *of_labels, of_all, of_maps = plans(study, record)
    reference = made[record["tables"]["Table 3"]["rows"]["CAM-UNet"]]
    assert [plan.label for plan in of_labels] == list(OCT.labels)
    for plan in of_labels:
        assert list(plan.rows) == ["CAM-UNet", "Dual"]
        scores = dices(reference, [plan.label or ""])
        order = sorted(scores.values())
        free = most_falsely_marked(reference, plan.label or "")
        assert plan.images[len(plan.images) - len(free) :] == free
        assert [scores[i] for i in plan.images if i not in free] == [
            order[i] for i in sorted({0, (len(order) - 1) // 2, len(order) - 1})
        ]
    assert of_all.marks == OCT.labels
    assert list(of_all.rows) == ["CAM-UNet", "Dual"]
    assert of_all.images == three(dices(reference, OCT.labels))[0]
    assert list(of_maps.rows) == list(ROWS)
    assert list(of_maps.images[:3]) == one_per_answer(reference, of_maps.chooser)
    scores = dices(reference, OCT.labels)
    assert {max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)} <= set(of_maps.images)
    assert len(of_maps.images) == len(set(of_maps.images)) <= 6


def test_dice_of_the_labels_that_an_image_has() -> None:
    """Against the two masks written out; an image without the label has no Dice to be chosen by."""
    schema = LabelSchema((), ("a", "b"))
    masks = np.zeros((3, 2, 1, 4), bool)
    masks[0, 0, 0, :2], masks[1, 0, 0, :3], masks[1, 1, 0, 3] = True, True, True
    given = np.zeros_like(masks)
    given[0, 0, 0, 1:3], given[1, 0, 0, :3], given[2, 0, 0, 0] = True, True, True
    counts = Counts.of(
        schema,
        images=["i", "j", "k"],
        groups=["i", "j", "k"],
        probability=given.astype(np.float32),
        predicted=given,
        masks=masks,
        known=np.ones_like(masks),
        answer_probability={},
        given={},
        answers=np.zeros((3, 0), np.int64),
    )
    assert dices(counts, ["a"]) == {"i": 0.5, "j": 1.0}
    assert dices(counts, ["a", "b"]) == {"i": 0.5, "j": 0.5}
    assert most_falsely_marked(counts, "a") == ("k",)
    assert most_falsely_marked(counts, "b") == ("i",)  # none marked falsely: the first by name


def test_words_are_those_of_the_evaluation(study: Path, told: dict[str, list[list[Tile]]]) -> None:
    """Dice below a tile as counted; the answers and probabilities as scored, also of the cascade's classifier."""
    sheets = list(told.values())
    for column, row in enumerate(("CAM-UNet", "Dual"), 2):
        counts = counts_of(study, row)
        scores, part = dices(counts, ["drusen"]), counts.labels["drusen"]
        for tiles in sheets[0]:
            image, said = tiles[0].words[0], tiles[column].words[0]
            false = int(part.fp[part.image == counts.images.index(image)][0])
            free = f"false alarm, {false} px" if false else "rightly none"
            assert said == (f"Dice {scores[image]:.3f}" if image in scores else free)
        assert sum(tiles[0].words[0] not in scores for tiles in sheets[0]) == 1
    for column, row in enumerate(ROWS, 1):
        counts = counts_of(study, row)
        part = counts.questions["class"]
        for tiles in sheets[4]:
            at = int(np.flatnonzero(part.image == counts.images.index(tiles[0].words[0]))[0])
            given = OCT.questions[0].answers[part.given[at]]
            sign = "✓" if part.given[at] == part.truth[at] else "✗"
            assert tiles[column].words[0] == f"{given} {part.probability[at, part.given[at]]:.2f} {sign}"


def test_the_map_of_a_cascade_is_its_classifiers(study: Path) -> None:
    """The map that is kept is the one that the first stage hands on to the segmenter."""
    record = study_record(study)
    rows = Manifest.read(record["manifest"]["path"])
    predictor = Predictor.load(study / "runs" / record["tables"]["Table 3"]["rows"]["CAM-UNet"] / "split", device="cpu")
    row = rows.where(split="test").rows[0]
    pixels = read.image(rows.root / row.image)
    kept = Kept.of(predictor, row, pixels, cam=True)
    (answer,) = kept.prediction.cam["class"]
    assert answer == kept.prediction.answers["class"]
    sample = predictor.recipe.prepare.image_only(pixels, schema=OCT, id=row.id)
    first = next(iter(predictor.networks.pipeline.steps(collate([sample], OCT))))
    assert first.stage.name == "cm_cnn"
    handed = guiding_map(first.network, first.batch, first.outputs, question="class", of="predicted")
    assert handed.max() == 1
    wanted = on_image(handed[:, 0], size=(64, 64))[0].numpy()
    assert kept.prediction.cam["class"][answer] == pytest.approx(wanted, abs=2e-3)


def test_what_is_kept_is_what_was_read(study: Path) -> None:
    record = study_record(study)
    rows = Manifest.read(record["manifest"]["path"])
    predictor = Predictor.load(study / "runs" / record["tables"]["Table 3"]["rows"]["Dual"] / "split", device="cpu")
    row = rows.where(split="test").rows[0]
    large = np.repeat(np.repeat(read.image(rows.root / row.image), 11, 0), 13, 1)
    found, kept = predictor(large, cam=True), Kept.of(predictor, row, large, cam=True)
    for label, mask in zip(found.labels, found.masks, strict=True):
        assert (kept.mask(label)[0] == mask).all()
    (cam,) = kept.prediction.cam["class"].values()
    assert max(cam.shape) == CAM_SIZE
    assert kept.truth == dict(row.answers)
    assert not Kept.of(predictor, row, large, cam=False).prediction.cam


def test_three_are_lowest_median_highest() -> None:
    assert three({"e": 0.5, "d": 0.4, "c": 0.3, "b": 0.2, "a": 0.1}) == (("a", "c", "e"), 5)
    assert three({"b": 0.0, "a": 0.0, "c": 1.0, "d": 1.0}) == (("a", "b", "d"), 4)
    assert three({"a": 0.0, "b": 1.0}) == (("a", "b"), 2)
    assert three({"a": 0.0}) == (("a",), 1)
    assert three({}) == ((), 0)


def test_images_that_the_manifest_lost_are_left_out(study: Path, tmp_path: Path) -> None:
    record = study_record(study)
    rows = Manifest.read(record["manifest"]["path"])
    planned = [plan for plan in plans(study, record) if plan.label == "drusen"]
    name = planned[0].rows["Dual"]
    few = rows.with_rows(row for row in rows.rows if row.id != planned[0].images[0])
    readings = FigureResults(planned, few)
    readings.read(name, Predictor.load(study / "runs" / name / "split", device="cpu"))
    assert readings.write(tmp_path) == [Figure("Table 3", tmp_path / "table_3_masks_drusen.png", planned[0].said)]
    none = FigureResults(planned, rows.with_rows(()))
    assert none.wanted(name) == {}
    assert none.write(tmp_path / "none") == []


def test_maps_are_held_against_the_evidence_of_their_answer(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study_record(study)
    rows = Manifest.read(record["manifest"]["path"])
    (plan,) = [plan for plan in plans(study, record) if plan.question is not None]
    (run,) = {run for row, run in plan.rows.items() if row == "ResNet"}
    seen: list[tuple[int, int]] = []

    def keep(images: list[dict[str, Case]], **_: object) -> Image.Image:
        first = images[0]["ResNet"]
        seen.append((len(first.masks), len(first.known)))
        return Image.new("RGB", (2, 2))

    monkeypatch.setattr("foveate.reporting.figure_results.cam_panel", keep)
    unasked = tuple(replace(row, answers={}) for row in rows.rows)
    for evidence in ((), OCT.labels[1:2]):
        schema = replace(OCT, questions=(Question(str(plan.question), ("no", "yes"), evidence=evidence),))
        readings = FigureResults([plan], replace(rows, schema=schema, rows=unasked))
        readings.read(run, Predictor.load(study / "runs" / run / "split", device="cpu"))
        assert len(readings.write(tmp_path)) == 1
    assert seen == [(len(OCT.labels), len(OCT.labels)), (1, 1)]


def test_without_its_manifest_a_study_shows_its_tables(study: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "runs").symlink_to(study / "runs")
    record = study_record(study)
    record["manifest"]["path"] = str(tmp_path / "gone.jsonl")
    (bare / "study.json").write_text(json.dumps(record))
    page = write_report(bare, device="cpu").read_text(encoding="utf-8")
    assert "drawn, Table 3" in page
    assert "beside-another" not in page.partition("</style>")[2]
    assert not (bare / "figures").exists()
    with pytest.raises(ValueError, match=r"recipe\.json|no run"):
        write_report(tmp_path, device="cpu")


def test_rows_of_several_tables_share_a_run(study: Path) -> None:
    record = study_record(study)
    assert record["tables"]["Alone"]["rows"]["CAM-UNet"] == run_name(
        "CAM-UNet", load_recipe("dual_guidance", OCT, **SMALL)
    )
