"""Regional guidance (Son et al., Table 1): does it help to mark roughly where? And what does the marking cost?

One table per finding: Inception-v3, the paper's network without and with guidance. The paper trains one network per
finding, and so do the rows; if there are several findings, "Together" has one network for all. "Forms" compares
networks and losses that guide; "Labels" compares the worth of cues of each kind, at shares of the patients for whom
they were drawn (`cost_curves`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from foveate.core.labels import LabelSchema
from foveate.data.cues import drawn_in
from foveate.data.manifest import Manifest
from foveate.engine.annotation_fraction import learnt_rows
from foveate.engine.recipe import Recipe
from foveate.engine.run import Run
from foveate.engine.study import Study, StudyTable
from foveate.recipes import load_run
from foveate.report.annotation_cost import SECONDS, Labelled, Labels, cost_curves, timed
from foveate.report.study import Chart
from foveate.studies import pooled, study_record
from foveate.studies._printed import printed
from foveate.studies._rows import row_recipe

WITHOUT, WITH, BASELINE = "Without guidance", "With guidance", "Inception-v3"

PAPER: Mapping[str, tuple[float, ...]] = {
    "macular hole": (0.9592, 0.9870, 0.9676, 0.9999, 0.3156, 0.9999, 0.2611),
    "hard exudate": (0.9889, 0.9938, 0.9910, 0.8089, 0.5999, 0.5750, 0.4614),
    "haemorrhage": (0.9760, 0.9862, 0.9895, 0.8890, 0.6388, 0.4899, 0.3857),
    "membrane": (0.9654, 0.9831, 0.9795, 0.9699, 0.3696, 0.8446, 0.2499),
    "drusen": (0.9746, 0.9811, 0.9786, 0.8292, 0.5611, 0.5931, 0.4012),
    "cotton wool patch": (0.9633, 0.9792, 0.9741, 0.8058, 0.5450, 0.4672, 0.4538),
    "RNFL defect": (0.9037, 0.9263, 0.8870, 0.7233, 0.4024, 0.4801, 0.2838),
}
"""Table 1: AUROC of Inception-v3, with, without; AIR with, without, of true positives, then of false negatives."""

ALSO = {
    "exudate": "hard exudate",
    "hemorrhage": "haemorrhage",
    "cotton wool spot": "cotton wool patch",
    "cotton wool": "cotton wool patch",
    "soft exudate": "cotton wool patch",
    "pigmentary change": "retinal pigmentary change",
    "epiretinal membrane": "membrane",
    "rnfl defect": "RNFL defect",
    "nerve fibre layer defect": "RNFL defect",
    "retinal nerve fibre layer defect": "RNFL defect",
    "retinal nerve fiber layer defect": "RNFL defect",
    "peripapillary atrophy": "atrophy",
    "chorioretinal atrophy": "atrophy",
}
"""Names that findings of data sets have, without underlines and a "_present" -> the paper's."""

SIZES: Mapping[str, str] = {
    "haemorrhage": "small",
    "hard exudate": "small",
    "cotton wool patch": "small",
    "drusen": "small",
    "retinal pigmentary change": "small",
    "macular hole": "medium",
    "atrophy": "medium",
    "membrane": "large",
    "RNFL defect": "large",
}
"""Finding -> the ``lesion_size`` that its network is made for.

The small ones are the paper's. It does not state which of the others are medium and which large; our reading goes by
what a convolution of the pyramid spans at 512 px, where the disc is some 70 px wide: 144 px at rate 4, twice the disc,
as holes with their surroundings and patches of atrophy; 272 px at rate 8, as a membrane across the macula or the wedge
of a nerve fibre defect. A finding that is not here is taken as small, and its table's note states it.
"""

SHARES = (0.25, 0.5, 1.0)


def study(
    schema: LabelSchema,
    *,
    common: Mapping[str, Any] | None = None,
    findings: Sequence[str] | None = None,
    shares: Sequence[float] = SHARES,
) -> Study:
    """Tables of each finding, of one network for all findings, of guided networks, and of the worth of labels.

    Args:
        schema: needs a finding, a yes/no question with a label as evidence.
        common: keywords for every recipe.
        findings: some of them; None = all. "Forms" and "Labels" are of the first.
        shares: of the patients of training and validation for whom cues were drawn, in "Labels".

    Raises:
        ValueError: the schema has no such finding.
    """
    there = [q.name for q in schema.findings]
    asked = there if findings is None else list(findings)
    if not asked or set(asked) - set(there):
        raise ValueError(f"region_guided: findings={asked} of {there}; a finding is a yes/no question with evidence")
    tables = {}
    for finding in asked:
        title = "Table 1" if len(asked) == 1 else f"Table 1, {finding}"
        tables[title] = _guided(schema, finding, common or {})
    if len(asked) > 1:
        tables["Together"] = _together(schema, asked, common or {})
    tables["Forms"] = _forms(schema, asked[0], common or {})
    tables["Labels"] = _labels(schema, asked[0], common or {}, shares)
    return Study("region_guided", tables)


