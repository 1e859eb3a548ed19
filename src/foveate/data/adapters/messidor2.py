"""Messidor-2: both eyes of 874 patients with adjudicated grades (Decenciere et al. 2014; Krause et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, NO_YES
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="messidor2",
    title="Messidor-2 with adjudicated grades",
    modality="fundus",
    source="images: adcis.net/en/third-party/messidor2; grades: Kaggle, google-brain/messidor2-dr-grades",
    terms="images on request, research and teaching, not to be passed on; grades: account, licence on their page",
    citation="Decenciere et al., Feedback on a publicly distributed image database: the Messidor database, Image "
    "Analysis & Stereology 33(3):231-234, 2014; Krause et al., Annotator variability and the importance of reference "
    "standards for evaluating machine learning models for diabetic retinopathy, Ophthalmology 125(8):1264-1272, 2018",
    layout="IMAGES, messidor_data.csv (grades), messidor-2.csv (which two images are of one patient)",
    expects={
        "images": 1748,
        "patients": 874,
        "gradable no": 4,
        "grade 0": 1017,
        "grade 1": 270,
        "grade 2": 347,
        "grade 3": 75,
        "grade 4": 35,
    },
    notes="Nothing is marked in pixels. Patients come from messidor-2.csv; without it none is known. Of the tables "
    "called messidor_data.csv only the one with image_id and adjudicated_dr_grade holds these grades; one with "
    "id_code and diagnosis is another's and is not read. No official split.",
)
SCHEMA = LabelSchema((GRADE, Question("macular_oedema"), Question("gradable", healthy="yes")))
COLUMNS = {
    "image": "image_id",
    "grade": "adjudicated_dr_grade",
    "oedema": "adjudicated_dme",
    "gradable": "adjudicated_gradable",
}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of all images.

    Args:
        root: folder with the images and both tables.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    images = tree.stems("IMAGES") or tree.stems()
    if not images:
        return
    tables = tree.named(("messidor_data.csv", "messidor2_dr_grades.csv"))
    if not tables:
        warn("there is no messidor_data.csv; grades stay unknown")
    grades = tree.joined((line for path in tables for line in tree.lines(path, COLUMNS)), images, "image")
    people = _patients(tree, images)
    for key, image in images.items():
        answers: dict[str, str | None] = {}
        if key in grades:
            line = grades[key]
            answers = {"gradable": line.choice("gradable", NO_YES, warn=warn)}
            if answers["gradable"] != "no":
                answers["grade"] = line.choice("grade", GRADES, warn=warn)
                answers["macular_oedema"] = line.choice("oedema", NO_YES, warn=warn)
        patient, side = people.get(key, (None, None))
        yield Row(
            id=stem(image),
            image=image,
            answers={name: answer for name, answer in answers.items() if answer is not None},
            patient=patient,
            laterality=side,
        )


def _patients(tree: Tree, images: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Image -> patient and side; the patient is called after the left eye's image."""
    found: dict[str, tuple[str, str]] = {}
    tables = tree.named("messidor-2.csv")
    if not tables:
        tree.warn("there is no messidor-2.csv; patients stay unknown, and both eyes of one may part in a split")
    for path in tables[:1]:
        for line in tree.lines(path, {"left": "left", "right": "right"}):
            for name, side in (("left", "OS"), ("right", "OD")):
                key = stem(line.values.get(name, "")).casefold()
                if key in images:
                    found[key] = (f"messidor2-{stem(line.values['left'])}", side)
    return found
