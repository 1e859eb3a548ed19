"""Write a bundle: the graph of a run, or of several as one, and the files beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.core.files import whole_folder, write_json
from foveate.engine.ensemble import Ensemble
from foveate.engine.run import SEEN, Run
from foveate.inference.bundles.check import write_check
from foveate.inference.bundles.export import OPSET, export_onnx
from foveate.inference.bundles.folder import MODEL, Bundle
from foveate.inference.bundles.graph import Graph
from foveate.inference.bundles.monai import metadata
from foveate.report import colours

UNDO = (
    "maps of the frame are cut to the part without padding, resized bilinearly to the crop in the original image "
    "(outer edges in place, antialias if that is smaller), and are 0 outside the crop; masks are decided there"
)

RECORDED = ("name", "keywords", "seed", "versions", "git")
"""Parts of a run's record that a bundle keeps."""


def write_bundle(runs: Sequence[Run], out: Path, *, also: Callable[[Bundle, Run], None] | None = None) -> Bundle:
    """Write a bundle.

    Args:
        runs: of one recipe; several become an ensemble, the mean of their probabilities.
        out: its folder; must not exist, or be empty.
        also: writes more files into the bundle's folder, before the digests are made.

    Raises:
        ValueError: no run, runs that do not fit together, a stage without weights, a network that cannot be exported,
            or ``out`` exists.
    """
    run = united(runs)
    with whole_folder(out) as folder:
        graph = Graph(run)
        export_onnx(graph, folder / MODEL)
        parts, recipe = graph.parts, run.recipe
        bundle = Bundle(
            folder,
            recipe.schema,
            recipe.prepare,
            run.decisions,
            parts.names,
            parts.maps,
            parts.own,
            parts.without,
            _about(run),
        )
        (folder / "configs").mkdir()
        write_json(folder / "configs" / "metadata.json", metadata(bundle))
        write_check(folder, run)
        if also is not None:
            also(bundle, run)
        bundle.write()
    return replace(bundle, folder=out)


def united(runs: Sequence[Run]) -> Run:
    """One run as it is; several, and the members of ensembles, as one ensemble.

    Raises:
        ValueError: there is none, or they are of different recipes.
    """
    if len(runs) == 1:
        return runs[0]
    members = tuple(member for run in runs for member in run.members)
    if not members:
        raise ValueError("runs is empty; name one run or more")
    names = {member.recipe.name for member in members}
    if len(names) > 1:
        raise ValueError(f"runs of different recipes {sorted(names)}; give runs of one recipe, such as its folds")
    return Ensemble(runs[0].folder, members[0].recipe, members, {}, whole=False)


def _about(run: Run) -> dict[str, Any]:
    """Where the run comes from; no path of the machine that trained it, and no patient's name."""
    return {
        "recipe": run.recipe.name,
        "runs": [_origin(member) for member in run.members],
        "opset": OPSET,
        "colours": {label: list(colour) for label, colour in colours.marks(run.recipe.schema.labels).items()},
        "spacing": "mm per pixel of the original image, from its file or given when it is read",
        "undo": UNDO,
        "seen": seen_digests(run),
    }


def _origin(member: Run) -> dict[str, Any]:
    """The record of one run without paths."""
    record = member.record if (member.folder / "recipe.json").is_file() else {}
    manifest = record.get("manifest", {})
    kept: dict[str, Any] = {
        key: record[key] for key in ("name", "keywords", "seed", "versions", "git") if key in record
    }
    return {"folder": member.folder.name, **kept, "data": {"sha256": manifest.get("hash")}}


def seen_digests(run: Run) -> list[str]:
    """Digests of the ids of images that a run has learnt from: enough to warn, and nobody can read an id from them."""
    ids: set[str] = set()
    for member in run.members:
        if (member.folder / "splits.json").is_file():
            ids |= {image for image, split in member.splits.items() if split in SEEN}
    return sorted(digest_of_id(image) for image in ids)


def digest_of_id(image: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an image's id."""
    return hashlib.sha256(image.encode()).hexdigest()[:16]
