"""Whether anything can be learnt from the data, and whether its validation images can choose weights."""

from __future__ import annotations

from foveate.core.labels import LabelSchema
from foveate.data.sampling import MOST
from foveate.data.survey import Survey
from foveate.engine.keep import LEAST
from foveate.engine.plan import Deciding

RARE_IMAGES = 0.33
"""Share of the drawn images that show each rare label; nnU-Net's share of patches about something marked."""


def decide_learnt(deciding: Deciding, schema: LabelSchema, found: Survey) -> LabelSchema:
    """Leave out labels without a positive image and questions without two answers; returns what is learnt.

    Raises:
        ValueError: nothing is left, or there is no validation image.
    """
    if not found.images["val"]:
        raise ValueError(
            "no row has split 'val', and without validation images training cannot be judged; "
            "run `foveate split` with three ratios, or give --fold if the manifest has folds"
        )
    bare = [label for label, one in found.labels.items() if not one.with_it["train"]]
    mute = [name for name, parts in found.questions.items() if len(set(parts["train"]) - {"unknown"}) < 2]
    out = deciding.set(
        "leave_out",
        [*bare, *mute],
        "labels of which no training image has a pixel, and questions with fewer than two answers in training",
        _counts(found),
    )
    for label in bare:
        deciding.note(
            f"label {label!r}: none of {found.images['train']} training images has it. "
            + _then(label in out)
            + " To learn it, move images that have it into training (`foveate split`)."
        )
    for name in mute:
        given = sorted(set(found.questions[name]["train"]) - {"unknown"})
        deciding.note(
            f"question {name!r}: training images have {'the one answer ' + repr(given[0]) if given else 'no answer'}. "
            + _then(name in out)
            + " To learn it, move images with another answer into training."
        )
    left = [*(n for n in schema.labels if n not in out), *(q.name for q in schema.questions if q.name not in out)]
    if not left:
        raise ValueError(
            f"nothing to learn: {_counts(found)}; give training images with a marked label, or with two answers"
        )
    return schema.select(
        labels=[n for n in schema.labels if n not in out],
        questions=[q.name for q in schema.questions if q.name not in out],
    )


def decide_keep(deciding: Deciding, schema: LabelSchema, found: Survey) -> None:
    """Report which validation metrics choose the weights (`engine.keep.trusted`), and which rest on too few images."""
    counted: list[tuple[str, str]] = []
    few: list[tuple[str, str]] = []
    for label in schema.labels:
        count = found.labels[label].with_it["val"]
        (counted if count >= LEAST else few).append((f"dice_pooled/{label}", f"{count} validation images have {label}"))
    for q in schema.questions:
        given = [n for answer, n in found.questions[q.name]["val"].items() if answer != "unknown"]
        beside = sum(given) - max(given, default=0)
        text = f"{beside} validation images have another answer to {q.name} than the commonest"
        (counted if beside >= LEAST else few).append((f"skill/{q.name}", text))
    if few and "keep" not in deciding.asked:
        deciding.note(
            "; ".join(text for _, text in few) + f": with fewer than {LEAST} it does not count where weights are "
            "chosen; move more into validation"
        )
    deciding.set(
        "keep",
        None,
        f"the mean of the metrics that rest on {LEAST} validation images or more: "
        f"{', '.join(name for name, _ in counted)}"
        if counted
        else f"no metric rests on {LEAST} validation images, so the last weights are kept",
        _validation(schema, found),
    )


def decide_postprocess(deciding: Deciding, schema: LabelSchema) -> None:
    """Choose on the validation images, once trained, how answers and masks are decided."""
    parts = ["the temperature of each answer"] * bool(schema.questions)
    parts += [f"threshold and smallest lesion of each label that {LEAST} images or more bear"] * bool(schema.labels)
    deciding.set("postprocess", True, f"chosen on the validation images once trained: {'; '.join(parts)}")


def decide_balance(deciding: Deciding, schema: LabelSchema, found: Survey) -> None:
    """Draw answers equally often if the rarest of a question has less than half of its even share."""
    worst: tuple[float, str, str] | None = None
    for q in schema.questions:
        counts = {q.answers[q.index(a)]: n for a, n in found.questions[q.name]["train"].items() if a != "unknown"}
        answer = min(counts, key=lambda a: counts[a])
        share = counts[answer] * len(counts) / sum(counts.values())
        if worst is None or share < worst[0]:
            worst = (share, q.name, answer)
    if worst is None:
        return
    share, name, answer = worst
    rare = share < 0.5
    deciding.set(
        "balance",
        name if rare else None,
        "its rarest answer has less than half of an even share, so answers are drawn equally often"
        if rare
        else "no answer has less than half of an even share, so images are drawn as they come",
        f"{name} = {answer}: {share:.2f} of its even share",
    )


def decide_rare_images(deciding: Deciding, schema: LabelSchema, found: Survey) -> None:
    """Draw images with rare labels more often, so that each label is in a third of the images drawn."""
    shares: dict[str, float] = {}
    for label in schema.labels:
        having, free = found.labels[label].with_it["train"], found.labels[label].without_it["train"]
        if having:
            shares[label] = having / (having + free)
    if not shares:
        return
    rare = sorted((label for label in shares if shares[label] < RARE_IMAGES), key=lambda label: shares[label])
    deciding.set(
        "rare_images",
        RARE_IMAGES if rare else 0.0,
        f"{', '.join(rare)}: in fewer than a third of the training images, so images with them are drawn more often "
        f"(at most {MOST:.0f} times)"
        if rare
        else "each label is in a third of the training images or more",
        ", ".join(f"{label} in {share:.2f}" for label, share in shares.items()),
    )


def _then(left_out: bool) -> str:
    return "It is left out: the network will not know it." if left_out else "It is learnt all the same, as you asked."


def _counts(found: Survey) -> str:
    labels = [f"{label} in {one.with_it['train']}" for label, one in found.labels.items()]
    asked = [
        f"{name} {', '.join(f'{answer}: {n}' for answer, n in parts['train'].items())}"
        for name, parts in found.questions.items()
    ]
    return f"{found.images['train']} training images: " + "; ".join([*labels, *asked])


def _validation(schema: LabelSchema, found: Survey) -> str:
    labels = [f"{label} in {found.labels[label].with_it['val']}" for label in schema.labels]
    asked = [
        f"{q.name} {', '.join(f'{a}: {n}' for a, n in found.questions[q.name]['val'].items())}"
        for q in schema.questions
    ]
    return f"{found.images['val']} validation images: " + "; ".join([*labels, *asked])
