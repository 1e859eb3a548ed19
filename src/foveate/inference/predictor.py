"""Run + image -> ImageResult: answers and masks in the image's own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from foveate.core.labels import LabelSchema
from foveate.core.map_cells import on_frame
from foveate.core.mean import mean
from foveate.core.reading import placed, read_out
from foveate.core.types import Prediction, Row, Sample
from foveate.data import read
from foveate.data.adapters.volumes import spacing as checked_spacing
from foveate.data.loader import collate
from foveate.data.manifest import Manifest
from foveate.engine.localisation import strength
from foveate.engine.run import Pass, Run, Step, pick_device
from foveate.inference.pointing import Eye, Pointed, pointed
from foveate.inference.result_html import result_html
from foveate.models.cam import closed_form, grad_cams, linear_weight, normalise, of_answer, on_image
from foveate.recipes import load_run
from foveate.report.overlay import overlay


@dataclass(frozen=True)
class ImageResult(Prediction):
    """A prediction, with the image that was read.

    Args:
        image: RGB, original size.
        spacing: mm per pixel (rows, cols), if known.
        eye: disc, fovea and laterality, as far as they are known.
        pointed: finding -> regions of the eye that its activation map points to; empty without maps or a disc.
        source: the file that was read; None if the image was given as an array.
    """

    image: UInt8[np.ndarray, "h w 3"] = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    spacing: tuple[float, float] | None = None
    eye: Eye = field(default_factory=Eye)
    pointed: Mapping[str, Pointed] = field(default_factory=dict)
    source: Path | None = None

    def map_of(self, question: str) -> tuple[str, Float[np.ndarray, "h w"]]:
        """Return the given answer and its activation map; "yes" and the finding's map if there is only that.

        Raises:
            ValueError: the image was read without maps.
        """
        maps = self.cam.get(question, {})
        if not maps:
            raise ValueError(
                f"question={question!r}: the result has no activation map for it; read the image with cam=True"
            )
        answer = self.answers[question] if self.answers[question] in maps else next(iter(maps))
        return answer, maps[answer]

    def overlay(self, *, width: int | None = None) -> Image.Image:
        """Draw the masks on the image, their names below; labels of which only the presence is known are left out."""
        shown = placed(self)
        return overlay(shown.image, masks=shown.masks, labels=shown.labels, width=width)

    def _repr_html_(self) -> str:
        """In a notebook: the overlay and the answers."""
        return result_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return answers, probabilities and areas as plain data."""
        return {
            "id": self.id,
            "size": list(self.image.shape[:2]),
            "answers": dict(self.answers),
            "probabilities": {q: {a: round(p, 6) for a, p in ps.items()} for q, ps in self.probabilities.items()},
            "areas": self.areas(self.spacing),
            "presence": {
                label: round(float(p.max()), 6) for label, p in zip(self.labels, self.probability, strict=True)
            },
            **({"points_to": {q: p.to_json() for q, p in self.pointed.items()}} if self.pointed else {}),
            **({"spacing_mm": list(self.spacing)} if self.spacing else {}),
        }


@dataclass(frozen=True)
class UnreadImage:
    """An image that could not be read, and the reason."""

    path: Path
    reason: str


