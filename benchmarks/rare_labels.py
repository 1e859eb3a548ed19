"""Is a small, rare label marked, whatever the seed? The default training, single changes of it, and a plain smp loop.

    python benchmarks/rare_labels.py run M.jsonl -o DIR [--seeds 5] [--folds 2] [--only default]
    python benchmarks/rare_labels.py page DIR [DIR ...] -o docs/results/rare_labels.md

``run`` trains each variant with each seed on each fold and goes on where it was interrupted. All variants see the same
prepared images and take as many steps. ``page`` writes one table per folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foveate.core.files import write_json
from foveate.core.reading import read_out
from foveate.core.types import Outputs
from foveate.data.augment import Augment, flip_horizontal, flip_vertical
from foveate.data.cache import cache_at
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.read_rows import Read
from foveate.metrics.counts import Counts
from foveate.metrics.segmentation import per_image
from foveate.recipes import load_recipe

ENCODER = "tf_efficientnet_lite0"
VARIANTS: dict[str, dict[str, Any] | None] = {
    "default": {},
    "rate 1e-3": {"lr": 1e-3},
    "rate 2e-3": {"lr": 2e-3},
    "plain cross entropy": {"rare": 0.0},
    "answers left out": {"classify": 0.0},
    "weights of the last step": {"average": 0.0},
    "smp loop": None,
}
"""Name -> keywords of `image_quality`; None = a U-Net of segmentation-models-pytorch in a loop of its own."""


def run(manifest: Path, out: Path, *, seeds: int, folds: int, only: list[str], size: int, epochs: int) -> None:
    """Train and evaluate what is missing."""
    for seed in range(seeds):
        for fold in range(folds):
            rows = Manifest.read(manifest).fold(fold)
            for name in only or VARIANTS:
                cell = out / f"{name.replace(' ', '_')}/fold{fold}_seed{seed}"
                if not (cell / "cell.json").is_file():
                    began, keywords = time.monotonic(), VARIANTS[name]
                    settings: dict[str, Any] = {"size": size, "epochs": epochs}
                    counts = (
                        _smp(rows, seed, settings) if keywords is None else _ours(rows, cell, seed, keywords, settings)
                    )
                    about = {"seed": seed, "fold": fold, "size": size, "epochs": epochs, "manifest": manifest.stem}
                    took = {
                        "seconds": round(time.monotonic() - began),
                        "processor": platform.processor() or platform.machine(),
                    }
                    write_json(cell / "cell.json", {"variant": name, **about, **took, "labels": labels_of(counts)})
                    print(name, about, labels_of(counts), flush=True)


def _ours(rows: Manifest, cell: Path, seed: int, keywords: dict[str, Any], settings: dict[str, Any]) -> Counts:
    weights = Path(os.environ["FOVEATE_WEIGHTS"]) / f"{ENCODER}.pth"
    asked = {"encoder": ENCODER, "weights": str(weights), **settings, **keywords}
    average = asked.pop("average", None)
    recipe = load_recipe("image_quality", rows.schema, **asked)
    recipe = recipe if average is None else recipe.with_(average=average)
    trained = fit(recipe, rows, out=cell, seed=seed, resume=True, quiet=True)
    return evaluate(trained, rows.where(split="test"), intervals=False)


def _smp(rows: Manifest, seed: int, settings: dict[str, Any]) -> Counts:
    """The usual loop: smp.Unet, cross entropy and Dice of the batch, Adam, flips; counted in the original pixels."""
    import segmentation_models_pytorch as smp

    from foveate.models.parts.encoders import encoder
    from foveate.models.parts.weights import read

    torch.manual_seed(seed)
    schema, prepare = rows.schema, load_recipe("image_quality", rows.schema, size=settings["size"]).prepare
    if schema.exclusive:
        raise ValueError("the smp loop of this benchmark is for labels that overlap; leave it out with --only")
    net = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=len(schema.labels))
    state, wanted = read(Path(os.environ["FOVEATE_WEIGHTS"]) / f"{ENCODER}.pth"), net.encoder.model.state_dict()
    net.encoder.model.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=True)
    expects = encoder(ENCODER).expects
    mean, std = (torch.tensor(e).view(1, -1, 1, 1) for e in expects)
    overlap, entropy = smp.losses.DiceLoss("multilabel"), torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    flips = Augment((flip_horizontal(0.5), flip_vertical(0.5)))
    train = Dataset(rows.where(split="train").rows, rows.root, schema, prepare, augment=flips, cache=cache_at(None))
    for epoch in range(settings["epochs"]):
        for batch in batches(train, batch=8, seed=seed, epoch=epoch, drop_last=True):
            logits, truth = net((batch.image - mean) / std), batch.masks.float()
            loss = entropy(logits, truth) + overlap(logits, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    test, parts = rows.where(split="test"), []
    by_id = {row.id: row for row in test.rows}
    data = Dataset(test.rows, rows.root, schema.select(questions=()), prepare, cache=cache_at(None))
    rule = prepare.annotators
    for batch in batches(data, batch=8, shuffle=False):
        with torch.inference_mode():
            logits = net.eval()((batch.image - mean) / std)
        found = read_out(Outputs(pixel=logits), schema=data.schema, ids=batch.ids, geometries=batch.geometries)
        none = np.zeros((1, 0), np.int64)
        for one, geometry in zip(found, batch.geometries, strict=True):
            parts.append(Read(by_id[one.id], rows.root, data.schema, rule, geometry, one, none, ()).counts())
    return Counts.join(parts)


def processor() -> str:
    """Name of the processor, as Linux has it; another one gives another training."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def labels_of(counts: Counts) -> dict[str, dict[str, float]]:
    """Label -> Dice where present, found of present, false alarms of absent; found = a marked pixel on the label."""
    out = {}
    for label, part in counts.labels.items():
        present, called = part.truth > 0, part.tp + part.fp > 0
        dice = per_image(part, absent="exclude")["dice"][present]
        out[label] = {
            "dice": round(float(dice.mean()), 4) if len(dice) else float("nan"),
            "found": int((part.tp[present] > 0).sum()),
            "present": int(present.sum()),
            "alarms": int(called[~present].sum()),
            "absent": int((~present).sum()),
        }
    return out


