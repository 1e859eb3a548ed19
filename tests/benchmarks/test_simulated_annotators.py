"""The benchmark of simulated annotators on drawn photographs: a real server, its accounts, an export, networks."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split

pytest.importorskip("fastapi")

FILE = Path(__file__).parent.parent.parent / "benchmarks" / "simulated_annotators.py"
TINY = ["--set", "size=64", "--set", "width=4", "--set", "pyramid=8", "--set", "levels=2", "--set", "epochs=1"]


@pytest.fixture
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("simulated_annotators", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulated_annotators"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["simulated_annotators"]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Twelve photographs in three folds, six with atrophy."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    rows = tuple(synthetic.write("fundus", tmp_path / "drawn", n=12, size=96))
    made = Manifest(synthetic.SCHEMAS["fundus"], rows, tmp_path / "drawn")
    return split(made, folds=3).write(tmp_path / "drawn.jsonl")


def test_annotators_work_the_rule_decides_and_networks_learn_from_both(
    benchmark: ModuleType, drawn: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [str(drawn.path), "-o", str(out), "--device", "cpu", "--folds", "1", "--false", "0.5", *TINY]
    assert benchmark.main(words) == 0
    agreed, each = Manifest.read(out / "consensus.jsonl"), Manifest.read(out / "consensus.annotators.jsonl")
    assert [(row.id, row.fold, row.patient) for row in agreed] == [(row.id, row.fold, row.patient) for row in drawn]
    assert agreed.schema == Manifest.read(out / "original.jsonl").schema
    told = benchmark.truths(benchmark.one_finding(drawn, None))
    noise = benchmark.Noise(false=0.5)
    disputed = 0
    for row, read in zip(agreed, each, strict=True):
        said = [benchmark.reading(told[row.id], noise, annotator=n, image=row.id) for n in (1, 2, 3)]
        cues = {cue.annotator: set(cue.regions) for cue in read.cues["atrophy"]}
        assert cues == {f"annotator {n}": set(regions) for n, regions in enumerate(said, 1)}, row.id
        saw = sum(bool(regions) for regions in said)
        disputed += saw == 1
        there = saw > 1 if saw != 1 else bool(told[row.id].holding)
        assert row.answers == {"atrophy_present": "yes" if there else "no"}, (row.id, said)
        (cue,) = row.cues["atrophy"]
        assert set(cue.regions) == ({name for some in said for name in some} if there else set()), row.id
    assert disputed > 0
    found = json.loads((out / "annotators.json").read_text())
    assert (found["images"], found["with_finding"], found["adjudicated"]) == (12, 6, disputed)
    assert -1 < found["fleiss_kappa"] < 1
    assert set(found["annotators"]) == {"annotator 1", "annotator 2", "annotator 3"}
    assert found["saves"] >= 36
    runs = {folder.name.rpartition("-")[0] for folder in (out / "runs").iterdir()}
    assert runs == {f"{truth}-{how}-guidance" for truth in ("masks", "annotators") for how in ("with", "without")}
    for folder in (out / "runs").iterdir():
        about = json.loads((folder / "fold0/metrics.json").read_text())["about"]
        assert about["manifest"] == str((out / "original.jsonl").resolve()), "all are evaluated on the masks"
        assert (about["images"], about["splits"], about["seen in training"]) == (4, ["test"], 0)
    page = (out / "comparison.md").read_text()
    assert all(f"{truth}, {how} guidance" in page for truth in ("Masks", "Annotators") for how in ("with", "without"))
    assert all(f"| {head}" in page for head in ("AUROC ↑", "Δ AUROC", "AIR ↑", "Δ AIR", "AIR, masks ↑"))
    capsys.readouterr()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json*") if path.name != "original.jsonl"}
    assert benchmark.main(words) == 0, "nothing is done again"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "comparison.md").read_text() == page
    with pytest.raises(ValueError, match="holds readings with another seed; name another folder"):
        benchmark.main([*words, "--seed", "1"])


def test_it_goes_on_in_a_project_that_was_left(
    benchmark: ModuleType, drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(drawn.path), "-o", str(tmp_path / "out"), "--folds", "0", "--adjudicator", "none", "--false", "0.5"]
    save, saved = benchmark.Person.save, []

    def once(*given: object, **keywords: object) -> int:
        if len(saved) >= 10:
            raise KeyError("the benchmark was stopped")
        saved.append(given)
        return int(save(*given, **keywords))

    with monkeypatch.context() as stopped:
        stopped.setattr(benchmark.Person, "save", once)
        with pytest.raises(KeyError, match="was stopped"):
            benchmark.main(words)
    assert not (tmp_path / "out/annotators.json").exists()
    assert benchmark.main(words) == 0
    found = json.loads((tmp_path / "out/annotators.json").read_text())
    agreed = Manifest.read(tmp_path / "out/consensus.jsonl")
    assert all(len(row.readings) == 3 for row in agreed)
    alone = [sum(given["atrophy_present"] == "yes" for given in row.readings.values()) == 1 for row in agreed]
    assert [not row.answers for row in agreed] == alone, "what one alone saw is left out"
    assert found["consensus"]["unknown"] == sum(alone) > 0
    assert found["adjudicated"] == 0
    assert not (tmp_path / "out/runs").exists()


def test_errors_are_as_frequent_as_asked(benchmark: ModuleType, drawn: Manifest) -> None:
    told = benchmark.truths(benchmark.one_finding(drawn, None))
    ranks = sorted(truth.rank for truth in told.values() if truth.holding)
    np.testing.assert_allclose(ranks, np.linspace(0, 1, 6))
    beside = {"macula": ("temporal", "superior"), "temporal": ("macula",), "superior": ("macula",)}
    noise = benchmark.Noise(miss=0.2, false=0.1, drop=0.3, add=0.4, seed=5)
    middle = benchmark.Truth({"macula": 9, "temporal": 1}, beside, rank=0.5)
    said = [benchmark.reading(middle, noise, annotator=1, image=f"{i}") for i in range(4000)]
    seen = [set(regions) for regions in said if regions]
    assert 1 - len(seen) / 4000 == pytest.approx(0.2, abs=0.02)
    assert np.mean(["superior" in regions for regions in seen]) == pytest.approx(0.4, abs=0.03)
    assert np.mean(["temporal" not in regions for regions in seen]) == pytest.approx(0.3, abs=0.03)
    assert np.mean(["macula" not in regions for regions in seen]) == pytest.approx(0.3 * 0.7, abs=0.03)
    largest = benchmark.Truth(middle.holding, beside, rank=1.0)
    assert all(benchmark.reading(largest, noise, annotator=1, image=f"{i}") for i in range(500))
    without = benchmark.Truth({}, beside, rank=0.0)
    false = [benchmark.reading(without, noise, annotator=2, image=f"{i}") for i in range(4000)]
    assert np.mean([bool(regions) for regions in false]) == pytest.approx(0.1, abs=0.02)
    assert {name for regions in false for name in regions} == set(beside)
    assert {len(regions) for regions in false} == {0, 1}
    none = benchmark.Noise(0, 0, 0, 0)
    assert benchmark.reading(middle, none, annotator=1, image="a") == ("macula", "temporal")


def test_readings_are_held_against_the_masks(benchmark: ModuleType) -> None:
    told = {
        "a": benchmark.Truth({"macula": 4, "temporal": 2}, {}, 1.0),
        "b": benchmark.Truth({"inferior": 3}, {}, 0.0),
        "c": benchmark.Truth({}, {}, 0.0),
        "d": benchmark.Truth({}, {}, 0.0),
    }
    said = {"a": "yes", "b": "no", "c": "yes", "d": None}
    named = {"a": {"macula", "superior"}, "b": set(), "c": {"nasal inferior"}, "d": set()}
    found = benchmark.against(said, named, told)
    assert found["kappa"] == pytest.approx(-0.5)
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == 0.0
    assert found["region_precision"] == pytest.approx(1 / 3)
    assert found["region_recall"] == pytest.approx(1 / 3)
    assert found["unknown"] == 1
    assert benchmark.against({}, {}, told)["sensitivity"] is None


def test_what_is_wrong_is_said(benchmark: ModuleType, drawn: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"miss=0.6; give a probability from 0 to 0.5"):
        benchmark.Noise(miss=0.6)
    with pytest.raises(ValueError, match=r"finding='grade' must be one of \['atrophy_present'\]"):
        benchmark.main([str(drawn.path), "-o", str(tmp_path / "out"), "--finding", "grade"])
    one = benchmark.one_finding(drawn, "atrophy_present")
    bare = one.with_rows(type(row)(row.id, row.image, row.answers, row.masks) for row in one)
    with pytest.raises(ValueError, match=r"'fundus_0000' has no disc position"):
        benchmark.truths(bare)
    other = one.with_rows(type(row)(row.id, row.image, {}, row.masks, disc=row.disc, fovea=row.fovea) for row in one)
    with pytest.raises(ValueError, match=r"answer and mask of 'atrophy' differ in 12 images"):
        benchmark.truths(other)