class Predictor:
    """Reads images with a trained run.

    Args:
        run: from `fit` or `load_run`.
        device: "auto", "cpu", "cuda", ...
        thresholds: question -> probability from which the answer is "yes"; they replace the calibrated ones.
    """

    def __init__(
        self, run: Run, *, device: str | torch.device = "auto", thresholds: Mapping[str, float] | None = None
    ) -> None:
        self.run, self.recipe = run, run.recipe
        self.decisions = run.decisions.with_thresholds(thresholds)
        self.device = pick_device(device)
        self.pipeline = run.pipeline(device=self.device)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "auto") -> Predictor:
        """Open a run folder; ValueError if it has no finished run."""
        return cls(load_run(folder), device=device)

    def __call__(
        self,
        image: str | Path | UInt8[np.ndarray, "h w 3"],
        *,
        cam: bool = False,
        spacing: tuple[float, float] | None = None,
        name: str | None = None,
        frame: int | None = None,
        eye: Eye | None = None,
    ) -> ImageResult:
        """Read one image.

        Args:
            image: a file, or RGB uint8 (row, col, 3). The network sees a file as in training (`Prepare.file`: a JPEG
                far larger than its frame is decoded at a part of its size), and an array from its full pixels.
            cam: also make activation maps: a finding's own map, in [0, 1], if the network has one; else Grad-CAM
                divided by its maximum, in closed form if the head is linear on a mean (if not, with one more forward
                pass, and one backward pass per answer).
            spacing: mm per pixel (rows, cols), for areas in mm2.
            name: id of the result; None = the file's stem.
            frame: which B-scan of a volume, or page, from 0.
            eye: disc, fovea and laterality, if known; with ``cam`` the result names the regions that findings' maps
                point to.

        Raises:
            Unreadable: the file is not an image that can be read.
            ValueError: the array is not RGB uint8.
        """
        prepare, schema = self.recipe.prepare, self.recipe.schema
        if isinstance(image, np.ndarray):
            pixels, sample = image, prepare.image_only(image, schema=schema, id=name or "image")
        else:
            framed = prepare.file(Path(image), frame=frame)
            sample = prepare.image_only(framed, schema=schema, id=name or Path(image).stem)
            pixels = read.image(Path(image), frame=frame) if framed.whole is None else framed.whole
        return self.read_sample(sample, pixels, cam=cam, spacing=spacing, eye=eye)

    def read_sample(
        self,
        sample: Sample,
        pixels: UInt8[np.ndarray, "h w 3"],
        *,
        cam: bool = False,
        spacing: tuple[float, float] | None = None,
        eye: Eye | None = None,
    ) -> ImageResult:
        """Read an image that has been prepared."""
        batch = collate([sample], self.recipe.schema).to(self.device)
        passes = self.pipeline.passes(batch)
        kept = list(passes) if cam else []  # activation maps read each pass again; without them none is kept
        outputs = self.pipeline.combined(kept or passes, batch)
        found = read_out(
            outputs,
            schema=self.recipe.schema,
            ids=[sample.row.id],
            geometries=[sample.geometry],
            decisions=self.decisions,
        )[0]
        known, pointing = eye or Eye(), {}
        if cam and outputs.image is not None:
            own, maps = self._cams(kept, sample)
            found = Prediction(**{**_shallow(found), "cam": maps})
            regions = known.regions(found) if own else None
            if regions is not None:
                places = {question: pointed(maps[question]["yes"], regions) for question in own}
                pointing = {question: one for question, one in places.items() if one is not None}
        return ImageResult(**_shallow(found), image=pixels, spacing=spacing, eye=known, pointed=pointing)

    def many(
        self, images: Sequence[str | Path], *, cam: bool = False, rows: Manifest | None = None
    ) -> Iterator[ImageResult | UnreadImage]:
        """Read images one after the other; each B-scan or page is an image (``NAME_b000``, with the file's spacing).

        An image that cannot be read gives an `UnreadImage`; the others are read all the same.

        Args:
            images: files.
            cam: also make activation maps.
            rows: a manifest with spacing, disc, fovea or laterality of some of them; rows are found by path, else by
                the file's stem as their id.
        """
        about = _about(rows)
        for path in map(Path, images):
            try:
                scans = read.slices(path)
            except (read.Unreadable, OSError) as error:
                yield UnreadImage(path, _reason(error))
                continue
            for number, scan in enumerate(scans):
                several = len(scans) > 1
                name = f"{path.stem}_b{number:03d}" if several else path.stem
                try:
                    frame = number if several else None
                    row = (
                        about.get((path.resolve(), frame)) or (None if several else about.get(path.stem)) or Row("", "")
                    )
                    known = row.spacing or checked_spacing(scan.spacing, warn=lambda _: None)
                    result = self(path, cam=cam, frame=frame, name=name, spacing=known, eye=Eye.of(row))
                    yield replace(result, source=path)
                except (read.Unreadable, OSError) as error:
                    yield UnreadImage(path, _reason(error))

    def _cams(self, passes: Sequence[Pass], sample: Sample) -> tuple[list[str], dict[str, dict[str, np.ndarray]]]:
        """Return the findings with a map of their own, and the maps of every question in the original pixels.

        A finding's own map is of "yes"; every other answer has its Grad-CAM, divided by its maximum. Of several passes
        (networks of an ensemble, views) the mean, each Grad-CAM divided by its maximum before and their mean after.
        """
        own: list[str] = []
        found: dict[tuple[str, str], list[Tensor]] = {}
        rows, cols = sample.image.shape[:2]
        for one in passes:
            step = [step for step in one.steps if step.outputs.image is not None][-1]
            own, maps = _maps_of(step, self.recipe.schema, (rows, cols))
            for key, full in maps.items():
                found.setdefault(key, []).append(full.flip(one.axes) if one.axes else full)
        shown: dict[str, dict[str, np.ndarray]] = {question.name: {} for question in self.recipe.schema.questions}
        for (question, answer), several in found.items():
            full = mean(several)
            if len(several) > 1 and question not in own:
                full = normalise(full)
            shown[question][answer] = sample.geometry.undo(full)[0].cpu().numpy()
        return own, shown


