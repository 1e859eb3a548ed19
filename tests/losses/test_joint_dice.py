"""Joint Dice against a loop from its equation: where the target is there, where it is not, where nobody knows."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import gradients, logits, truth

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs
from foveate.losses._presence import neighbours_of, targets_of
from foveate.losses.joint_dice import joint_dice
from foveate.losses.overlap import dice

ATROPHY = Question("atrophy_present", evidence=("atrophy",))
ONE = LabelSchema((Question("grade", ("0", "1", "2")), ATROPHY), ("disc", "atrophy"), exclusive=True)
ALONE = LabelSchema((ATROPHY,), ("atrophy",), exclusive=True)
MANY = LabelSchema(
    (Question("bleeding", evidence=("dot", "blot")), Question("exudation", evidence=("exudate",))),
    ("dot", "disc", "exudate", "blot"),
)
SCHEMAS = {"neighbour": ONE, "alone": ALONE, "many": MANY}


def answered(batch: Batch, question: str, value: int) -> Batch:
    """The batch with one answer for all images."""
    answers = batch.answers.clone()
    answers[:, [q.name for q in batch.schema.questions].index(question)] = value
    return replace(batch, answers=answers)


def slow(outputs: Outputs, batch: Batch, eps: float) -> float:
    """The mean over images and units, pixel by pixel."""
    schema = batch.schema
    p = schema.pixel_probability(outputs.pixel.detach()).tolist()
    said = {q: v[:, 1].tolist() for q, v in schema.image_probability(outputs.image.detach()).items() if v.shape[1] == 2}
    targets = {q.name: q.evidence for q in schema.findings}
    units = [*targets.items(), *((None, (k,)) for k in schema.labels if all(k not in e for e in targets.values()))]
    losses = []
    for i in range(len(batch)):
        for question, labels in units:
            both = predicted = true = known = 0.0
            for label in labels:
                k = schema.labels.index(label)
                for r in range(batch.masks.shape[2]):
                    for c in range(batch.masks.shape[3]):
                        if batch.known[i, k, r, c]:
                            g = float(batch.masks[i, k, r, c])
                            both += p[i][k][r][c] * g
                            predicted, true, known = predicted + p[i][k][r][c], true + g, known + 1
            y = 1 if question is None else int(batch.answer(question)[i])
            y = 1 if y < 0 and true > 0 else y
            if known and y >= 0:
                y_hat = said[question][i] if question else 1.0
                losses.append((y + y_hat - y * y_hat) * (1 - (2 * both + eps) / (predicted + true + eps)))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.05, 0.5, 1.0]), eps=st.sampled_from([1e-3, 1.0]))
def test_it_is_its_equation(schema: LabelSchema, seed: int, known: float, eps: float) -> None:
    batch = truth(schema, seed, b=3, known=known)
    batch.masks[0] = False
    outputs = logits(batch, seed)
    assert joint_dice(outputs, batch, eps=eps).item() == pytest.approx(slow(outputs, batch, eps))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), eps=st.sampled_from([1e-3, 1.0, 50.0]))
def test_it_is_dice_where_the_target_is_there(seed: int, eps: float) -> None:
    """y = 1: the very same number and gradient, and none for the answer."""
    batch = answered(truth(ONE, seed, known=1.0), "atrophy_present", 1)
    outputs = logits(batch, seed)
    ours, plain = joint_dice(outputs, batch, eps=eps), dice(outputs, batch, eps=eps)
    torch.testing.assert_close(ours, plain)
    found = gradients(ours, outputs)
    for a, b in zip(found, gradients(plain, outputs), strict=True):
        torch.testing.assert_close(a, b)
    assert not found[1].any()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_lowers_the_answer_where_the_target_is_not_there(seed: int) -> None:
    """y = 0: y^ times Dice; the gradient for the logit of y^ is y^ (1 - y^) Dice / images, and lowers it."""
    batch = answered(truth(ALONE, seed, known=1.0), "atrophy_present", 0)
    batch = replace(batch, masks=torch.zeros_like(batch.masks))
    outputs = logits(batch, seed)
    loss = joint_dice(outputs, batch, eps=1e-6)
    y_hat = torch.sigmoid(outputs.image[:, 0]).detach()
    torch.testing.assert_close(loss.item(), y_hat.mean().item(), rtol=1e-4, atol=0)  # Dice is 1 for a small epsilon
    pixel, image, _ = gradients(loss, outputs)
    torch.testing.assert_close(image[:, 0], y_hat * (1 - y_hat) / len(batch), rtol=1e-4, atol=0)
    assert (image[:, 0] > 0).all()
    assert (pixel[:, 1] > 0).all()  # marking less is better, too


def test_the_sentence_after_equation_2_is_reversed() -> None:
    """Without the target the loss is small when the answer is right and large when it is wrong."""
    batch = answered(truth(ALONE, 1, known=1.0), "atrophy_present", 0)
    batch = replace(batch, masks=torch.zeros_like(batch.masks))
    right, wrong = (
        joint_dice(Outputs(pixel=torch.zeros(2, 2, 3, 4), image=torch.full((2, 1), z)), batch, eps=1e-6)
        for z in (-3.0, 3.0)
    )
    assert right < 0.5 < wrong


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("detach", [False, True])
def test_gradients_are_exact(schema: LabelSchema, detach: bool) -> None:
    batch = truth(schema, 3, b=3)
    outputs = logits(batch, 3)

    def of_pixels(pixel: torch.Tensor) -> torch.Tensor:
        return joint_dice(outputs._replace(pixel=pixel), batch, detach=detach)

    def of_answers(image: torch.Tensor) -> torch.Tensor:
        return joint_dice(outputs._replace(image=image), batch)

    assert torch.autograd.gradcheck(of_pixels, (outputs.pixel,))
    assert torch.autograd.gradcheck(of_answers, (outputs.image,))
    loss = joint_dice(outputs, batch, detach=detach)
    torch.testing.assert_close(loss, joint_dice(outputs, batch))
    assert gradients(loss, outputs)[1].any() == (not detach)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.0, 0.3, 0.8]))
def test_what_is_unknown_changes_nothing(schema: LabelSchema, seed: int, known: float) -> None:
    batch = truth(schema, seed, known=known)
    outputs = logits(batch, seed)
    invented = torch.where(batch.known, batch.masks, ~batch.masks)
    told, retold = joint_dice(outputs, batch), joint_dice(outputs, replace(batch, masks=invented))
    assert torch.equal(told, retold)
    assert all(map(torch.equal, gradients(told, outputs), gradients(retold, outputs)))


def test_an_unknown_answer_is_yes_where_a_pixel_says_so_and_is_left_out_elsewhere() -> None:
    batch = truth(ALONE, 4, b=2, known=1.0)
    batch.masks[0], batch.masks[1] = False, True
    outputs = logits(batch, 4)
    unknown = answered(batch, "atrophy_present", -1)
    loss = joint_dice(outputs, unknown)
    second = Batch(ALONE, ("1",), batch.image[1:], torch.ones(1, 1, dtype=torch.long), batch.masks[1:], batch.known[1:])
    torch.testing.assert_close(loss, joint_dice(Outputs(pixel=outputs.pixel[1:], image=outputs.image[1:]), second))
    assert not gradients(loss, outputs)[0][0].any()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_nothing_known_is_zero_and_still_trains(schema: LabelSchema) -> None:
    batch = truth(schema, 5)
    batch = replace(batch, answers=torch.full_like(batch.answers, -1), known=torch.zeros_like(batch.known))
    outputs = logits(batch, 5)
    loss = joint_dice(outputs, batch)
    assert loss.item() == 0
    assert not any(grad.any() for grad in gradients(loss, outputs))


def test_targets_and_neighbours() -> None:
    assert targets_of(MANY) == {"bleeding": ("dot", "blot"), "exudation": ("exudate",)}
    assert neighbours_of(MANY, targets_of(MANY)) == ("disc",)
    batch = truth(MANY, 6, known=1.0)
    outputs = logits(batch, 6)
    fewer = joint_dice(outputs, batch, targets={"exudation": ["exudate"]})
    assert fewer.item() != pytest.approx(joint_dice(outputs, batch).item())
    assert neighbours_of(MANY, {"exudation": ["exudate"]}) == ("dot", "disc", "blot")


def test_what_is_wrong_is_said() -> None:
    batch = truth(ONE, 0)
    outputs = logits(batch, 0)
    with pytest.raises(ValueError, match=r"joint_dice needs outputs\.image, which is None"):
        joint_dice(outputs._replace(image=None), batch)
    with pytest.raises(ValueError, match="question 'grade' is not yes/no"):
        joint_dice(outputs, batch, targets={"grade": ["disc"]})
    with pytest.raises(ValueError, match=r"give some of \['disc', 'atrophy'\]"):
        joint_dice(outputs, batch, targets={"atrophy_present": ["drusen"]})
    with pytest.raises(ValueError, match="no yes/no question of the schema names labels as its evidence"):
        joint_dice(outputs, replace(batch, schema=replace(ONE, questions=(Question("grade", ("0", "1", "2")),))))
    with pytest.raises(ValueError, match="eps=0"):
        joint_dice(outputs, batch, eps=0.0)