def _settings(finding: str, common: Mapping[str, Any]) -> dict[str, Any]:
    return {"lesion_size": SIZES.get(called(finding), "small"), **common, "findings": [finding]}


def _size_said(finding: str, common: Mapping[str, Any]) -> str:
    """For a note: the lesions that the region network is made for, and who states it."""
    name = called(finding)
    if "lesion_size" in common:
        return f"The region network is made for {common['lesion_size']} lesions, as asked for."
    if name not in SIZES:
        return f"The region network is made for small lesions; the paper gives {name} no size."
    whose = "as the paper has it" if SIZES[name] == "small" else "which is our reading; the paper states no size"
    return f"The region network is made for {SIZES[name]} lesions, {whose}."


def _rows(schema: LabelSchema, finding: str, common: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Recipe]:
    settings = _settings(finding, common)
    return {row: row_recipe("region_guided", schema, settings, **own) for row, own in said.items()}


def _guided(schema: LabelSchema, finding: str, common: Mapping[str, Any]) -> StudyTable:
    """The paper's table."""
    inception = {"network": "inception_v3", "guide": 0.0}
    metrics = ("auc", "harmonic_sensitivity", "harmonic_specificity", "harmonic_air_tp", "harmonic_air_fn", "cue_share",
               "pointing", "air_mask")  # fmt: skip
    told = (f"auc/{finding}", f"harmonic_air_tp/{finding}", f"harmonic_air_fn/{finding}")
    paper: dict[str, tuple[float | None, ...]] = {}
    if called(finding) in PAPER:
        alone, auc, auc_without, tp, tp_without, fn, fn_without = PAPER[called(finding)]
        paper = {BASELINE: (alone, None, None), WITHOUT: (auc_without, tp_without, fn_without), WITH: (auc, tp, fn)}
    return StudyTable(
        _rows(schema, finding, common, {BASELINE: inception, WITHOUT: {"guide": 0.0}, WITH: {}}),
        tuple(f"{metric}/{finding}" for metric in metrics),
        paper=printed(told, paper),
        reference=WITHOUT,
        compared=told,
        costs=("size", "training", "test", "operations"),
        note="AIR: share of the activation within the cue, in images with the finding called rightly (TP) and missed "
        "(FN) at the threshold with the best harmonic mean of sensitivity and specificity, which is chosen on the test "
        "images themselves, as in the paper; a map that ignores the cue scores the cue's share. Inception-v3's "
        f"activation is the sigmoid of its class activation map. {_size_said(finding, common)}",
    )


def _together(schema: LabelSchema, findings: Sequence[str], common: Mapping[str, Any]) -> StudyTable:
    """One network for several findings, a map each."""
    settings = {**common, "findings": list(findings)}
    said = {WITHOUT: {"guide": 0.0}, WITH: {}}
    return StudyTable(
        {row: row_recipe("region_guided", schema, settings, **own) for row, own in said.items()},
        tuple(f"{name}/{finding}" for finding in findings for name in ("auc", "air", "cue_share", "pointing")),
        reference=WITHOUT,
        compared=tuple(f"{name}/{finding}" for finding in findings for name in ("auc", "air")),
        note="One network for all findings, a map each, made for "
        f"{common.get('lesion_size', 'small')} lesions whatever they are. AIR over all images with the finding, called "
        "or missed.",
    )


def _forms(schema: LabelSchema, finding: str, common: Mapping[str, Any]) -> StudyTable:
    """Networks that are guided, and losses that guide."""
    said: dict[str, dict[str, Any]] = {
        WITHOUT: {"guide": 0.0},
        WITH: {},
        "With -log(1 - a)": {"guidance_loss": "entropy"},
        "Inception-v3": {"network": "inception_v3", "guide": 0.0},
        "Inception-v3, guided CAM": {"network": "inception_v3"},
        "Inception-v3, guided CAM, -log(1 - a)": {"network": "inception_v3", "guidance_loss": "entropy"},
    }
    metrics = tuple(f"{name}/{finding}" for name in ("auc", "air", "cue_share", "pointing", "air_mask"))
    note = f"AIR over all images with the finding, whether it was called or missed. {_size_said(finding, common)}"
    return StudyTable(_rows(schema, finding, common, said), metrics, reference=WITHOUT, note=note)


