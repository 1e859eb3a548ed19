"""The page's sections of numbers and charts, as plain values for its template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from foveate.core.labels import Question
from foveate.metrics import grading, listing
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.measure import measure
from foveate.report import answers
from foveate.report.curves import Record, curves, stages
from foveate.report.embed import chart
from foveate.report.found import mean_heading
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell, say, span
from foveate.report.tables import heading


def facts(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Recipe, data, seed, versions and commit of a run, as far as its record has them."""
    manifest, versions, git = (run.get(key) or {} for key in ("manifest", "versions", "git"))
    found = {
        "recipe": run.get("name"),
        "manifest": manifest.get("path"),
        "manifest hash": str(manifest["hash"])[:16] if manifest.get("hash") else None,
        "seed": run.get("seed"),
        "foveate": versions.get("foveate"),
        "torch": versions.get("torch"),
        "commit": f"{git['commit'][:12]}{'' if git.get('clean') else ' with local changes'}"
        if git.get("commit")
        else None,
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "")]


def data(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Totals and tables of ``rows.describe``: plain values are totals, mappings are tables."""
    totals = [
        (name, f"{value:,}" if isinstance(value, int) else str(value))
        for name, value in summary.items()
        if not isinstance(value, Mapping)
    ]
    tables = []
    for name, lines in summary.items():
        if isinstance(lines, Mapping) and lines:
            heads = list(dict.fromkeys(head for line in lines.values() for head in line))
            rows = tuple((str(row), *(_cell(line.get(head)) for head in heads)) for row, line in lines.items())
            tables.append(
                Table(name[:1].upper() + name[1:], (Column(""), *(Column(str(head)) for head in heads)), rows)
            )
    return {"totals": totals, "tables": tables}


def training(log: Sequence[Record]) -> list[dict[str, Any]]:
    """One chart per stage; below it, its number of epochs and the epoch that was kept."""
    out = []
    for name, records in stages(log).items():
        last = records[-1]
        kept = next((r for r in reversed(records) if r.get("best")), None)
        words = f"{len(records)} validations"
        if last.get("epoch") is not None:
            words += f", up to epoch {last['epoch']}"
        if last.get("step") is not None:
            words += f" (step {last['step']})"
        if kept is not None:
            val = dict(listing.upgraded(kept.get("val") or {}))
            # Neither Dice over all images nor, beside it, a second name of Dice where present
            shown = [k for k in val if k != "pixel/dice_all" and (k != "pixel/dice" or "pixel/dice_present" not in val)]
            values = ", ".join(f"{heading(k)} {val[k]:.3f}" for k in shown[:6] if isinstance(val[k], (int, float)))
            words += f". Kept: epoch {kept.get('epoch')}" + (f" ({values})" if values else "")
        picture = chart(curves(log, stage=name), alt=f"Training curves of stage {name}")
        out.append({"name": name, "words": words + ".", "chart": picture})
    return out


def tiles(counts: Counts, *, estimates: Mapping[str, Estimate], absent: str) -> list[dict[str, str]]:
    """The most important metrics, at the top of the page.

    Dice where present and over all images, with its policy; AUC and accuracy (or quadratic kappa) per question.
    """
    mean = mean_heading(absent)
    dice = [("Dice where present", "pixel/dice_present"), *([(mean, "pixel/dice")] if mean else [])]
    wanted = dice * bool(counts.schema.labels)
    for q in counts.schema.questions:
        names = [f"image/{n}/{q.name}" for n in ("auc", "qkappa" if q.ordered else "accuracy")]
        wanted += [(heading(name), name) for name in names]
    return [
        {"name": words, "value": say(estimates[key], digits=3), "range": span(estimates[key], digits=3)}
        for words, key in wanted
        if not math.isnan(estimates[key].value)
    ]


def questions(counts: Counts, *, repeats: int) -> list[dict[str, Any]]:
    """Confusion matrix, ROC and reliability of each question."""
    names = [
        f"image/auc/{q.name}/{answer}"
        for q in counts.schema.questions
        for answer in (("yes",) if q.yes_no else q.answers)
    ]
    found = interval(partial(measure, names=names), counts, repeats=repeats)
    return [_question(q, counts, found) for q in counts.schema.questions]


def _question(q: Question, counts: Counts, found: Mapping[str, Estimate]) -> dict[str, Any]:
    scores = counts.questions[q.name]
    if not len(scores.truth):
        return {
            "name": q.name,
            "charts": [],
            "missing": "The true answer is unknown for every image, so the predictions cannot be evaluated.",
        }
    matrix = grading.confusion(scores, np.ones((1, len(counts))))[0].astype(int)
    curve, lost = {}, []
    for answer in ("yes",) if q.yes_no else q.answers:
        estimate = found[f"image/auc/{q.name}/{answer}"]
        if math.isnan(estimate.value):
            lost.append(answer)
            continue
        points = grading.roc(counts, question=q.name, answer=answer)
        curve[f"{answer}: AUC {say(estimate, digits=3)} ({span(estimate, digits=3)})"] = (
            points.false_positive_rate,
            points.true_positive_rate,
        )
    if q.yes_no:
        called, right = scores.probability[:, 1], scores.truth == 1
        words = "Reliability of yes"
    else:
        called = scores.probability.max(1)
        right = scores.probability.argmax(1) == scores.truth
        words = "Reliability of the likeliest"
    charts = [
        chart(answers.confusion(matrix, answers=q.answers, title="Confusion"), alt=f"Confusion matrix of {q.name}"),
        chart(answers.roc(curve, title="ROC"), alt=f"ROC curves of {q.name}"),
        chart(answers.reliability(np.clip(called, 0, 1), truth=right, title=words), alt=f"{words}, {q.name}"),
    ]
    return {
        "name": q.name,
        "charts": charts,
        "missing": f"No ROC of {', '.join(lost)}: the truth is of one kind." if lost else "",
    }


def plan(rows: Sequence[tuple[str, str, str, str]]) -> Table | None:
    """The decisions of a plan as a table; None if there are none.

    Args:
        rows: name, value, reason and measurement of each.
    """
    if not rows:
        return None
    columns = tuple(Column(name) for name in ("decision", "value", "reason", "measured"))
    return Table("Plan", columns, tuple(rows))


def mapping(title: str, values: Mapping[str, Any]) -> Table | None:
    """Names and values as a table; None if there are none."""
    rows = tuple((str(k), "not given" if v is None else str(v)) for k, v in values.items())
    return Table(title, (Column("name"), Column("value")), rows) if rows else None


def _cell(value: object) -> Cell:
    return value if isinstance(value, (int, float)) or value is None else str(value)
