"""segmentation_models_pytorch: U-Net with ``aux_params``; cross entropy and Dice of masks, cross entropy of answers.

python smp_unet.py TASK.json OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from loop import answer_loss, channels, load_encoder, predict, read_task, train
from torch import Tensor, nn


def main(path: Path, out: Path) -> None:
    task = read_task(path)
    labels, exclusive, asked = len(task["labels"]), task["exclusive"], channels(task)
    network = smp.Unet(
        f"tu-{task['encoder']}",
        encoder_weights=None,
        in_channels=3,
        classes=labels + exclusive,
        aux_params={"classes": asked, "pooling": "avg", "dropout": 0.2} if asked else None,
    )
    load_encoder(network.encoder.model, task["weights"])
    dice = smp.losses.DiceLoss("multiclass" if exclusive else "multilabel", from_logits=True)
    bce, entropy = nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()

    def loss(given: Any, masks: Tensor, known: Tensor, answers: Tensor) -> Tensor:
        pixel, logits = given if asked else (given, None)
        total = pixel.sum() * 0
        if known.any():
            part, truth = pixel[known], masks[known]
            if exclusive:
                classes = (truth * (1 + truth.new_tensor(range(labels)))[None, :, None, None]).amax(1).long()
                total = total + entropy(part, classes) + dice(part, classes)
            else:
                total = total + bce(part, truth) + dice(part, truth)
        return total if logits is None else total + answer_loss(logits, answers, task)

    def read(given: Any) -> tuple[Tensor, Tensor | None]:
        pixel, logits = given if asked else (given, None)
        return (pixel.softmax(1)[:, 1:] if exclusive else pixel.sigmoid()), logits

    done = train(network, task, loss=loss)
    predict(network, task, out, read=read)
    (out / "done.json").write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
