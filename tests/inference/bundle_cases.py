"""Small runs for the tests of bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.data.prepare import Prepare
from foveate.engine.checkpoint import save_weights
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.models.parts.heads import ImageHead

SCHEMA = LabelSchema(
    (Question("spot_present", evidence=("spot",)), Question("size", ("none", "small", "large"), ordered=True)),
    ("spot", "bright"),
)


class Tiny(nn.Module):
    """Two convolutions with both heads; quick to export."""

    def __init__(self, schema: LabelSchema = SCHEMA, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, stride=4, padding=1)
        self.pixel_head = nn.Conv2d(6, schema.pixel_channels, 1)
        self.image_head = ImageHead(6, schema=schema)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        feature = self.conv(image).relu()
        pixel = nn.functional.interpolate(self.pixel_head(feature), image.shape[-2:], mode="bilinear")
        return Outputs(pixel=4 * pixel, image=4 * self.image_head(feature), features=(feature,))


class Linear(Tiny):
    """Answers that are linear in the mean of the map, so that its maps have a closed form."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        out = super().forward(image)
        return out._replace(image=self.image_head(out.features[-1]))


def trained(recipe: Recipe, folder: Path, *, seed: int = 0) -> Run:
    """A run of a recipe with random weights."""
    run = Run(folder, recipe.in_precision("fp32"))
    for stage in recipe.stages:
        torch.manual_seed(seed)
        save_weights(run.stage_folder(stage.name) / "weights.safetensors", stage.network())
    return run


def tiny_run(folder: Path, *, network: type[Tiny] = Linear, seed: int = 0, **prepare: object) -> Run:
    """A run of `Linear` or `Tiny` in a frame of 64 pixels."""
    stage = Stage("tiny", network=network, loss=Weigh(pixels=(1.0, bce)))
    settings: dict[str, object] = {"size": 64, **prepare}
    return trained(Recipe(SCHEMA, Prepare(**settings), (stage,)), folder, seed=seed)  # type: ignore[arg-type]


def photograph(rows: int = 90, cols: int = 130) -> np.ndarray:
    """Smooth noise in colour, with a white spot."""
    coarse = np.random.default_rng(3).uniform(0, 200, (6, 8, 3)).astype(np.float32)
    import cv2

    image = cv2.resize(coarse, (cols, rows), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    image[rows // 3 : rows // 2, cols // 2 : cols * 2 // 3] = 255
    return np.ascontiguousarray(image)
