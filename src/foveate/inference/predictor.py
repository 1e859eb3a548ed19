"""Run or bundle + image -> ImageResult: answers and masks in the image's own pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from jaxtyping import UInt8

from foveate.core.labels import LabelSchema
from foveate.core.types import Prediction, Row, Sample
from foveate.data import read
from foveate.data.formats._pixels import Slice
from foveate.data.prepare import Prepare
from foveate.inference.backends import Backend, Found
from foveate.inference.bundles.folder import is_bundle
from foveate.inference.image_result import ImageResult as ImageResult
from foveate.inference.image_result import UnreadImage as UnreadImage
from foveate.inference.pointing import Eye, pointed

if TYPE_CHECKING:
    import torch

    from foveate.data.manifest import Manifest
    from foveate.engine.recipe import Recipe
    from foveate.engine.run import Run
    from foveate.inference.run_backend import RunBackend

AHEAD = 2
"""Images that `Predictor.many` decodes while the network reads another: memory stays flat."""


class Predictor:
    """Reads images with a trained run, or with a bundle.

    Args:
        run: from `fit` or `load_run`, or a `Backend`.
        device: "auto", "cpu", "cuda", ...; of a run only.
        thresholds: question -> probability from which the answer is "yes"; they replace the calibrated ones.
    """

    def __init__(
        self,
        run: Run | Backend,
        *,
        device: str | torch.device = "auto",
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self.backend = _backend(run, device)
        self.schema: LabelSchema = self.backend.schema
        self.prepare: Prepare = self.backend.prepare
        self.decisions = self.backend.decisions.with_thresholds(thresholds)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | torch.device = "auto",
        runtime: str | None = None,
        precision: str = "fp32",
        threads: int | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Predictor:
        """Open a run folder or a bundle.

        Args:
            folder: that `foveate fit` or `foveate bundle` wrote.
            device: of a run; a bundle is read on the CPU.
            runtime: "torch" of a run; "onnx" or "openvino" of a bundle; None = "torch" of a run, "onnx" of a bundle.
            precision: of a bundle: "fp32", or "bf16" (OpenVINO). A run has the precision that it was trained with.
            threads: of a bundle's runtime; None = as many as the machine has processors.
            thresholds: as of the class.

        Raises:
            ValueError: neither a finished run nor a whole bundle is there, or it cannot be read in this way.
        """
        if is_bundle(folder):
            from foveate.inference.bundles.backend import open_bundle

            backend = open_bundle(Path(folder), runtime=runtime or "onnx", precision=precision, threads=threads)
            return cls(backend, thresholds=thresholds)
        if runtime not in (None, "torch") or precision != "fp32" or threads is not None:
            raise ValueError(
                f"{folder}: runtime={runtime!r}, precision={precision!r} and threads={threads} are of a bundle; this "
                "is a run folder: write a bundle with `foveate bundle`, or leave them out"
            )
        from foveate.recipes import load_run

        return cls(load_run(folder), device=device, thresholds=thresholds)

    @property
    def of_run(self) -> bool:
        """Whether images are read with a run, not with a bundle."""
        return hasattr(self.backend, "run")

    @property
    def networks(self) -> RunBackend:
        """The run and its networks on their device; ValueError if images are read with a bundle."""
        if not self.of_run:
            raise ValueError(
                "this predictor reads with a bundle, which has no run folder and no features; open the run"
            )
        return cast("RunBackend", self.backend)

    @property
    def run(self) -> Run:
        """The run; ValueError if images are read with a bundle."""
        return self.networks.run

    @property
    def recipe(self) -> Recipe:
        """The run's recipe; ValueError if images are read with a bundle."""
        return self.run.recipe

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
        if isinstance(image, np.ndarray):
            sample = self.prepare.image_only(image, schema=self.schema, id=name or "image")
            return self.read_sample(sample, image, cam=cam, spacing=spacing, eye=eye)
        sample, pixels = self._decoded(Path(image), frame, name)
        return self.read_sample(sample, pixels, cam=cam, spacing=spacing, eye=eye)

    def _decoded(self, path: Path, frame: int | None, name: str | None) -> tuple[Sample, np.ndarray]:
        """A file as a sample, and its pixels."""
        framed = self.prepare.file(path, frame=frame)
        sample = self.prepare.image_only(framed, schema=self.schema, id=name or path.stem)
        return sample, read.image(path, frame=frame) if framed.whole is None else framed.whole

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
        return self._result(self.backend.read([sample], self.decisions, cam=cam)[0], pixels, spacing, eye)

    def _result(
        self, found: Found, pixels: np.ndarray, spacing: tuple[float, float] | None, eye: Eye | None
    ) -> ImageResult:
        """The result of one image; its maps point to regions if the disc is known."""
        maps: dict[str, dict[str, np.ndarray]] = {}
        if found.maps:
            maps = {question.name: {} for question in self.schema.questions}
        for (question, answer), full in found.maps.items():
            maps[question][answer] = full
        known, pointing = eye or Eye(), {}
        regions = known.regions(found.prediction) if found.own else None
        if regions is not None:
            places = {question: pointed(maps[question]["yes"], regions) for question in found.own}
            pointing = {question: one for question, one in places.items() if one is not None}
        return ImageResult(
            **{**_shallow(found.prediction), "cam": maps},
            image=pixels,
            spacing=spacing,
            eye=known,
            pointed=pointing,
            runtime=self.backend.runtime,
        )

    def many(
        self, images: Sequence[str | Path], *, cam: bool = False, rows: Manifest | None = None
    ) -> Iterator[ImageResult | UnreadImage]:
        """Read images in their order; each B-scan or page is an image (``NAME_b000``, with the file's spacing).

        The next images are decoded while the network reads one. An image that cannot be read gives an `UnreadImage`;
        the others are read all the same.

        Args:
            images: files.
            cam: also make activation maps.
            rows: a manifest with spacing, disc, fovea or laterality of some of them; rows are found by path, else by
                the file's stem as their id.
        """
        with ThreadPoolExecutor(AHEAD, thread_name_prefix="decode") as pool:
            waiting: deque[tuple[Scan, Future[tuple[Sample, np.ndarray]]] | UnreadImage] = deque()
            scans = _scans(images, _about(rows))
            try:
                while True:
                    for scan in islice(scans, AHEAD + 1 - len(waiting)):
                        if isinstance(scan, UnreadImage):
                            waiting.append(scan)
                            continue
                        decoding = pool.submit(self._decoded, scan.path, scan.frame, scan.name)
                        waiting.append((scan, decoding))
                    if not waiting:
                        return
                    yield self._next(waiting.popleft(), cam=cam)
            finally:
                pool.shutdown(cancel_futures=True)

    def _next(
        self, found: tuple[Scan, Future[tuple[Sample, np.ndarray]]] | UnreadImage, *, cam: bool
    ) -> ImageResult | UnreadImage:
        """The result of an image that is being decoded."""
        if isinstance(found, UnreadImage):
            return found
        scan, decoding = found
        try:
            sample, pixels = decoding.result()
            result = self.read_sample(sample, pixels, cam=cam, spacing=scan.spacing, eye=scan.eye)
        except (read.Unreadable, OSError) as error:
            return UnreadImage(scan.path, _reason(error))
        return replace(result, source=scan.path)


