"""Lesion-Net and side attention (Wei et al. 2021): segment lesions with imprecise boundaries, then grade by them.

Stage 1 marks lesions with an expansive path that is cut where boundaries are worth no more, on a Dice loss to which the
presence of each lesion in the image is added at the first drop of the learning rate. Stage 2 grades with a second trunk
whose last maps are weighed by what stage 1, frozen, marks. By keyword: the networks, losses and graders that the paper
compares; beyond it joint fine-tuning, an ordinal loss, and sets that know lesions only or grades only in one manifest.

Where the paper is silent
  expansive path: each 1x1 convolution gives as many channels as the map that it meets, and has the normalisation and
      ReLU of Inception's own blocks; without them the path would be FCN's sum of scores in other words.
  enlargement: of the logits; the paper enlarges probabilities. Presence is the highest enlarged probability.
  down-sampling of the lesions' maps to the trunk's: the highest of each block of pixels (``shrink``).
  weights of eq. 7: two 3x3 convolutions with 64 channels between; the last bias starts at 1, no function bounds them.
  FCN on Inception-v3 has no layers of VGG's classifier to turn into convolutions: its maps are scored as they are.
  presence of the classifiers (Inception-v3, ABN): one logit a lesion, on eq. 4.
  validation performance: mean over lesions of the pixel F1 (pooled), of the presence F1 for classifiers, kappa.
  batch and the limit of epochs are not printed; patience ends the training before the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.optim import SGD

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs, Row
from foveate.data.augment import (
    Augment,
    brightness,
    contrast,
    flip_horizontal,
    flip_vertical,
    rotate,
    saturation,
    shift,
    zoom,
)
from foveate.data.prepare import Prepare
from foveate.engine.keep import Keep, best
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import divide_when_flat
from foveate.engine.window import SlidingWindow
from foveate.losses._masked import Term
from foveate.losses.answer import cross_entropy, squared_emd
from foveate.losses.balanced import weighted_bce
from foveate.losses.dual_dice import dual_dice, presence_dice
from foveate.losses.overlap import dice_squared, per_label, whole_batch
from foveate.losses.pixel import deep, focal
from foveate.losses.weigh import Weigh
from foveate.models.baselines.abn import ABN, own_logits, start_branch
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.danet import DANet
from foveate.models.baselines.deeplabv3plus import DeepLabV3Plus
from foveate.models.baselines.fcn import FCN
from foveate.models.baselines.presence import Presence
from foveate.models.joint import Joint
from foveate.models.lesion_net import LesionNet
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.transposed import TransposedUNet
from foveate.models.side_attention import ATTENTIONS, SHRINK, SideAttention

Make = Callable[..., nn.Module]
PIXEL_F1, IMAGE_F1 = "dice_pooled", "presence_f1"
LOSSES: dict[str, Term] = {
    "wce": weighted_bce,
    "focal": partial(focal, alpha=0.8, gamma=2.0),
}
"""Losses of the comparison that look at one pixel at a time; "dice" and "dual" are `dice_squared` and `dual_dice`."""

CUT: dict[str, Make] = {"lesion_net": LesionNet, "fcn": FCN}
"""Networks whose path is cut at ``stride``."""

WHOLE: dict[str, Make] = {"deeplabv3plus": DeepLabV3Plus, "danet": DANet}
"""Networks with a path of their own."""

PRESENCE: dict[str, Make] = {"classifier": Classifier, "abn": ABN}
"""Networks that say whether a lesion is there, and mark nothing."""

STRIDES = (2, 4, 8, 16, 32)
"""Where the paper cuts the path."""

NETWORKS = (*CUT, *WHOLE, "unet", *PRESENCE)
GRADERS = ("side_attention", *PRESENCE)


def recipe(
    schema: LabelSchema,
    *,
    network: str | None = "lesion_net",
    stride: int = 16,
    parts: int | None = None,
    loss: str = "dual",
    share: float = 0.8,
    late: bool = True,
    per_lesion: bool = False,
    grader: str | None = "side_attention",
    attention: str = "conv",
    shrink: str = "max",
    ordinal: bool = False,
    finetune: bool = False,
    question: str | None = None,
    labels: Sequence[str] | None = None,
    encoder: str = "inception_v3",
    weights: str = "none",
    size: int = 896,
    crop_field: bool = True,
    graders: str = "union",
    epochs: int = 200,
    batch: int = 8,
    lr: float = 1e-3,
    grade_lr: float | None = None,
    grade_epochs: int | None = None,
    momentum: float = 0.95,
    weight_decay: float = 1e-4,
    validate_every: int | None = 1000,
    validations: int | None = 30,
    flat: int = 4,
    patience: int | None = 10,
    balance: bool = False,
) -> Recipe:
    """The multi-task network, or one of the rows that it is compared with.

    A keyword that the chosen network, loss or grader has no use for changes nothing (``stride`` of a U-Net, ``share``
    with "wce", ``attention`` with "abn"), so that a study can hand one set of keywords to all its rows. Its value is
    looked at all the same.

    Args:
        schema: the manifest's; needs labels where a network marks, a question where a grader grades.
        network: of stage 1, one of `NETWORKS`; None = no lesions, the grader alone.
        stride: where the path of Lesion-Net and FCN is cut, one of `STRIDES` of which the encoder has a map.
        parts: stage 1 trains on this many patches a side and reads windows of their size at half steps, whose overlaps
            are averaged; None = whole images. 4 in the paper's patch FCN-32s. Needs grader=None.
        loss: of stage 1: "dual" (Dice until the first drop of the rate), "dice", "wce" or "focal"; classifiers of
            presence learn on their part of "dual" alone.
        share: lambda of the dual loss, in [0, 1].
        late: the dual loss waits for the first drop.
        per_lesion: Dice losses are means over lesions, not one ratio of all.
        grader: of stage 2, one of `GRADERS`; None = stage 1 alone. "classifier" and "abn" do without stage 1.
        attention: "conv", "cw_maxpool" or "concat".
        shrink: of the lesions' maps to the trunk's: "max", "mean" or "bilinear".
        ordinal: grade by squared earth mover's distance (the question must be ordered, or yes/no), not by cross
            entropy.
        finetune: stage 2 trains stage 1's network too, on both losses; the paper keeps it frozen.
        question: that is graded; None = the first ordered one, else the first.
        labels: that are learnt; None = all.
        encoder, weights: of every trunk; weights "none", "hub" or a file.
        size, crop_field, graders: of the preparation.
        epochs, batch, lr, momentum, weight_decay, validate_every: of each stage; validate_every in steps.
        grade_lr: of the stage that grades, whose loss is steeper than Dice; None = ``lr``.
        grade_epochs: of that stage, where many more images have a grade than lesions; None = ``epochs``.
        flat: validations without gain after which the rate is divided by 10.
        validations: at least so many in a stage, for sets smaller than the paper's, on which 1000 batches are a whole
            training and neither the rate nor the loss would change; None = every ``validate_every`` steps alone.
        patience: validations without gain after which a stage ends.
        balance: draw the answers equally often (in both stages).

    Raises:
        ValueError: a name or number that is none, nothing to learn, or a schema without what is to be learnt.
    """
    choices: tuple[tuple[str, object, Sequence[object]], ...] = (
        ("network", network, (*NETWORKS, None)),
        ("grader", grader, (*GRADERS, None)),
        ("loss", loss, ("dual", "dice", *LOSSES)),
        ("attention", attention, tuple(ATTENTIONS)),
        ("shrink", shrink, tuple(SHRINK)),
        ("stride", stride, STRIDES),
    )
    for name, value, names in choices:
        if value not in names:
            raise ValueError(f"{name}={value!r} is none of {list(names)}")
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} must lie in [0, 1]; the paper's is 0.8, 1 is Dice of the pixels alone")
    if (network is not None) != (grader in ("side_attention", None)):
        raise ValueError(
            f"network={network!r}, grader={grader!r}: side_attention needs a network, the other graders none; "
            "grader=None trains a network alone"
        )
    if parts is not None and (parts < 1 or size % parts or grader is not None):
        raise ValueError(
            f"parts={parts}, size={size}, grader={grader!r}: give a number that divides the size; patches need "
            "grader=None, for a grade is about the whole image"
        )
    asked = _asked(schema, question) if grader is not None or schema.questions else None
    if ordinal and grader is not None and asked is not None and len(asked.answers) > 2 and not asked.ordered:
        raise ValueError(
            f"ordinal=True: the answers of question {asked.name!r} have no order; say ordered in the manifest's schema "
            f"where they are grades, ask another (question=...), or give ordinal=False"
        )
    # A network that grades nothing keeps the question: stage 1 is the same stage then, and runs share it
    learnt = schema.select(questions=() if asked is None else (asked.name,), labels=() if network is None else labels)
    if network is not None and not learnt.labels:
        raise ValueError("lesion_net: the schema has no labels; grade alone with network=None, grader='classifier'")
    start = partial(filled, weights=weights) if weights != "none" else None
    optimizer = partial(SGD, lr=lr, momentum=momentum, weight_decay=weight_decay)
    own = None if grade_lr is None else partial(SGD, lr=grade_lr, momentum=momentum, weight_decay=weight_decay)
    stages: list[Stage] = []
    if network is not None:
        before, after = _losses(network, loss, share=share, late=late, per_lesion=per_lesion)
        make = _network(network, learnt.select(questions=()), encoder, stride)
        known = partial(marked, labels=tuple(member for label in learnt.labels for member in learnt.members(label)))
        stages.append(
            Stage(network, network=make, loss=before, after_drop=after, start=start, keep=_keep(network), rows=known)
        )
    if grader == "side_attention":
        assert network is not None
        assert asked is not None
        both = Weigh(**_grading(asked, ordinal).terms, **(after or before).terms) if finetune else None
        stages.append(
            Stage(
                grader,
                network=partial(SideAttention, encoder, learnt, lesions=make, attention=attention, shrink=shrink),
                loss=both or _grading(asked, ordinal),
                start=start,
                starts_from={"lesions": network},
                frozen=() if finetune else ("lesions",),
                keep=_keep_grade(asked),
                rows=None if finetune else partial(graded, question=asked.name),
                optimizer=own,
                epochs=grade_epochs,
            )
        )
    elif grader is not None:
        assert asked is not None
        term = _grading(asked, ordinal)
        if grader == "abn":
            term = Weigh(
                **term.terms, **{f"{k}_branch": (w, partial(branch, term=t)) for k, (w, t) in term.terms.items()}
            )
        stages.append(
            Stage(
                grader,
                network=partial(PRESENCE[grader], encoder, learnt),
                loss=term,
                start=start,
                keep=_keep_grade(asked),
                rows=partial(graded, question=asked.name),
                optimizer=own,
                epochs=grade_epochs,
            )
        )
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, crop_field=crop_field, graders=graders),
        augment=Augment(
            (
                flip_horizontal(0.5),
                flip_vertical(0.5),
                rotate(30.0),
                zoom(1.0, 1.2),
                shift(0.05),
                brightness(0.2),
                contrast(0.2),
                saturation(0.2),
            )
        ),
        optimizer=optimizer,
        schedule=divide_when_flat(by=10.0, patience=flat),
        batch=batch,
        epochs=epochs,
        validate_every=validate_every,
        validations=validations,
        patience=patience,
        balance=asked.name if balance and asked is not None else None,
        patches=SlidingWindow(size // parts, size // parts) if parts else None,
        infer=SlidingWindow(size // parts, size // parts // 2) if parts else None,
        stages=tuple(stages),
    )


# -- networks --------------------------------------------------------------------------------------------------------


def _network(name: str, schema: LabelSchema, encoder: str, stride: int) -> Callable[[], nn.Module]:
    """What stage 1 trains."""
    if name in CUT:
        return partial(CUT[name], encoder, schema, stride=stride)
    if name in PRESENCE:
        return partial(Presence, schema, classifier=partial(PRESENCE[name], encoder))
    if name == "unet":
        return partial(Joint, encoder, schema, decoder=partial(TransposedUNet, widths=(512, 256, 128, 64)))
    return partial(WHOLE[name], encoder, schema)


def filled(network: nn.Module, *, weights: str) -> None:
    """Every encoder from a file or the hub, the attention branch of ABN from the last stage of its trunk."""
    pretrain(network, weights=weights)
    start_branch(network)


def marked(row: Row, *, labels: Sequence[str]) -> bool:
    """Whether anything is known of one of these labels in an image."""
    return any(label in row.masks for label in labels)


def graded(row: Row, *, question: str) -> bool:
    """Whether the answer of an image is known."""
    return question in row.answers


# -- losses ----------------------------------------------------------------------------------------------------------


def _losses(name: str, loss: str, *, share: float, late: bool, per_lesion: bool) -> tuple[Weigh, Weigh | None]:
    """Of stage 1, before and from the first drop of the rate on."""
    pool = per_label if per_lesion else whole_batch
    every = partial(deep, weights=1.0) if name in ("danet", "abn") else None

    def weigh(term: Term) -> Weigh:
        return Weigh(lesions=(1.0, partial(every, term=term) if every else term))

    if name in PRESENCE:
        return weigh(partial(presence_dice, pool=pool)), None
    dice, dual = partial(dice_squared, pool=pool), partial(dual_dice, share=share, pool=pool)
    if loss == "dual":
        return (weigh(dice), weigh(dual)) if late else (weigh(dual), None)
    return weigh(LOSSES.get(loss, dice)), None


def _grading(asked: Question, ordinal: bool) -> Weigh:
    """Of stage 2."""
    return Weigh(grade=(1.0, partial(squared_emd if ordinal else cross_entropy, questions=(asked.name,))))


def branch(outputs: Outputs, batch: Batch, *, term: Term) -> Tensor:
    """A term of the answers, on those of the attention branch."""
    return term(outputs._replace(image=own_logits(outputs)), batch)


# -- which weights are kept ------------------------------------------------------------------------------------------


def _keep(network: str) -> Keep:
    """Pixel F1 for what marks, image F1 for what says presence."""
    return best(IMAGE_F1 if network in PRESENCE else PIXEL_F1)


def _keep_grade(asked: Question) -> Keep:
    """Weighted kappa of grades, accuracy of answers without order."""
    return best(f"{'qkappa' if asked.ordered else 'accuracy'}/{asked.name}")


def _asked(schema: LabelSchema, question: str | None) -> Question:
    """The question that is graded."""
    if not schema.questions:
        raise ValueError("lesion_net: the schema asks no question; mark lesions alone with grader=None")
    if question is not None:
        return schema.question(question)
    return next((q for q in schema.questions if q.ordered), schema.questions[0])
