"""Image quality (Wu et al., Table 1 and Figure 3): a classifier against joint networks in 4, 3, 2 classes.

The paper prints two methods: EfficientNet-B0 alone, and FPN + ResNeXt101 on both tasks. Here every row has the same
encoder and budget, so that only the task differs; ``encoders=`` brings the paper's own pair back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from foveate.core.labels import LabelSchema, Question
from foveate.engine.recipe import Recipe
from foveate.engine.study import Study, StudyTable
from foveate.studies._rows import row_recipe

PAPER = {
    4: {"Classifier": 0.9113, "FPN, joint": 0.9380},
    2: {"Classifier": 0.9610, "FPN, joint": 0.9810},
}
"""F1 of Table 1 by number of classes; the two-class grouping is the best grade against the rest."""

METHODS: dict[str, dict[str, Any]] = {
    "Classifier": {"classify": 1.0},
    "U-Net, joint": {"decoder": "unet"},
    "FPN, joint": {"decoder": "fpn"},
}


def study(
    schema: LabelSchema,
    *,
    common: Mapping[str, Any] | None = None,
    question: str | None = None,
    classes: Sequence[int] = (4, 3, 2),
    encoders: Mapping[str, str] | None = None,
) -> Study:
    """A table for each number of classes with a row for each grouping and method, and one that parts the two tasks.

    Args:
        schema: the tables of classes need an ordered question; "Tasks" serves any schema with questions and labels.
        common: keywords for every recipe.
        question: the ordered question; None = the first.
        classes: how many classes a table has; those that the question cannot be merged into are left out.
        encoders: method -> encoder, if methods differ in it ({"Classifier": "efficientnet_b0",
            "FPN, joint": "resnext101_32x8d"} is the paper's table).

    Raises:
        ValueError: the schema has no such ordered question.
    """
    graded = [q for q in schema.questions if q.ordered and question in (None, q.name)]
    if question is not None and not graded:
        raise ValueError(
            f"question must be one of the ordered {[q.name for q in schema.questions if q.ordered]}, got {question!r}"
        )
    tables = {}
    for number in classes:
        if graded and number <= len(graded[0].answers):
            tables[f"{number} classes"] = _classes(schema, graded[0], number, common or {}, encoders or {})
    if schema.labels:
        tables["Tasks"] = _tasks(schema, common or {})
    return Study("image_quality", tables)


def _classes(
    schema: LabelSchema, asked: Question, number: int, common: Mapping[str, Any], encoders: Mapping[str, str]
) -> StudyTable:
    """Every grouping into so many classes, by every method."""
    rows: dict[str, Recipe] = {}
    paper: dict[str, dict[str, float]] = {}
    whole = number == len(asked.answers)
    for grouping in groupings(asked, number):
        for method, keywords in METHODS.items():
            settings = {**common, **keywords, "question": asked.name}
            if method in encoders:
                settings["encoder"] = encoders[method]
            if not whole:
                settings["grouping"] = grouping
            name = method if whole else f"{method} {grouping}"
            rows[name] = row_recipe("image_quality", schema, settings)
            if (whole or grouping == best_against_rest(asked)) and len(asked.answers) == 4:
                paper |= {name: {f"f1/{asked.name}": PAPER[number][method]}} if method in PAPER.get(number, {}) else {}
    return StudyTable(
        rows,
        (*(f"{metric}/{asked.name}" for metric in ("f1", "accuracy", "qkappa", "auc")), "dice"),
        paper=paper,
        reference="Classifier" if whole else None,
        note="F1 is the mean over classes (the paper does not state which mean it prints).",
    )


def _tasks(schema: LabelSchema, common: Mapping[str, Any]) -> StudyTable:
    """Both tasks against each alone, and against a start from random weights; same folds, budget and selection rule."""
    settings = {"keep": "loss", **common}
    variants: dict[str, dict[str, Any]] = {"Joint": {}, "Classification only": {"classify": 1.0}}
    variants["Segmentation only"] = {"classify": 0.0}
    if settings.get("weights", "none") != "none":
        variants["Joint, random start"] = {"weights": "none"}
    rows = {name: row_recipe("image_quality", schema, settings, **v) for name, v in variants.items()}
    metrics = [f"{metric}/{q.name}" for q in schema.questions for metric in ("auc", "f1")]
    metrics += [f"dice/{label}" for label in schema.labels]
    return StudyTable(
        rows,
        tuple(metrics),
        reference="Joint",
        note="The weights of each row are those of its lowest validation loss.",
    )


def groupings(question: Question, number: int) -> list[str]:
    """Every merge of neighbouring answers into so many classes, finest first group last."""
    answers = question.answers
    glue = "" if all(len(a) == 1 for a in answers) else ","
    found = []
    for cuts in combinations(range(1, len(answers)), number - 1):
        edges = (0, *cuts, len(answers))
        found.append("|".join(glue.join(answers[a:b]) for a, b in pairwise(edges)))
    return found


def best_against_rest(question: Question) -> str:
    """The paper's two classes: all lower grades against the best."""
    return groupings(question, 2)[-1]
