"""Weights that are found without being named: the folder, the hub or its cache, nothing."""

import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from foveate.models.parts import sources
from foveate.models.parts.encoders import encoder, pretrain
from foveate.models.parts.lora import with_lora
from foveate.models.parts.sources import resolve_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(sources.FOLDER, str(tmp_path))
    return tmp_path


def test_the_folder_comes_first_and_the_tag_before_the_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_cached", lambda *_: True)
    assert resolve_weights("resnet18.a1_in1k").weights == "hub"
    for file in ("resnet18.pt", "resnet18.pth", "resnet18.safetensors", "resnet18.a1_in1k.pth"):
        (folder / file).touch()
        found = resolve_weights("resnet18.a1_in1k")
        assert found.weights == str(folder / file)
        assert found.note.startswith("resnet18.a1_in1k: weights from ")
    assert resolve_weights("resnet18").weights == str(folder / "resnet18.safetensors")
    assert resolve_weights("resnet34").weights == "hub"


def test_offline_without_cache_it_starts_from_nothing_and_gives_the_reason(folder: Path) -> None:
    found = resolve_weights("resnet10t")
    assert found.weights == "none"
    assert "HF_HUB_OFFLINE is set" in found.note
    assert f"resnet10t.safetensors or .pth into {folder}" in found.note


def test_a_hub_that_does_not_answer_is_no_crash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def fails(self: object, repository: str, *, timeout: float) -> None:
        asked.append((repository, timeout))
        raise TimeoutError

    monkeypatch.setattr(sources.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sources.HfApi, "model_info", fails)
    found = resolve_weights("resnet10t")
    assert (found.weights, asked) == ("none", [("timm/resnet10t.c3_in1k", sources.SECONDS)])
    assert "the hub cannot be reached (TimeoutError)" in found.note
    monkeypatch.setattr(sources.HfApi, "model_info", lambda *_, **__: None)
    assert resolve_weights("resnet10t").weights == "hub"
    monkeypatch.setattr(sources, "SECONDS", 0.2)
    monkeypatch.setattr(sources.HfApi, "model_info", lambda *_, **__: time.sleep(5))
    began = time.monotonic()
    found = resolve_weights("resnet10t")
    assert time.monotonic() - began < 2
    assert found.weights == "none"
    assert "did not answer within" in found.note


def test_what_cannot_be_a_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.\./secret' must be a network of timm"):
        resolve_weights("../secret")
    monkeypatch.setenv(sources.FOLDER, str(tmp_path / "absent"))
    with pytest.raises(ValueError, match=r"FOVEATE_WEIGHTS=.*absent' must be a folder"):
        resolve_weights("resnet18")


def test_auto_fills_from_the_folder_and_says_so(folder: Path) -> None:
    state = timm.create_model("resnet10t", num_classes=0).state_dict()
    net = encoder("resnet10t")
    before = net.net.conv1[0].weight.clone()
    (note,) = pretrain(net, weights="auto")
    assert "starts from random weights" in note
    assert torch.equal(net.net.conv1[0].weight, before)
    save_file(state, folder / "resnet10t.safetensors")
    source, filled = pretrain(net, weights="auto")
    assert "resnet10t.safetensors" in source
    assert "filled" in filled
    assert torch.equal(net.net.conv1[0].weight, state["conv1.0.weight"])


def test_auto_never_takes_a_file_that_does_not_fit(folder: Path) -> None:
    save_file(timm.create_model("resnet10t").state_dict(), folder / "resnet18.safetensors")
    with pytest.raises(ValueError, match=r"resnet18\.safetensors' fill"):
        pretrain(encoder("resnet18"), weights="auto")


def test_lora_beside_random_weights_is_refused(folder: Path) -> None:
    net = with_lora(encoder("vit_tiny_patch16_224"), rank=2)
    with pytest.raises(ValueError, match="lora trains beside frozen pretrained weights"):
        pretrain(net, weights="auto")


def test_the_hub_offline_is_an_error_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"weights='hub'.*'resnet10t'.*give a file"):
        pretrain(encoder("resnet10t"), weights="hub")
