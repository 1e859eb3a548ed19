"""Dual Dice against a loop from the equations, its promises, and two processes that see one batch."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_cases import OVERLAPPING, SCHEMAS, gradients, logits, truth

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._presence import presence
from foveate.losses.balanced import weighted_bce
from foveate.losses.dual_dice import dual_dice, presence_dice
from foveate.losses.overlap import dice_squared, per_label, whole_batch


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), known=st.sampled_from([0.1, 0.5, 1.0]))
def test_presence_is_its_equation(schema: LabelSchema, seed: int, known: float) -> None:
    batch = truth(schema, seed, b=3, known=known)
    outputs = logits(batch, seed)
    q = schema.pixel_probability(outputs.pixel.detach()).tolist()
    both = squares = count = 0.0
    by_label = []
    for k in range(len(schema.labels)):
        own = [0.0, 0.0, 0]
        for i in range(3):
            seen = [
                (q[i][k][r][c], bool(batch.masks[i, k, r, c]))
                for r in range(3)
                for c in range(4)
                if batch.known[i, k, r, c]
            ]
            if seen:
                p, t = max(value for value, _ in seen), any(mark for _, mark in seen)
                own = [own[0] + p * t, own[1] + p * p + t, own[2] + 1]
        both, squares, count = both + own[0], squares + own[1], count + own[2]
        if own[2]:
            by_label.append(1 - (2 * own[0] + 0.3) / (own[1] + 0.3))
    pooled = 1 - (2 * both + 0.3) / (squares + 0.3) if count else 0.0
    assert presence_dice(outputs, batch, eps=0.3).item() == pytest.approx(pooled)
    mean = sum(by_label) / len(by_label) if by_label else 0.0
    assert presence_dice(outputs, batch, eps=0.3, pool=per_label).item() == pytest.approx(mean)


def test_dual_is_four_parts_segmentation_and_one_presence() -> None:
    batch = truth(OVERLAPPING, 3)
    outputs = logits(batch, 3)
    seg, clf = dice_squared(outputs, batch, pool=whole_batch), presence_dice(outputs, batch)
    torch.testing.assert_close(dual_dice(outputs, batch), 0.8 * seg + 0.2 * clf)
    torch.testing.assert_close(dual_dice(outputs, batch, share=1.0), seg)
    torch.testing.assert_close(dual_dice(outputs, batch, share=0.0), clf)


def test_presence_does_not_depend_on_size() -> None:
    """One marked pixel costs as much as a thousand, which segmentation alone does not see."""
    batch = truth(OVERLAPPING, b=1, h=40, w=40, known=1.0)
    small = torch.zeros_like(batch.masks)
    small[0, 0, 0, 0] = True
    large = torch.zeros_like(batch.masks)
    large[0, 0, :30] = True
    nothing = Outputs(torch.full(batch.masks.shape, -3.0))
    a, b = (presence_dice(nothing, replace(batch, masks=m)) for m in (small, large))
    torch.testing.assert_close(a, b)
    assert a > 0.4


def test_false_alarm_has_a_gradient_where_nothing_is_marked() -> None:
    batch = truth(OVERLAPPING, h=8, w=8, known=1.0)
    batch = replace(batch, masks=torch.zeros_like(batch.masks))
    outputs = logits(batch, 2)
    loss = presence_dice(outputs, batch)
    grad = gradients(loss, outputs)[0]
    assert ((grad > 0).sum((2, 3)) == 1).all()  # the highest pixel of each image and label, and no other
    assert not (grad < 0).any()
    assert presence_dice(Outputs(torch.full_like(outputs.pixel, -50.0)), batch) < 1e-9


def test_what_is_ignored_is_neither_there_nor_a_false_alarm() -> None:
    """A mark that the guideline refutes is unknown; the rest of the image still says that the lesion is absent."""
    batch = truth(OVERLAPPING, b=1, h=4, w=4, known=1.0)
    known = torch.ones_like(batch.known)
    known[0, 0, 0, 0] = False
    masks = torch.zeros_like(batch.masks)
    masks[0, 0, 0, 0] = True
    high = torch.full(masks.shape, -20.0)
    high[0, 0, 0, 0] = 20.0
    found, there, said = presence(Outputs(high), replace(batch, masks=masks, known=known))
    assert found[0, 0] < 1e-6
    assert not there[0, 0]
    assert said.all()
    assert dual_dice(Outputs(high), replace(batch, masks=masks, known=known)) < 1e-6


@pytest.mark.parametrize(
    ("term", "message"),
    [(partial(dual_dice, share=1.2), r"share=1.2.*0\.8"), (partial(presence_dice, eps=0.0), r"eps=0.0")],
)
def test_strange_settings_are_refused(term: Callable, message: str) -> None:
    batch = truth(OVERLAPPING)
    with pytest.raises(ValueError, match=message):
        term(logits(batch), batch)


@pytest.mark.parametrize("absent", [True, False])
def test_both_parts_have_the_settings_of_the_whole(absent: bool) -> None:
    """With one label that no image bears, `absent` changes either part; so do pool, share and eps."""
    batch = truth(OVERLAPPING, 4, b=3, known=1.0)
    masks = batch.masks.clone()
    masks[:, 1] = False
    batch, outputs = replace(batch, masks=masks), logits(batch, 4)
    settings = {"eps": 0.5, "pool": per_label, "absent": absent}
    pixel, image = dice_squared(outputs, batch, **settings), presence_dice(outputs, batch, **settings)
    assert not torch.isclose(image, presence_dice(outputs, batch, **settings | {"absent": not absent}))
    torch.testing.assert_close(dual_dice(outputs, batch, share=0.3, **settings), 0.3 * pixel + 0.7 * image)


WORKER = """
import sys, torch, torch.distributed as dist
from losses_cases import OVERLAPPING, logits
from test_dual_dice import SHARED, halves
from dataclasses import replace
from foveate.core.types import Outputs

torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
found = {}
for name, (term, known) in SHARED.items():
    batch = halves(known)
    outputs = logits(batch, 5)
    mine = slice(2 * rank, 2 * rank + 2)
    part = replace(batch, image=batch.image[mine], masks=batch.masks[mine], known=batch.known[mine])
    loss = term(Outputs(outputs.pixel[mine]), part)
    grad = torch.autograd.grad(loss, outputs.pixel)[0]
    dist.all_reduce(grad)
    found[name] = (loss.detach(), grad / 2)
torch.save(found, f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


# The weighted cross entropy is a mean over pixels, as all are; only its weights are those of the whole batch.
SHARED: dict[str, tuple[Callable, float]] = {
    "dual": (dual_dice, 0.7),
    "dual per label": (partial(dual_dice, pool=per_label), 0.7),
    "dual per label present": (partial(dual_dice, pool=per_label, absent=False), 0.7),
    "presence per label": (partial(presence_dice, pool=per_label), 0.7),
    "weighted": (weighted_bce, 1.0),
}
"""Terms whose sums go over the batches of all processes, and the share of their pixels that is known."""


def halves(known: float) -> Batch:
    """Four images; where pixels are unknown, one label is marked in the first two alone, and one known in the last."""
    batch = truth(OVERLAPPING, 5, b=4, known=known)
    if known == 1:
        return batch
    masks, knows = batch.masks.clone(), batch.known.clone()
    masks[2:, 0] = False
    knows[:2, 1] = False
    return replace(batch, masks=masks, known=knows)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """What each of two processes, which have two of four images, has as its loss and as the averaged gradient."""
    folder = tmp_path_factory.mktemp("processes")
    # After the folder of the tests the paths of this process, so that both run the same copy of foveate.
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    commands = [[sys.executable, "-c", WORKER, str(rank), str(folder)] for rank in (0, 1)]
    running = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for command in commands]
    told = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_see_one_batch(name: str, theirs: list[dict[str, tuple[torch.Tensor, torch.Tensor]]]) -> None:
    """Loss and averaged gradient are those of one process with all four images."""
    term, known = SHARED[name]
    batch = halves(known)
    outputs = logits(batch, 5)
    loss = term(outputs, batch)
    grad = torch.autograd.grad(loss, outputs.pixel)[0]
    (first, averaged), (second, _) = (found[name] for found in theirs)
    torch.testing.assert_close((first + second) / 2, loss.detach())
    torch.testing.assert_close(averaged, grad)
    if name != "weighted":
        torch.testing.assert_close(first, second)
