"""The files of a bundle and their digests: written whole, checked when opened. Needs no PyTorch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from foveate.core.decisions import Decisions
from foveate.core.files import write_json
from foveate.core.labels import LabelSchema
from foveate.data.prepare import Prepare

BUNDLE = "bundle.json"
MODEL = "model.onnx"
FORMAT = 1
"""Format of ``bundle.json`` that this version writes, and the newest that it reads."""

KEYS = ("schema", "prepare", "decisions", "outputs", "files", "sha256")
"""Keys without which a ``bundle.json`` is not one."""


@dataclass(frozen=True)
class Bundle:
    """The content of ``bundle.json``.

    Args:
        folder: of the bundle.
        schema, prepare, decisions: of the run.
        outputs: names of the graph's outputs in their order.
        maps: (question, answer) of each channel of the output "maps".
        own: findings with a map of their own.
        without_maps: why there is no output "maps"; empty if there is.
        about: recipe, seeds, versions, data, colours; for people and other programs.
        files: path in the bundle -> SHA-256.
    """

    folder: Path
    schema: LabelSchema
    prepare: Prepare
    decisions: Decisions
    outputs: tuple[str, ...]
    maps: tuple[tuple[str, str], ...] = ()
    own: tuple[str, ...] = ()
    without_maps: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Channels of the network's image."""
        return 1 if self.prepare.grey else 3

    def write(self) -> None:
        """Write ``bundle.json`` with the digests of all other files of the folder."""
        paths = sorted(p for p in self.folder.rglob("*") if p.is_file() and p != self.folder / BUNDLE)
        content = {
            "format": FORMAT,
            "schema": self.schema.to_json(),
            "prepare": asdict(self.prepare),
            "decisions": self.decisions.to_json(),
            "input": {"name": "image", "channels": self.channels, "frame": list(self.prepare.shape), "range": [0, 1]},
            "outputs": list(self.outputs),
            "maps": [list(key) for key in self.maps],
            "own maps": list(self.own),
            "without maps": self.without_maps,
            "about": dict(self.about),
            "files": {p.relative_to(self.folder).as_posix(): digest(p) for p in paths},
        }
        write_json(self.folder / BUNDLE, {**content, "sha256": _digest_of(content)})


def is_bundle(folder: str | Path) -> bool:
    """Whether a folder is a bundle."""
    return (Path(folder) / BUNDLE).is_file()


def open_folder(folder: Path) -> Bundle:
    """Open a bundle and check every file in it.

    Raises:
        ValueError: it is not a bundle, a newer version wrote it, or a file is missing or was changed.
    """
    content = _content(folder)
    files: Mapping[str, str] = content["files"]
    for name, expected in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{folder / BUNDLE}: file {name!r} is outside the bundle; do not use this bundle")
        if not path.is_file():
            raise ValueError(f"{path}: missing; the bundle is incomplete: copy it again")
        if digest(path) != expected:
            raise ValueError(f"{path}: changed since the bundle was written (SHA-256 differs): copy the bundle again")
    if MODEL not in files:
        raise ValueError(f"{folder / BUNDLE}: names no {MODEL}; write the bundle again with `foveate bundle`")
    prepare: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content["prepare"].items()}
    return Bundle(
        folder,
        LabelSchema.from_json(content["schema"]),
        Prepare(**prepare),
        Decisions.from_json(content["decisions"]),
        tuple(content["outputs"]),
        tuple((question, answer) for question, answer in content["maps"]),
        tuple(content["own maps"]),
        content["without maps"],
        content["about"],
        files,
    )


def _content(folder: Path) -> dict[str, Any]:
    """The content of ``bundle.json``, checked as a whole."""
    path = folder / BUNDLE
    if not path.is_file():
        raise ValueError(f"{folder}: no bundle there ({BUNDLE} is missing); write one with `foveate bundle RUN -o DIR`")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); copy the bundle again") from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise ValueError(f"{path}: not a bundle of foveate (it names no format); name a folder of `foveate bundle`")
    if content["format"] > FORMAT:
        raise ValueError(f"{path}: format {content['format']}; this version reads up to {FORMAT}: update foveate")
    if lacking := [key for key in KEYS if key not in content]:
        raise ValueError(f"{path}: lacks {lacking}; write the bundle again with `foveate bundle`")
    if content.pop("sha256") != _digest_of(content):
        raise ValueError(f"{path}: changed since the bundle was written (SHA-256 differs): copy the bundle again")
    return content


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, whatever the order and layout of its file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