class Scan(NamedTuple):
    """One image of a file, before it is decoded; arguments as of a call of `Predictor`."""

    path: Path
    frame: int | None
    name: str
    spacing: tuple[float, float] | None
    eye: Eye


def _scans(
    images: Sequence[str | Path], about: Mapping[tuple[Path, int | None] | str, Row]
) -> Iterator[Scan | UnreadImage]:
    """The images of all files in their order; only headers are read."""
    for path in map(Path, images):
        try:
            found = read.slices(path)
        except (read.Unreadable, OSError) as error:
            yield UnreadImage(path, _reason(error))
            continue
        several = len(found) > 1
        for number, one in enumerate(found):
            name = f"{path.stem}_b{number:03d}" if several else path.stem
            frame = number if several else None
            row = about.get((path.resolve(), frame)) or (None if several else about.get(path.stem)) or Row("", "")
            known = row.spacing or _spacing(one)
            yield Scan(path, frame, name, known, Eye.of(row))


def _spacing(scan: Slice) -> tuple[float, float] | None:
    """Spacing of a scan as its file states it, if that can be right."""
    if scan.spacing is None:
        return None
    from foveate.data.adapters.volumes import spacing  # takes a second, and photographs state none

    return spacing(scan.spacing, warn=lambda _: None)


def _backend(run: Run | Backend, device: str | torch.device) -> Backend:
    """The backend itself, or that of a run."""
    if hasattr(run, "read"):
        return cast(Backend, run)
    from foveate.inference.run_backend import RunBackend

    return RunBackend(run, device=device)


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
