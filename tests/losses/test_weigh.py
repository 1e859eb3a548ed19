"""Weighted terms: their sum, their print, and what is refused."""

import pickle
from functools import partial

import pytest
import torch
from losses_cases import OVERLAPPING, logits, truth

from foveate.core.types import Batch, Outputs
from foveate.losses.answer import cross_entropy
from foveate.losses.overlap import dice, dice_squared, whole_batch
from foveate.losses.pixel import bce, deep, focal
from foveate.losses.weigh import Ramp, Weigh


def test_terms_are_weighted_and_sum_to_the_loss() -> None:
    batch = truth(OVERLAPPING, 1)
    outputs = logits(batch, 1)
    loss = Weigh(grade=(1.0, cross_entropy), lesion=(0.5, bce), overlap=(2.0, partial(dice, eps=0.1)))
    terms = loss(outputs, batch)
    assert list(terms) == ["grade", "lesion", "overlap"]
    torch.testing.assert_close(terms["lesion"], 0.5 * bce(outputs, batch))
    expected = cross_entropy(outputs, batch) + 0.5 * bce(outputs, batch) + 2 * dice(outputs, batch, eps=0.1)
    total = torch.stack(list(terms.values())).sum()
    torch.testing.assert_close(total, expected)
    total.backward()
    assert outputs.pixel.grad.any()
    assert outputs.image.grad.any()


def test_weight_zero_is_not_computed() -> None:
    def broken(outputs: Outputs, batch: Batch) -> torch.Tensor:
        raise AssertionError("computed")

    batch = truth(OVERLAPPING)
    assert list(Weigh(off=(0.0, broken), on=(1.0, bce))(logits(batch), batch)) == ["on"]


def test_print_shows_every_number() -> None:
    loss = Weigh(
        grade=(1.0, partial(cross_entropy, weights={"referable": (1.0, 4.0)})),
        lesion=(1e-7, partial(deep, term=partial(focal, alpha=0.8), weights=(0.123456789,))),
        overlap=(0.25, partial(dice_squared, pool=whole_batch)),
        plain=(1.0, bce),
    )
    assert repr(loss) == (
        "Weigh(grade=1.0 * cross_entropy(weights={'referable': (1.0, 4.0)}, smoothing=0.0), "
        "lesion=1e-07 * deep(term=focal(alpha=0.8, gamma=2.0), weights=(0.123456789,)), "
        "overlap=0.25 * dice_squared(eps=1.0, pool=whole_batch, absent=True), "
        "plain=1.0 * bce)"
    )


def test_print_of_a_term_that_is_an_object() -> None:
    class Mine:
        def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
            return bce(outputs, batch)

        def __repr__(self) -> str:
            return "Mine(3)"

    assert repr(Weigh(own=(1.0, Mine()))) == "Weigh(own=1.0 * Mine(3))"


def test_survives_pickling() -> None:
    loss = Weigh(overlap=(1.0, partial(dice, pool=whole_batch)))
    assert repr(pickle.loads(pickle.dumps(loss))) == repr(loss)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_strange_weights_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"lesion=.* must be 0"):
        Weigh(lesion=(weight, bce), grade=(1.0, cross_entropy))


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Weigh()
    with pytest.raises(ValueError, match=r"\['lesion'\].*at least one term"):
        Weigh(lesion=(0.0, bce))


def test_a_weight_may_change_over_the_training() -> None:
    ramp = Ramp(1.0, 0.0, start=0.2, end=0.6)
    assert [ramp.at(p) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    assert Ramp(0.0, 2.0, start=0.5, end=0.5).at(0.5) == 2.0
    batch = truth(OVERLAPPING, 1)
    outputs = logits(batch, 1)
    loss = Weigh(early=(ramp, bce), late=(Ramp(0.0, 2.0, start=0.2, end=0.6), focal))
    assert list(loss(outputs, batch, progress=0.0)) == ["early"]
    assert list(loss(outputs, batch, progress=0.4)) == ["early", "late"]
    torch.testing.assert_close(loss(outputs, batch, progress=0.4)["late"], focal(outputs, batch))
    assert list(loss(outputs, batch)) == ["late"]  # as it ends: what validations compare
    assert "Ramp(first=1.0, last=0.0, start=0.2, end=0.6)" in repr(loss)
    for wrong in (float("inf"), float("nan"), -1.0):
        with pytest.raises(ValueError, match="first and last must be 0 or more"):
            Ramp(1.0, wrong)
        with pytest.raises(ValueError, match="first and last must be 0 or more"):
            Ramp(wrong, 1.0)
    with pytest.raises(ValueError, match="0 <= start <= end <= 1"):
        Ramp(1.0, 0.0, start=0.9, end=0.1)
