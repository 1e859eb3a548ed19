"""Pixel losses against a loop over pixels from the equation."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import EXCLUSIVE, OVERLAPPING, SCHEMAS, logits, truth

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses.overlap import dice
from foveate.losses.pixel import bce, deep, focal, pixel_cross_entropy


def probability(outputs: Outputs, schema: LabelSchema, b: int, label: int, r: int, c: int) -> float:
    z = [float(v) for v in outputs.pixel.detach()[b, :, r, c]]
    if not schema.exclusive:
        return 1 / (1 + math.exp(-z[label]))
    return math.exp(z[label + 1]) / sum(math.exp(v) for v in z)


def known_pixels(outputs: Outputs, batch: Batch) -> list[tuple[int, float, bool]]:
    """(label, q, t) wherever the truth is known."""
    b, labels, h, w = batch.masks.shape
    return [
        (k, probability(outputs, batch.schema, i, k, r, c), bool(batch.masks[i, k, r, c]))
        for i in range(b)
        for k in range(labels)
        for r in range(h)
        for c in range(w)
        if batch.known[i, k, r, c]
    ]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.3, 1.0]))
def test_bce_and_focal_are_their_equations(schema: LabelSchema, seed: int, known: float) -> None:
    batch = truth(schema, seed, known=known)
    outputs = logits(batch, seed)
    plain, weighted, focused = [], [], []
    for label, q, t in known_pixels(outputs, batch):
        p = q if t else 1 - q
        plain.append(-math.log(p))
        weighted.append(-math.log(p) * (7.0 if t and label == 1 else 1.0))
        focused.append(-(0.8 if t else 0.2) * (1 - p) ** 2 * math.log(p))
    n = len(plain)
    name = schema.labels[1]
    assert bce(outputs, batch).item() == pytest.approx(sum(plain) / n)
    assert bce(outputs, batch, positive={name: 7.0}).item() == pytest.approx(sum(weighted) / n)
    assert focal(outputs, batch, alpha=0.8, gamma=2.0).item() == pytest.approx(sum(focused) / n)
    assert focal(outputs, batch, alpha=0.5, gamma=0.0).item() == pytest.approx(sum(plain) / n / 2)


def test_bce_of_exclusive_labels_does_not_saturate() -> None:
    """Where the softmax rounds to 1, ln(1 - q) is still the margin and still has its gradient."""
    schema = LabelSchema((), ("disc", "atrophy"), exclusive=True)
    no = torch.zeros(1, 2, 1, 1, dtype=torch.bool)
    batch = Batch(schema, ("a",), torch.zeros(1, 1, 1, 1), torch.zeros(1, 0, dtype=torch.long), no, ~no)
    z = torch.tensor([0.0, 200.0, -200.0]).reshape(1, 3, 1, 1).requires_grad_()
    loss = bce(Outputs(z), batch)
    assert loss.item() == pytest.approx(100.0)
    (grad,) = torch.autograd.grad(loss, z)
    assert grad.flatten().tolist() == pytest.approx([-0.5, 0.5, 0.0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.2, 0.6, 0.95]))
def test_partial_cross_entropy_is_its_equation(seed: int, known: float) -> None:
    schema = EXCLUSIVE
    batch = truth(schema, seed, known=known)
    outputs = logits(batch, seed)
    weight = {"background": 0.2, "disc": 1.0, "atrophy": 3.0}
    w = list(weight.values())
    plain, weighted, weights = [], [], []
    b, labels, h, width = batch.masks.shape
    for i in range(b):
        for r in range(h):
            for c in range(width):
                marked = [k for k in range(labels) if batch.known[i, k, r, c] and batch.masks[i, k, r, c]]
                left = [k + 1 for k in marked] or [0, *(k + 1 for k in range(labels) if not batch.known[i, k, r, c])]
                if len(left) == labels + 1:
                    continue
                z = [math.exp(float(v)) for v in outputs.pixel.detach()[i, :, r, c]]
                plain.append(-math.log(sum(z[k] for k in left) / sum(z)))
                weights.append(sum(w[k] for k in left) / len(left))
                weighted.append(plain[-1] * weights[-1])
    if plain:
        assert pixel_cross_entropy(outputs, batch).item() == pytest.approx(sum(plain) / len(plain))
        loss = pixel_cross_entropy(outputs, batch, weights=weight).item()
        assert loss == pytest.approx(sum(weighted) / sum(weights))


@pytest.mark.parametrize("weights", [None, {"background": 0.1, "disc": 2.0, "atrophy": 5.0}])
def test_cross_entropy_of_known_pixels_is_the_ordinary_one(weights: dict | None) -> None:
    batch = truth(EXCLUSIVE, 2, known=1.0)
    outputs = logits(batch, 2)
    target = (batch.masks * torch.tensor([1, 2])[:, None, None]).sum(1)
    w = None if weights is None else torch.tensor(list(weights.values()), dtype=torch.float64)
    torch.testing.assert_close(
        pixel_cross_entropy(outputs, batch, weights=weights), F.cross_entropy(outputs.pixel, target, w)
    )


def test_marked_elsewhere_unknown_teaches_only_there() -> None:
    """A set with the disc alone marked: where it is not, background and atrophy are raised together."""
    batch = truth(EXCLUSIVE, 4)
    known = torch.zeros_like(batch.known)
    known[:, 0] = True
    batch = replace(batch, known=known, masks=torch.zeros_like(batch.masks))
    outputs = logits(batch, 4)
    (grad,) = torch.autograd.grad(pixel_cross_entropy(outputs, batch), outputs.pixel)
    assert (grad[:, 1] > 0).all()
    assert (grad[:, [0, 2]] < 0).all()


def test_cross_entropy_needs_exclusive_labels() -> None:
    batch = truth(OVERLAPPING)
    with pytest.raises(ValueError, match="exclusive=True; take bce"):
        pixel_cross_entropy(logits(batch), batch)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_focal_alpha_is_a_share(alpha: float) -> None:
    batch = truth(OVERLAPPING)
    with pytest.raises(ValueError, match=r"alpha=.*from 0 to 1"):
        focal(logits(batch), batch, alpha=alpha)


def test_deep_adds_the_auxiliary_outputs() -> None:
    batch = truth(OVERLAPPING, 6)
    first, second, third = (logits(batch, seed).pixel for seed in (6, 7, 8))
    outputs = Outputs(first, aux=(second, third))
    term = partial(dice, eps=0.5)
    each = [term(Outputs(z), batch) for z in (first, second, third)]
    torch.testing.assert_close(deep(outputs, batch, term=term, weights=0.4), each[0] + 0.4 * (each[1] + each[2]))
    both = deep(outputs, batch, term=term, weights=(0.6, 0.2))
    torch.testing.assert_close(both, each[0] + 0.6 * each[1] + 0.2 * each[2])
    with pytest.raises(ValueError, match=r"weights=\[1.0\].*2 auxiliary"):
        deep(outputs, batch, term=term, weights=(1.0,))
    with pytest.raises(ValueError, match=r"outputs\.aux, which is empty"):
        deep(Outputs(first), batch, term=term)
