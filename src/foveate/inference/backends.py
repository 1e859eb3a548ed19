"""The two ways to call a run's networks: PyTorch with a run folder, another runtime with a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from foveate.core.decisions import Decisions
from foveate.core.labels import LabelSchema
from foveate.core.types import Prediction, Sample
from foveate.data.prepare import Prepare

Maps = Mapping[tuple[str, str], Float[np.ndarray, "h w"]]
"""(question, answer) -> activation map in [0, 1] on the original pixels."""


@dataclass(frozen=True)
class Found:
    """One image as a backend read it.

    Args:
        prediction: in the image's own pixels, without maps.
        maps: asked for; empty if they were not.
        own: findings whose map is one of their own, not Grad-CAM.
    """

    prediction: Prediction
    maps: Maps
    own: tuple[str, ...]


class Backend(Protocol):
    """Networks and what their outputs mean.

    Args:
        schema: questions and labels.
        prepare: from a file to a frame.
        decisions: temperatures, thresholds, gates.
        runtime: its name and precision.
    """

    @property
    def schema(self) -> LabelSchema:
        """Questions and labels."""

    @property
    def prepare(self) -> Prepare:
        """Steps from a file to a frame."""

    @property
    def decisions(self) -> Decisions:
        """Temperatures, thresholds and gates."""

    @property
    def runtime(self) -> str:
        """Name and precision."""

    def read(self, samples: Sequence[Sample], decisions: Decisions, *, cam: bool) -> list[Found]:
        """Read prepared images of one frame size, in their order."""
