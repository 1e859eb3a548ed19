"""Row, Sample, Batch, Outputs, Prediction: what travels between the rooms, and nothing that acts."""

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
    """Where one annotator's mask of one label is read from.

    Args:
        path: image file relative to the manifest; None = this annotator found the label nowhere in the image.
        index: pixel values that mean the label (an index mask).
        bit: number of the bit that means the label (0 = lowest; labels may overlap).
        above: the label is where the value is greater than this (binary masks, soft maps).
        below: the label is where the value is less than this (masks drawn dark on white).
        ignore: pixel values that mean "not known here".
        annotator: who drew it.
        frame: which slice of a volume or page of a file, from 0; None = the file is one image.
        contour: the file is text, the closed outline of the label: one corner a line, x (across) and y (down) in
            pixels of the image.
        doubtful: what is marked is not known to be the label, nor not to be; elsewhere it is absent all the same.

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
    """One reader's rough statement of where a label is: named regions, a box, an ellipse or a polygon.

    Positions are (row, col) in pixels of the original image. Several cues of a reader for a label are parts of one.

    Args:
        regions: names of `core.regions.NAMES`; they lie where disc and fovea say.
        box: (top, left, bottom, right) edges.
        ellipse: centre row and column, radii along rows and columns before turning, turn in radians (`shapes.ellipse`).
        polygon: its corners.
        annotator: who says so.

    At most one of regions, box, ellipse, polygon; none = this reader states that the label is nowhere in the image.
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
        """Whether the reader states that the label is nowhere."""
        return not (self.regions or self.box or self.ellipse or self.polygon)


@dataclass(frozen=True)
class Row:
    """One image of a manifest and all that is known of it; what is absent is unknown, never "no".

    Positions are (row, col) in pixels of the original image, pixel centres at whole numbers; spacing is mm a pixel.
    ``frame`` is the slice of a volume file (or page) that the image is, ``position`` its place in the scan.
    ``cues`` say roughly where a label is, ``readings`` (reader -> question -> answer) who answered what; ``answers``
    are what was settled on (`data.consensus`).
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
        """What must not straddle a split: the patient, else the eye, else the volume, else the image itself."""
        return self.patient or self.eye or self.volume or self.id


@dataclass(frozen=True)
class Sample:
    """One image as arrays, in one geometry.

    Args:
        row: where it came from.
        image: ``(row, col, channel)`` uint8, or float32 in [0, 1] once scaled.
        masks: ``(label, row, col)`` 0/1, by schema order.
        known: same shape, 1 where the truth of that label is known.
        answers: ``(question,)``, -1 unknown.
        geometry: how this frame lies in the original image.
        prior: ``(map, row, col)`` float32, maps handed on by an earlier stage; None where there are none.
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
    every label. ``cues`` show roughly where findings are; ``cues_known`` marks those that are known (None = all).
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
        """The batch without its truth, as a reader sees it: answers, masks and cues are unknown.

        Args:
            but: ids of images that keep it.
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
    """A network's answer, logits only; what it does not have is None (or empty), and the type never changes.

    Args:
        pixel: ``(b, schema.pixel_channels, h, w)`` at the size of the input.
        image: ``(b, schema.image_channels)``.
        activation: ``(b, k, h', w')`` logits of an activation map, at the network's own resolution; one an image
            logit, in their order, where the maps say where each answer was seen.
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
    """What was read in one image, in its own pixels.

    Args:
        id: the image's id or file name.
        probabilities: question -> answer -> probability.
        answers: question -> answer given.
        probability: ``(label, row, col)`` float32 in [0, 1].
        masks: ``(label, row, col)`` bool.
        labels: names along the first axis.
        cam: question -> answer -> ``(row, col)`` float32 in [0, 1], where asked for.
    """

    id: str
    probabilities: Mapping[str, Mapping[str, float]]
    answers: Mapping[str, str]
    probability: Float[np.ndarray, "l h w"]
    masks: Bool[np.ndarray, "l h w"]
    labels: tuple[str, ...]
    cam: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def areas(self, spacing: tuple[float, float] | None = None) -> dict[str, dict[str, float]]:
        """Area of each label in pixels, and in mm2 where the spacing (mm a row, mm a column) is known."""
        out: dict[str, dict[str, float]] = {}
        for name, mask in zip(self.labels, self.masks, strict=True):
            out[name] = {"pixels": int(mask.sum())}
            if spacing is not None:
                out[name]["mm2"] = float(mask.sum() * spacing[0] * spacing[1])
        return out


@dataclass(frozen=True)
class Case:
    """An image, its truth and its prediction side by side, as a figure shows them."""

    image: UInt8[np.ndarray, "h w 3"]
    masks: UInt8[np.ndarray, "l h w"]
    known: UInt8[np.ndarray, "l h w"]
    answers: Mapping[str, str]
    prediction: Prediction
    score: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
