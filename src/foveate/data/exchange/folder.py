"""Plain folders: images, one mask per label with the image's id as name, a table, and their dataset.toml."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from foveate.core.files import file_name, whole_folder
from foveate.data.manifest import Manifest
from foveate.data.writing import (
    NOT_KNOWN,
    Progress,
    Written,
    listed,
    put,
    save,
    several_annotators,
    truths,
    with_unknown,
)

TEXTS = ("patient", "eye", "laterality", "modality", "volume", "position", "split", "fold")
PAIRS = ("disc", "fovea", "spacing")
OWN = ("images", "table.csv", "dataset.toml")


def write(manifest: Manifest, out: Path, *, annotators: str = "union", progress: Progress | None = None) -> Written:
    """Write a manifest as plain folders, whole or not at all; ``foveate scan folder`` reads them back.

    ``images/ID.jpg``; for each label ``LABEL/ID.png`` with 255 inside, 0 outside and 127 where it is not known, and no
    file where nothing is known of it; ``table.csv`` with answers, patient, eye, split and the like; ``dataset.toml``.

    Args:
        manifest: rows to write.
        out: a new folder.
        annotators: rule that merges annotators, or an annotator's name.
        progress: called after each image.

    Returns:
        the folder, and what is lost.

    Raises:
        ValueError: ``out`` is there already, or a label has the name of something else in it.
        Unreadable: an image or a mask cannot be read.
    """
    folders = {label: file_name(label) for label in manifest.schema.labels}
    if taken := sorted(set(OWN) & set(folders.values())):
        raise ValueError(f"labels={list(folders)}: {taken[0]!r} has another meaning in the folder; rename the label")
    images: dict[str, str] = {}
    with whole_folder(out) as aside:
        for folder in ("images", *folders.values()):
            (aside / folder).mkdir()
        for truth in truths(manifest, annotators=annotators):
            images[truth.row.id] = put(truth.row, manifest.root, aside / "images")
            for folder, mask, known in zip(folders.values(), truth.masks, truth.known, strict=True):
                if known.any():
                    save(with_unknown(mask, known), aside / folder / f"{file_name(truth.row.id)}.png")
            if progress is not None:
                progress(len(images), len(manifest))
        _table(manifest, images, aside / "table.csv")
        (aside / "dataset.toml").write_text(_toml(manifest, folders), encoding="utf-8")
    notes = []
    if several := several_annotators(manifest):
        notes.append(f"{several} images have masks of several annotators; one mask merged from them is written")
    if renamed := [name for name in images if file_name(name) != name]:
        notes.append(f"{len(renamed)} ids cannot be file names and read back percent-encoded ({listed(renamed)})")
    return Written((out,), len(images), tuple(notes))


def _table(manifest: Manifest, images: Mapping[str, str], path: Path) -> None:
    pairs = [f"{name}_{axis}" for name in PAIRS for axis in "xy"]
    asked = manifest.schema.questions
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "id", *TEXTS, *pairs, *(f"answer {q.name}" for q in asked)])
        for row in manifest:
            places = [v for name in PAIRS for v in ((getattr(row, name) or (None, None))[::-1])]
            given = [q.answers[q.index(row.answers[q.name])] if q.name in row.answers else None for q in asked]
            table.writerow([images[row.id], row.id, *(getattr(row, name) for name in TEXTS), *places, *given])


def _toml(manifest: Manifest, folders: Mapping[str, str]) -> str:
    """The dataset.toml for the folder adapter; JSON strings are TOML strings."""
    text = partial(json.dumps, ensure_ascii=False)
    there = {name for name in (*TEXTS, *PAIRS) if any(getattr(row, name) is not None for row in manifest)}
    lines = [f"name = {text(str(manifest.info.get('name') or 'exported'))}"]
    lines += [f"{key} = {text(str(manifest.info[key]))}" for key in ("licence", "citation") if manifest.info.get(key)]
    lines += ['images = "images/*"', f"exclusive = {text(manifest.schema.exclusive)}"]
    lines += ["", "[table]", 'file = "table.csv"', 'id = "image"', 'delimiter = ","', "", "[columns]"]
    lines += [f"{name} = {text(name)}" for name in TEXTS if name in there]
    lines += [f'{name} = {{ x = "{name}_x", y = "{name}_y" }}' for name in PAIRS if name in there]
    for q in manifest.schema.questions:
        lines += ["", f"[questions.{text(q.name)}]", f"column = {text(f'answer {q.name}')}"]
        lines += [f"answers = {text(list(q.answers))}", f"ordered = {text(q.ordered)}"]
        lines += [f"evidence = {text(list(q.evidence))}"] if q.evidence else []
        lines += [f"healthy = {text(q.healthy)}"] if q.healthy_stated and q.healthy else []
    for label, folder in folders.items():
        lines += ["", f"[labels.{text(label)}]", f"masks = {text(f'{folder}/{{stem}}.png')}"]
        lines += [f"above = {NOT_KNOWN}", f"ignore = {NOT_KNOWN}", 'missing = "unknown"']
    return "\n".join(lines) + "\n"
