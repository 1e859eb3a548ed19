"""The page of a comparison, in Markdown: how it was made, a table per data set, differences, what has not run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate import Manifest
from foveate.metrics.counts import Counts
from peers.counting import read_counts
from peers.environment import reason
from peers.intervals import REPEATS
from peers.plan import Cell, DataSet, Plan
from peers.tables import Row, difference_table, main_table
from peers.training import USUAL

KINDS = {
    "foveate": "foveate",
    "smp": "segmentation_models_pytorch, U-Net with `aux_params`, plain loop",
    "nnunet": "nnU-Net v2, configuration 2d",
    "timm": "timm classifier, plain loop",
}

HOW = f"""## How it was done

- **Folds.** `foveate split` by patient. Fold k tests, fold k + 1 validates (only foveate looks at it), the rest trains.
  Each image is judged by the network that did not see it, and the folds are pooled.
- **Budget.** The wall-clock time of each training is the same for all methods. It holds for the training alone:
  preparing images, measuring speed and predicting are outside; what foveate validates and writes is inside. foveate's
  recipes get as many epochs as fit by the measured time of one epoch; `auto` gets the time itself. The plain loops
  lower their rate with the clock and keep their last weights, nnU-Net too: its 1000 epochs of 250 steps become the
  steps that fit. What each training took is in the last table.
- **Pixels.** Peers read the frames that foveate prepares, with masks by the same rule. Their probabilities are
  enlarged to the original pixels, then decided.
- **Scorer.** One for all: `foveate.metrics` counts of masks and answers, in the original pixels. *Dice where
  present*: mean over the images that bear the label. *Dice, all*: mean over all images, a rightly empty mask being 1
  and a false alarm 0 (policy "one"). *Found*: a marked pixel lies on the truth. *False alarm*: a pixel is marked in an
  image free of the label. AUROC and AP of "yes", from the probabilities of all folds together. If there are several
  seeds, counts are means over them.
- **Intervals.** 95 %, percentile bootstrap, {REPEATS} draws: seeds are drawn first, then patients with all their
  images; a draw's value is the mean over its seeds. Differences are paired: both methods get the same patients. If
  each fold has one seed, the interval holds patients alone."""


def page(plan: Plan, out: Path) -> str:
    """The page of what a folder holds.

    Args:
        plan: of the comparison.
        out: its folder.
    """
    parts = ["# Side by side with the peers", _about(plan, out), HOW]
    for data in plan.sets.values():
        cells = [cell for cell in plan.cells if cell.data == data]
        if cells:
            parts.append(_set(data, cells, plan, out))
    return "\n\n".join([*parts, _methods(plan, out), _commands(plan)]) + "\n"


def _about(plan: Plan, out: Path) -> str:
    done = [cell for cell in plan.cells if _done(cell, out)]
    minutes = sorted({f"{_done(cell, out)['cell']['minutes']:g}" for cell in done})
    threads = sorted({f"{_done(cell, out)['cell']['threads']}" for cell in done})
    spent = sum(_done(cell, out)["told"]["whole"] for cell in done) / 3600
    lines = [f"{len(done)} of {len(plan.cells)} planned trainings have run ({spent:.1f} hours in all)"]
    if done:
        lines[0] += f", {' or '.join(minutes)} minutes each, threads: {' or '.join(threads)}"
    lines[0] += "."
    path = out / "versions.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        machine = found["machine"]
        lines.append(f"Processor: {machine['processor']}, {machine['cores']} cores, {machine['system']}.")
        lines += [f"{name}: {_listed(found[key])}." for name, key in (("Ours", "ours"), ("Peers", "peers"))]
    return "\n\n".join(lines)


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in versions.items()) or "not installed"


def _set(data: DataSet, cells: Sequence[Cell], plan: Plan, out: Path) -> str:
    """A data set's section."""
    parts, path = [f"## {data.name}"], out / "sets" / data.name / "manifest.jsonl"
    done = [cell for cell in cells if _done(cell, out)]
    if not path.is_file() or not done:
        return "\n\n".join([*parts, _missing(cells, plan, out)])
    rows = Manifest.read(path)
    parts.append(_images(data, rows))
    counts = {truth: _counts(done, rows, out, truth=truth) for truth in data.truths}
    methods = [name for name in plan.methods if name in counts[data.truths[0]]]
    shown = [Row(name, _runs(name, done), {truth: counts[truth][name] for truth in data.truths}) for name in methods]
    people = _annotators(data, rows, out, tested={image for row in shown for image in row.images})
    parts.append(main_table(rows.schema, data.truths, shown, people))
    if len(data.truths) > 1:
        parts.append(f"Trained on the union of the annotators, judged by each by itself: {', '.join(data.truths)}.")
    parts.append(difference_table(rows.schema, data.truths, shown, compare=plan.compare, peers=plan.peers))
    parts.append(_missing(cells, plan, out))
    return "\n\n".join(part for part in parts if part)


def _images(data: DataSet, rows: Manifest) -> str:
    """Size of the set in a sentence."""
    patients = len({row.group for row in rows})
    size = f"{data.size} px" if isinstance(data.size, int) else f"{data.size[0]} x {data.size[1]} px"
    text = f"{len(rows)} images of {patients} patients; frames of {size} if the settings below do not differ."
    return (
        text if patients < len(rows) else text.replace(f" of {patients} patients", ", one per patient as far as known")
    )


