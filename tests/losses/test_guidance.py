"""Guidance: equal to a slow loop over eq. 2, silent inside the cue and where no cue is known."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.core.map_cells import at_resolution
from foveate.core.types import Batch, Outputs
from foveate.losses.guidance import guidance, guidance_entropy, guidance_printed

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")), Question("exudate"), Question("drusen")), ("ex",))
TERMS = {"guidance": guidance, "printed": guidance_printed, "entropy": guidance_entropy}


def case(seed: int = 0, *, b: int = 3, cells: int = 3, pixel: int = 4) -> tuple[Outputs, Batch]:
    """Maps of 5 channels (grade has 3), cues of 3 questions at four times their resolution."""
    g = torch.Generator().manual_seed(seed)
    maps = (4 * torch.randn(b, 5, cells, cells, generator=g, dtype=torch.float64)).requires_grad_()
    side = cells * pixel
    cues = torch.rand(b, 3, cells, cells, generator=g) < 0.5
    cues = torch.nn.functional.interpolate(cues.float(), scale_factor=pixel) > 0
    batch = Batch(
        SCHEMA, tuple("abcdefgh"[:b]), torch.zeros(b, 1, side, side), torch.zeros(b, 3, dtype=torch.long),
        torch.zeros(b, 1, side, side, dtype=torch.bool), torch.ones(b, 1, side, side, dtype=torch.bool),
        cues=cues, cues_known=torch.ones(b, 3, dtype=torch.bool),
    )  # fmt: skip
    return Outputs(image=maps.mean((2, 3)), activation=maps), batch


def slow(outputs: Outputs, batch: Batch, *, eps: float) -> float:
    """Eq. 2, cell by cell, as printed."""
    maps, cues = torch.sigmoid(outputs.activation.detach()), batch.cues
    total, count = 0.0, 0
    pixel = cues.shape[2] // maps.shape[2]
    for i in range(len(batch)):
        for question, channel in ((1, 3), (2, 4)):
            for r in range(maps.shape[2]):
                for c in range(maps.shape[3]):
                    m = cues[i, question, r * pixel : (r + 1) * pixel, c * pixel : (c + 1) * pixel].any().item()
                    total += (1 - m) * math.log(max(maps[i, channel, r, c].item(), eps))
                    count += 1
    return total / count


@pytest.mark.parametrize("eps", [1e-3, 0.3])
def test_printed_form_is_the_equation(eps: float) -> None:
    outputs, batch = case(1)
    assert guidance_printed(outputs, batch, eps=eps).item() == pytest.approx(slow(outputs, batch, eps=eps))
    outside = (~at_resolution(batch.cues[:, 1:], (3, 3))).double().mean()
    shifted = slow(outputs, batch, eps=eps) - math.log(eps) * outside.item()
    assert guidance(outputs, batch, eps=eps).item() == pytest.approx(shifted)
    assert shifted > 0
    values = (guidance(outputs, batch, eps=eps), guidance_printed(outputs, batch, eps=eps))
    first, second = (torch.autograd.grad(value, outputs.activation)[0] for value in values)
    torch.testing.assert_close(first, second)


def test_entropy_form_is_that_of_nothing_outside() -> None:
    outputs, batch = case(2)
    a = torch.sigmoid(outputs.activation[:, 3:])
    outside = (~at_resolution(batch.cues[:, 1:], (3, 3))).double()
    torch.testing.assert_close(guidance_entropy(outputs, batch), (-outside * torch.log(1 - a)).mean())


@pytest.mark.parametrize("name", TERMS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nothing_is_asked_inside_the_cue(name: str, seed: int) -> None:
    outputs, batch = case(seed)
    (grad,) = torch.autograd.grad(TERMS[name](outputs, batch), outputs.activation)
    inside = at_resolution(batch.cues[:, 1:], (3, 3))
    assert not grad[:, 3:][inside].any()
    assert not grad[:, :3].any()  # a question with three answers has no cue
    assert (grad[:, 3:] >= 0).all()  # outside it only ever suppresses
    full = replace(batch, cues=torch.ones_like(batch.cues))
    assert TERMS[name](outputs, full) == 0
    least = case(seed)[0].activation.detach().clone()
    least[:, 3:] = torch.where(inside, least[:, 3:], -50.0)
    quiet = outputs._replace(activation=least)
    assert guidance(quiet, batch) == pytest.approx(0, abs=1e-9)
    assert guidance_entropy(quiet, batch) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", TERMS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.lists(st.booleans(), min_size=6, max_size=6))
def test_unknown_cues_change_nothing(name: str, seed: int, known: list[bool]) -> None:
    outputs, batch = case(seed)
    cued = torch.tensor(known).view(3, 2)
    batch = replace(batch, cues_known=torch.cat([torch.zeros(3, 1, dtype=torch.bool), cued], 1))
    invented = torch.where(batch.cues_known[:, :, None, None], batch.cues, ~batch.cues)
    told, retold = TERMS[name](outputs, batch), TERMS[name](outputs, replace(batch, cues=invented))
    assert torch.equal(told, retold)
    (grad,) = torch.autograd.grad(told, outputs.activation)
    assert not grad[:, 3:][~cued].any()
    if not cued.any():
        assert told == 0
    elif cued.all():
        torch.testing.assert_close(told, TERMS[name](outputs, replace(batch, cues_known=None)))


def test_gradients_are_those_of_the_values() -> None:
    outputs, batch = case(4, b=2)
    for term in TERMS.values():
        assert torch.autograd.gradcheck(lambda x, t=term: t(Outputs(activation=x), batch), (outputs.activation,))


def test_cues_reach_the_resolution_of_any_map() -> None:
    cue = torch.zeros(1, 1, 65, 47, dtype=torch.bool)
    cue[..., 64, 46] = True
    found = at_resolution(cue, (3, 2))  # the encoder padded 65 x 47 to 96 x 64
    assert found[0, 0].tolist() == [[False, False], [False, False], [False, True]]
    cue[..., 64, 46], cue[..., 10, 10] = False, True
    assert at_resolution(cue, (65, 47)).sum() == 1
    assert at_resolution(cue[..., :64, :32], (4, 2))[0, 0].nonzero().tolist() == [[0, 0]]


def test_what_it_needs_is_said() -> None:
    outputs, batch = case()
    with pytest.raises(ValueError, match=r"needs outputs\.activation"):
        guidance(outputs._replace(activation=None), batch)
    with pytest.raises(ValueError, match="not 2 maps"):
        guidance(outputs._replace(activation=outputs.activation[:, :2]), batch)
    with pytest.raises(ValueError, match=r"needs batch\.cues"):
        guidance(outputs, replace(batch, cues=None))
    with pytest.raises(ValueError, match="eps=0"):
        guidance(outputs, batch, eps=0.0)
    graded = replace(batch, schema=SCHEMA.select(questions=["grade"]), cues=batch.cues[:, :1], cues_known=None)
    with pytest.raises(ValueError, match="no yes/no question"):
        guidance(Outputs(activation=outputs.activation[:, :3]), graded)
