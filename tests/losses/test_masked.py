"""The promises that every term keeps: only what is known counts, gradients are right, half precision stays finite."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import EXCLUSIVE, IMAGE, OVERLAPPING, SCHEMAS, gradients, logits, terms, truth

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import focal_weight, mean_over_known
from foveate.losses.answer import cross_entropy
from foveate.losses.overlap import dice
from foveate.losses.pixel import bce, pixel_cross_entropy

CASES = [pytest.param(schema, name, id=f"{kind}-{name}") for kind, schema in SCHEMAS.items() for name in terms(schema)]


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_gradient_is_that_of_the_value(schema: LabelSchema, name: str) -> None:
    batch, term = truth(schema, 3), terms(schema)[name]
    start = logits(batch, 3)
    moved = "image" if name in IMAGE else "pixel"

    def value(x: torch.Tensor) -> torch.Tensor:
        return term(start._replace(**{moved: x}), batch)

    assert torch.autograd.gradcheck(value, (getattr(start, moved),))


@pytest.mark.parametrize(("schema", "name"), CASES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.0, 0.2, 0.7, 1.0]))
def test_unknown_truth_changes_nothing(schema: LabelSchema, name: str, seed: int, known: float) -> None:
    batch, term = truth(schema, seed, known=known), terms(schema)[name]
    outputs = logits(batch, seed)
    g = torch.Generator().manual_seed(seed + 1)
    invented = torch.where(batch.known, batch.masks, torch.rand(batch.masks.shape, generator=g) < 0.5)
    told, retold = term(outputs, batch), term(outputs, replace(batch, masks=invented))
    assert torch.equal(told, retold)
    assert all(map(torch.equal, gradients(told, outputs), gradients(retold, outputs)))


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_unknown_image_is_as_good_as_left_out(schema: LabelSchema, name: str) -> None:
    """Also what the network says of it gets no gradient."""
    batch, term = truth(schema, 5, b=3), terms(schema)[name]
    known, answers = batch.known.clone(), batch.answers.clone()
    known[1], answers[1] = False, -1
    outputs = logits(batch, 5)
    loss = term(outputs, replace(batch, known=known, answers=answers))
    kept = torch.tensor([0, 2])
    fewer = Outputs(outputs.pixel[kept], outputs.image[kept], aux=(outputs.aux[0][kept],))
    few = Batch(schema, ("0", "2"), batch.image[kept], answers[kept], batch.masks[kept], known[kept])
    torch.testing.assert_close(loss, term(fewer, few))
    assert loss > 0
    assert all(not grad[1].any() for grad in gradients(loss, outputs))


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_nothing_known_is_zero_on_the_graph(schema: LabelSchema, name: str) -> None:
    batch = truth(schema, known=0.0)
    outputs = logits(batch, scale=30.0)
    loss = terms(schema)[name](outputs, batch)
    assert loss.item() == 0
    assert loss.requires_grad
    assert all(not grad.any() and grad.isfinite().all() for grad in gradients(loss, outputs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("schema", "name"), CASES)
def test_half_precision_stays_finite(schema: LabelSchema, name: str, dtype: torch.dtype) -> None:
    batch = truth(schema, 7, h=16, w=16)
    sign = logits(batch, 7)
    outputs = Outputs(*[(50 * t.detach().sign()).to(dtype).requires_grad_() for t in (sign.pixel, sign.image)])
    outputs = outputs._replace(aux=(outputs.pixel,))
    loss = terms(schema)[name](outputs, batch)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    grads = torch.autograd.grad(loss, [outputs.pixel, outputs.image], allow_unused=True)
    assert all(grad.isfinite().all() for grad in grads if grad is not None)


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_autocast_gives_the_same_value(schema: LabelSchema, name: str) -> None:
    batch = truth(schema, 8)
    outputs = logits(batch, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = terms(schema)[name](outputs, batch)
    torch.testing.assert_close(inside, terms(schema)[name](outputs, batch))


@pytest.mark.parametrize(("schema", "name"), CASES)
def test_better_prediction_is_cheaper(schema: LabelSchema, name: str) -> None:
    """Logits that say the truth, and their opposite; the literal eq. 3 too prefers the truth where it is marked."""
    batch, term = truth(schema, 9, known=1.0), terms(schema)[name]
    pixel = batch.masks.double()
    if schema.exclusive:
        pixel = torch.cat([1 - pixel.sum(1, keepdim=True), pixel], 1)
    parts = []
    for q, answer in zip(schema.questions, batch.answers.T, strict=True):
        parts.append(answer[:, None].double() if q.yes_no else torch.nn.functional.one_hot(answer, 3).double())
    image = torch.cat(parts, 1)
    right = Outputs(40 * pixel - 20, 40 * image - 20, aux=(40 * pixel - 20,))
    wrong = Outputs(-right.pixel, -right.image, aux=(-right.pixel,))
    good, bad = term(right, batch), term(wrong, batch)
    if "per pixel" not in name and "smoothing" not in getattr(term, "keywords", {}):
        assert good < 1e-6
    if name != "presence dice":  # blind to where: here every image bears every label, and the opposite says so too
        assert good < bad - 0.2


@pytest.mark.parametrize("name", terms(OVERLAPPING))
def test_missing_head_is_named(name: str) -> None:
    batch = truth(OVERLAPPING)
    head = "image" if name in IMAGE else "pixel"
    with pytest.raises(ValueError, match=rf"needs outputs\.{head}, which is None.*network with"):
        terms(OVERLAPPING)[name](logits(batch)._replace(**{head: None}), batch)


@pytest.mark.parametrize(
    ("term", "cut"),
    [(bce, "pixel"), (dice, "pixel"), (cross_entropy, "image")],
)
def test_logits_of_another_schema_are_refused(term: object, cut: str) -> None:
    batch = truth(OVERLAPPING)
    outputs = logits(batch)
    short = outputs._replace(**{cut: getattr(outputs, cut)[:, :-1]})
    with pytest.raises(ValueError, match=rf"outputs\.{cut} is .*build the network for this schema"):
        term(short, batch)


def test_coarse_logits_are_refused() -> None:
    batch = truth(OVERLAPPING, h=4, w=4)
    outputs = logits(batch)
    with pytest.raises(ValueError, match="size of the input"):
        bce(outputs._replace(pixel=outputs.pixel[..., ::2, ::2]), batch)


@pytest.mark.parametrize("exclusive", [False, True])
def test_schema_without_labels_has_nothing_to_know(exclusive: bool) -> None:
    schema = LabelSchema(OVERLAPPING.questions, (), exclusive=exclusive)
    batch = Batch(
        schema,
        ("a",),
        torch.zeros(1, 1, 2, 2),
        torch.zeros(1, 2, dtype=torch.long),
        *2 * [torch.zeros(1, 0, 2, 2, dtype=torch.bool)],
    )
    empty = Outputs(pixel=torch.zeros(1, 0, 2, 2, requires_grad=True))
    assert bce(empty, batch) == 0
    assert dice(empty, batch) == 0
    with pytest.raises(ValueError, match=r"bce needs outputs\.pixel"):
        bce(Outputs(image=torch.zeros(1, 4)), batch)


def test_mean_over_known() -> None:
    values, known = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, False, True])
    assert mean_over_known(values, known) == 3.5
    assert mean_over_known(values, known, weights=torch.tensor([3.0, 9.0, 1.0])) == 2.25
    assert mean_over_known(values, known, weights=torch.tensor([0.25, 9.0, 0.25])) == 3.5
    assert mean_over_known(values, known, weights=torch.zeros(3)) == 0
    assert mean_over_known(values, ~known & known) == 0


def test_focal_weight_falls_with_what_is_learnt() -> None:
    p = torch.tensor([0.0001, 0.5, 0.9, 1.0], dtype=torch.float64)
    torch.testing.assert_close(focal_weight(-p.log(), gamma=2.0), (1 - p) ** 2)
    assert torch.equal(focal_weight(-p.log(), gamma=0.0), torch.ones_like(p))
    for gamma in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="gamma"):
            focal_weight(p, gamma=gamma)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (partial(bce, positive={"drusen": 2.0}), "'drusen'.*must be one of"),
        (partial(bce, positive={"disc": -1.0}), "disc.*-1"),
        (partial(pixel_cross_entropy, weights={"background": float("nan")}), "background.*nan"),
    ],
)
def test_strange_weights_are_refused(term: partial, message: str) -> None:
    batch = truth(EXCLUSIVE)
    with pytest.raises(ValueError, match=message):
        term(logits(batch), batch)
