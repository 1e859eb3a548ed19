"""The log and TensorBoard say the same, also after a run was killed and replayed."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from engine_toys import tiny_recipe, toy_manifest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from foveate.engine.checkpoint import load_state, save_state
from foveate.engine.fit import fit
from foveate.engine.logs import Ledger, Watch


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value), as TensorBoard shows them."""
    board = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def from_log(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from the log."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        values = {f"{kind}/{name}": v for kind in ("train", "val") for name, v in entry[kind].items()}
        for tag, value in {**values, "lr": entry["lr"]}.items():
            found.setdefault(tag, []).append((entry["step"], value))
    return found


def agree(folder: Path) -> None:
    board, log = scalars(folder), from_log(folder)
    assert board.keys() == log.keys()
    for tag, points in log.items():
        assert [step for step, _ in board[tag]] == [step for step, _ in points]
        assert [v for _, v in board[tag]] == pytest.approx([v for _, v in points], rel=1e-5, nan_ok=True)


def test_tensorboard_shows_the_log(tmp_path: Path) -> None:
    rows = toy_manifest(tmp_path)
    run = fit(tiny_recipe(epochs=3), rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    folder = run.stage_folder("tiny")
    agree(folder)
    log = run.log("tiny")
    assert [entry["epoch"] for entry in log] == [1, 2, 3]
    assert {"train/answers", "train/pixels", "val/loss", "val/pixel/dice", "lr"} <= from_log(folder).keys()
    assert "time" not in (folder / "log.jsonl").read_text()
    times = [json.loads(line) for line in (folder / "times.jsonl").read_text().splitlines()]
    assert [t["step"] for t in times] == [entry["step"] for entry in log]
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(times))


def entry(step: int, **changes: object) -> dict[str, object]:
    values = {"epoch": step, "step": step, "lr": 0.1 / step, "train": {"pixels": 1.0 / step}, "best": True}
    return {**values, "val": {"dice": step / 10, "auc": math.nan}, **changes}


def test_what_a_killed_run_wrote_too_much_is_replayed(tmp_path: Path) -> None:
    """The log goes back to where the state is; TensorBoard shows the replayed points and no others."""
    killed = Ledger(tmp_path, stage="s", active=True)
    killed.open(bytes_done=0)
    killed.write(**entry(1))
    done = killed.write(**entry(2))
    killed.write(**entry(3, train={"pixels": 99.0}))
    assert [step for step, _ in scalars(tmp_path)["train/pixels"]] == [1, 2, 3]  # shown before it is closed
    again = Ledger(tmp_path, stage="s", active=True)
    again.open(bytes_done=done)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    with again:
        for step in (3, 4):
            again.write(**entry(step))
    assert [value for _, value in from_log(tmp_path)["train/pixels"]] == [1.0, 0.5, 1 / 3, 0.25]
    agree(tmp_path)
    killed.board.close()


def test_a_run_resumed_half_way_logs_as_one_that_was_not(tmp_path: Path) -> None:
    """The state of the first epoch is put back by hand: the second is replayed to the bit."""
    rows = toy_manifest(tmp_path)
    settings = {"device": "cpu", "quiet": True, "cache": tmp_path / "c", "resume": True}
    whole = fit(tiny_recipe(epochs=2), rows, out=tmp_path / "whole", **settings)
    states = []

    def keep(path: Path, state: dict[str, object]) -> None:
        save_state(path, state)
        states.append(load_state(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveate.engine.train.save_state", keep)
        run = fit(tiny_recipe(epochs=2), rows, out=tmp_path / "run", **settings)
    folder = run.stage_folder("tiny")
    (folder / "done.json").unlink()
    save_state(folder / "state.pt", states[0])
    fit(tiny_recipe(epochs=2), rows, out=tmp_path / "run", **settings)
    assert (folder / "log.jsonl").read_bytes() == (whole.stage_folder("tiny") / "log.jsonl").read_bytes()
    agree(folder)


def test_processes_that_are_not_the_first_write_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run", stage="s", active=False)
    with ledger:
        ledger.open(bytes_done=0)
    assert not (tmp_path / "run").exists()


def test_the_terminal_is_told_a_line_a_validation(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        with Watch("joint", 10, quiet=quiet) as watch:
            watch.advance(5)
            watch.say(1, {"pixels": 0.25}, keep="dice", value=0.5, best=True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.strip() == "joint epoch 1: pixels 0.250 | val dice 0.5000 *"
