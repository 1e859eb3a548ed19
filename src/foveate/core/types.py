"""Data that the packages exchange: Row, Sample, Batch, Outputs, Prediction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from foveate.core.arrays import Tensor, TorchDevice
from foveate.core.labels import UNKNOWN, LabelSchema
from foveate.core.regions import position
from foveate.core.shapes import Geometry


@dataclass(frozen=True)
class MaskSource:
    """Source of one annotator's mask of one label.

    Args:
        path: image file relative to the manifest; None = this annotator states that the label is absent in the image.
        index: pixel values that mean the label (an index mask).
        bit: number of the bit that means the label (0 = lowest; labels may overlap).
        above: pixels with a greater value have the label (binary masks, soft maps).
        below: pixels with a smaller value have the label (masks drawn dark on white).
        ignore: pixel values that mean "not known here".
        annotator: who drew it.
        frame: slice of a volume or page of a file, from 0; None = the file is one image.
        contour: the file is text with the closed outline of the label: one corner per line, x (across) and y (down) in
            pixels of the image.
        doubtful: it is unknown whether the marked pixels have the label; the other pixels do not have it.

    Exactly one of index, bit, above, below, contour goes with a path.
    """

    path: str | None = None
    index: tuple[int, ...] | None = None
    bit: int | None = None
    above: float | None = None
    below: float | None = None
    ignore: tuple[int, ...] = ()
    annotator: str = "grader1"
    frame: int | None = None
    contour: bool = False
    doubtful: bool = False

    def __post_init__(self) -> None:
        ways = [n for n in ("index", "bit", "above", "below") if getattr(self, n) is not None]
        ways += ["contour"] if self.contour else []
        if len(ways) != (0 if self.path is None else 1):
            raise ValueError(
                f"mask {self.path!r}: give exactly one of index, bit, above, below, contour with a path (given: {ways})"
            )


@dataclass(frozen=True)
class Cue:
    """One annotator's rough mark of a label: named regions, a box, an ellipse or a polygon.

    Positions are (row, col) in pixels of the original image. Several cues of one annotator for a label are united.

    Args:
        regions: names of `core.regions.NAMES`; their place follows from disc and fovea.
        box: (top, left, bottom, right) edges.
        ellipse: centre row and column, radii along rows and columns before turning, turn in radians (`shapes.ellipse`).
        polygon: its corners.
        annotator: who marked it.

    At most one of regions, box, ellipse, polygon is given. If none is, this annotator states that the label is absent.
    """

    regions: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    ellipse: tuple[float, float, float, float, float] | None = None
    polygon: tuple[tuple[float, float], ...] = ()
    annotator: str = "grader1"

    def __post_init__(self) -> None:
        ways = [n for n in ("regions", "box", "ellipse", "polygon") if getattr(self, n) not in (None, ())]
        if len(ways) > 1:
            raise ValueError(f"cue: give at most one of regions, box, ellipse, polygon (given: {ways})")
        for name in self.regions:
            position(name)
        if self.polygon and len(self.polygon) < 3:
            raise ValueError(f"cue: polygon={self.polygon} has {len(self.polygon)} corners; give three or more")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"cue: box={self.box} is empty; give (top, left, bottom, right)")
        if self.ellipse is not None and not min(self.ellipse[2:4]) > 0:
            raise ValueError(f"cue: ellipse={self.ellipse} is empty; its third and fourth number are radii above 0")

    @property
    def absent(self) -> bool:
        """Whether the annotator states that the label is absent."""
        return not (self.regions or self.box or self.ellipse or self.polygon)


@dataclass(frozen=True)
class Row:
    """One image of a manifest and all that is known of it; a missing value is unknown, never "no".

    Positions are (row, col) in pixels of the original image, pixel centres at whole numbers. ``spacing`` is in mm per
    pixel (per row, per column). ``frame`` is the slice of a volume file (or the page of a file), ``position`` its place
    in the scan. ``cues`` are rough marks of labels. ``readings`` (annotator -> question -> answer) has the answer of
    each annotator, ``answers`` their consensus (`data.consensus`).
    """

    id: str
    image: str
    answers: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, tuple[MaskSource, ...]] = field(default_factory=dict)
    patient: str | None = None
    eye: str | None = None
    laterality: str | None = None
    modality: str | None = None
    volume: str | None = None
    position: int | None = None
    spacing: tuple[float, float] | None = None
    disc: tuple[float, float] | None = None
    fovea: tuple[float, float] | None = None
    source: str | None = None
    sha256: str | None = None
    split: str | None = None
    fold: int | None = None
    frame: int | None = None
    cues: Mapping[str, tuple[Cue, ...]] = field(default_factory=dict)
    readings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Split unit, in one part of a split only: the patient, else the eye, else the volume, else the image."""
        return self.patient or self.eye or self.volume or self.id


