"""Adapters: one public data set = one file with ABOUT, SCHEMA and scan(root); `folder` reads a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

from foveate.core import plugins
from foveate.core.types import Row
from foveate.data.adapters import folder
from foveate.data.manifest import Manifest, sha256

ROOM = "data/adapters"
OWN = "folder"
"""The adapter of a user's own data, which describes them itself."""


def scan(adapter: str, root: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """The manifest of a data set: every image under a folder and all that is known of it.

    Args:
        adapter: name of a file of this package, or path to a ``.toml`` that describes the folder.
        root: the data set's folder; the rows' paths are relative to it.
        progress: called with (files hashed, files) after each.

    Returns:
        the manifest, not yet written; ``info["warnings"]`` lists what was not as expected, counts that differ from the
        published ones included.

    Raises:
        ValueError: no such adapter, nothing of its set in the folder, or a described folder is not as described; file,
            line, value and remedy are named.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"root={str(root)!r} must be a folder; give the one of the data set")
    if adapter.endswith(".toml"):
        return folder.read(root, Path(adapter), progress=progress)
    if adapter == OWN:
        return folder.read(root, progress=progress)
    public = _public(adapter)
    if not hasattr(public, "scan"):  # a format, not a data set: its files have the questions and labels
        found: Manifest = public.read(root)
        return found
    about, warnings = public.ABOUT, list[str]()
    rows = list(public.scan(root, warn=warnings.append))
    if not rows:
        raise ValueError(f"{root}: there is nothing of {about.title}; give the folder that holds {about.layout}")
    warnings += about.differences(rows)
    hashes: dict[str, str] = {}
    files = {row.image for row in rows if row.frame is None}
    for image in files:
        hashes[image] = sha256(root / image)
        if progress is not None:
            progress(len(hashes), len(files))
    filled = tuple(_filled(row, about, hashes) for row in rows)
    return Manifest(public.SCHEMA, filled, root, info={**about.info, "warnings": warnings})


def describe(adapter: str) -> str:
    """Content, source and terms of an adapter's data set, in a few lines.

    Raises:
        ValueError: no such adapter.
    """
    if adapter == OWN:
        return "images and ground truth of your own, described by a dataset.toml (docs/reference/dataset_toml.md)"
    public = _public(adapter)
    about, schema = public.ABOUT, public.SCHEMA
    asked = [f"{q.name} ({', '.join(q.answers)})" for q in schema.questions]
    said = {
        "set": f"{about.title}; {about.modality}",
        "answers": "; ".join(asked),
        "masks": ", ".join(schema.labels) + (f" (missing file: {about.missing})" if about.missing else ""),
        "counts": ", ".join(f"{number} {what}" for what, number in about.expects.items()),
        "from": about.source,
        "terms": about.terms,
        "cite": about.citation,
        "layout": about.layout,
        "notes": about.notes,
    }
    return "\n".join(
        fill(f"{key + ':':<9}{text}", 110, subsequent_indent=" " * 9, break_on_hyphens=False)
        for key, text in said.items()
        if text
    )


def _public(adapter: str) -> Any:
    if adapter not in plugins.names(ROOM):
        raise ValueError(
            f"adapter must be one of {list(plugins.names(ROOM))} or a path that ends in .toml, got {adapter!r}"
        )
    return plugins.load(ROOM, adapter)


def _filled(row: Row, about: Any, hashes: dict[str, str]) -> Row:
    return replace(
        row,
        source=row.source or about.name,
        modality=row.modality or about.modality,
        sha256=row.sha256 or hashes.get(row.image),
    )