def _counts(
    cells: Sequence[Cell], rows: Manifest, out: Path, *, truth: str
) -> dict[str, dict[tuple[int, int], Counts]]:
    """Method -> (fold, seed) -> counts."""
    found: dict[str, dict[tuple[int, int], Counts]] = {}
    for cell in cells:
        counts = read_counts(out / cell.folder / "counts" / truth, rows.schema)
        found.setdefault(cell.method.name, {})[cell.fold, cell.seed] = counts
    return found


def _runs(method: str, cells: Sequence[Cell]) -> str:
    """Which folds and seeds of a method are done."""
    return ", ".join(f"{cell.fold}/{cell.seed}" for cell in cells if cell.method.name == method)


def _annotators(data: DataSet, rows: Manifest, out: Path, *, tested: set[str]) -> dict[str, dict[str, Counts]]:
    """Annotator -> truth -> counts, of the images that some method was tested on."""
    found: dict[str, dict[str, Counts]] = {}
    for other in data.truths:
        for truth in data.truths:
            folder = out / "sets" / data.name / "annotators" / f"{other}-by-{truth}"
            if folder.is_dir():
                counts = read_counts(folder, rows.schema)
                found.setdefault(other, {})[truth] = counts.take([i for i in counts.images if i in tested])
    return found


def _missing(cells: Sequence[Cell], plan: Plan, out: Path) -> str:
    """What has not run, and what failed."""
    lacking: dict[str, list[str]] = {}
    failed: list[str] = []
    for cell in sorted(cells, key=lambda cell: list(plan.methods).index(cell.method.name)):
        path = out / cell.folder / "failed.txt"
        if path.is_file():
            why = reason(path.read_text(encoding="utf-8"))
            failed.append(f"{cell.method.name} {cell.fold}/{cell.seed} ({why})")
        elif not _done(cell, out):
            lacking.setdefault(cell.method.name, []).append(f"{cell.fold}/{cell.seed}")
    lines = []
    if lacking:
        lines.append("Not run: " + "; ".join(f"{name} {', '.join(runs)}" for name, runs in lacking.items()) + ".")
    if failed:
        lines.append("Failed: " + "; ".join(failed) + ".")
    return "\n\n".join(lines)


def _done(cell: Cell, out: Path) -> dict[str, Any]:
    """What ``done.json`` of a cell holds; empty if it is not done."""
    path = out / cell.folder / "done.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _methods(plan: Plan, out: Path) -> str:
    """Settings of the methods, and how far each training came."""
    lines = ["## Methods", "| method | runs | settings |", "|---|---|---|"]
    for method in plan.methods.values():
        what = KINDS[method.run] + (f", recipe `{method.recipe}`" if method.recipe else "")
        settings = [_settings({**USUAL.get(method.run, {}), **method.settings})]
        settings += [f"{name}: {_settings(own)}" for name, own in method.sets.items()]
        lines.append(f"| {method.name} | {what} | {'; '.join(s for s in settings if s) or 'none'} |")
    lines[1:2] = ["", lines[1]]
    told = [
        "",
        "| data set | method | training, minutes | beside it, minutes | steps or epochs |",
        "|---|---|---|---|---|",
    ]
    for data in plan.sets.values():
        for name in plan.methods:
            own = [c for c in plan.cells if c.data == data and c.method.name == name and _done(c, out)]
            if own:
                told.append(_far(data.name, name, [_done(cell, out)["told"] for cell in own]))
    return "\n".join([*lines, *told])


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in settings.items() if value not in (None, ""))


def _far(data: str, name: str, told: Sequence[Mapping[str, Any]]) -> str:
    """How long the trainings of a row took, and how far they came."""
    trained = sum(one["train"] for one in told) / len(told) / 60
    beside = sum(one["whole"] - one["train"] for one in told) / len(told) / 60
    steps = sorted(one["steps"] for one in told if "steps" in one)
    epochs = sorted(one["epochs"] for one in told if "epochs" in one)
    far = [f"{_range(v, name)}" for v, name in ((steps, "steps"), (epochs, "epochs")) if v]
    return f"| {data} | {name} | {trained:.1f} | {beside:.1f} | {', '.join(far) or 'as the time allows'} |"


def _range(values: Sequence[float], unit: str) -> str:
    low, high = round(values[0]), round(values[-1])
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _commands(plan: Plan) -> str:
    return f"""## Commands

```console
export FOVEATE_DATA=... FOVEATE_WEIGHTS=...
python benchmarks/peers.py env DIR
python benchmarks/peers.py run benchmarks/peers/plan.toml -o DIR --dry
python benchmarks/peers.py run benchmarks/peers/plan.toml -o DIR
python benchmarks/peers.py page DIR -o docs/results/peers.md
```

`run` makes the manifests itself (`foveate scan`, `foveate split --folds {plan.folds}`) and goes on where it was
stopped. `DIR/cells/SET/METHOD/foldK-seedS/` has the predictions, the counts and the log of each training."""
