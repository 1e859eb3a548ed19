"""What all tests share: shapes in annotations become assertions, one thread a process, real data where it is there."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch
from jaxtyping import install_import_hook

CHECK = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # an int is a float
install_import_hook(["foveate.core", "foveate.losses", "foveate.models"], CHECK)

NEXT_DOOR = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Files need not survive a crash of this machine; the killed processes of some tests are others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets: $FOVEATE_DATA, else a folder beside the project."""
    folder = Path(os.environ.get("FOVEATE_DATA", NEXT_DOOR / "data"))
    if not folder.is_dir():
        pytest.skip("real data sets are not here; set FOVEATE_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Folder of pretrained weights: $FOVEATE_WEIGHTS, else a folder beside the project."""
    folder = Path(os.environ.get("FOVEATE_WEIGHTS", NEXT_DOOR / "weights"))
    if not folder.is_dir():
        pytest.skip("pretrained weights are not here; set FOVEATE_WEIGHTS to their folder")
    return folder