def label_rows(shares: Sequence[float] = SHARES) -> dict[str, Labels]:
    """Rows of "Labels": what was drawn, and for which share of the patients."""
    out = {"Image labels": Labels("image", 1.0)}
    for kind in ("regions", "ellipses", "masks"):
        for share in shares:
            out[f"{kind.capitalize()}, {share:.0%}"] = Labels(kind, share)
    return out


def _labels(schema: LabelSchema, finding: str, common: Mapping[str, Any], shares: Sequence[float]) -> StudyTable:
    """The worth of a label of each kind."""
    said = {
        row: {"guide": 0.0} if labels.kind == "image" else {"cue": labels.kind, "annotation_fraction": labels.share}
        for row, labels in label_rows(shares).items()
    }
    metrics = tuple(
        f"{name}/{finding}" for name in ("auc", "air", "air_mask", "cue_share", "pointing", "activation_dice")
    )
    return StudyTable(
        _rows(schema, finding, common, said),
        metrics,
        reference="Image labels",
        note="Every image has its answer; cues of the kind named are drawn for that share of the patients of training "
        "and validation. "
        f"AIR is within the regions that hold the finding, whatever was drawn. {_size_said(finding, common)}",
    )


def called(finding: str) -> str:
    """The paper's name of a finding."""
    name = finding.removesuffix("_present").replace("_", " ")
    return ALSO.get(name, name)


def charts(folder: Path, *, seconds: Mapping[str, float] | None = None) -> Iterator[Chart]:
    """The cost of labels and their gain, if the table "Labels" was run and the manifest is still there.

    Args:
        folder: of the study.
        seconds: of one label of each kind; those left out are `report.cost.SECONDS`.

    Raises:
        ValueError: a kind that there is not, or a time that is not positive.
    """
    times = timed(seconds or {})
    record = study_record(folder)
    if "Labels" in record["tables"] and _manifest(record) is not None:
        said = ", ".join(f"{kind} {time:g} s" for kind, time in times.items())
        whose = "as given" if seconds else "assumed; give your own with --seconds"
        yield Chart(
            "Labels",
            "labels_cost",
            curves_of(folder, seconds=times),
            f"Against the hours that annotators need to label the images to train and validate on. Time of one label "
            f"({whose}): {said}; an answer for every image, the drawing in addition if the finding is there. "
            "Whiskers: 95 % intervals by patient.",
        )


def curves_of(folder: str | Path, *, seconds: Mapping[str, float] = SECONDS) -> Figure:
    """Localisation and AUROC against the hours of labelling, from the "Labels" table of a study folder.

    Args:
        folder: of the study.
        seconds: of one label of each kind.

    Raises:
        ValueError: the folder holds no such table, or the manifest that it learnt from is no longer there.
    """
    record = study_record(Path(folder))
    if "Labels" not in record["tables"]:
        raise ValueError(f"{folder}: the study has no table 'Labels'; run it with tables=['Labels']")
    table = record["tables"]["Labels"]
    counts = {row: pooled(Path(folder), name, record["folds"]) for row, name in table["rows"].items()}
    shares = sorted({float(row.split(", ")[1].rstrip("%")) / 100 for row in counts if ", " in row})
    labels = {row: kind for row, kind in label_rows(shares).items() if row in counts}
    question = table["metrics"][0].rpartition("/")[2]
    rows = _manifest(record)
    if rows is None:
        raise ValueError(
            f"{record['manifest']['path']}: no such manifest, so nobody knows what was labelled; restore it"
        )
    labelled = {
        row: [_labelled(load_run(Path(folder) / "runs" / name / fold), rows, question) for fold in record["folds"]]
        for row, name in table["rows"].items()
    }
    return cost_curves(counts, labels, labelled=labelled, question=question, seconds=seconds)


def _manifest(record: Mapping[str, Any]) -> Manifest | None:
    """The rows that a study learnt from; None where their file is gone or never was."""
    path = record["manifest"]["path"]
    return Manifest.read(path) if path and Path(path).is_file() else None


def _labelled(run: Run, rows: Manifest, finding: str) -> Labelled:
    """Images that a run trained and validated on, and those with the finding that were drawn in for it."""
    seen = learnt_rows(run, rows)
    question = rows.schema.question(finding)
    drawn = [row for row in seen if drawn_in(row, question, rows.schema)]
    return Labelled(len(seen), len(drawn))
