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
from foveate.recipes import load_recipe

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
    """One table for each number of classes, a row for each grouping and method.

    Args:
        schema: has an ordered question.
        common: keywords for every recipe.
        question: the ordered question; None = the first.
        classes: how many classes a table has.
        encoders: method -> encoder, where methods differ in it ({"Classifier": "efficientnet_b0",
            "FPN, joint": "resnext101_32x8d"} is the paper's table).

    Raises:
        ValueError: the schema has no ordered question.
    """
    graded = [q for q in schema.questions if q.ordered and question in (None, q.name)]
    if not graded:
        raise ValueError(
            f"question={question!r}: image quality needs an ordered question; there are {schema.questions}"
        )
    asked = graded[0]
    tables = {}
    for number in classes:
        rows: dict[str, Recipe] = {}
        paper: dict[str, dict[str, float]] = {}
        for grouping in groupings(asked, number):
            for method, keywords in METHODS.items():
                settings = {**(common or {}), **keywords, "question": asked.name}
                if encoders and method in encoders:
                    settings["encoder"] = encoders[method]
                if number < len(asked.answers):
                    settings["grouping"] = grouping
                name = method if number == len(asked.answers) else f"{method} {grouping}"
                rows[name] = load_recipe("image_quality", schema, **settings)
                printed = number == len(asked.answers) or grouping == best_against_rest(asked)
                if printed and method in PAPER.get(number, {}) and len(asked.answers) == 4:
                    paper[name] = {f"f1/{asked.name}": PAPER[number][method]}
        figures = (f"f1/{asked.name}", f"accuracy/{asked.name}", f"qkappa/{asked.name}", f"auc/{asked.name}", "dice")
        tables[f"{number} classes"] = StudyTable(
            rows,
            figures,
            paper=paper,
            reference="Classifier" if number == len(asked.answers) else None,
            note="F1 is the mean over classes (the paper does not say which mean it prints).",
        )
    return Study("image_quality", tables)


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