def page(folders: list[Path], out: Path) -> None:
    """One table per folder: each cell of each variant, the mean and the worst."""
    lines = ["# Rare labels: marked with every seed?", "", (__doc__ or "").split("\n\n")[-1].strip(), ""]
    for folder in folders:
        cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*/cell.json"))]
        lines += _table(cells)
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(cells: list[dict[str, Any]]) -> list[str]:
    first = cells[0]
    title = f"## {first['manifest']}, {first['size']} px, {first['epochs']} epochs"
    lines = [
        title,
        "",
        f"Processor: {first['processor']}. Unit of the split: the patient, or the image if none is named.",
    ]
    for label in first["labels"]:
        lines += [
            "",
            f"**{label}**",
            "",
            "| variant | trainings | Dice where present: mean (lowest) | found | false alarms | none found in |",
            "|---|---|---|---|---|---|",
        ]
        for name in dict.fromkeys(cell["variant"] for cell in cells):
            of = [cell["labels"][label] for cell in cells if cell["variant"] == name]
            dice = [one["dice"] for one in of]
            found, present, alarms, absent = (
                sum(one[k] for one in of) for k in ("found", "present", "alarms", "absent")
            )
            none = sum(one["found"] == 0 and one["present"] > 0 for one in of)
            lines.append(
                f"| {name} | {len(of)} | {np.nanmean(dice):.3f} ({np.nanmin(dice):.3f}) | {found} of {present} | "
                f"{alarms} of {absent} | {none} |"
            )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    trains = verbs.add_parser("run")
    trains.add_argument("manifest", type=Path)
    trains.add_argument("-o", "--out", type=Path, required=True)
    for name, number in (("--seeds", 5), ("--folds", 2), ("--size", 128), ("--epochs", 20)):
        trains.add_argument(name, type=int, default=number)
    trains.add_argument("--only", nargs="*", default=[], choices=list(VARIANTS))
    writes = verbs.add_parser("page")
    writes.add_argument("folders", type=Path, nargs="+")
    writes.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    if given.verb == "page":
        page(given.folders, given.out)
    else:
        asked = {k: getattr(given, k) for k in ("seeds", "folds", "only", "size", "epochs")}
        run(given.manifest, given.out, **asked)


if __name__ == "__main__":
    main()
