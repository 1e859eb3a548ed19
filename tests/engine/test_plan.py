"""A plan as text, as a file and as keywords; and the precision that measured steps choose."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from foveate.engine.plan import FILE, FORMAT, Deciding, Plan, plan_rows
from foveate.engine.precision import has_bf16_units, measured_precision


def plan() -> Plan:
    deciding = Deciding({"lr": 0.5})
    deciding.set("modality", "oct", "as the manifest names it", "{'oct': 3}")
    deciding.set("lr", 1e-3, "usual", "nothing")
    deciding.set("size", 512, "large enough")
    deciding.set("size", 256, "the memory holds no more")
    deciding.note("one thing")
    deciding.note("one thing")
    return Plan("auto", tuple(deciding.decisions.values()), ("lr", "size"), tuple(deciding.notes), {"images": 3})


def test_the_user_wins_and_facts_are_no_keywords() -> None:
    assert plan().keywords == {"lr": 0.5, "size": 256}
    by_name = {name: (value, reason, measured) for name, value, reason, measured in plan().rows()}
    assert by_name["lr"] == ("0.5", "set by the user", "")
    assert by_name["size"][1] == "the memory holds no more"
    assert plan().notes == ("one thing",)


def test_text_has_every_reason() -> None:
    text = str(plan())
    for part in ("modality", "oct", "as the manifest names it [{'oct': 3}]", "note: one thing"):
        assert part in text


def test_file_and_back(tmp_path: Path) -> None:
    assert plan_rows(tmp_path) == []
    (tmp_path / FILE).write_text(json.dumps(plan().to_json()))
    assert Plan.read(tmp_path) == plan()
    assert plan_rows(tmp_path) == plan().rows()


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": "1"}, {"decisions": [{"name": "x"}]}])
def test_files_that_are_newer_or_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / FILE).write_text(json.dumps(plan().to_json() | change))
    with pytest.raises(ValueError, match=r"plan\.json: plan: "):
        Plan.read(tmp_path)


def sleeping(seconds: dict[str, float]) -> Callable[[str], Callable[[], None]]:
    return lambda name: lambda: time.sleep(seconds[name])


def test_bf16_must_be_clearly_faster() -> None:
    found = measured_precision(sleeping({"fp32": 0.03, "bf16": 0.01}))
    assert found.precision == "bf16"
    assert found.fp32 > found.bf16 >= 0.01
    assert "at least 1.2 times as fast" in str(found)
    assert " s in bf16: " in found.times
    assert measured_precision(sleeping({"fp32": 0.02, "bf16": 0.02}))[0] == "fp32"
    assert measured_precision(sleeping({"fp32": 0.005, "bf16": 0.05}))[0] == "fp32"


def test_bf16_that_does_not_run() -> None:
    def make(name: str) -> Callable[[], None]:
        if name == "bf16":
            raise RuntimeError("not implemented for BFloat16")
        return lambda: None

    found = measured_precision(make)
    assert (found.precision, found.times) == ("fp32", "")
    assert "does not run in bf16" in found.reason


def test_processors_without_units_emulate_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, units in (({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx512_f": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found)
        assert has_bf16_units(torch.device("cpu")) is units
