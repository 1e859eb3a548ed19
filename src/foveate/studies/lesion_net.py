"""Lesion-Net (Wei et al., Tables II to IV, Figure 5): where to cut, which loss, and whether lesions help to grade.

Every row has the same encoder, budget and selection rule. Lesion networks are trained once and serve every table that
names them: a multi-task row begins where its row of Table II ends. Beyond the paper: the dual loss from the start or as
a mean over lesions, both branches fine-tuned together, and an ordinal loss of the grade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from foveate.core.labels import LabelSchema
from foveate.engine.recipe import Recipe
from foveate.engine.study import Study, StudyTable
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.lesions import metrics as lesion_metrics
from foveate.metrics.lesions import read_lesions, sizes
from foveate.metrics.measure import measure
from foveate.metrics.table import stack
from foveate.metrics.weighted import Metrics
from foveate.report.sizes import against_size
from foveate.report.study import Chart
from foveate.studies import pooled, study_record
from foveate.studies._printed import printed
from foveate.studies._rows import row_recipe

NAMES = (
    "microaneurysm", "haemorrhage", "hard_exudate", "cotton_wool_spot",
    "vitreous_haemorrhage", "preretinal_haemorrhage", "neovascularisation", "fibrous_proliferation",
)  # fmt: skip
"""The paper's eight lesions, in the order of its table."""

# Table II, segmentation and then classification: the mean, then the eight lesions
MARKED = {
    "patch FCN-32s": (0.553, 0.209, 0.583, 0.714, 0.535, 0.622, 0.549, 0.554, 0.659),
    "FCN-32s": (0.571, 0.327, 0.592, 0.728, 0.528, 0.642, 0.562, 0.530, 0.662),
    "FCN-16s": (0.587, 0.369, 0.608, 0.737, 0.575, 0.639, 0.515, 0.581, 0.671),
    "FCN-8s": (0.586, 0.369, 0.609, 0.740, 0.573, 0.640, 0.534, 0.583, 0.639),
    "U-Net": (0.570, 0.384, 0.598, 0.730, 0.565, 0.547, 0.604, 0.538, 0.592),
    "DeepLabv3+": (0.553, 0.367, 0.612, 0.732, 0.558, 0.550, 0.477, 0.498, 0.631),
    "DANet": (0.585, 0.351, 0.608, 0.733, 0.560, 0.623, 0.589, 0.543, 0.671),
    "Lesion-Net-32s": (0.573, 0.289, 0.590, 0.730, 0.539, 0.632, 0.536, 0.582, 0.687),
    "Lesion-Net-16s": (0.591, 0.377, 0.612, 0.740, 0.565, 0.645, 0.590, 0.571, 0.623),
    "Lesion-Net-8s": (0.603, 0.377, 0.617, 0.740, 0.575, 0.648, 0.616, 0.580, 0.667),
    "Lesion-Net-4s": (0.592, 0.394, 0.614, 0.743, 0.577, 0.633, 0.588, 0.570, 0.616),
    "Lesion-Net-2s": (0.581, 0.381, 0.614, 0.744, 0.567, 0.634, 0.569, 0.565, 0.572),
    "Lesion-Net-16s (WCE)": (0.364, 0.180, 0.389, 0.543, 0.346, 0.424, 0.245, 0.363, 0.423),
    "Lesion-Net-16s (Focal)": (0.458, 0.165, 0.479, 0.682, 0.409, 0.471, 0.488, 0.423, 0.548),
    "Lesion-Net-16s (Dice)": (0.594, 0.362, 0.609, 0.734, 0.570, 0.637, 0.587, 0.573, 0.683),
}
PRESENT = {
    "patch FCN-32s": (0.704, 0.886, 0.849, 0.828, 0.720, 0.634, 0.544, 0.637, 0.535),
    "FCN-32s": (0.769, 0.900, 0.858, 0.856, 0.771, 0.722, 0.683, 0.694, 0.669),
    "FCN-16s": (0.787, 0.890, 0.849, 0.847, 0.743, 0.758, 0.726, 0.696, 0.783),
    "FCN-8s": (0.778, 0.891, 0.858, 0.854, 0.749, 0.766, 0.711, 0.671, 0.725),
    "U-Net": (0.757, 0.888, 0.855, 0.843, 0.755, 0.639, 0.689, 0.653, 0.737),
    "DeepLabv3+": (0.794, 0.899, 0.863, 0.866, 0.764, 0.800, 0.693, 0.677, 0.792),
    "DANet": (0.775, 0.900, 0.853, 0.852, 0.772, 0.713, 0.682, 0.715, 0.712),
    "Inception-v3": (0.716, 0.895, 0.893, 0.865, 0.766, 0.500, 0.540, 0.594, 0.678),
    "ABN-lesion": (0.726, 0.900, 0.900, 0.871, 0.761, 0.519, 0.552, 0.627, 0.678),
    "Lesion-Net-32s": (0.792, 0.899, 0.881, 0.857, 0.778, 0.720, 0.773, 0.669, 0.762),
    "Lesion-Net-16s": (0.801, 0.902, 0.882, 0.866, 0.792, 0.733, 0.726, 0.701, 0.807),
    "Lesion-Net-8s": (0.780, 0.900, 0.881, 0.861, 0.771, 0.687, 0.693, 0.711, 0.733),
    "Lesion-Net-4s": (0.781, 0.904, 0.883, 0.862, 0.791, 0.678, 0.660, 0.719, 0.748),
    "Lesion-Net-2s": (0.787, 0.900, 0.893, 0.868, 0.793, 0.706, 0.706, 0.667, 0.764),
    "Lesion-Net-16s (WCE)": (0.534, 0.864, 0.822, 0.780, 0.574, 0.324, 0.274, 0.354, 0.282),
    "Lesion-Net-16s (Focal)": (0.745, 0.880, 0.869, 0.837, 0.723, 0.650, 0.693, 0.627, 0.683),
    "Lesion-Net-16s (Dice)": (0.769, 0.899, 0.860, 0.851, 0.754, 0.709, 0.661, 0.694, 0.724),
}
# Table III, quadratic weighted kappa
GRADED = {
    "Inception-v3 (224)": 0.660, "Inception-v3 (448)": 0.729, "Inception-v3, grading": 0.774,
    "Concat, Inception-v3": 0.780, "Multi-task, U-Net": 0.780, "Multi-task, Lesion-Net-16s, CW-MaxPool": 0.781,
    "Multi-task, FCN-8s": 0.787, "Multi-task, DeepLabv3+": 0.787, "Concat, Lesion-Net-16s": 0.788,
    "ABN-grading": 0.797, "Multi-task, Lesion-Net-16s": 0.803,
}  # fmt: skip
MEMORY = {"Multi-task, Lesion-Net-16s": 1.5 * 1024}
"""MiB at run time; the three best networks of the comparison together take 3.2 GB."""

