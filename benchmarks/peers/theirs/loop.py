"""The plain training loop of the peers that bring a network alone: read by their interpreter, without foveate.

Frames lie in memory. Flips and turns by torchvision v2, AdamW, half a cosine over the wall-clock budget, the last
weights: as tutorials have it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on which the encoders were trained."""

HEADS = ("classifier.", "fc.", "head.")
"""Classifiers of timm's networks."""

Loss = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
"""(output, masks (b, l, h, w), whether they are known (b,), answers (b, q)) -> scalar."""


def read_task(path: Path) -> dict[str, Any]:
    """The task, with the seed set and the threads limited."""
    task: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    return task


def image_of(one: dict[str, Any]) -> Tensor:
    """A frame as ``(3, h, w)`` uint8."""
    with Image.open(one["image"]) as file:
        return torch.from_numpy(np.asarray(file.convert("RGB")).copy()).permute(2, 0, 1)


def masks_of(one: dict[str, Any], count: int, shape: tuple[int, int]) -> Tensor:
    """Its masks as ``(l, h, w)`` uint8; zeros if nothing is known of them."""
    if one["mask"] is None:
        return torch.zeros(count, *shape, dtype=torch.uint8)
    with Image.open(one["mask"]) as file:
        picture = np.asarray(file)
    return torch.from_numpy(np.stack([(picture >> i) & 1 for i in range(count)]).astype(np.uint8)) if count else (
        torch.zeros(0, *shape, dtype=torch.uint8)
    )  # fmt: skip


def answers_of(one: dict[str, Any], task: dict[str, Any]) -> Tensor:
    """Positions of its answers by the order of the questions, -1 unknown."""
    return torch.tensor(
        [q["answers"].index(one["answers"][q["name"]]) if q["name"] in one["answers"] else -1
         for q in task["questions"]],
        dtype=torch.long,
    )  # fmt: skip


def channels(task: dict[str, Any]) -> int:
    """Logits of the answers: one for yes/no, else one per answer."""
    return sum(1 if q["answers"] == ["no", "yes"] else len(q["answers"]) for q in task["questions"])


def answer_loss(logits: Tensor, answers: Tensor, task: dict[str, Any]) -> Tensor:
    """Mean over the questions of the cross entropy of the known answers."""
    terms, at = [], 0
    for position, question in enumerate(task["questions"]):
        width = 1 if question["answers"] == ["no", "yes"] else len(question["answers"])
        part, truth = logits[:, at : at + width], answers[:, position]
        at += width
        known = truth >= 0
        if not known.any():
            continue
        if width == 1:
            terms.append(nn.functional.binary_cross_entropy_with_logits(part[known, 0], truth[known].float()))
        else:
            terms.append(nn.functional.cross_entropy(part[known], truth[known]))
    return torch.stack(terms).mean() if terms else logits.sum() * 0


def answer_probabilities(logits: Tensor, task: dict[str, Any]) -> dict[str, list[float]]:
    """Question -> probability of each answer, of one image's logits ``(c,)``."""
    out, at = {}, 0
    for question in task["questions"]:
        width = 1 if question["answers"] == ["no", "yes"] else len(question["answers"])
        part = logits[at : at + width]
        at += width
        p = torch.sigmoid(part[0]).item() if width == 1 else 0.0
        out[question["name"]] = [1 - p, p] if width == 1 else part.softmax(0).tolist()
    return out


def load_encoder(encoder: nn.Module, path: str) -> None:
    """Fill all of a timm network but its classifier from a file of timm's weights.

    Args:
        encoder: timm's network.
        path: of the file; "" leaves the network as it is.

    Raises:
        ValueError: a tensor of the network is not in the file.
    """
    if not path:
        return
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {name: value.float() for name, value in state.items() if not name.startswith(HEADS)}
    missing, _ = encoder.load_state_dict(state, strict=False)
    if missing := [name for name in missing if not name.startswith(HEADS)]:
        raise ValueError(f"weights={path!r} lack {missing[:3]} ({len(missing)} in all); give a file of this encoder")


