"""The stamp of a results page: commit, processor, code and runs it rests on; and whether it is older than these."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate.core.files import write_file
from foveate.engine.run import git_state

PACKAGES = ("core", "data", "models", "losses", "metrics", "engine", "recipes", "studies")
"""Packages whose code decides the figures of a page."""

MARK = re.compile(r"^<!-- foveate results (\{.*\}) -->\n", re.MULTILINE)
BANNER = re.compile(r"^> \*\*Older than the code\.\*\* [^\n]*\n\n", re.MULTILINE)


def code_digests(root: Path | None = None) -> dict[str, str]:
    """Package -> digest of its Python files, `PACKAGES` only.

    Args:
        root: folder of the package ``foveate``; None = the one that runs.
    """
    folder = root or Path(__file__).parent.parent
    out = {}
    for package in PACKAGES:
        digest = hashlib.sha256()
        for path in sorted((folder / package).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        out[package] = digest.hexdigest()[:16]
    return out


def run_digest(run: Path) -> str:
    """Digest of a run: its settings, weights and counts."""
    digest = hashlib.sha256()
    for path in sorted(run.rglob("*")):
        if path.name in ("recipe.json", "weights.safetensors", "counts.csv", "scores.csv"):
            digest.update(path.relative_to(run).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def stamp(plan: Path, runs: Mapping[str, str]) -> dict[str, Any]:
    """The stamp of a page that is made now.

    Args:
        plan: file of the plan.
        runs: name -> digest of every run the page rests on.
    """
    import torch

    return {
        "commit": (git_state() or {}).get("commit"),
        "processor": processor(),
        "torch": str(torch.__version__),
        "plan": file_digest(plan),
        "code": code_digests(),
        "runs": dict(runs),
    }


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def file_digest(path: Path) -> str:
    """Digest of a file, 16 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def marked(made: Mapping[str, Any]) -> str:
    """The line of a page that holds its stamp."""
    return f"<!-- foveate results {json.dumps(made, sort_keys=True)} -->\n"


def reasons(page: Path, *, code: Mapping[str, str] | None = None) -> list[str]:
    """Why a page is older than what it depends on; empty if it is not.

    Args:
        page: a Markdown file.
        code: digests of today; None = `code_digests`.
    """
    found = MARK.search(page.read_text(encoding="utf-8"))
    plan = page.with_suffix(".toml")
    if found is None:
        return ["it has no stamp, so neither its commit nor its runs are known"]
    made, now = json.loads(found[1]), code or code_digests()
    out = [f"package {name} has changed" for name in PACKAGES if made["code"].get(name) != now[name]]
    if not plan.is_file():
        out.append(f"its plan {plan.name} is missing")
    elif file_digest(plan) != made["plan"]:
        out.append(f"its plan {plan.name} has changed")
    return out


def mark_page(page: Path, *, code: Mapping[str, str] | None = None) -> list[str]:
    """Write below the title of a page that it is older than the code, or take that away; returns the reasons."""
    before = page.read_text(encoding="utf-8")
    why = reasons(page, code=code)
    text = BANNER.sub("", before, count=1)
    if why:
        plan = page.with_suffix(".toml")
        how = f" `foveate results {plan.name}` makes it again." if plan.is_file() else ""
        text_of_why = "; ".join(why)
        banner = f"> **Older than the code.** {text_of_why[0].upper()}{text_of_why[1:]}.{how}\n\n"
        title = re.search(r"^# [^\n]*\n\n", text, re.MULTILINE)
        at = title.end() if title else 0
        text = text[:at] + banner + text[at:]
    if text != before:
        write_file(page, text)
    return why


def pages_of(folder: Path) -> Sequence[Path]:
    """Results pages in a folder; ValueError if there are none."""
    found = sorted(folder.glob("*.md"))
    if not found:
        raise ValueError(f"{folder}: there are no pages (*.md) there; name the folder of results pages")
    return found


def in_step(page: Path, *, code: Mapping[str, str] | None = None) -> bool:
    """Whether a page that is older than the code states so, and one that is not does not."""
    return bool(BANNER.search(page.read_text(encoding="utf-8"))) == bool(reasons(page, code=code))
