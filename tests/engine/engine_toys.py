"""A network of three layers and a data set of bright blobs: what the engine's tests train."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Outputs, Row
from foveate.data.augment import Augment, flip_horizontal
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.keep import best
from foveate.engine.recipe import Recipe, Stage
from foveate.losses.answer import cross_entropy
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh

CLASSES = LabelSchema((Question("blob_present", evidence=("blob",)),), ("blob",))


class TinyNet(nn.Module):
    """Two convolutions, a pixel head and an image head."""

    def __init__(self, *, prior: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1 + prior, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.pixel = nn.Conv2d(8, 1, 3, padding=1)
        self.image = nn.Linear(8, 1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        features = self.dropout(self.trunk(image if prior is None else torch.cat([image, prior], 1)))
        return Outputs(pixel=self.pixel(features), image=self.image(features.amax((2, 3))), features=(features,))


class Nested(nn.Module):
    """A network with another inside, which reads the prior that the other one made."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = TinyNet()
        self.pixel = nn.Conv2d(10, 1, 3, padding=1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        assert prior is not None
        features = torch.cat([self.inner(image).features[-1], image, prior], 1)
        return Outputs(pixel=self.pixel(features), features=(features,))


def tiny_recipe(*, epochs: int = 2, lr: float = 3e-2, dropout: float = 0.0) -> Recipe:
    stage = Stage(
        "tiny",
        network=partial(TinyNet, dropout=dropout),
        loss=Weigh(answers=(0.5, cross_entropy), pixels=(1.0, bce)),
        keep=best("dice"),
    )
    return Recipe(
        CLASSES,
        Prepare(size=32, grey=True),
        (stage,),
        augment=Augment((flip_horizontal(),)),
        optimizer=partial(torch.optim.Adam, lr=lr),
        batch=4,
        epochs=epochs,
    )


def toy_manifest(folder: Path, n: int = 24) -> Manifest:
    """Half of the images hold a bright square; two images a patient, split 12 / 6 / 6."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        image = rng.integers(0, 80, (40, 48), dtype=np.uint8)
        mask = np.zeros_like(image)
        if i % 2:
            top, left = rng.integers(2, 24, 2)
            mask[top : top + 12, left : left + 12] = 255
            image[mask > 0] = 220
        Image.fromarray(image).save(folder / f"i{i}.png")
        Image.fromarray(mask).save(folder / f"m{i}.png")
        rows.append(
            Row(
                f"i{i}",
                f"i{i}.png",
                answers={"blob_present": "yes" if i % 2 else "no"},
                masks={"blob": (MaskSource(f"m{i}.png", above=127),)},
                patient=f"p{i // 2}",
                split=("train", "train", "val", "test")[i * 4 // n],
            )
        )
    return Manifest(CLASSES, tuple(rows), folder)