@dataclass(frozen=True)
class Sample:
    """One image as arrays, in one geometry.

    Args:
        row: its row in the manifest.
        image: ``(row, col, channel)`` uint8, or float32 in [0, 1] once scaled.
        masks: ``(label, row, col)`` 0/1, by schema order.
        known: same shape, 1 where the truth of that label is known.
        answers: ``(question,)``, -1 unknown.
        geometry: position of this frame in the original image.
        prior: ``(map, row, col)`` float32, maps of an earlier stage; None without one.
        cues: ``(question, row, col)`` 0/1; None if there are none.
        cues_known: ``(question,)`` 0/1, whether the cue is known; None = all of them are.
    """

    row: Row
    image: UInt8[np.ndarray, "h w c"] | Float[np.ndarray, "h w c"]
    masks: UInt8[np.ndarray, "l h w"]
    known: UInt8[np.ndarray, "l h w"]
    answers: Int[np.ndarray, " q"]
    geometry: Geometry
    prior: Float[np.ndarray, "k h w"] | None = None
    cues: UInt8[np.ndarray, "r h w"] | None = None
    cues_known: UInt8[np.ndarray, " r"] | None = None


@dataclass(frozen=True)
class Batch:
    """Tensors of several samples: the truth, and what is known of it.

    ``answers`` holds positions (-1 unknown); ``masks`` and ``known`` are bool; a pixel that is padding is unknown for
    every label. ``cues`` are rough marks of findings; ``cues_known`` marks those that are known (None = all).
    """

    schema: LabelSchema
    ids: tuple[str, ...]
    image: Float[Tensor, "b c h w"]
    answers: Int[Tensor, "b q"]
    masks: Bool[Tensor, "b l h w"]
    known: Bool[Tensor, "b l h w"]
    prior: Float[Tensor, "b k h w"] | None = None
    cues: Bool[Tensor, "b r h w"] | None = None
    geometries: tuple[Geometry, ...] = ()
    cues_known: Bool[Tensor, "b r"] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: TorchDevice | str) -> Batch:
        """The same batch on another device."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name in ("image", "answers", "masks", "known", "prior", "cues", "cues_known")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)

    def blind(self, *, but: Collection[str] = ()) -> Batch:
        """The batch without its ground truth, as an annotator sees it: answers, masks and cues are unknown.

        Args:
            but: ids of images that keep their ground truth.
        """
        import torch

        kept = torch.tensor([i in but for i in self.ids], dtype=torch.bool, device=self.image.device)
        known = self.known & kept[:, None, None, None]
        cues_known = None
        if self.cues is not None:
            cues_known = kept[:, None].expand(-1, self.cues.shape[1])
            cues_known = cues_known if self.cues_known is None else cues_known & self.cues_known
        answers = torch.where(kept[:, None], self.answers, UNKNOWN)
        return replace(self, answers=answers, masks=self.masks & known, known=known, cues_known=cues_known)

    def answer(self, question: str) -> Int[Tensor, " b"]:
        """Positions of one question's answers, -1 unknown."""
        names = [q.name for q in self.schema.questions]
        return self.answers[:, names.index(self.schema.question(question).name)]


class Outputs(NamedTuple):
    """Logits of a network; a missing part is None (or empty), and the type never changes.

    Args:
        pixel: ``(b, schema.pixel_channels, h, w)`` at the size of the input.
        image: ``(b, schema.image_channels)``.
        activation: ``(b, k, h', w')`` logits of activation maps, at the network's own resolution. If the maps show
            where each answer was seen, there is one per image logit, in their order.
        features: feature maps from fine to coarse; the image head reads the last one.
        aux: further pixel logits for deep supervision, each at the size of the input.
    """

    pixel: Tensor | None = None
    image: Tensor | None = None
    activation: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    aux: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """Prediction for one image, in its own pixels.

    Args:
        id: the image's id or file name.
        probabilities: question -> answer -> probability.
        answers: question -> answer given.
        probability: ``(label, row, col)`` float32 in [0, 1].
        masks: ``(label, row, col)`` bool.
        labels: names along the first axis.
        cam: question -> answer -> ``(row, col)`` float32 in [0, 1], if asked for.
    """

    id: str
    probabilities: Mapping[str, Mapping[str, float]]
    answers: Mapping[str, str]
    probability: Float[np.ndarray, "l h w"]
    masks: Bool[np.ndarray, "l h w"]
    labels: tuple[str, ...]
    cam: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def areas(self, spacing: tuple[float, float] | None = None) -> dict[str, dict[str, float]]:
        """Area of each label in pixels, and in mm2 if the spacing (mm per row, mm per column) is known."""
        out: dict[str, dict[str, float]] = {}
        for name, mask in zip(self.labels, self.masks, strict=True):
            out[name] = {"pixels": int(mask.sum())}
            if spacing is not None:
                out[name]["mm2"] = float(mask.sum() * spacing[0] * spacing[1])
        return out


@dataclass(frozen=True)
class Case:
    """An image, its ground truth and its prediction, to be shown side by side."""

    image: UInt8[np.ndarray, "h w 3"]
    masks: UInt8[np.ndarray, "l h w"]
    known: UInt8[np.ndarray, "l h w"]
    answers: Mapping[str, str]
    prediction: Prediction
    score: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
