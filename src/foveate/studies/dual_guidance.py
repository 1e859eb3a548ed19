"""Dual guidance (Diao et al., Tables 2-9): classifiers, segmenters and joint networks against the cascade, and beyond.

Every row sees the same images, budget and selection rule. As in the paper's tables one question is asked and all labels
are one lesion mask; masks are scored on the images that bear a lesion. The cascade is one run for all its tables, and
CM-CNN is trained once for all the segmenters that read its map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from foveate.core.labels import LabelSchema, Question
from foveate.engine.recipe import Recipe
from foveate.engine.study import Study, StudyTable
from foveate.studies._printed import printed
from foveate.studies._rows import row_recipe

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "VGG16": {"classifier": "vgg16"},
    "MobileNet": {"classifier": "mobilenet"},
    "SENet": {"classifier": "senet"},
    "Inception-v3": {"classifier": "inception_v3"},
    "OpticNet": {"classifier": "opticnet71"},
}
SEGMENTERS = {"PSPNet": "pspnet", "Attention-UNet": "attention_unet", "UNet": "unet", "CENet": "cenet"}
TOGETHER: dict[str, dict[str, Any]] = {
    "Y-Net": {"classifier": "ynet"},
    "Cross-stitch": {"classifier": "cross_stitch"},
    "Cross-connected": {"classifier": "cross_connected"},
}
METHODS: dict[str, dict[str, Any]] = {
    "Res18-UNet": {"guided": False},
    "CAM-UNet": {},
    "End to end": {"classifier": "dual"},
}
"""No guidance, the cascade, and one network in its place: rows of "Partial labels" and "Apart"."""

OURS = "CM-CNN + CAM-UNet"
SHARES = (1.0, 0.5, 0.25, 0.1)

MASKS = ("dice", "iou", "pixel/sensitivity", "pixel/specificity", "pixel/accuracy")
COSTS = ("size", "training", "test", "operations")

# Tables 2 and 5 of the paper: AUC, sensitivity, specificity and accuracy of each class, then accuracy and kappa
ANSWERS = ("cnv", "drusen", "normal")
ONE_AGAINST_REST = {
    "VGG16": ((0.9930, 0.9960, 0.9040, 0.9347), (0.9790, 0.7800, 1, 0.9267), (0.9988, 1, 0.9840, 0.9893)),
    "MobileNet": ((0.9928, 1, 0.9340, 0.9560), (0.9835, 0.8160, 1, 0.9387), (0.9979, 0.9960, 0.9720, 0.9800)),
    # The paper prints 0.9930 for the sensitivity of Normal, which no 250 images can give; 0.9920 fits its accuracy
    "SENet": ((0.9927, 1, 0.9500, 0.9667), (0.9865, 0.8480, 0.9960, 0.9467), (0.9960, 0.9930, 0.9740, 0.9800)),
    "Inception-v3": ((0.9955, 1, 0.9540, 0.9693), (0.9854, 0.8600, 0.9980, 0.9520), (0.9984, 0.9960, 0.9760, 0.9827)),
    "OpticNet": ((0.9951, 0.9960, 0.9420, 0.9600), (0.9812, 0.8240, 1, 0.9413), (0.9995, 1, 0.9680, 0.9787)),
    "CM-CNN": ((0.9988, 0.9960, 0.9680, 0.9773), (0.9874, 0.9120, 0.9980, 0.9693), (0.9999, 1, 0.9880, 0.9920)),
    "ResNet18": ((0.9966, 0.9920, 0.9600, 0.9770), (0.9850, 0.8520, 0.9920, 0.9453), (0.9980, 0.9920, 0.9660, 0.9747)),
    "ResNet18 (mask)": (
        (0.9989, 0.9960, 0.9740, 0.9813),
        (0.9851, 0.8720, 0.9980, 0.9560),
        (0.9986, 1, 0.9620, 0.9747),
    ),
}
OVERALL = {
    "VGG16": (0.9253, 0.8880), "MobileNet": (0.9373, 0.9060), "SENet": (0.9467, 0.9200),
    "Inception-v3": (0.9520, 0.9280), "OpticNet": (0.9400, 0.9100), "CM-CNN": (0.9693, 0.9540),
    "ResNet18": (0.9453, 0.9180), "ResNet18 (mask)": (0.9560, 0.9339),
}  # fmt: skip
# Two classes, Table 7: AUC, sensitivity, specificity, accuracy, kappa
TWO_CLASSES = {
    "VGG16": (0.9405, 0.9600, 0.7500, 0.8550, 0.7100), "MobileNet": (0.9503, 0.9100, 0.9000, 0.9050, 0.8100),
    "SENet": (0.9820, 0.9100, 0.9800, 0.9450, 0.8900), "Inception-v3": (0.9826, 0.9800, 0.8000, 0.8900, 0.7800),
    "OpticNet": (0.9565, 0.9500, 0.8300, 0.8900, 0.7800), "CM-CNN": (0.9925, 0.9800, 0.9600, 0.9700, 0.9400),
}  # fmt: skip
# Tables 3 and 8: Dice, IoU, sensitivity, specificity and pixel accuracy; the three-class and the two-class set
MARKED = {
    "PSPNet": ((0.6318, 0.5128, 0.6052, 0.9957, 0.9899), (0.7025, 0.5682, 0.8134, 0.9900, 0.9879)),
    "PSPNet + CAM": ((0.7311, 0.6032, 0.7794, 0.9932, 0.9904), (0.7039, 0.5833, 0.7624, 0.9926, 0.9891)),
    "Attention-UNet": ((0.7543, 0.6447, 0.7373, 0.9962, 0.9913), (0.7626, 0.6386, 0.8366, 0.9899, 0.9880)),
    "Attention-UNet + CAM": ((0.7644, 0.6423, 0.7578, 0.9961, 0.9918), (0.7655, 0.6647, 0.9063, 0.9913, 0.9908)),
    "UNet": ((0.7575, 0.6439, 0.7620, 0.9953, 0.9910), (0.7665, 0.6689, 0.9096, 0.9908, 0.9903)),
    "UNet + CAM": ((0.7662, 0.6382, 0.8758, 0.9928, 0.9904), (0.7685, 0.6769, 0.8379, 0.9931, 0.9919)),
    "CENet": ((0.7661, 0.6541, 0.7618, 0.9961, 0.9919), (0.7428, 0.6188, 0.8755, 0.9912, 0.9902)),
    "CENet + CAM": ((0.7680, 0.6421, 0.8713, 0.9928, 0.9906), (0.7561, 0.6594, 0.8415, 0.9937, 0.9923)),
    "CAM-UNet": ((0.7751, 0.6638, 0.7610, 0.9963, 0.9923), (0.7800, 0.7085, 0.8881, 0.9953, 0.9946)),
}
# Tables 4 and 9: accuracy, kappa, Dice, IoU
JOINTLY = {
    "Y-Net": ((0.9213, 0.8820, 0.7362, 0.6240), (0.8900, 0.7800, 0.7400, 0.6178)),
    "Cross-stitch": ((0.9467, 0.9200, 0.7540, 0.6400), (0.9250, 0.8500, 0.7550, 0.6347)),
    "Cross-connected": ((0.9306, 0.8960, 0.7425, 0.6349), (0.9050, 0.8100, 0.7413, 0.6136)),
    OURS: ((0.9693, 0.9540, 0.7751, 0.6638), (0.9700, 0.9400, 0.7800, 0.7085)),
}
# Table 6
ABLATED = {
    "Res18-UNet": (0.7498, 0.6378, 0.7292, 0.9963, 0.9917),
    "CAM-UNet*": (0.7688, 0.6557, 0.7616, 0.9959, 0.9922),
    "CAM-UNet": (0.7751, 0.6638, 0.7610, 0.9963, 0.9923),
}
# Tables 2-4: MiB, hours of training, ms a test image (one RTX 2080 Ti, 512 x 512)
PRICES = {
    "VGG16": (14.93, 0.78, 18.40), "MobileNet": (12.26, 1.25, 18.13), "SENet": (115.21, 0.47, 28.20),
    "Inception-v3": (83.13, 1.27, 34.67), "OpticNet": (11.91, 1.56, 53.80), "CM-CNN": (60.63, 0.53, 18.33),
    "PSPNet": (77.18, 2.89, 24.00), "Attention-UNet": (33.29, 3.87, 25.93), "UNet": (29.62, 2.08, 12.33),
    "CENet": (110.07, 6.12, 20.27), "CAM-UNet": (60.79, 1.37, 14.60), "Y-Net": (54.61, 1.02, 13.33),
    "Cross-stitch": (97.21, 1.63, 16.60), "Cross-connected": (103.40, 1.72, 15.33), OURS: (121.42, 1.90, 38.86),
}  # fmt: skip
NOTE = "Masks: {label} is {members}; scored on the images that bear it. "
SIZES = (
    "Sizes that are not the paper's: its 11.91 of OpticNet counts OpticNet-71's parameters and running statistics in "
    "units of 2**20 (47.47 MiB of parameters); its 14.93 of VGG16 is nearest to the 14.72 million parameters of the "
    "thirteen convolutions with a linear layer, built here (56.13 MiB); its 115.21 of SENet fits no published variant "
    "(SE-ResNet-50 is built, 99.33 MiB)."
)


def study(
    schema: LabelSchema,
    *,
    common: Mapping[str, Any] | None = None,
    question: str | None = None,
    labels: Sequence[str] | None = None,
    lesion: str = "lesion",
    shares: Sequence[float] = SHARES,
) -> Study:
    """Tables 2-6 of the paper (7-9, 5 and 6 if the question has two answers), and four of ours.

    "End to end": one network in the place of the cascade. "Maps": maps that guide, compared with a blank map. "Partial
    labels": only a share of the training patients has masks. "Apart": every label has a mask of its own and every
    question is asked, if there are several.

    Args:
        schema: the manifest's; needs a question and labels.
        common: keywords for every recipe.
        question: that is answered and guides; None = the first.
        labels: that become the one mask of the lesion; None = all.
        lesion: its name.
        shares: of "Partial labels".

    Raises:
        ValueError: the schema has no question, no such question, or no labels.
    """
    if not schema.questions or not schema.labels:
        raise ValueError("dual_guidance: the tables need a question and labels; this schema lacks one of them")
    schema = schema.select(labels=labels)
    asked = schema.question(question) if question else schema.questions[0]
    one, given = schema.select(questions=[asked.name]), {"unite": lesion, **(common or {})}
    two = len(asked.answers) == 2

    def row(**keywords: Any) -> Recipe:
        return row_recipe("dual_guidance", one, given, **keywords)

    cascade = row()
    masks = NOTE.format(label=lesion, members=" + ".join(schema.labels))
    tables = {
        "Table 7" if two else "Table 2": _answers(
            {**{name: row(**k) for name, k in CLASSIFIERS.items()}, "CM-CNN": cascade}, asked, note=SIZES
        ),
        "Table 8" if two else "Table 3": _segmenters(row, cascade, two=two, note=masks),
        "Table 9" if two else "Table 4": _together(row, cascade, asked, two=two, note=masks),
        "Table 5": _answers(
            {"ResNet18": row(mask="none"), "ResNet18 (mask)": row(mask="single", segmenter=None), "CM-CNN": cascade},
            asked,
        ),
        "Table 6": StudyTable(
            {"Res18-UNet": row(guided=False), "CAM-UNet*": row(mask="none"), "CAM-UNet": cascade},
            MASKS,
            paper={} if two else printed(MASKS, ABLATED),
            reference="CAM-UNet",
            compared=("dice", "iou"),
            absent="exclude",
            note=masks + "CAM-UNet*: guided by the map of ResNet18, a classifier without masks.",
        ),
        "End to end": _end_to_end(row, cascade, asked, note=masks),
        "Maps": _maps(row, cascade, note=masks),
        "Partial labels": _partial(row, asked, shares, note=masks),
    }
    if len(schema.labels) > 1 or len(schema.questions) > 1:
        tables["Apart"] = _apart(schema, asked, common or {})
    return Study("dual_guidance", tables)


def _answers(rows: Mapping[str, Recipe], asked: Question, *, note: str = "") -> StudyTable:
    """Tables 2, 5 and 7: every class against the rest, or the metrics of "yes"."""
    q = asked.name
    metrics: tuple[str, ...]
    paper: dict[str, dict[str, float]] = {}
    costs = COSTS if "VGG16" in rows else ()
    if len(asked.answers) == 2:
        ill = asked.answers[0 if asked.healthy == asked.answers[1] else 1]
        yes = f"/{q}" if asked.yes_no else f"/{q}/{ill}"
        metrics = (f"auc{yes}", f"sensitivity{yes}", f"specificity{yes}", f"accuracy/{q}", f"kappa/{q}")
        paper = printed(metrics, {name: TWO_CLASSES[name] for name in rows if costs})
    else:
        kinds = ("auc", "sensitivity", "specificity", "accuracy")
        metrics = (*(f"{kind}/{q}/*" for kind in kinds), f"accuracy/{q}", f"kappa/{q}")
        if {a.lower() for a in asked.answers} == set(ANSWERS):
            spelt = {a.lower(): a for a in asked.answers}
            each = [f"{kind}/{q}/{spelt[answer]}" for answer in ANSWERS for kind in kinds]
            values = {name: (*OVERALL[name], *chain.from_iterable(ONE_AGAINST_REST[name])) for name in rows}
            paper = printed([*metrics[4:], *each], values)
    return StudyTable(
        rows,
        metrics,
        paper=_priced(rows, paper, costs),
        reference="CM-CNN",
        compared=(f"accuracy/{q}", f"kappa/{q}"),
        costs=costs,
        stages=(0, 1),
        note=note,
    )


def _segmenters(row: Callable[..., Recipe], cascade: Recipe, *, two: bool, note: str) -> StudyTable:
    """Tables 3 and 8: segmenters without and with the map as a second channel, all reading the same CM-CNN."""
    rows = {}
    for name, segmenter in SEGMENTERS.items():
        rows[name] = row(segmenter=segmenter, guided=False)
        rows[f"{name} + CAM"] = row(segmenter=segmenter)
    rows["CAM-UNet"] = cascade
    return StudyTable(
        rows,
        MASKS,
        paper=_priced(rows, printed(MASKS, {name: MARKED[name][two] for name in rows}), COSTS),
        reference="CAM-UNet",
        compared=("dice", "iou"),
        absent="exclude",
        costs=COSTS,
        stages=(-1, None),
        note=note + "Costs of the segmenter alone.",
    )


def _together(row: Callable[..., Recipe], cascade: Recipe, asked: Question, *, two: bool, note: str) -> StudyTable:
    """Tables 4 and 9: networks that answer and mark at once."""
    metrics = (f"accuracy/{asked.name}", f"kappa/{asked.name}", "dice", "iou")
    rows = {**{name: row(**k) for name, k in TOGETHER.items()}, OURS: cascade}
    return StudyTable(
        rows,
        metrics,
        paper=_priced(rows, printed(metrics, {name: JOINTLY[name][two] for name in rows}), COSTS),
        reference=OURS,
        absent="exclude",
        costs=COSTS,
        note=note,
    )


def _end_to_end(row: Callable[..., Recipe], cascade: Recipe, asked: Question, *, note: str) -> StudyTable:
    """Beyond the paper: the map inside the graph."""
    return StudyTable(
        {
            OURS: cascade,
            "End to end": row(classifier="dual"),
            "End to end, map detached": row(classifier="dual_detached"),
            "End to end, one encoder": row(classifier="dual_shared"),
        },
        (f"accuracy/{asked.name}", f"kappa/{asked.name}", "dice", "iou"),
        reference=OURS,
        absent="exclude",
        costs=COSTS,
        note=note,
    )


def _maps(row: Callable[..., Recipe], cascade: Recipe, *, note: str) -> StudyTable:
    """Beyond the paper: is it the map that helps, or the layers that read it?"""
    return StudyTable(
        {
            "Res18-UNet": row(guided=False),
            "Blank map": row(guide="blank"),
            "True class's map": row(guide="true"),
            "Finer map": row(stride=8),
            "CAM-UNet": cascade,
        },
        ("dice", "iou", "pixel/sensitivity", "pixel/specificity"),
        reference="Blank map",
        compared=("dice", "iou"),
        absent="exclude",
        note=note
        + "Blank map: the same network, shown nothing. True class's map: of training images; others are guided by the "
        "map of the answer that they are given. Finer map: CM-CNN's trunk is dilated to cells of 8 pixels, not 32.",
    )


def _partial(row: Callable[..., Recipe], asked: Question, shares: Sequence[float], *, note: str) -> StudyTable:
    """Beyond the paper: few masks, all answers."""
    return StudyTable(
        {
            f"{name}, {share:.0%}": row(**keywords, annotation_fraction=share)
            for share in shares
            for name, keywords in METHODS.items()
        },
        (f"accuracy/{asked.name}", f"auc/{asked.name}", "dice", "iou"),
        absent="exclude",
        note=note + "Percentages: of the training patients whose masks are shown; all of them have answers.",
    )


def _apart(schema: LabelSchema, asked: Question, common: Mapping[str, Any]) -> StudyTable:
    """Beyond the paper: one mask per label, one answer per question."""
    return StudyTable(
        {
            name: row_recipe("dual_guidance", schema, common, **{"question": asked.name, **keywords})
            for name, keywords in METHODS.items()
        },
        (
            *(f"accuracy/{q.name}" for q in schema.questions),
            *(f"dice/{label}" for label in schema.labels),
            *(f"presence_auc/{label}" for label in schema.labels),
        ),
        reference="CAM-UNet",
        absent="exclude",
        note=f"The map is that of {asked.name!r}; Dice of each label on the images that bear it.",
    )


def _priced(
    rows: Iterable[str], paper: Mapping[str, Mapping[str, float]], costs: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """The paper's metrics of each row and, if the table shows costs, its costs in the paper, in our units."""
    units = {name: (size, 60 * hours, ms) for name, (size, hours, ms) in PRICES.items()}
    prices = printed(("size", "training", "test"), units) if costs else {}
    return {name: {**paper.get(name, {}), **prices.get(name, {})} for name in rows}
