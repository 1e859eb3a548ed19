"""``foveate predict``: many images in, a JSON, masks and an overlay for each out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import LabelSchema
from foveate.core.reading import presence_only
from foveate.data.manifest import Manifest
from foveate.inference.evidence import explain
from foveate.inference.predictor import ImageResult, Predictor, UnreadImage
from foveate.inference.write_results import list_images, write_evidence, write_reading
from foveate.recipes import load_run


def predict_all(
    run: Path,
    images: list[Path],
    *,
    out: Path,
    cam: bool = False,
    why: bool = False,
    guideline: Guideline | None = None,
    rows: Manifest | None = None,
    spacing: tuple[float, float] | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> int:
    """Read every image; returns how many could not be read (each is told in one line with its reason).

    Images of the same name in different folders are told apart by a number; a volume is read B-scan by B-scan.

    Args:
        run: folder of a trained run.
        images: files and folders.
        out: folder for what is written.
        cam: also where each answer was seen.
        why: also the lesions that speak for and against each answer (`inference.evidence`).
        guideline: by which they speak, in the words of the run; None = `GUIDELINE`, its question found by `bound`.
        rows: a manifest that knows disc, fovea, laterality or spacing of some of the images.
        spacing: mm a pixel (rows, cols); before what a file or the manifest says.
        device: where the networks run.
        say: told of each image.

    Raises:
        ValueError: no image, no run, or several questions of it could be the guideline's.
    """
    predictor = Predictor.load(run, device=device)
    schema = predictor.recipe.schema
    scale = guideline or (bound(GUIDELINE, schema) if why else GUIDELINE)
    good = bad = 0
    seen: dict[str, int] = {}
    for reading in predictor.many(list_images(images), cam=cam, rows=rows):
        if isinstance(reading, UnreadImage):
            say(f"{reading.path}: not read: {reading.reason}")
            bad += 1
            continue
        good += 1
        reading = replace(reading, spacing=spacing or reading.spacing)
        number = seen[reading.id] = seen.get(reading.id, 0) + 1
        name = reading.id if number == 1 else f"{reading.id}_{number}"
        write_reading(reading, out, name=name)
        if why:
            eye = reading.eye
            evidence = explain(
                reading,
                schema,
                guideline=scale,
                spacing=reading.spacing,
                disc=eye.disc,
                fovea=eye.fovea,
                laterality=eye.laterality,
            )
            write_evidence(evidence, out, name=name)
        found = [f"{q}: {a} {reading.probabilities[q][a]:.2f}{_where(reading, q)}" for q, a in reading.answers.items()]
        found += _marked(reading)
        say(f"{name}: {', '.join(found)}")
    say(f"{good} of {good + bad} images read into {out}")
    return bad


def _where(reading: ImageResult, question: str) -> str:
    """The regions in which a finding was seen, in words."""
    told = reading.pointed.get(question)
    return f" ({', '.join(told.strong)})" if told is not None and told.strong else ""


def _marked(reading: ImageResult) -> list[str]:
    """Each label's area; its probability where the network tells its presence alone."""
    whole = presence_only(reading)
    return [
        f"{label} {shown.max():.2f} (presence only)" if label in whole else f"{label} {mask.sum()} px"
        for label, shown, mask in zip(reading.labels, reading.probability, reading.masks, strict=True)
    ]


def guideline_for(run: Path, lesions: Mapping[str, str], *, grade: str | None = None) -> Guideline:
    """The guideline in the words of a run.

    Args:
        run: its folder.
        lesions: the run's label -> the guideline's lesion.
        grade: the graded question; None = as `bound` finds it.

    Raises:
        ValueError: no such lesion, no such label or question of the run, or it does not have the guideline's grades.
    """
    schema = load_run(run).recipe.schema
    if strange := sorted(set(lesions) - set(schema.labels)):
        raise ValueError(f"--lesion: {strange[0]!r} is no label of the run, which has {list(schema.labels)}")
    return bound(GUIDELINE.named(lesions), schema, grade=grade)


def bound(guideline: Guideline, schema: LabelSchema, *, grade: str | None = None) -> Guideline:
    """A guideline on the question of a schema that it grades (`Guideline.question_in`).

    As it is where it is not told which, and no question can be it or none of its lesions is marked: then the lesions
    alone say the grade, or nothing does.

    Raises:
        ValueError: no such question, it does not have the guideline's grades, or several could be it.
    """
    if grade is None and not set(guideline.lesions) & set(schema.labels):
        return guideline
    question = guideline.question_in(schema.questions, name=grade)
    if question is None or (grade is None and question.name == guideline.question):
        return guideline
    return guideline.asked(question)


def spacing_of(text: str | None) -> tuple[float, float] | None:
    """mm a pixel (rows, columns) from one positive number or two, parted by a comma; ValueError for anything else."""
    if text is None:
        return None
    parts = [float(part) for part in text.split(",")]
    if len(parts) not in (1, 2) or min(parts) <= 0:
        raise ValueError(f"spacing={text!r}: give mm a pixel, one positive number or two (rows,columns)")
    return parts[0], parts[-1]