OURS = "Multi-task, Lesion-Net-16s"
COSTS = ("size", "training", "test", "operations", "memory")

SEGMENTERS: dict[str, dict[str, Any]] = {
    "patch FCN-32s": {"network": "fcn", "stride": 32, "parts": 4, "loss": "dice"},
    "FCN-32s": {"network": "fcn", "stride": 32, "loss": "dice"},
    "FCN-16s": {"network": "fcn", "stride": 16, "loss": "dice"},
    "FCN-8s": {"network": "fcn", "stride": 8, "loss": "dice"},
    "U-Net": {"network": "unet", "loss": "dice"},
    "DeepLabv3+": {"network": "deeplabv3plus", "loss": "dice"},
    "DANet": {"network": "danet", "loss": "dice"},
}
OF_PRESENCE: dict[str, dict[str, Any]] = {"Inception-v3": {"network": "classifier"}, "ABN-lesion": {"network": "abn"}}
CUTS: dict[str, dict[str, Any]] = {f"Lesion-Net-{s}s": {"stride": s} for s in (32, 16, 8, 4, 2)}
LOSSES: dict[str, dict[str, Any]] = {
    "Lesion-Net-16s (WCE)": {"loss": "wce"},
    "Lesion-Net-16s (Focal)": {"loss": "focal"},
    "Lesion-Net-16s (Dice)": {"loss": "dice"},
}
BEYOND: dict[str, dict[str, Any]] = {
    "Lesion-Net-16s (dual at once)": {"late": False},
    "Lesion-Net-16s (mean over lesions)": {"per_lesion": True},
}
ALONE: dict[str, dict[str, Any]] = {
    "Inception-v3, grading": {"network": None, "grader": "classifier"},
    "ABN-grading": {"network": None, "grader": "abn"},
}
GRADERS: dict[str, dict[str, Any]] = {
    "Concat, Inception-v3": {**OF_PRESENCE["Inception-v3"], "attention": "concat"},
    "Multi-task, U-Net": SEGMENTERS["U-Net"],
    "Multi-task, Lesion-Net-16s, CW-MaxPool": {"attention": "cw_maxpool"},
    "Multi-task, FCN-8s": SEGMENTERS["FCN-8s"],
    "Multi-task, DeepLabv3+": SEGMENTERS["DeepLabv3+"],
    "Concat, Lesion-Net-16s": {"attention": "concat"},
    OURS: {},
}
FURTHER: dict[str, dict[str, Any]] = {
    "Both branches fine-tuned": {"finetune": True},
    "Ordinal loss": {"ordinal": True},
    "Lesion maps by their mean": {"shrink": "mean"},
}

