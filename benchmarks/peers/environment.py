"""The peers' own environment: made once, versions kept, and how one of their scripts is run in it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from foveate.core.files import write_json
from foveate.engine.run import git_state

PACKAGES = ("nnunetv2", "segmentation-models-pytorch", "timm")
SHOWN = (*PACKAGES, "batchgeneratorsv2", "dynamic_network_architectures", "torch", "torchvision", "numpy")
OURS = ("foveate", "torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy")


class CellError(RuntimeError):
    """A training that ended with an error; the message is the end of its log."""


def folder_of(out: Path) -> Path:
    """Folder of the environment: ``$FOVEATE_PEERS_ENV``, else ``peers-env`` in the folder of the comparison."""
    return Path(os.environ.get("FOVEATE_PEERS_ENV") or out / "peers-env")


def make(out: Path) -> Path:
    """Make the environment if it is not there: the peers, with torch and torchvision of this environment's version.

    uv is used if it is there (it links files from its cache), else pip.

    Returns:
        the folder.
    """
    folder = folder_of(out)
    pinned = [f"{name}=={_plain(version(name))}" for name in ("torch", "torchvision")]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if not (folder / "bin" / "python").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        words = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        subprocess.run([*words, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    subprocess.run([*install, *PACKAGES, *pinned], check=True)
    return folder


def versions(out: Path) -> dict[str, dict[str, str]]:
    """Versions of our and of the peers' packages, this repository's commit, and the processor; kept in a file.

    Peers' versions are empty if there is no environment.
    """
    python, theirs = folder_of(out) / "bin" / "python", {}
    if python.exists():
        code = "import json, sys; from importlib.metadata import version; "
        code += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
        told = subprocess.run([str(python), "-c", code, *SHOWN], check=True, capture_output=True, text=True).stdout
        theirs = json.loads(told)
    state = git_state() or {}
    found = {
        "ours": {"python": platform.python_version(), **{name: _version(name) for name in OURS},
                 "commit": f"{state.get('commit', 'none')[:12]}" + ("" if state.get("clean", True) else " (changed)")},
        "peers": theirs,
        "machine": {"processor": processor(), "cores": str(os.cpu_count()), "system": platform.platform()},
    }  # fmt: skip
    write_json(out / "versions.json", found)
    return found


def processor() -> str:
    """Name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def call(
    words: Sequence[str], *, log: Path, threads: int, seconds: float, environ: Mapping[str, str] | None = None
) -> None:
    """Run a program with limited threads and its output in a log.

    Args:
        words: of the command.
        log: file that the output is added to.
        threads: of every library.
        seconds: after which it is killed.
        environ: further variables.

    Raises:
        CellError: it ended with an error, or was killed.
    """
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(words)}\n")
        file.flush()
        try:
            done = subprocess.run(
                words,
                check=False,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                env={**os.environ, **limits, "HF_HUB_OFFLINE": "1", **(environ or {})},
            )
        except subprocess.TimeoutExpired:
            raise CellError(f"killed after {seconds:.0f} s\n{tail(log)}") from None
    if done.returncode:
        raise CellError(f"exit status {done.returncode}\n{tail(log)}")


def tail(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def reason(text: str) -> str:
    """The message of a `CellError` in a line: how it ended, and the last line of its log."""
    first, *rest = text.strip().splitlines() or ["unknown"]
    return f"{first}: {rest[-1]}" if rest else first


def expanded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with environment variables in their texts replaced.

    Raises:
        ValueError: a variable is not set.
    """
    out = {}
    for name, value in settings.items():
        text = os.path.expandvars(value) if isinstance(value, str) else value
        if isinstance(text, str) and "$" in text:
            raise ValueError(f"{name}={value!r}: the variable is not set; export it")
        out[name] = text
    return out


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _plain(text: str) -> str:
    """A version without what the builder added ("2.15.0+cpu")."""
    return text.partition("+")[0]
