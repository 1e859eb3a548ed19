"""Joint Dice (Wei et al., Tables 1 to 3): does it raise specificity without losing Dice? Networks, parts, two steps.

The paper's 86 test images (70 with atrophy) are not public; its metrics are beside ours. Dice of all images counts a
rightly empty mask as 1 and a false alarm as 0; detection is read from the mask: any pixel given the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.engine.recipe import Recipe
from foveate.engine.study import Study, StudyTable
from foveate.losses._presence import targets_of
from foveate.studies._printed import printed
from foveate.studies._rows import row_recipe

PLAIN = {"neighbour": False, "multitask": False, "joint": False, "detach": False}
"""Background and target alone, no answer, cross entropy and Dice: how the paper trains all that is not its own."""

NETWORKS: dict[str, str] = {
    "UNet": "unet",
    "R50 UNet": "r50_unet",
    "Att-UNet": "attention_unet",
    "HBA-UNet": "hba_unet",
    "TransUNet": "transunet",
    "Swin-UNet": "swin_unet",
    "TransFuse": "transfuse",
}
"""Rows of Table 1 and their networks."""

PARTS: dict[str, dict[str, Any]] = {
    "HBA-UNet": PLAIN,
    "+ neighbour": {"multitask": False, "joint": False, "detach": False},
    "+ neighbour, answer": {"joint": False, "detach": False},
    "+ answer, joint Dice": {"neighbour": False},
    "Ours": {},
}
"""Rows of Table 2."""

GATES: dict[str, dict[str, Any]] = {
    "Dice": PARTS["+ neighbour, answer"],
    "Dice, gated": {**PARTS["+ neighbour, answer"], "gate": True},
    "Joint Dice": {},
    "Joint Dice, gated": {"gate": True},
}
"""Rows of "Gate": the same network by either loss, its masks as they are or opened and closed by its own answer.

A gated row is trained, and its weights are chosen, as the same row without a gate: the two share what was trained.
"""

TWO_STEPS = "TransUNet + ResNet"

OF_ROWS = ("network", "multitask", "joint", "two_step", "gate")
"""Keywords that make a row what it is called, and so are none for all of them."""

COLUMNS = ("dice_all", "dice_all_std", "dice_present", "dice_present_std", "presence_accuracy", "presence_sensitivity",
           "presence_specificity")  # fmt: skip
Printed = Mapping[str, tuple[float | None, ...]]
TABLE1: Printed = {
    "UNet": (0.7115, 0.3363, 0.8456, 0.1319, 0.8372, 1.0, 0.1250),
    "R50 UNet": (0.7959, 0.3056, 0.8473, 0.1401, 0.8837, 1.0, 0.3750),
    "Att-UNet": (0.6988, 0.3123, 0.8157, 0.1075, 0.8488, 1.0, 0.1875),
    "HBA-UNet": (0.7763, 0.2969, 0.8394, 0.1724, 0.9070, 1.0, 0.5000),
    "TransUNet": (0.8002, 0.3104, 0.8974, 0.1186, 0.8721, 0.9857, 0.3750),
    "Swin-UNet": (0.7236, 0.3319, 0.8604, 0.0986, 0.8372, 1.0, 0.1250),
    "TransFuse": (0.6572, 0.3085, 0.7646, 0.1420, 0.8488, 1.0, 0.1875),
    "Ours": (0.8854, 0.1860, 0.9020, 0.0786, 0.9651, 1.0, 0.8125),
}
TABLE2: Printed = {
    "HBA-UNet": TABLE1["HBA-UNet"],
    "+ neighbour": (0.7853, 0.3186, 0.8934, 0.1133, 0.8721, 1.0, 0.3125),
    "+ neighbour, answer": (0.8406, 0.2517, 0.8899, 0.1058, 0.9302, 1.0, 0.6250),
    "+ answer, joint Dice": (0.8556, 0.2423, 0.8940, 0.1229, 0.9302, 0.9857, 0.6875),
    "Ours": TABLE1["Ours"],
}
TABLE3: Printed = {
    "TransUNet": (0.8002, 0.3104, None, None, 0.8721, 0.9857, 0.3750),
    TWO_STEPS: (0.8719, 0.2245, None, None, 0.9419, 0.9714, 0.8125),
    "Ours": (0.8854, 0.1860, None, None, 0.9651, 1.0, 0.8125),
}
"""Values as printed. R50 UNet's Dice looks transposed: (70 * 0.8473 + 16 * 0.375) / 86 = 0.7594, not 0.7959."""