Row = Callable[..., Recipe]


def study(
    schema: LabelSchema,
    *,
    common: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    sizes: Sequence[int] = (224, 448),
) -> Study:
    """Tables II (masks, presence, losses), III and IV; those of grades need a question, those of lesions labels.

    Args:
        schema: the manifest's.
        common: keywords for every recipe.
        labels: those that are learnt; None = the paper's eight if the schema has any of them, else all.
        sizes: further sizes at which the network that grades alone is tried in Table III, in pixels; those not below
            the study's own are left out.

    Raises:
        ValueError: the schema has no labels.
    """
    if not schema.labels:
        raise ValueError("lesion_net: the schema has no labels; there are no lesions to learn")
    eight = [label for label in NAMES if label in schema.labels]
    learnt = list(labels) if labels is not None else eight or list(schema.labels)
    settings = {**(common or {}), "labels": learnt}

    def row(**keywords: Any) -> Recipe:
        return row_recipe("lesion_net", schema, settings, **keywords)

    tables = {
        "Table II segmentation": _lesions(
            row, {**SEGMENTERS, **CUTS}, "dice_pooled", learnt, MARKED, reference="Lesion-Net-16s", costs=COSTS
        ),
        "Table II classification": _lesions(
            row,
            {**SEGMENTERS, **({} if schema.exclusive else OF_PRESENCE), **CUTS},
            "presence_f1",
            learnt,
            PRESENT,
            reference="Lesion-Net-16s",
        ),
        "Path": _path(row, learnt),
        "Loss": _loss(row, learnt),
    }
    if schema.questions:
        tables |= {"Table III": _grading(row, sizes), "Table IV": _overall(row), "Beyond": _beyond(row)}
    return Study("lesion_net", tables)


def _lesions(
    row: Row,
    variants: Mapping[str, Mapping[str, Any]],
    figure: str,
    labels: Sequence[str],
    printed: Mapping[str, Sequence[float]],
    *,
    reference: str,
    costs: tuple[str, ...] = (),
) -> StudyTable:
    """One figure of every lesion network, the mean over lesions first."""
    return StudyTable(
        {name: row(grader=None, **keywords) for name, keywords in variants.items()},
        (figure, *(f"{figure}/{label}" for label in labels)),
        paper={name: _of_lesions(printed[name], figure, labels) for name in variants if name in printed},
        reference=reference,
        compared=(figure,),
        costs=costs,
        note=NOTE,
    )


NOTE = "Pixels and images of all test images together, then the mean over lesions; masks at 0.5."


def _path(row: Row, labels: Sequence[str]) -> StudyTable:
    """Does a path that is cut early mark better than one of full length?"""
    variants = {
        **{n: CUTS[n] for n in ("Lesion-Net-8s", "Lesion-Net-16s", "Lesion-Net-2s")},
        "U-Net": SEGMENTERS["U-Net"],
    }
    return _two(row, variants, labels, reference=("Lesion-Net-2s", "U-Net"), note="")


def _loss(row: Row, labels: Sequence[str]) -> StudyTable:
    """Does the dual loss find better which images bear a lesion?"""
    variants = {"Lesion-Net-16s": CUTS["Lesion-Net-16s"], **LOSSES, **BEYOND}
    return _two(row, variants, labels, reference="Lesion-Net-16s (Dice)", note=" The first row is trained as printed.")


