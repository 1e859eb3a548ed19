"""timm: a classifier, cross entropy of the answers; it marks nothing.

python timm_classifier.py TASK.json OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import timm
from loop import answer_loss, channels, load_encoder, predict, read_task, train
from torch import Tensor


def main(path: Path, out: Path) -> None:
    task = read_task(path)
    network = timm.create_model(task["encoder"], pretrained=False, num_classes=channels(task), drop_rate=0.2)
    load_encoder(network, task["weights"])

    def loss(given: Any, masks: Tensor, known: Tensor, answers: Tensor) -> Tensor:
        return answer_loss(given, answers, task)

    done = train(network, task, loss=loss)
    predict(network, task, out, read=lambda given: (None, given))
    (out / "done.json").write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
