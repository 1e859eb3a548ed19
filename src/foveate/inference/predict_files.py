"""``foveate predict``: read many images; write a JSON, masks and an overlay for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from foveate.core.files import FreeNames
from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import LabelSchema
from foveate.core.reading import presence_only
from foveate.core.text import printable
from foveate.data.manifest import Manifest
from foveate.inference.evidence import explain
from foveate.inference.lesion_rules import LesionRule, rules_for
from foveate.inference.predictor import ImageResult, Predictor, UnreadImage
from foveate.inference.write_results import EVIDENCE, list_images, result_files, write_evidence, write_reading


def predict_all(
    run: Path | Predictor,
    images: list[Path],
    *,
    out: Path,
    cam: bool = False,
    why: bool = False,
    guideline: Guideline | None = None,
    rules: Mapping[str, LesionRule] | None = None,
    rows: Manifest | None = None,
    spacing: tuple[float, float] | None = None,
    device: str = "auto",
    unfinished: bool = False,
    say: Callable[[str], None] = print,
) -> int:
    """Read every image; return how many could not be read (each is named in one line with its reason).

    Images of the same name get a number; each JSON names the file that was read. Results of earlier calls are not
    read. A volume is read B-scan by B-scan.

    Args:
        run: folder of a trained run or a bundle, or a predictor that opened one.
        images: files and folders.
        out: folder for the written files.
        cam: also write an activation map per answer.
        why: also write the lesions that are evidence for and against each answer (`inference.evidence`).
        guideline: relates lesions to grades, with the run's names; None = `GUIDELINE`, its question found by `bound`.
        rules: label -> the area and probability that a lesion needs to count as evidence (`inference.lesion_rules`).
        rows: a manifest with disc, fovea, laterality or spacing of some of the images.
        spacing: mm per pixel (rows, cols); used instead of the values in the file and the manifest.
        device: where the networks of a run folder run.
        unfinished: also a run whose training was interrupted; a bundle is of finished runs.
        `say`: called with one line per image.

    Raises:
        ValueError: there is no image or no run, or several questions could be the graded one.
    """
    predictor = run if isinstance(run, Predictor) else Predictor.load(run, device=device)
    if predictor.of_run:
        from foveate.engine.unfinished import refuse_unfinished  # torch, which a bundle does without

        if warning := refuse_unfinished(predictor.run, allow=unfinished):
            say(f"warning: {warning}")
    schema = predictor.schema
    scale = guideline or (bound(GUIDELINE, schema) if why else GUIDELINE)
    rules_for(scale, schema.labels, given=rules)  # a wrong label is reported before the first image
    good = bad = 0
    listed = list_images(images, report=say)
    names = _free_names(listed, out)
    for reading in predictor.many(listed, cam=cam, rows=rows):
        if isinstance(reading, UnreadImage):
            say(f"{printable(str(reading.path))}: not read: {reading.reason}")
            bad += 1
            continue
        good += 1
        reading = replace(reading, spacing=spacing or reading.spacing)
        name = names.stem(reading.id, files=(*result_files(reading).values(), *EVIDENCE))
        write_reading(reading, out, name=name, source=reading.source)
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
                rules=rules,
            )
            write_evidence(evidence, out, name=name)
        found = [f"{q}: {a} {reading.probabilities[q][a]:.2f}{_where(reading, q)}" for q, a in reading.answers.items()]
        found += _marked(reading)
        say(f"{printable(name)}: {', '.join(found)}")
    say(f"{good} of {good + bad} images read into {out}")
    return bad


def _free_names(images: list[Path], out: Path) -> FreeNames:
    """Return names for results in a folder; an image that is read from this folder is never overwritten."""
    folder = out.resolve()
    return FreeNames(path.name for path in images if path.resolve().parent == folder)


def _where(reading: ImageResult, question: str) -> str:
    """Name the regions in which a finding was seen."""
    found = reading.pointed.get(question)
    return f" ({', '.join(found.strong)})" if found is not None and found.strong else ""


def _marked(reading: ImageResult) -> list[str]:
    """Area of each label; its probability if the network gives its presence only."""
    whole = presence_only(reading)
    return [
        f"{label} {shown.max():.2f} (presence only)" if label in whole else f"{label} {mask.sum()} px"
        for label, shown, mask in zip(reading.labels, reading.probability, reading.masks, strict=True)
    ]


def guideline_for(schema: LabelSchema, lesions: Mapping[str, str], *, grade: str | None = None) -> Guideline:
    """Express the guideline in the names of a run.

    Args:
        schema: of the run.
        lesions: the run's label -> the guideline's lesion.
        grade: the graded question; None = as `bound` finds it.

    Raises:
        ValueError: an unknown lesion, label or question, or the question does not have the guideline's grades.
    """
    if strange := sorted(set(lesions) - set(schema.labels)):
        raise ValueError(f"--lesion: the label must be one of {list(schema.labels)}, got {strange[0]!r}")
    return bound(GUIDELINE.named(lesions), schema, grade=grade)


def bound(guideline: Guideline, schema: LabelSchema, *, grade: str | None = None) -> Guideline:
    """Bind a guideline to the question of a schema that it grades (`Guideline.question_in`).

    The guideline is returned unchanged if ``grade`` is None and no question fits or none of its lesions is marked. Then
    the grade follows from the lesions alone, or not at all.

    Raises:
        ValueError: an unknown question, one without the guideline's grades, or several that fit.
    """
    guideline = guideline.in_labels(schema.labels)
    if grade is None and not set(guideline.lesions) & set(schema.labels):
        return guideline
    question = guideline.question_in(schema.questions, name=grade)
    if question is None or (grade is None and question.name == guideline.question):
        return guideline
    return guideline.asked(question)