def transforms(task: dict[str, Any]) -> v2.Compose:
    """Crop (if the task has windows), flips and turns, of image and masks alike."""
    steps: list[nn.Module] = []
    if task.get("window"):
        steps.append(v2.RandomCrop(task["window"], pad_if_needed=True))
    steps.append(v2.RandomHorizontalFlip())
    if task.get("vertical", True):
        steps.append(v2.RandomVerticalFlip())
    steps.append(v2.RandomRotation(task.get("rotation", 15), interpolation=InterpolationMode.BILINEAR))
    return v2.Compose(steps)


def normalised(image: Tensor) -> Tensor:
    """uint8 to what the encoder expects."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (image.float() / 255 - mean) / std


def train(network: nn.Module, task: dict[str, Any], *, loss: Loss) -> dict[str, float]:
    """Train until the budget is spent; returns steps, epochs, seconds, and CPU seconds of all threads.

    Args:
        network: is left with its last weights, in evaluation mode.
        task: as `frames.task_of` and `training` make it.
        loss: of the network's output.
    """
    rows = [one for one in task["images"] if one["part"] == "train"]
    images = [image_of(one) for one in rows]
    masks = [masks_of(one, len(task["labels"]), image.shape[1:]) for one, image in zip(rows, images, strict=True)]
    answers = torch.stack([answers_of(one, task) for one in rows])
    known = torch.tensor([one["mask"] is not None for one in rows])
    vary, batch = transforms(task), min(task["batch"], len(rows))
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=task["lr"], weight_decay=task["weight_decay"])
    total, steps, order = 60 * task["minutes"], 0, torch.zeros(0, dtype=torch.long)
    begin, spent = time.monotonic(), time.process_time()
    while (share := (time.monotonic() - begin) / total) < 1:
        if len(order) < batch:
            order = torch.randperm(len(rows))
        at, order = order[:batch], order[batch:]
        varied = [vary(tv_tensors.Image(images[i]), tv_tensors.Mask(masks[i])) for i in at.tolist()]
        pixels = torch.stack([normalised(image.as_subclass(torch.Tensor)) for image, _ in varied])
        truth = torch.stack([mask.as_subclass(torch.Tensor) for _, mask in varied]).float()
        for group in optimizer.param_groups:
            group["lr"] = task["lr"] * 0.5 * (1 + math.cos(math.pi * share))
        optimizer.zero_grad()
        out = network(pixels.contiguous(memory_format=torch.channels_last))
        loss(out, truth, known[at], answers[at]).backward()
        optimizer.step()
        steps += 1
        if steps % 20 == 0:
            print(f"step {steps}, {time.monotonic() - begin:.0f} s", flush=True)
    network.eval()
    seconds, cpu = time.monotonic() - begin, time.process_time() - spent
    return {"steps": steps, "epochs": steps * batch / len(rows), "seconds": seconds, "cpu": cpu}


@torch.inference_mode()
def predict(
    network: nn.Module, task: dict[str, Any], out: Path, *, read: Callable[[Any], tuple[Tensor | None, Tensor | None]]
) -> None:
    """Probabilities of the test frames into a folder: ``FILE.npy`` per image and ``answers.json``.

    Args:
        network: trained.
        task: gives the images.
        out: folder.
        read: output -> probabilities of the labels ``(1, l, h, w)`` or None, logits of the answers ``(1, c)`` or None.
    """
    out.mkdir(parents=True, exist_ok=True)
    answers = {}
    for one in task["images"]:
        if one["part"] != "test":
            continue
        image = normalised(image_of(one))[None]
        rows, cols = image.shape[2:]
        padded = nn.functional.pad(image, (0, -cols % 32, 0, -rows % 32))
        pixel, logits = read(network(padded.contiguous(memory_format=torch.channels_last)))
        answers[one["id"]] = {} if logits is None else answer_probabilities(logits[0], task)
        if pixel is not None:
            np.save(out / f"{one['file']}.npy", pixel[0, :, :rows, :cols].numpy().astype(np.float16))
    (out / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
