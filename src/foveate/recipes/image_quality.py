"""Joint classification and segmentation (Wu et al.): one encoder, a mask decoder, an answer head; for image quality.

The paper grades OCT en-face images of the nerve head (0 to 3) while marking nerve head, shadows and motion; the method
serves any schema. ``classify`` is the share of the answers in the loss: 1 leaves the decoder out (the paper's
single-task classifier), 0 the answer head.

Where the paper is silent
  losses: cross entropy for answers; for masks cross entropy (BCE if labels overlap) plus soft Dice over the batch, with
      equal weights; the pixels of rare labels weigh more at the start (`recipes._marking`).
  schedule: Adam with decoupled weight decay, half a cosine after a short warm-up.
  fine-tuning: ``weights="hub"`` (or a file) fills the encoder with ImageNet weights; all layers are trained.
  choice of weights: the mean of pooled Dice and Brier skill, averaged over validations (`engine.keep.trusted`).
"""

from __future__ import annotations

from functools import partial

from torch.optim import AdamW

from foveate.core.labels import LabelSchema
from foveate.data.augment import Augment, brightness, contrast, flip_horizontal, flip_vertical, rotate, zoom
from foveate.data.prepare import Prepare
from foveate.engine.keep import better, trusted
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import cosine
from foveate.losses.answer import cross_entropy
from foveate.losses.weigh import Weigh
from foveate.models.joint import Joint
from foveate.models.parts.decoders import FPN, MakeDecoder, UNet
from foveate.models.parts.encoders import pretrain
from foveate.recipes._checks import one_of
from foveate.recipes._effect import AllBut
from foveate.recipes._marking import RARE, marking_terms
from foveate.recipes._tuning import check_encoder, rates, tuned


def unet(width: int) -> MakeDecoder:
    """U-Net decoder whose finest map has so many channels, each coarser one twice as many."""
    return partial(UNet, widths=[width * 2**n for n in reversed(range(5))])


def fpn(width: int) -> MakeDecoder:
    """FPN decoder with eight times the width at its finest map, as usual at a width of 16.

    Raises:
        ValueError: width is not a multiple of 4 (its maps are normalised in 32 groups).
    """
    if width % 4:
        raise ValueError(f"width={width}: an FPN needs a multiple of 4; take {max(4, width // 4 * 4)}")
    return partial(FPN, pyramid=16 * width, width=8 * width)


DECODERS = {"unet": unet, "fpn": fpn}

EFFECT = {
    **{name: [{"classify": AllBut([1])}] for name in ("decoder", "width", "rare", "absent")},
    **{name: [{"classify": AllBut([0])}] for name in ("dropout", "grouping")},
    "normalise": [{"weights": AllBut(["none"])}],
}
"""Keywords of the masks, of the answers, and of the weights."""


