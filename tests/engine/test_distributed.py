"""Two processes under ``torchrun`` (gloo, on the CPU) train the network that one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_toys import train
from engine_toys import toy_manifest
from safetensors.torch import load_file

from foveate.engine.distributed import Processes


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "tiny/log.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Same steps, same losses, the same weights on both; ended in the middle and resumed, the same once more."""
    manifest = toy_manifest(tmp_path).write(tmp_path / "toys.jsonl").path
    assert manifest is not None
    script = Path(__file__).with_name("distributed_toys.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    told = tmp_path / "told.txt"
    with told.open("w") as file:
        command, env = [*launch, str(script), str(manifest), str(tmp_path)], {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, env=env, stdout=file, stderr=file)
    try:
        code = process.wait(timeout=200)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes
        code = process.wait()
    assert code == 0, told.read_text()
    alone = train(manifest, tmp_path / "alone")

    one, two, broken = (log(tmp_path / name) for name in ("alone", "whole", "broken"))
    assert [entry["step"] for entry in one] == list(range(1, 10))
    assert two == broken
    assert len(two) == len(one)
    for ours, theirs in zip(one, two, strict=True):
        assert ours["step"] == theirs["step"]
        assert ours["train"] == pytest.approx(theirs["train"], rel=1e-4)
    for name in ("whole", "broken"):
        first, second = (load_file(tmp_path / f"{name}{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(first[k], second[k]) for k in first)
        torch.testing.assert_close([first[str(i)] for i in range(len(alone))], [p.detach() for p in alone])
    maps = [
        sorted(p.name for p in (tmp_path / n / "tiny/maps/features").iterdir()) for n in ("alone", "whole", "broken")
    ]
    assert maps[0] == maps[1] == maps[2]
    assert len(maps[0]) == 24


def test_one_process_shares_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = Processes("cpu")
    assert (alone.rank, alone.world, alone.first) == (0, 1, True)
    assert alone.share("value") == "value"
    assert alone.mean({"loss": 2.0}) == {"loss": 2.0}
    assert alone.threads >= 1
    alone.wait()
    assert not torch.distributed.is_initialized()


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    for local, threads in ((1, 8), (2, 6), (4, 3), (64, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
        assert Processes("cpu").threads == threads
