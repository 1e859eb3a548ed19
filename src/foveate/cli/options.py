"""Options that several commands have, and their parsing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ManifestPath = Annotated[Path, typer.Argument(metavar="M.jsonl", help="Manifest: JSON lines, the schema first.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Runtime = Annotated[str | None, typer.Option(help="Of a bundle: onnx (default) or openvino.")]
Precision = Annotated[str, typer.Option(help="Of a bundle: fp32, or bf16 with openvino.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Of a bundle: threads; default: all processors.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Keyword of the recipe or study. Every recipe takes precision, clip, accumulate, average, patience, "
        "validations, epochs, batch and rare_images.",
    ),
]
Fold = Annotated[int | None, typer.Option(help="Test on this fold, validate on the next, train on the rest.")]
Folds = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Train every fold, RUN/fold0, RUN/fold1, ...; they form an ensemble. The manifest's folds, else N made by "
        "patient (all: 5).",
    ),
]
Annotators = Annotated[
    str | None,
    typer.Option("--annotators", "--graders", help="Compare with one annotator's masks, or merge by another rule."),
]
Lesions = Annotated[
    list[str] | None,
    typer.Option(
        "--lesion", metavar="LABEL=LESION", help="For the guideline: a label, and the guideline's name for that lesion."
    ),
]
Grade = Annotated[
    str | None,
    typer.Option(
        "--grade",
        metavar="QUESTION",
        help="For the guideline: the graded question; default: grade, else the only one of five ordered answers.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of all random choices.")]
CacheLimit = Annotated[
    str | None,
    typer.Option(
        "--cache-limit",
        metavar="SIZE",
        help="Space for prepared images, such as 20GB (docs/guides/cache.md); default: $FOVEATE_CACHE_LIMIT or 50GB.",
    ),
]
Unfinished = Annotated[
    bool, typer.Option("--unfinished", help="Also a run whose training was interrupted, with the weights kept so far.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Time = Annotated[
    str | None, typer.Option(metavar="30m", help="Time that training may take: 90s, 30m, 2h (recipes with a plan).")
]
Memory = Annotated[
    str | None, typer.Option(metavar="8g", help="Memory that training may take: 500m, 8g (recipes with a plan).")
]
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SIZES = {"m": 1.0, "mb": 1.0, "mib": 1.0, "g": 1024.0, "gb": 1024.0, "gib": 1024.0}


def cache_of(limit: str | None) -> Any:
    """Open the user's cache, with a limit if one is given."""
    from foveate.data.cache import cache_at
    from foveate.data.cache_space import bytes_of

    return cache_at(None, limit=None if limit is None else bytes_of(limit, name="--cache-limit"))


def check_finished(run: Any, *, unfinished: bool) -> None:
    """Raise ValueError if a run was interrupted; print a warning instead if that is allowed."""
    from foveate.engine.unfinished import refuse_unfinished

    if warning := refuse_unfinished(run, allow=unfinished):
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def amount(text: str | None, units: dict[str, float], *, option: str) -> float | None:
    """Parse a number with a unit, into the smallest unit; ValueError names the units."""
    if text is None:
        return None
    given = text.strip().lower()
    digits = given.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        value = float(digits) * units[given[len(digits) :]]
    except (ValueError, KeyError):
        value = -1.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{option} {text!r}: give a positive number and one of the units {list(units)}")
    return value


def spacing_of(text: str | None) -> tuple[float, float] | None:
    """Parse mm per pixel (rows, columns): one positive number, or two with a comma; ValueError for anything else."""
    if text is None:
        return None
    parts = [float(part) for part in text.split(",")]
    if len(parts) not in (1, 2) or min(parts) <= 0:
        raise ValueError(f"spacing={text!r}: give mm per pixel: one positive number, or two (rows,columns)")
    return parts[0], parts[-1]


def rows_of(path: Path, fold: int | None) -> Any:
    """Read the manifest, split for a fold if one is given."""
    from foveate.data.manifest import Manifest

    rows = Manifest.read(path)
    return rows if fold is None else rows.fold(fold)


def keywords(settings: list[str] | None) -> dict[str, Any]:
    """Parse ``key=value`` pairs; a value is read as JSON (numbers, true, null, lists), else as text."""
    import json

    found: dict[str, Any] = {}
    for item in settings or []:
        key, mark, text = item.partition("=")
        if not mark:
            raise ValueError(f"--set {item!r}: write KEY=VALUE")
        try:
            found[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            found[key.strip()] = {"True": True, "False": False, "None": None}.get(text, text)
    return found
