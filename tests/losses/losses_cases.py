"""Small batches with partly known truth, and every term with settings that matter, for the tests of the losses."""

from functools import partial

import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs
from foveate.losses.answer import answer_focal, cross_entropy, squared_emd
from foveate.losses.balanced import rare_cross_entropy, true_area, weighted_bce
from foveate.losses.dual_dice import dual_dice, presence_dice
from foveate.losses.overlap import (
    dice,
    dice_per_pixel,
    dice_squared,
    jaccard,
    per_image,
    per_label,
    tversky,
    whole_batch,
)
from foveate.losses.pixel import bce, deep, focal, pixel_cross_entropy

QUESTIONS = (Question("grade", ("0", "1", "2"), ordered=True), Question("referable"))
OVERLAPPING = LabelSchema(QUESTIONS, ("MA", "HE", "CWS"))
EXCLUSIVE = LabelSchema(QUESTIONS, ("disc", "atrophy"), exclusive=True)
SCHEMAS = {"overlapping": OVERLAPPING, "exclusive": EXCLUSIVE}

PIXEL = {
    "bce": bce,
    "bce positive": None,  # names labels, made in terms()
    "focal": partial(focal, alpha=0.8),
    "focal gamma 0.5": partial(focal, gamma=0.5),
    "deep": partial(deep, term=bce, weights=(0.4,)),
    "dice": dice,
    "dice excluding": partial(dice, absent=False),
    "dice per image": partial(dice, pool=per_image),
    "dice per label": partial(dice, pool=per_label, absent=False),
    "dice squared": dice_squared,
    "dice squared batch": partial(dice_squared, pool=whole_batch),
    "dice per pixel": dice_per_pixel,
    "tversky": tversky,
    "jaccard": jaccard,
    "weighted bce": partial(weighted_bce, area=true_area),
    "rare cross entropy": rare_cross_entropy,
    "presence dice": presence_dice,
    "dual dice": dual_dice,
    "dual dice per label": partial(dual_dice, pool=per_label, absent=False),
}
IMAGE = {
    "cross entropy": cross_entropy,
    "cross entropy weighted": partial(
        cross_entropy, weights={"grade": (0.5, 1.0, 3.0), "referable": (1.0, 2.5)}, smoothing=0.1
    ),
    "answer focal": answer_focal,
    "squared emd": partial(squared_emd, questions=("grade", "referable"), weights={"grade": (0.5, 1.0, 3.0)}),
    "answer focal gamma 0.5": partial(answer_focal, gamma=0.5, weights={"grade": (0.5, 1.0, 3.0)}),
}


def terms(schema: LabelSchema) -> dict:
    """Every term that goes with a schema."""
    found = PIXEL | IMAGE | {"bce positive": partial(bce, positive={schema.labels[0]: 5.0})}
    if schema.exclusive:
        found["pixel cross entropy"] = pixel_cross_entropy
        found["pixel cross entropy weighted"] = partial(
            pixel_cross_entropy, weights={"background": 0.2, schema.labels[1]: 4.0}
        )
    return found


def truth(schema: LabelSchema, seed: int = 0, *, b: int = 2, h: int = 3, w: int = 4, known: float = 0.7) -> Batch:
    """A batch with random masks and answers, a share of which is known; exclusive masks do not overlap."""
    g = torch.Generator().manual_seed(seed)
    labels = len(schema.labels)
    if schema.exclusive:
        masks = torch.randint(labels + 1, (b, h, w), generator=g)[:, None] == torch.arange(1, labels + 1)[:, None, None]
    else:
        masks = torch.rand(b, labels, h, w, generator=g) < 0.4
    answers = torch.stack([torch.randint(len(q.answers), (b,), generator=g) for q in schema.questions], 1)
    return Batch(
        schema,
        tuple(str(i) for i in range(b)),
        torch.zeros(b, 1, h, w),
        torch.where(torch.rand(answers.shape, generator=g) < known, answers, -1),
        masks,
        torch.rand(masks.shape, generator=g) < known,
    )


def logits(batch: Batch, seed: int = 0, *, dtype: torch.dtype = torch.float64, scale: float = 2.0) -> Outputs:
    """Random outputs that fit a batch and ask for gradients."""
    g = torch.Generator().manual_seed(seed + 1000)

    def some(*shape: int) -> torch.Tensor:
        return (scale * torch.randn(shape, generator=g, dtype=torch.float64)).to(dtype).requires_grad_()

    b, _, h, w = batch.masks.shape
    channels = batch.schema.pixel_channels
    return Outputs(
        pixel=some(b, channels, h, w), image=some(b, batch.schema.image_channels), aux=(some(b, channels, h, w),)
    )


def gradients(loss: torch.Tensor, outputs: Outputs) -> list[torch.Tensor]:
    """Gradient of a loss for pixel, image and auxiliary logits, zeros where it does not depend on them."""
    leaves = [outputs.pixel, outputs.image, *outputs.aux]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(leaves, found, strict=True)]
