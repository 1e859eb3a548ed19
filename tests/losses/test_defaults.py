"""Default settings of the losses: the numbers of their sources, which a recipe that names none of them relies on."""

from collections.abc import Callable

import pytest

from foveate.losses.answer import answer_focal, cross_entropy, squared_emd
from foveate.losses.balanced import rare_cross_entropy, weighted_bce
from foveate.losses.dual_dice import dual_dice, presence_dice
from foveate.losses.guidance import guidance, guidance_entropy, guidance_printed
from foveate.losses.joint_dice import joint_dice
from foveate.losses.overlap import dice, dice_per_pixel, dice_squared, jaccard, tversky
from foveate.losses.pixel import bce, deep, focal, pixel_cross_entropy
from foveate.losses.weigh import Ramp, Weigh

PRINTED: dict[Callable, str] = {
    cross_entropy: "cross_entropy(smoothing=0.0)",
    answer_focal: "answer_focal(gamma=2.0)",
    squared_emd: "squared_emd",
    bce: "bce",
    focal: "focal(alpha=0.25, gamma=2.0)",
    pixel_cross_entropy: "pixel_cross_entropy",
    deep: "deep(weights=1.0)",
    weighted_bce: "weighted_bce(area=predicted_area, most=1000.0)",
    rare_cross_entropy: "rare_cross_entropy(power=0.75, most=1000.0)",
    dice: "dice(power=1, eps=1.0, pool=per_image_and_label, absent=True)",
    dice_squared: "dice_squared(eps=1.0, pool=per_image_and_label, absent=True)",
    dice_per_pixel: "dice_per_pixel",
    tversky: "tversky(alpha=0.3, beta=0.7, eps=1.0, pool=per_image_and_label, absent=True)",
    jaccard: "jaccard(eps=1.0, pool=per_image_and_label, absent=True)",
    presence_dice: "presence_dice(eps=1.0, pool=whole_batch, absent=True)",
    dual_dice: "dual_dice(share=0.8, eps=1.0, pool=whole_batch, absent=True)",
    joint_dice: "joint_dice(eps=1.0, detach=False)",
    guidance: "guidance(eps=0.001)",
    guidance_printed: "guidance_printed(eps=0.001)",
    guidance_entropy: "guidance_entropy",
}


@pytest.mark.parametrize("term", PRINTED, ids=lambda term: term.__name__)
def test_a_loss_prints_its_defaults(term: Callable) -> None:
    assert repr(Weigh(x=(0.5, term))) == f"Weigh(x=0.5 * {PRINTED[term]})"


def test_a_ramp_changes_between_a_fifth_and_seven_tenths() -> None:
    assert (Ramp(1.0, 0.0).start, Ramp(1.0, 0.0).end) == (0.2, 0.7)