def _two(
    row: Row,
    variants: Mapping[str, Mapping[str, Any]],
    labels: Sequence[str],
    *,
    reference: str | tuple[str, ...],
    note: str,
) -> StudyTable:
    """Both metrics of some lesion networks, compared with one or more of them."""
    metrics = ("dice_pooled", "presence_f1")
    means = {name: (MARKED[name][0], PRESENT[name][0]) for name in variants if name in MARKED}
    return StudyTable(
        {name: row(grader=None, **keywords) for name, keywords in variants.items()},
        metrics,
        paper=printed(metrics, means) if set(NAMES) <= set(labels) else {},
        reference=reference,
        note=NOTE + note,
    )


def _of_lesions(printed: Sequence[float], figure: str, labels: Sequence[str]) -> dict[str, float]:
    """A printed line under the names of our metrics: the mean where all eight lesions are learnt, and each of them."""
    found = {f"{figure}/{label}": printed[1 + NAMES.index(label)] for label in labels if label in NAMES}
    return ({figure: printed[0]} if len(found) == len(NAMES) else {}) | found


def _grading(row: Row, sizes: Sequence[int]) -> StudyTable:
    """Does side attention grade better than the network alone, and than presence beside its features?"""
    plain = row(**ALONE["Inception-v3, grading"])
    own = plain.prepare.shape[0]
    rows = {
        f"Inception-v3 ({size})": row(**{**ALONE["Inception-v3, grading"], "size": size})
        for size in sizes
        if size < own
    }
    rows |= {
        name: row(**keywords)
        for name, keywords in {**ALONE, **GRADERS}.items()
        if not (plain.asked and plain.asked.exclusive and keywords.get("network") == "classifier")
    }
    asked = plain.schema.questions[0]
    return StudyTable(
        rows,
        (f"qkappa/{asked.name}", f"accuracy/{asked.name}", f"auc/{asked.name}"),
        paper={
            name: {f"qkappa/{asked.name}": GRADED[name]} for name in rows if name in GRADED and _is_dr(asked.answers)
        },
        reference=("Inception-v3, grading", "Concat, Lesion-Net-16s"),
        compared=(f"qkappa/{asked.name}", f"auc/{asked.name}"),
        note="Kappa is quadratic weighted.",
    )


def _overall(row: Row) -> StudyTable:
    """All three tasks by one network, beside the best of each task."""
    best = {name: row(grader=None, **SEGMENTERS[name]) for name in ("FCN-8s", "DeepLabv3+")}
    rows = {**best, "ABN-grading": row(**ALONE["ABN-grading"]), OURS: row(**GRADERS[OURS])}
    asked = rows[OURS].schema.questions[0]
    eight = set(NAMES) <= set(rows[OURS].schema.labels)
    paper: dict[str, dict[str, float]] = {name: {} for name in rows}
    if eight:
        for name, printed in {**{n: n for n in best}, OURS: "Lesion-Net-16s"}.items():
            paper[name] |= {"dice_pooled": MARKED[printed][0], "presence_f1": PRESENT[printed][0]}
    if _is_dr(asked.answers):
        for name in ("ABN-grading", OURS):
            paper[name][f"qkappa/{asked.name}"] = GRADED[name]
    paper[OURS]["memory"] = MEMORY[OURS]
    return StudyTable(rows, ("dice_pooled", "presence_f1", f"qkappa/{asked.name}"), paper=paper, costs=COSTS, note=NOTE)


def _beyond(row: Row) -> StudyTable:
    """Variations beyond the paper, compared with its own network."""
    ours = row(**GRADERS[OURS])
    asked = ours.schema.questions[0]
    graded = asked.ordered or len(asked.answers) == 2  # the ordinal loss needs an order
    further = {name: keywords for name, keywords in FURTHER.items() if graded or not keywords.get("ordinal")}
    rows = {OURS: ours, **{name: row(**keywords) for name, keywords in further.items()}}
    return StudyTable(
        rows,
        (f"qkappa/{asked.name}", f"accuracy/{asked.name}", "dice_pooled", "presence_f1"),
        reference=OURS,
        note=NOTE,
    )


