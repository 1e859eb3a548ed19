"""Weighted cross entropy against a loop from the equation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import OVERLAPPING, gradients, logits, truth

from foveate.core.types import Outputs
from foveate.losses.balanced import predicted_area, true_area, weighted_bce
from foveate.losses.pixel import bce


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
