"""Choice of pretrained weights with ``weights="auto"``: a folder, the hub or its cache, or none."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import timm
import torch
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError

FOLDER = "FOVEATE_WEIGHTS"
"""Environment variable: a folder of weights, each file with timm's name of the network."""

ENDINGS = (".safetensors", ".pth", ".pt")

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Files with weights in timm's own repositories on the hub."""

SECONDS = 3.0
"""Time within which the hub must answer, the look-up of its address included."""


class Source(NamedTuple):
    """Source of weights.

    Args:
        weights: "none", "hub" or the path of a file, as for `encoders.pretrain`.
        note: one line for people with the reason.
    """

    weights: str
    note: str


def resolve_weights(name: str) -> Source:
    """Choose the weights of a timm network: ``$FOVEATE_WEIGHTS/NAME.*``, else the hub or its cache, else none.

    NAME is the network's name with the tag of its weights, then without it. One request, of at most 3 seconds, checks
    whether the hub can be reached; if HF_HUB_OFFLINE is set there is none. Nothing is downloaded here.

    Args:
        name: of timm, such as ``resnet18`` or ``vit_base_patch16_224.mae``.

    Raises:
        ValueError: timm has no such network.
    """
    if not timm.is_model(name):
        raise ValueError(f"encoder {name!r} must be a network of timm; see timm.list_models()")
    if (file := _in_folder(name)) is not None:
        return Source(str(file), f"{name}: weights from {file} (${FOLDER})")
    config = timm.get_pretrained_cfg(name)
    repository = getattr(config, "hf_hub_id", None)
    if config is None or not (repository or config.url):
        return Source("none", f"{name}: timm publishes no weights; it starts from random weights")
    known = f"{repository} on the hub" if repository else str(config.url)
    if _cached(repository, config.url):
        return Source("hub", f"{name}: weights from the local cache of {known}")
    why = _unreachable(repository)
    if why is None:
        return Source("hub", f"{name}: weights from {known}")
    place = os.environ.get(FOLDER) or f"a folder named by ${FOLDER}"
    return Source(
        "none",
        f"{name}: starts from random weights, because {known} is not in the cache and {why}; put {name}.safetensors "
        f"or .pth into {place}",
    )


def _in_folder(name: str) -> Path | None:
    """Find the file in the user's folder; ValueError if the variable does not name a folder."""
    named = os.environ.get(FOLDER)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise ValueError(f"{FOLDER}={named!r} must be a folder; set it to the folder of your weights, or unset it")
    files = (folder / f"{stem}{end}" for stem in dict.fromkeys((name, name.partition(".")[0])) for end in ENDINGS)
    return next((file for file in files if file.is_file()), None)


def _cached(repository: str | None, url: str | None) -> bool:
    """Check whether the hub's file is on this machine."""
    if repository:
        return any(isinstance(try_to_load_from_cache(repository, file), str) for file in HUB_FILES)
    return url is not None and (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file()


def _unreachable(repository: str | None) -> str | None:
    """Give the reason why the hub's file cannot be downloaded; None = it can."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if not repository:
        return "it is not on the hub (give weights=hub to download it from there)"
    answer: list[str | None] = []

    def ask() -> None:
        try:
            HfApi().model_info(repository, timeout=SECONDS)
            answer.append(None)
        except HfHubHTTPError as error:
            answer.append(f"the hub refuses it ({str(error).splitlines()[0][:100]})")
        except Exception as error:  # no network: each HTTP library raises its own
            answer.append(f"the hub cannot be reached ({type(error).__name__})")

    # A timeout of HTTP is per attempt and does not cover the look-up of the address, which may block for a minute
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return answer[0] if answer else f"the hub did not answer within {SECONDS:.0f} seconds"