def _is_dr(answers: Sequence[str]) -> bool:
    """Whether the grades are the paper's five."""
    return len(answers) == 5


# -- figure 5 --------------------------------------------------------------------------------------------------------


def by_size(
    folder: str | Path, *, table: str = "Table II segmentation", repeats: int = 1000
) -> dict[str, dict[str, Estimate]]:
    """The values of Figure 5: label -> row -> pooled pixel F1, the label whose marks are smallest first.

    The size of a label is the mean area of its marks over the test images that bear it.

    Args:
        folder: of the study, trained.
        table: whose rows are shown.
        repeats: bootstrap draws.

    Raises:
        ValueError: no study is there, or it has no such table.
    """
    found: dict[str, dict[str, Estimate]] = {}
    areas: dict[str, float] = {}
    for row, counts in _counted(Path(folder), table).items():
        for name, one in interval(_pixel_f1, counts, repeats=repeats).items():
            found.setdefault(name, {})[row] = one
        for label, part in counts.labels.items():
            areas[label] = int((part.tp + part.fn).sum()) / max(int((part.truth > 0).sum()), 1)
    return {label: found[label] for label in sorted(found, key=areas.__getitem__)}


def by_class_of_size(
    folder: str | Path, *, table: str = "Table II segmentation", repeats: int = 1000
) -> dict[str, dict[str, Estimate]]:
    """Row -> class of size -> F1 of single lesions (`metrics.lesions`), the mean over the labels that have such ones.

    Rows whose runs were evaluated without ``lesions.csv`` are left out. Arguments and errors as of `by_size`.
    """
    record, found = study_record(Path(folder)), {}
    for row, counts in _counted(Path(folder), table).items():
        name = record["tables"][table]["rows"][row]
        files = [Path(folder) / "runs" / name / fold / "lesions.csv" for fold in record["folds"]]
        if all(file.is_file() for file in files):
            every = stack([read_lesions(file) for file in files])
            estimates = interval(partial(lesion_metrics, lesions=every), counts, repeats=repeats)
            found[row] = {size: estimates[f"lesion/f1/{size}"] for size in sizes()}
    return found


def charts(folder: Path) -> Iterator[Chart]:
    """Figure 5 of every table of lesion networks: F1 of pixels by label, and of single lesions by their own size."""
    for table in (name for name in MARKING if name in study_record(folder)["tables"]):
        stem = "_".join(table.lower().split())
        labels = by_size(folder, table=table)
        rows = {row: {label: found[row] for label, found in labels.items()} for row in next(iter(labels.values()), {})}
        if len(labels) > 1:
            yield Chart(
                table,
                f"{stem}_f1_by_label",
                against_size(rows, order=list(labels), title="Pixel F1", x="labels, from small to large marks"),
                "F1 over the pixels of all test images, masks at 0.5; labels by the mean area of their marks in an "
                "image that bears them. Whiskers: 95 % intervals by patient.",
            )
        if single := by_class_of_size(folder, table=table):
            yield Chart(
                table,
                f"{stem}_f1_by_size",
                against_size(single, order=sizes(), title="Lesion F1", x="area of a lesion, share of the image"),
                "F1 of single lesions by their size, mean over the labels that have such ones: a drawn lesion is found "
                "where a mark overlaps it, a mark that overlaps none is a false alarm. Whiskers: 95 % intervals by "
                "patient.",
            )


MARKING = ("Table II segmentation", "Path", "Loss")
"""Tables whose rows mark lesions."""


def _counted(folder: Path, table: str) -> dict[str, Counts]:
    """Row -> its counts over all folds."""
    record = study_record(folder)
    if table not in record["tables"]:
        raise ValueError(f"table must be one of {list(record['tables'])}, got {table!r}")
    return {row: pooled(folder, name, record["folds"]) for row, name in record["tables"][table]["rows"].items()}


def _pixel_f1(counts: Counts, weights: Float[np.ndarray, "r n"]) -> Metrics:
    """Label -> pooled pixel F1; a statistic for `interval`."""
    name = "pixel/dice_pooled"
    found = measure(counts, weights, names=[f"{name}/{label}" for label in counts.labels])
    return {label: found[f"{name}/{label}"] for label in counts.labels}
