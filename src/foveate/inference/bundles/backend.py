"""Read images with a bundle: numpy in, numpy out. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from foveate.core.decisions import Decisions
from foveate.core.reading import read_out
from foveate.core.types import Outputs, Sample
from foveate.inference.backends import Found
from foveate.inference.bundles.folder import MODEL, Bundle, open_folder
from foveate.inference.bundles.runtimes import open_graph


class BundleBackend:
    """The graph of a bundle in one runtime.

    Args:
        bundle: opened, so checked.
        runtime, precision, threads: as of `runtimes.open_graph`.
    """

    def __init__(self, bundle: Bundle, *, runtime: str = "onnx", precision: str = "fp32", threads: int | None = None):
        self.bundle, self.schema, self.prepare = bundle, bundle.schema, bundle.prepare
        self.decisions, self.runtime = bundle.decisions, f"{runtime} {precision}"
        self.call = open_graph(bundle.folder / MODEL, runtime=runtime, precision=precision, threads=threads)

    def outputs(
        self, image: Float[np.ndarray, "b c h w"], *, cam: bool, activation: bool = False
    ) -> tuple[Outputs, Float[np.ndarray, "b k h w"] | None]:
        """Call the graph; return its logits, and its maps if they are asked for and there are any.

        Args:
            image: in [0, 1].
            cam: also the activation maps of answers.
            activation: also the network's own maps, as `Outputs.activation`.
        """
        left_out = {name for name, asked in (("maps", cam), ("activation_logits", activation)) if not asked}
        names = [name for name in self.bundle.outputs if name not in left_out]
        found: dict[str, Any] = dict(zip(names, self.call(image, names), strict=True))
        maps = found.pop("maps", None)
        return Outputs(**{name.removesuffix("_logits"): logits for name, logits in found.items()}), maps

    def read(self, samples: Sequence[Sample], decisions: Decisions, *, cam: bool) -> list[Found]:
        """Read prepared images of one frame size, in their order.

        Raises:
            ValueError: maps are asked for, and the graph cannot give them.
        """
        if cam and self.bundle.without_maps and self.schema.questions:
            raise ValueError(
                f"{self.bundle.folder}: no activation maps in this bundle ({self.bundle.without_maps}); read the image "
                "without them, or with the run"
            )
        outputs, maps = self.outputs(as_planes(samples), cam=cam)
        found = read_out(
            outputs,
            schema=self.schema,
            ids=[sample.row.id for sample in samples],
            geometries=[sample.geometry for sample in samples],
            decisions=decisions,
        )
        if maps is None:
            return [Found(one, {}, ()) for one in found]
        keys = self.bundle.maps
        return [
            Found(one, dict(zip(keys, sample.geometry.undo(maps[i]), strict=True)), self.bundle.own)
            for i, (one, sample) in enumerate(zip(found, samples, strict=True))
        ]


def open_bundle(
    folder: Path, *, runtime: str = "onnx", precision: str = "fp32", threads: int | None = None
) -> BundleBackend:
    """Open a bundle, check its files and load its graph (errors as of `open_folder` and `open_graph`)."""
    return BundleBackend(open_folder(folder), runtime=runtime, precision=precision, threads=threads)


def as_planes(samples: Sequence[Sample]) -> Float[np.ndarray, "b c h w"]:
    """Prepared images of one size as float32 in [0, 1], as `data.loader.collate` makes them."""
    height, width, channels = samples[0].image.shape
    planes = np.empty((len(samples), channels, height, width), np.uint8)
    for place, sample in zip(planes, samples, strict=True):
        cv2.split(sample.image, list(place))
    return planes.astype(np.float32) / np.float32(255)
