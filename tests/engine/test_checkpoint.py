"""Files of a run are whole or absent, and say so when they are not what they should be."""

import json
from pathlib import Path

import pytest
import torch
from engine_toys import Nested, TinyNet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foveate.core.files import write_file, write_json
from foveate.engine.checkpoint import load_state, load_weights, part_weights, save_state, save_weights


def made(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return TinyNet()


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "deep" / "file.bin"

    def whole(aside: Path) -> None:
        aside.write_bytes(b"old")

    def broken(aside: Path) -> None:
        aside.write_bytes(b"half")
        assert aside.parent == path.parent  # renaming is whole within one file system alone
        raise error

    write_file(path, whole)
    with pytest.raises(type(error)):
        write_file(path, broken)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_weights_that_cannot_be_written_leave_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, made(0))

    def torn(tensors: dict[str, torch.Tensor], aside: Path) -> None:
        aside.write_bytes(b"torn")
        raise OSError("no space left")

    monkeypatch.setattr("foveate.engine.checkpoint.save_file", torn)
    with pytest.raises(OSError, match="no space"):
        save_weights(path, made(1))
    monkeypatch.undo()
    network = made(2)
    load_weights(path, network)
    assert same(network, made(0))


def test_weights_come_back_to_the_bit_whatever_the_memory_layout(tmp_path: Path) -> None:
    network = made(0).to(memory_format=torch.channels_last)
    network.trunk[1].running_mean.uniform_()
    save_weights(tmp_path / "w", network)
    other = made(1)
    load_weights(tmp_path / "w", other)
    assert same(network, other)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match=r"w\.safetensors: no weights there"):
        load_weights(path, made(0))
    save_weights(path, TinyNet(prior=1))
    with pytest.raises(
        ValueError, match=r"(?s)w\.safetensors: these weights are of another network: .*trunk\.0\.weight"
    ):
        load_weights(path, made(0))
    save_weights(path, nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match=r"(?s)another network: .*Missing key"):
        load_weights(path, made(0))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"damaged or no weights file \(.*\); copy it again"):
        load_weights(path, made(0))


def test_part_of_a_network_is_filled(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", made(0))
    network = Nested()
    before = network.pixel.weight.clone()
    part_weights(tmp_path / "w", network, "inner")
    assert same(network.inner, made(0))
    assert torch.equal(network.pixel.weight, before)


def test_state_comes_back(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.pt") is None
    network = made(0)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(1, 1, 8, 8)).pixel.sum().backward()
    optimizer.step()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": 3, "values": [0.5, 0.25]}
    save_state(tmp_path / "state.pt", state)
    found = load_state(tmp_path / "state.pt")
    assert found is not None
    assert (found["step"], found["values"]) == (3, [0.5, 0.25])
    torch.testing.assert_close(found["network"], dict(state["network"]), rtol=0, atol=0)
    assert found["optimizer"]["state"][0]["step"] == 1


class Evil:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.target),)  # type: ignore[attr-defined]

    def __init__(self, target: str) -> None:
        self.target = target


def test_state_runs_no_code(tmp_path: Path) -> None:
    """A training state from elsewhere holds tensors and plain values, or it is refused."""
    torch.save({"step": Evil(str(tmp_path / "touched"))}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"damaged, or not a training state .*Weights only"):
        load_state(tmp_path / "state.pt")
    assert not (tmp_path / "touched").exists()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)  # each write waits for the disk
@given(data=json_values)
def test_json_comes_back(data: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "data.json"
    write_json(path, data)
    assert json.loads(path.read_text(encoding="utf-8")) == data


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"text"])
def test_a_damaged_state_is_named_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.pt: damaged.*delete it: the stage then starts"):
        load_state(file)
    file.unlink()
    assert load_state(file) is None
