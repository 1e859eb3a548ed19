"""The full-size benchmark at 64 pixels on a CPU: it trains, times, stops when time is up, and goes on."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split

FILE = Path(__file__).parent.parent.parent / "benchmarks" / "full_size.py"


@pytest.fixture
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("full_size", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["full_size"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["full_size"]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Command line of two rows, one of them a cascade."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    schema = synthetic.SCHEMAS["oct"]
    drawn = Manifest(schema, tuple(synthetic.write("oct", tmp_path / "drawn", n=12, size=64)), tmp_path / "drawn")
    file = split(drawn, ratios=(0.5, 0.25, 0.25), seed=0).write(tmp_path / "drawn.jsonl").path
    rows = ["--tables", "Table 6", "--rows", "Res18-UNet", "CAM-UNet", "--batches", "1", "2", "--repeats", "3"]
    small = ["--set", "encoder=resnet10t", "--set", "epochs=1", "--set", "batch=2"]
    return ["dual_guidance", str(file), "-o", str(tmp_path / "out"), "--device", "cpu", "--size", "64", *rows, *small]


def test_it_stops_in_time_goes_on_and_times_every_row(
    benchmark: ModuleType, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main([*words, "--minutes", "0.0001"]) == benchmark.STOPPED
    assert "call again to go on" in capsys.readouterr().out
    assert not (tmp_path / "out/timing.csv").exists()
    assert benchmark.main(words) == 0
    lines = benchmark.read(tmp_path / "out/timing.csv")
    assert {(line["row"], line["batch"], line["precision"]) for line in lines} == {
        (row, batch, precision)
        for row in ("Res18-UNet", "CAM-UNet")
        for batch in ("1", "2")
        for precision in ("fp32", "bf16")
    }
    assert len(lines) == 8
    assert all(float(line["ms"]) > 0 and line["size"] == "64x64" for line in lines)
    memory = {(line["row"], line["batch"]): float(line["peak_mib"]) for line in lines if line["precision"] == "fp32"}
    assert memory["CAM-UNet", "2"] > memory["CAM-UNet", "1"] > 20  # weights of resnet10t alone
    assert list((tmp_path / "out/tables").glob("table_6*.csv"))
    shown = capsys.readouterr().out
    assert shown.count("CAM-UNet") >= 4
    written = (tmp_path / "out/timing.csv").read_bytes()
    assert benchmark.main(words) == 0
    assert (tmp_path / "out/timing.csv").read_bytes() == written


def test_in_time_its_status_is_that_of_the_work(
    benchmark: ModuleType, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main([*words, "--rows", "none", "--minutes", "4"]) == 1
    assert "rows=['none'] are in none of the tables" in capfd.readouterr().err


def test_what_is_wrong_is_said(benchmark: ModuleType, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"--set 'size' is no KEY=VALUE"):
        benchmark.keywords(["size"])
    assert benchmark.keywords(["a=1", "b=x", "c=[1]"]) == {"a": 1, "b": "x", "c": [1]}
    with pytest.raises(ValueError, match=r"rows=\['none'\] are in none of the tables"):
        benchmark.main([*words, "--rows", "none"])
    with pytest.raises(ValueError, match=r"unknown keyword \['nonsense'\]"):
        benchmark.main([*words, "--set", "nonsense=1"])