def recipe(
    schema: LabelSchema,
    *,
    encoder: str = "resnet18",
    decoder: str = "unet",
    weights: str = "none",
    normalise: str | None = None,
    lora: int | None = None,
    layer_decay: float | None = None,
    encoder_lr: float | None = None,
    classify: float = 0.5,
    grouping: str | None = None,
    question: str | None = None,
    size: int = 512,
    stretch: bool = True,
    grey: bool = False,
    crop_field: bool = False,
    fill_white: bool = False,
    clahe: float | None = None,
    annotators: str = "union",
    epochs: int = 50,
    batch: int = 8,
    lr: float = 3e-4,
    weight_decay: float = 1e-2,
    width: int = 16,
    dropout: float = 0.2,
    stride_first: bool = False,
    rotation: float = 15.0,
    balance: bool = False,
    rare: float = RARE,
    absent: bool = True,
    keep: str | None = None,
) -> Recipe:
    """See the text above; keywords are the paper's choices and the usual ones where it is silent.

    Args:
        schema: the manifest's.
        encoder: any timm network that takes every image size ("resnet18", "convnext_atto", "vit_small_patch16_224").
        decoder: "unet" or "fpn".
        weights: "none", "hub", a file of encoder weights, or "auto" ($FOVEATE_WEIGHTS/NAME.*, else the hub or its
            cache, else none).
        normalise: by what images are normalised for these weights: "imagenet", "half", "none"; None = as the file or
            timm has it.
        lora: rank of LoRA in the attention of a plain vision transformer, whose own weights are frozen; None = all
            weights are trained.
        layer_decay: factor of the rate per layer from the encoder's end to its stem, over 0, at most 1; normalisations,
            biases and positions then have no weight decay.
        encoder_lr: rate of the encoder; None = lr.
        classify: share of the answers in the loss, 0 to 1.
        grouping: merge neighbouring grades, e.g. "012|3".
        question: the question that is grouped and balanced; None = the first ordered one, else the first.
        size: frame in pixels.
        stretch: resize rows and columns each by its own factor, as the papers do; False = keep the aspect and pad.
        grey: one channel.
        crop_field: crop to the lit field of a fundus photograph first.
        fill_white: fill white edges of OCT B-scans first.
        clahe: clip limit; None = leave the contrast.
        `annotators`: how the masks of several annotators are merged.
        epochs, batch, lr, weight_decay: of the training.
        width: channels of a U-Net's finest map (FPN: an eighth of its finest).
        dropout: before the answer head.
        stride_first: the encoder's ResNet bottlenecks stride first, as weights from Keras need it.
        rotation: largest turn in degrees.
        balance: draw the question's answers equally often.
        rare: how much the pixels of rare labels weigh at the start, 0 (not) to 1 (`recipes._marking`).
        absent: whether batches free of a label count in its Dice.
        keep: validation metric that chooses the weights ("loss" and other costs: the lowest); None = the mean of the
            tasks' own metrics as far as the validation images can decide (`engine.keep.trusted`).
    """
    if not 0 <= classify <= 1:
        raise ValueError(f"classify must be a share from 0 (masks only) to 1 (answers only), got {classify}")
    one_of("decoder", decoder, DECODERS)
    check_encoder(encoder, weights=weights, normalise=normalise, lora=lora)
    asked = question or next((q.name for q in sorted(schema.questions, key=lambda q: not q.ordered)), None)
    if grouping is not None and asked is not None:
        schema = schema.group(asked, grouping)
    learnt = schema.select(labels=() if classify == 1 else None, questions=() if classify == 0 else None)
    share = classify if learnt.labels and learnt.questions else float(bool(learnt.questions))
    answers = {"answers": (share, cross_entropy)} if share else {}
    loss = Weigh(**answers, **marking_terms(learnt, share=1 - share, rare=rare, absent=absent))
    network = partial(
        Joint,
        encoder,
        learnt,
        decoder=DECODERS[decoder](width),
        channels=1 if grey else 3,
        dropout=dropout,
        stride_first=stride_first,
    )
    stage = Stage(
        "joint",
        network=tuned(network, lora=lora),
        loss=loss,
        start=partial(pretrain, weights=weights, normalise=normalise) if weights != "none" else None,
        groups=rates(lr, layer_decay=layer_decay, encoder_lr=encoder_lr),
        keep=trusted(learnt) if keep is None else better(keep),
    )
    return Recipe(
        schema=learnt,
        prepare=Prepare(
            size=size,
            stretch=stretch,
            grey=grey,
            crop_field=crop_field,
            fill_white=fill_white,
            clahe=clahe,
            annotators=annotators,
        ),
        augment=Augment(
            (
                flip_horizontal(0.5),
                flip_vertical(0.5),
                rotate(rotation),
                zoom(0.9, 1.1),
                brightness(0.15),
                contrast(0.15),
            )
        ),
        optimizer=partial(AdamW, lr=lr, weight_decay=weight_decay),
        schedule=cosine(warmup=0.05),
        batch=batch,
        epochs=epochs,
        balance=asked if balance else None,
        stages=(stage,),
    )
