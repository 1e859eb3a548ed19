"""Overlap losses against a loop over pixels from the equation, their pools, and what an absent target costs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import OVERLAPPING, SCHEMAS, gradients, logits, truth

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._sums import overlap_sums
from foveate.losses.overlap import (
    dice,
    dice_per_pixel,
    dice_squared,
    jaccard,
    per_image,
    per_image_and_label,
    per_label,
    tversky,
    whole_batch,
)

GROUPS = {
    per_image_and_label: lambda i, k: (i, k),
    per_image: lambda i, k: i,
    per_label: lambda i, k: k,
    whole_batch: lambda i, k: 0,
}


def reference(
    outputs: Outputs, batch: Batch, key: Callable, absent: bool, ratio: Callable[[list[tuple[float, bool]]], float]
) -> float:
    """Mean of 1 - ratio over groups of known (q, t)."""
    q = batch.schema.pixel_probability(outputs.pixel.detach()).tolist()
    groups: dict = {}
    b, labels, h, w = batch.masks.shape
    for i in range(b):
        for k in range(labels):
            for r in range(h):
                for c in range(w):
                    if batch.known[i, k, r, c]:
                        groups.setdefault(key(i, k), []).append((q[i][k][r][c], bool(batch.masks[i, k, r, c])))
    losses = [1 - ratio(pairs) for pairs in groups.values() if absent or any(t for _, t in pairs)]
    return sum(losses) / len(losses) if losses else 0.0


def slow_dice(pairs: list[tuple[float, bool]], power: int, eps: float) -> float:
    above = 2 * sum(q * t for q, t in pairs) + eps
    return above / (sum(q**power for q, _ in pairs) + sum(t**power for _, t in pairs) + eps)


def slow_tversky(pairs: list[tuple[float, bool]], alpha: float, beta: float, eps: float) -> float:
    tp = sum(q * t for q, t in pairs)
    fp = sum(q * (1 - t) for q, t in pairs)
    fn = sum((1 - q) * t for q, t in pairs)
    return (tp + eps) / (tp + alpha * fp + beta * fn + eps)


@pytest.mark.parametrize("absent", [True, False])
@pytest.mark.parametrize("pool", GROUPS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.1, 0.5, 1.0]))
def test_overlaps_are_their_equations(
    schema: LabelSchema, pool: Callable, absent: bool, seed: int, known: float
) -> None:
    batch = truth(schema, seed, known=known)
    batch.masks[0, 1] = False
    outputs = logits(batch, seed)
    said = {"pool": pool, "absent": absent}
    slow = partial(reference, outputs, batch, GROUPS[pool], absent)
    assert dice(outputs, batch, **said).item() == pytest.approx(slow(partial(slow_dice, power=1, eps=1.0)))
    loss = dice_squared(outputs, batch, eps=0.1, **said)
    assert loss.item() == pytest.approx(slow(partial(slow_dice, power=2, eps=0.1)))
    loss = tversky(outputs, batch, alpha=0.2, beta=0.9, eps=0.3, **said)
    assert loss.item() == pytest.approx(slow(partial(slow_tversky, alpha=0.2, beta=0.9, eps=0.3)))
    assert jaccard(outputs, batch, **said).item() == pytest.approx(
        slow(lambda pairs: (sum(q * t for q, t in pairs) + 1) / (sum(q + t - q * t for q, t in pairs) + 1))
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_literal_equation_3(seed: int) -> None:
    batch = truth(OVERLAPPING, seed, known=0.6)
    outputs = logits(batch, seed)
    slow = reference(
        outputs,
        batch,
        lambda i, k: 0,
        True,
        lambda pairs: sum(2 * q * t / (q**2 + t**2) for q, t in pairs) / len(pairs),
    )
    assert dice_per_pixel(outputs, batch).item() == pytest.approx(slow)


def test_literal_equation_3_is_safe_at_zero_and_blind_to_false_positives() -> None:
    batch = truth(OVERLAPPING, 1, known=1.0)
    none = Outputs(torch.full((2, 3, 3, 4), -1e4, requires_grad=True))
    loss = dice_per_pixel(none, replace(batch, masks=torch.zeros_like(batch.masks)))
    assert loss.item() == 1
    assert not torch.autograd.grad(loss, none.pixel)[0].any()
    right = torch.where(batch.masks, 20.0, -20.0)
    torch.testing.assert_close(dice_per_pixel(Outputs(right), batch), dice_per_pixel(Outputs(right.abs()), batch))


def test_reduces_to_dice_and_jaccard() -> None:
    batch = truth(OVERLAPPING, 2)
    outputs = logits(batch, 2)
    half = tversky(outputs, batch, alpha=0.5, beta=0.5, eps=0.5)
    torch.testing.assert_close(half, dice(outputs, batch, eps=1.0))
    d = 1 - dice(outputs, batch, pool=whole_batch, eps=1e-9)
    torch.testing.assert_close(1 - jaccard(outputs, batch, pool=whole_batch, eps=1e-9), d / (2 - d))


@pytest.mark.parametrize("term", [dice, dice_squared, jaccard, tversky], ids=lambda t: t.__name__)
@pytest.mark.parametrize("pool", GROUPS, ids=lambda p: p.__name__)
def test_absent_target_is_never_silently_skipped(term: Callable, pool: Callable) -> None:
    batch = truth(OVERLAPPING, h=64, w=64, known=1.0)
    batch = replace(batch, masks=torch.zeros_like(batch.masks))
    ones, nothing, focal_weight = (
        Outputs(torch.full((2, 3, 64, 64), z, requires_grad=True)) for z in (50.0, -50.0, 0.0)
    )
    assert term(ones, batch, pool=pool) > 0.998
    assert term(nothing, batch, pool=pool) < 1e-6
    loss = term(focal_weight, batch, pool=pool)
    assert (torch.autograd.grad(loss, focal_weight.pixel)[0] > 0).all()
    left_out = term(ones, batch, pool=pool, absent=False)
    assert left_out.item() == 0
    assert left_out.requires_grad


def test_absent_label_is_left_out_of_the_mean_alone() -> None:
    batch = truth(OVERLAPPING, 3, known=1.0)
    batch.masks[:, 0] = False
    outputs = logits(batch, 3)
    ratio = 1 - torch.stack([dice(outputs._replace(pixel=outputs.pixel[:, k : k + 1]), one(batch, k)) for k in (1, 2)])
    torch.testing.assert_close(dice(outputs, batch, absent=False), 1 - ratio.mean())
    assert dice(outputs, batch) > dice(outputs, batch, absent=False)


def one(batch: Batch, k: int) -> Batch:
    schema = batch.schema.select(labels=[batch.schema.labels[k]])
    return replace(batch, schema=schema, masks=batch.masks[:, k : k + 1], known=batch.known[:, k : k + 1])


def test_sums_count_known_pixels() -> None:
    batch = truth(OVERLAPPING, 4)
    sums = overlap_sums(logits(batch, 4), batch, power=2)
    assert sums.known.tolist() == batch.known.sum((2, 3)).tolist()
    assert sums.truth.tolist() == (batch.masks & batch.known).sum((2, 3)).tolist()
    assert (sums.both <= sums.truth).all()
    assert (sums.predicted <= sums.known).all()


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (partial(dice, eps=0.0), r"eps=0.0.*1 pixel"),
        (partial(tversky, eps=-1.0), r"eps=-1.0"),
        (partial(dice, power=0), r"dice: power=0"),
        (partial(tversky, alpha=-0.1), r"alpha=-0.1"),
    ],
)
def test_strange_settings_are_refused(term: partial, message: str) -> None:
    batch = truth(OVERLAPPING)
    with pytest.raises(ValueError, match=message):
        term(logits(batch), batch)


@pytest.mark.parametrize("pool", [whole_batch, per_label], ids=lambda p: p.__name__)
def test_two_processes_see_one_batch(pool: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two processes has one image; the averaged gradient is that of one process with both."""
    batch = truth(OVERLAPPING, 5)
    outputs = logits(batch, 5)
    together = dice_squared(outputs, batch, pool=pool)
    parts = [
        replace(
            batch, image=batch.image[[i]], answers=batch.answers[[i]], masks=batch.masks[[i]], known=batch.known[[i]]
        )
        for i in (0, 1)
    ]
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    averaged = torch.zeros_like(outputs.pixel)
    for rank, part in enumerate(parts):
        with torch.no_grad():  # without gradients nothing is exchanged, so these are the other's own sums
            other = torch.stack(pool(overlap_sums(Outputs(outputs.pixel[[1 - rank]]), parts[1 - rank], power=2)))
        monkeypatch.setattr(dist, "all_reduce", lambda sums, other=other: sums.add_(other))
        loss = dice_squared(Outputs(outputs.pixel[[rank]]), part, pool=pool)
        torch.testing.assert_close(loss, together)
        averaged += torch.autograd.grad(loss, outputs.pixel)[0] / 2
    torch.testing.assert_close(averaged, torch.autograd.grad(together, outputs.pixel)[0])


def test_sums_pass_through_a_real_process_group() -> None:
    batch = truth(OVERLAPPING, 5)
    outputs = logits(batch, 5)
    alone = dice_squared(outputs, batch, pool=whole_batch)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        grouped = dice_squared(outputs, batch, pool=whole_batch)
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(grouped, alone)
    assert all(map(torch.allclose, gradients(grouped, outputs), gradients(alone, outputs)))
