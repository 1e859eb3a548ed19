"""Evaluation: pixels counted in the original images, as by hand, and said to be what they are."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine_toys import CLASSES, Nested, TinyNet, tiny_recipe
from PIL import Image
from torch import Tensor, nn

from foveate.core.files import write_json
from foveate.core.types import MaskSource, Outputs, Prediction, Row
from foveate.data import read
from foveate.data.cache import cache_at
from foveate.data.loader import Dataset
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.checkpoint import save_weights
from foveate.engine.evaluate import count_validation, evaluate, validate
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.metrics.lesions import read_lesions
from foveate.metrics.never_given import never_given
from foveate.metrics.summary import summary

SHAPES = ((41, 67), (90, 30), (32, 32), (75, 33))


def grey(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A smooth random image, so that a network's logits cross the threshold here and there."""
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6), dtype=np.uint8))
    return np.array(coarse.resize(shape[::-1], Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Odd sizes, two annotators, pixels to be ignored, an image without masks and one known to be free of the label."""
    folder, rng = tmp_path_factory.mktemp("odd"), np.random.default_rng(5)
    found = []
    for i, shape in enumerate(SHAPES):
        Image.fromarray(grey(rng, shape)).save(folder / f"i{i}.png")
        for annotator in "ab":
            mask = (grey(rng, shape) > 128).astype(np.uint8)
            mask[: shape[0] // 4] = 7
            Image.fromarray(mask).save(folder / f"m{i}{annotator}.png")
        sources = tuple(MaskSource(f"m{i}{g}.png", index=(1,), ignore=(7,), annotator=g) for g in "ab")
        masks = ({"blob": sources}, {"blob": sources[:1]}, {}, {"blob": (MaskSource(),)})[i]
        answers: dict[str, str] = ({"blob_present": "yes"}, {"blob_present": "no"}, {"blob_present": "yes"}, {})[i]
        split = ("train", "val", "test", "test")[i]
        found.append(Row(f"i{i}", f"i{i}.png", answers=answers, masks=masks, patient=f"p{i // 2}", split=split))
    return Manifest(CLASSES, tuple(found), folder)


def untrained(recipe: Recipe, rows: Manifest, folder: Path) -> Run:
    """A run whose weights are random; its splits are those of the rows."""
    run = Run(folder, recipe)
    for number, stage in enumerate(recipe.stages):
        torch.manual_seed(number)
        save_weights(run.stage_folder(stage.name) / "weights.safetensors", loud(stage.network()))
    write_json(folder / "splits.json", {row.id: row.split for row in rows})
    return run


def loud(network: nn.Module) -> nn.Module:
    """Weights so large that every image has pixels on both sides of the threshold."""
    for name in ("pixel", "image"):
        if isinstance(part := getattr(network, name, None), (nn.Conv2d, nn.Linear)):
            nn.init.normal_(part.weight, std=3.0)
            nn.init.constant_(part.bias, -1.0) if part.bias is not None else None
    return network


@pytest.fixture
def run(rows: Manifest, tmp_path: Path) -> Run:
    return untrained(tiny_recipe(), rows, tmp_path / "run")


@pytest.fixture
def hold(rows: Manifest, run: Run, tmp_path: Path) -> Callable[..., object]:
    def held(**keywords: object) -> object:
        return evaluate(run, rows, device="cpu", cache=tmp_path / "c", **keywords)  # type: ignore[arg-type]

    return held


def logits(run: Run, rows: Manifest, row: Row) -> tuple[Tensor, Tensor, tuple[int, int, int, int]]:
    """Pixel and image logits in the frame, and the part of the frame that is not padding."""
    pixels = np.array(Image.open(rows.root / row.image).convert("RGB"))
    frame, geometry = run.recipe.prepare.frame(pixels)
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        out = run.network("tiny")(image)
    return out.pixel, out.image, geometry.inner


def by_hand(run: Run, rows: Manifest, row: Row, annotator: str) -> tuple[int, int, int, int]:
    """tp, fp, fn, tn of one image and annotator, with nothing of the house but the frame."""
    pixel, _, (top, left, height, width) = logits(run, rows, row)
    mask = np.array(Image.open(rows.root / f"m{row.id[1:]}{annotator}.png"))
    inner = torch.sigmoid(pixel)[:, :, top : top + height, left : left + width]
    shrinking = mask.shape[0] < height or mask.shape[1] < width
    full = F.interpolate(inner, mask.shape, mode="bilinear", align_corners=False, antialias=shrinking)[0, 0].numpy()
    found, truth, known = full >= 0.5, mask == 1, mask != 7
    return tuple(  # type: ignore[return-value]
        int((a & b & known).sum()) for a, b in ((found, truth), (found, ~truth), (~found, truth), (~found, ~truth))
    )


def counted(counts: object) -> dict[str, tuple[int, int, int, int]]:
    table = counts.pixels  # type: ignore[attr-defined]
    columns = zip(*(table[name].tolist() for name in ("image", "tp", "fp", "fn", "tn")), strict=True)
    return {image: (tp, fp, fn, tn) for image, tp, fp, fn, tn in columns}


@pytest.mark.parametrize("annotator", ["a", "b"])
def test_pixels_are_those_counted_by_hand(
    annotator: str, run: Run, rows: Manifest, hold: Callable[..., object]
) -> None:
    counts = counted(hold(annotators=annotator, intervals=False))
    expected = {row.id: by_hand(run, rows, row, annotator) for row in rows.rows[: 2 if annotator == "a" else 1]}
    assert {image: counts[image] for image in expected} == expected
    assert min(expected["i0"]) > 0, expected
    assert "i2" not in counts
    assert "i3" not in counts  # "absent" was stated by another annotator


def test_several_annotators_are_merged_as_the_recipe_says(
    run: Run, rows: Manifest, hold: Callable[..., object]
) -> None:
    both, a, b = (counted(hold(annotators=g, intervals=False))["i0"] for g in (None, "a", "b"))
    assert both[0] + both[2] > max(a[0] + a[2], b[0] + b[2])
    assert sum(both) == sum(a) == sum(b)
    agreed = counted(hold(annotators="intersection", intervals=False))["i0"]
    assert agreed[0] + agreed[2] < min(a[0] + a[2], b[0] + b[2])
    absent = counted(hold(intervals=False))["i3"]
    assert absent[0] == absent[2] == 0
    assert sum(absent) == 75 * 33
    assert json.loads((run.folder / "metrics.json").read_text())["about"]["annotators"] == "union"
    with pytest.raises(
        ValueError, match=r"annotators must be a rule .* one of the rows' annotators \['a', 'b', 'grader1'\], got 'c'"
    ):
        hold(annotators="c")


def test_answers_are_scored_where_they_are_known(run: Run, rows: Manifest, hold: Callable[..., object]) -> None:
    table = hold(intervals=False).answers  # type: ignore[attr-defined]
    assert sorted(set(table["image"].tolist())) == ["i0", "i1", "i2"]
    for row in rows.rows[:3]:
        yes = float(torch.sigmoid(logits(run, rows, row)[1])[0, 0])
        at = (table["image"] == row.id) & (table["answer"] == "yes")
        assert table["probability"][at] == pytest.approx([yes], abs=1e-5)
        assert table["truth"][at].tolist() == [int(row.answers["blob_present"] == "yes")]
        assert table["given"][at].tolist() == [int(yes >= 0.5)]
        assert table["group"][at].tolist() == [row.patient]


def test_what_was_evaluated_is_said(run: Run, rows: Manifest, hold: Callable[..., object], tmp_path: Path) -> None:
    counts = hold()
    data = json.loads((run.folder / "metrics.json").read_text())
    about = data["about"]
    assert (about["images"], about["groups"], about["splits"]) == (4, 2, ["test", "train", "val"])
    assert about["seen in training"] == 2
    assert about["never given"] == list(never_given(counts))  # type: ignore[arg-type]
    assert "1000 repeats" in about["interval"]
    dice = data["metrics"]["pixel/dice"]
    assert set(dice) == {"value", "low", "high", "images", "groups", "undefined"}
    assert dice["low"] <= dice["value"] <= dice["high"]
    assert type(counts).read(run.folder, run.recipe.schema) == counts  # type: ignore[attr-defined]
    evaluate(run, rows.where(split="test"), device="cpu", cache=tmp_path / "c", intervals=False)
    assert json.loads((run.folder / "metrics.json").read_text())["about"]["seen in training"] == 0


def test_every_row_is_handed_on_with_its_prediction(rows: Manifest, hold: Callable[..., object]) -> None:
    seen: dict[str, Prediction] = {}
    hold(intervals=False, each=lambda row, prediction: seen.update({row.id: prediction}))
    assert [p.masks.shape for p in seen.values()] == [(1, *shape) for shape in SHAPES]
    assert list(seen) == [row.id for row in rows]


class Says(nn.Module):
    """Answers and marks as it is told, whatever the image."""

    def __init__(self, pixel: float | None, image: float | None) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.logits = pixel, image

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        pixel, answer = self.logits
        return Outputs(
            pixel=None if pixel is None else torch.full_like(image[:, :1], pixel) + self.bias,
            image=None if answer is None else image.new_full((len(image), 1), answer) + self.bias,
        )


def staged(*networks: tuple[float | None, float | None]) -> Recipe:
    stages = tuple(
        Stage(f"s{i}", network=lambda says=says: Says(*says), loss=Weigh(pixels=(1.0, bce)))
        for i, says in enumerate(networks)
    )
    return replace(tiny_recipe(), stages=stages)


@pytest.mark.parametrize("logit", [None, -3.0])
def test_images_free_of_a_label_are_told(logit: float | None, run: Run, rows: Manifest, tmp_path: Path) -> None:
    """The policy stands in metrics.json and makes the mean that it should, whether or not something was marked."""
    run = run if logit is None else untrained(staged((logit, None)), rows, tmp_path / "nothing")
    keywords = {"device": "cpu", "cache": tmp_path / "c", "intervals": False}
    cells = counted(evaluate(run, rows, **keywords))
    scores = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn, _ in (cells["i0"], cells["i1"])]
    empty = cells["i3"][1] == 0
    assert empty == (logit is not None)
    for policy, expected in (("one", [*scores, float(empty)]), ("zero", [*scores, 0.0]), ("exclude", scores)):
        evaluate(run, rows, absent=policy, **keywords)
        data = json.loads((run.folder / "metrics.json").read_text())
        assert data["about"]["absent"] == policy
        assert data["about"]["interval"] is None
        assert data["metrics"]["pixel/dice/blob"] == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="absent"):
        evaluate(run, rows, absent="ignore", **keywords)


@pytest.mark.parametrize(
    ("networks", "marked", "yes"),
    [
        (((None, 2.0), (3.0, None)), True, True),
        (((3.0, 2.0), (-3.0, None)), False, True),
        (((3.0, 2.0), (None, -2.0)), True, False),
    ],
)
def test_the_last_stage_that_says_anything_counts(
    networks: tuple[tuple[float | None, float | None], ...],
    marked: bool,
    yes: bool,
    rows: Manifest,
    tmp_path: Path,
) -> None:
    run = untrained(staged(*networks), rows, tmp_path / "run")
    counts = evaluate(run, rows, device="cpu", cache=tmp_path / "c", intervals=False)
    assert all((fp > 0) == marked for _, fp, _, _ in counted(counts).values())
    at = counts.answers["answer"] == "yes"
    assert counts.answers["given"][at].tolist() == [int(yes)] * 3
    label, answer = "label blob: in 2 images, marked in none", "question blob_present: always answered "
    told = json.loads((run.folder / "metrics.json").read_text())["about"]["never given"]
    assert [line.partition(";")[0] for line in told] == [label] * (not marked) + [answer + ("yes" if yes else "no")]


def test_validation_counts_what_its_metrics_are_made_of(rows: Manifest, tmp_path: Path) -> None:
    """So that training can report at its end what the network never gives in the network's own frame."""
    recipe = staged((-20.0, -20.0))
    network, loss = recipe.stages[0].network(), recipe.stages[0].loss
    data = Dataset(rows.rows, rows.root, recipe.schema, recipe.prepare, cache=cache_at(tmp_path / "c"))
    keywords = {"loss": loss, "recipe": recipe, "device": torch.device("cpu"), "threads": 1}
    mean, counts = count_validation(network, data, **keywords)  # type: ignore[arg-type]
    metrics = validate(network, data, **keywords)  # type: ignore[arg-type]
    assert metrics == pytest.approx({"loss": mean, **summary(counts)}, nan_ok=True)
    assert (metrics["found"], metrics["dice_present"]) == (0, 0)
    assert never_given(counts)[0] == "label blob: in 2 images, marked in none"


def test_stages_that_only_answer_count_no_pixel(rows: Manifest, tmp_path: Path) -> None:
    run = untrained(staged((None, 2.0)), rows, tmp_path / "a")
    counts = evaluate(run, rows, device="cpu", cache=tmp_path / "c", intervals=False)
    assert not counts.pixels["image"].size
    assert counts.answers["image"].size == 6
    run = untrained(staged((2.0, None)), rows, tmp_path / "b")
    counts = evaluate(run, rows, device="cpu", cache=tmp_path / "c", intervals=False)
    assert not counts.answers["image"].size
    assert len(counted(counts)) == 3


def test_a_later_stage_reads_what_an_earlier_one_wrote(rows: Manifest, tmp_path: Path) -> None:
    """Counts of two stages, one handing a map to the other, equal those of the two networks called in turn."""
    writes = {"map": lambda net, batch, outputs: outputs.features[-1].mean(1, keepdim=True)}
    first = replace(tiny_recipe().stages[0], writes=writes)
    second = Stage("second", network=Nested, loss=Weigh(pixels=(1.0, bce)), reads={"prior": "tiny/map"})
    recipe = replace(tiny_recipe(), stages=(first, second), prepare=Prepare(size=32, grey=True, stretch=True))
    run = untrained(recipe, rows, tmp_path / "run")
    seen: dict[str, Prediction] = {}
    evaluate(
        run,
        rows,
        device="cpu",
        cache=tmp_path / "c",
        intervals=False,
        each=lambda row, prediction: seen.update({row.id: prediction}),
    )
    row = rows[2]  # 32 x 32: the frame is the image
    image = torch.from_numpy(np.array(Image.open(rows.root / row.image)))[None, None].float() / 255
    with torch.no_grad():
        prior = run.network("tiny")(image).features[-1].mean(1, keepdim=True)
        expected = torch.sigmoid(run.network("second")(image, prior).pixel)[0]
    np.testing.assert_allclose(seen[row.id].probability, expected.numpy(), atol=1e-5)
    assert isinstance(run.network("tiny"), TinyNet)


def test_single_lesions_make_up_the_counts(rows: Manifest, tmp_path: Path) -> None:
    run = untrained(staged((2.0, None)), rows, tmp_path / "run")
    counts = evaluate(run, rows, device="cpu", cache=tmp_path / "c", intervals=False)
    lesions = read_lesions(run.folder / "lesions.csv")
    shapes = {row.id: read.size(rows.root / row.image) for row in rows}
    for image, (tp, fp, fn, _) in counted(counts).items():
        pixels = lesions["share"] * shapes[image][0] * shapes[image][1] * (lesions["image"] == image)
        assert pixels[lesions["drawn"] == 1].sum() == pytest.approx(tp + fn)
        assert pixels[lesions["drawn"] == 0].sum() == pytest.approx(tp + fp)


def test_another_folder_leaves_the_run_as_it_is(run: Run, hold: Callable[..., object], tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(run.folder.rglob("*"))}
    hold(intervals=False, out=tmp_path / "elsewhere")
    assert {path: path.stat().st_mtime_ns for path in sorted(run.folder.rglob("*"))} == before
    files = sorted(p.name for p in (tmp_path / "elsewhere").iterdir())
    assert files == ["counts.csv", "lesions.csv", "metrics.json", "scores.csv"]


def test_what_is_wrong_is_said(rows: Manifest, run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run must be a Run, got .*; open a folder with foveate\.load_run"):
        evaluate(run.folder, rows, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none to evaluate"):
        evaluate(run, rows.where(split="nothing"), device="cpu")
    (run.folder / "tiny/weights.safetensors").unlink()
    with pytest.raises(ValueError, match="no weights there"):
        evaluate(run, rows, device="cpu", cache=tmp_path / "c")
    missing = rows.with_rows([replace(rows[0], image="gone.png")])
    with pytest.raises(ValueError, match=r"gone\.png: there is no such file"):
        evaluate(untrained(tiny_recipe(), rows, tmp_path / "again"), missing, device="cpu", cache=tmp_path / "c")