def study(
    schema: LabelSchema,
    *,
    common: Mapping[str, Any] | None = None,
    each: Mapping[str, Mapping[str, Any]] | None = None,
) -> Study:
    """The three tables and "Gate", for one yes/no question with evidence: the schema's first, or ``question``.

    If its evidence is several labels, each has metrics of its own, because presence is read from the mask of one label;
    the paper's, of a single target, are then left out.

    Args:
        schema: needs such a question; all other labels are neighbours.
        common: keywords for every recipe; not `OF_ROWS`.
        each: row -> keywords of its own, such as {"TransUNet": {"depth": 4}} if a network is to be smaller.

    Raises:
        ValueError: the schema has no such question, ``common`` asks another one or several, or would make rows other
            than they are called, or ``each`` names no row.
    """
    shared, own, every = common or {}, each or {}, [*NETWORKS, *PARTS, TWO_STEPS, *GATES]
    asked = _asked(schema, shared.get("question"))
    settings, labels = {**shared, "question": asked}, targets_of(schema)[asked]
    if taken := {name: value for name, value in shared.items() if name in OF_ROWS}:
        raise ValueError(
            f"common: {taken} would change every row into another than its name; give single rows keywords of "
            f"their own, such as each={{'Ours': {taken}}}"
        )
    if strange := set(own) - set(every):
        raise ValueError(f"each: {sorted(strange)} must be some of the rows {every}")

    def row(name: str, **keywords: Any) -> Recipe:
        return row_recipe("joint_dice", schema, settings, **{**keywords, **own.get(name, {})})

    ours = {"Ours": row("Ours")}
    plain = {name: row(name, network=network, **PLAIN) for name, network in NETWORKS.items()}
    steps = row(TWO_STEPS, **{"network": "transunet", "two_step": True, **PLAIN, **own.get("TransUNet", {})})
    tables: dict[str, tuple[dict[str, Recipe], Printed]] = {
        "Table 1": (plain | ours, TABLE1),
        "Table 2": ({name: row(name, **keywords) for name, keywords in PARTS.items()}, TABLE2),
        "Table 3": ({"TransUNet": plain["TransUNet"], TWO_STEPS: steps} | ours, TABLE3),
    }
    tables["Gate"] = ({name: row(name, **keywords) for name, keywords in GATES.items()}, {})
    metrics = tuple(f"{name}/{label}" for label in labels for name in COLUMNS)
    one = len(labels) == 1
    return Study(
        "joint_dice",
        {
            title: StudyTable(
                rows,
                metrics,
                paper=printed(metrics, paper) if one else {},
                reference="Ours" if "Ours" in rows else "Dice",
                compared=tuple(m for m in metrics if "_std" not in m),
                costs=("size", "training", "test"),
                note=(_said_of_one(labels[0]) if one else _said_of_several(labels)) + _gated(rows) + _unfilled(rows),
            )
            for title, (rows, paper) in tables.items()
        },
    )


def _asked(schema: LabelSchema, question: Any) -> str:
    """The question that is studied; ValueError where it is not one of those with evidence."""
    there = list(targets_of(schema))
    if question is None:
        return there[0]
    if not isinstance(question, str) or question not in there:
        raise ValueError(
            f"question={question!r}: a study compares one question; name one of {there}, others in studies of their own"
        )
    return question


def _said_of_one(label: str) -> str:
    return f"Target: {label}. Presence is read from the mask: any pixel given the target."


def _said_of_several(labels: tuple[str, ...]) -> str:
    return (
        f"Targets: {', '.join(labels)}, each with metrics of its own. Presence is read from its mask: any pixel given "
        "it. The paper's values are of a single target and left out."
    )


def _unfilled(rows: Mapping[str, Recipe]) -> str:
    """Rows whose marking network no pretrained weights fill, where those of others are filled."""
    bare = [row for row, recipe in rows.items() if recipe.stages[-1].start is None]
    some = any(stage.start is not None for recipe in rows.values() for stage in recipe.stages)
    return f" Marked from random weights, which those given do not fit: {', '.join(bare)}." if some and bare else ""


def _gated(rows: Mapping[str, Recipe]) -> str:
    """How gates open, where there are some: at 0.5, or where the recipes choose it on the validation images."""
    chosen = {recipe.calibrated is not None for recipe in rows.values() if recipe.gates}
    if not chosen:
        return ""
    if chosen == {False}:
        return " A gate opens where the answer's probability is 0.5 or more."
    some = "A gate" if chosen == {True} else "A gate, in rows that are calibrated,"
    return f" {some} opens from the probability on that serves the Dice of the validation images best."