def _maps_of(
    step: Step, schema: LabelSchema, frame: tuple[int, int]
) -> tuple[list[str], dict[tuple[str, str], Tensor]]:
    """Return the findings with a map of their own in a stage, and (question, answer) -> map ``(1, h, w)``.

    Args:
        step: the stage with its input and logits; it may have a frame of its own (`Stage.size`).
        schema: of the run.
        frame: (rows, cols) of the run's frame, to which the maps are resized.
    """
    size = (step.batch.image.shape[2], step.batch.image.shape[3])
    strong = strength(step.outputs, step.batch)
    own = [question.name for question in schema.findings] if strong is not None else []
    maps: dict[tuple[str, str], Tensor] = {}
    if strong is not None:
        for name in own:
            channel, _ = schema.channel(name, "yes")
            maps[name, "yes"] = on_frame(strong[:, channel : channel + 1], size)[:, 0]
    others = [(q.name, answer) for q in schema.questions if q.name not in own for answer in q.answers]
    for key, raw in zip(others, _grad_cams(step, [schema.channel(*key) for key in others]), strict=True):
        maps[key] = on_image(normalise(raw), size=size)
    return own, {key: full if size == frame else _enlarged(full, frame) for key, full in maps.items()}


def _grad_cams(step: Step, channels: Sequence[tuple[int, float]]) -> list[Tensor]:
    """Grad-CAM of image logits (channel, sign) of a stage: in closed form from its pass, if its head is linear.

    Otherwise the network is called once more, with gradients, for all of them.
    """
    weight = linear_weight(step.network, step.outputs)
    if weight is not None:
        feature = step.outputs.features[-1].float()
        return [closed_form(feature, weight=weight[channel] * sign) for channel, sign in channels]
    targets = [of_answer(channel, sign=sign) for channel, sign in channels]
    return grad_cams(step.network, step.batch.image, targets=targets, prior=step.batch.prior)


def _enlarged(maps: Tensor, frame: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[:, None], frame, mode="bilinear", align_corners=False)[:, 0]


def _about(rows: Manifest | None) -> dict[tuple[Path, int | None] | str, Row]:
    """Rows by file and frame, and by their id."""
    found: dict[tuple[Path, int | None] | str, Row] = {}
    for row in rows or ():
        assert rows is not None
        found[(rows.root / row.image).resolve(), row.frame] = row
        found.setdefault(row.id, row)
    return found


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, read.Unreadable) else str(error)


def _shallow(prediction: Prediction) -> dict[str, Any]:
    return {f.name: getattr(prediction, f.name) for f in fields(Prediction)}
