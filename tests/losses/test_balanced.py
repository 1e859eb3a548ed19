"""Weighted cross entropy against a loop from the equation."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import EXCLUSIVE, OVERLAPPING, gradients, logits, truth

from foveate.core.types import Outputs
from foveate.losses.balanced import predicted_area, rare_cross_entropy, true_area, weighted_bce
from foveate.losses.pixel import bce, pixel_cross_entropy


@pytest.mark.parametrize("area", [predicted_area, true_area])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.3, 1.0]))
def test_weighted_is_its_equation(area, seed: int, known: float) -> None:
    batch = truth(OVERLAPPING, seed, known=known)
    outputs = logits(batch, seed)
    q = OVERLAPPING.pixel_probability(outputs.pixel.detach())
    total, pixels = 0.0, 0
    for k in range(3):
        seen = [
            (p, t)
            for p, t, kn in zip(
                q[:, k].flatten().tolist(), batch.masks[:, k].flatten(), batch.known[:, k].flatten(), strict=True
            )
            if kn
        ]
        a = sum(p if area is predicted_area else float(t) for p, t in seen)
        w = min((len(seen) - a) / max(a, 1e-6), 1000.0)
        total -= sum(w * math.log(p) if t else math.log(1 - p) for p, t in seen)
        pixels += len(seen)
    assert weighted_bce(outputs, batch, area=area).item() == pytest.approx(total / pixels)


def test_marked_and_free_pixels_weigh_the_same_together() -> None:
    """With the true area, and everything at one half, the gradient of each side sums to the same."""
    batch = truth(OVERLAPPING, 4, h=10, w=10, known=1.0)
    outputs = Outputs(torch.zeros(batch.masks.shape, requires_grad=True), torch.zeros(1, requires_grad=True))
    grad = torch.autograd.grad(weighted_bce(outputs, batch, area=true_area), outputs.pixel)[0]
    marked, free = ((grad * side).sum((0, 2, 3)) for side in (batch.masks, ~batch.masks))
    torch.testing.assert_close(marked, -free)


def test_weight_has_no_gradient_of_its_own() -> None:
    batch = truth(OVERLAPPING, 6, known=1.0)
    outputs = logits(batch, 6)
    q = OVERLAPPING.pixel_probability(outputs.pixel.detach())
    w = ((1 - q).sum((0, 2, 3)) / q.sum((0, 2, 3))).tolist()
    fixed = bce(outputs, batch, positive=dict(zip(OVERLAPPING.labels, w, strict=True)))
    loss = weighted_bce(outputs, batch)
    torch.testing.assert_close(loss, fixed)
    torch.testing.assert_close(gradients(loss, outputs)[0], gradients(fixed, outputs)[0])


def test_weight_is_bounded() -> None:
    batch = truth(OVERLAPPING, 1, known=1.0)
    nothing = Outputs(torch.full(batch.masks.shape, -60.0))
    share = batch.masks.double().mean().item()
    assert weighted_bce(nothing, batch, most=10.0).item() == pytest.approx(60 * 10 * share)
    with pytest.raises(ValueError, match=r"most=0.*positive"):
        weighted_bce(nothing, batch, most=0)


def test_without_power_the_rare_cross_entropy_is_the_plain_one() -> None:
    for schema, plain in ((OVERLAPPING, bce), (EXCLUSIVE, pixel_cross_entropy)):
        batch = truth(schema, 3, known=0.7)
        outputs = logits(batch, 3)
        torch.testing.assert_close(rare_cross_entropy(outputs, batch, power=0.0), plain(outputs, batch))


def test_a_rare_label_starts_from_a_probability_that_a_network_can_mark_from() -> None:
    """The constant that costs least: s = 1 / 400 without weights, w s / (w s + 1 - s) with them."""
    batch = truth(OVERLAPPING, 0, h=20, w=20, known=1.0)
    masks = torch.zeros_like(batch.masks)
    masks[:, :, 3, 4] = True
    batch = replace(batch, masks=masks)
    s, w = 1 / 400, 399**0.75
    for power, expected in ((0.0, s), (0.75, w * s / (w * s + 1 - s))):
        level = torch.zeros((), requires_grad=True)
        optimizer = torch.optim.LBFGS([level], max_iter=100, line_search_fn="strong_wolfe")

        def closure(optimizer=optimizer, level=level, power=power) -> torch.Tensor:
            optimizer.zero_grad()
            loss = rare_cross_entropy(Outputs(level.expand(masks.shape)), batch, power=power)
            loss.backward()
            return loss

        optimizer.step(closure)
        assert torch.sigmoid(level).item() == pytest.approx(expected, rel=1e-2)
    assert w * s / (w * s + 1 - s) > 0.15


def test_a_label_that_the_batch_does_not_bear_weighs_one_and_settings_are_checked() -> None:
    batch = truth(OVERLAPPING, 1)
    batch = replace(batch, masks=torch.zeros_like(batch.masks))
    outputs = logits(batch, 1)
    torch.testing.assert_close(rare_cross_entropy(outputs, batch), bce(outputs, batch))
    with pytest.raises(ValueError, match="power=2"):
        rare_cross_entropy(outputs, batch, power=2)
    with pytest.raises(ValueError, match="most=0"):
        rare_cross_entropy(outputs, batch, most=0)
