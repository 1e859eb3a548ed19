"""The labelling interface of Label Studio that fits a protocol, as XML: the names of its annotations.

Every question, every finding's regions and every kind of mark is a tag of its own, whose name annotations repeat as
``from_name``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.domain.protocol_parts import Kind
from foveate.core.labels import LabelSchema
from foveate.core.regions import NAMES

KINDS = {"ellipse": "ellipselabels", "polygon": "polygonlabels", "point": "keypointlabels", "brush": "brushlabels"}
"""Kind of mark -> its type there; the tag's name is the kind."""

TAGS = {"ellipse": "EllipseLabels", "polygon": "PolygonLabels", "point": "KeyPointLabels", "brush": "BrushLabels"}
STATES = ("present", "absent", "unsure")
LANDMARKS = ("disc", "fovea")
LANDMARKS_TAG, FINDINGS_TAG, UNGRADABLE_TAG, COMMENT_TAG, IMAGE_TAG = (
    "landmarks", "findings", "ungradable", "comment", "image",
)  # fmt: skip
YES = "yes"
"""Chosen if an image is ungradable without a reason."""

REGIONS, DOUBTFUL, QUESTION = "regions of ", "doubtful ", "question "
TAKEN = (*KINDS, LANDMARKS_TAG, FINDINGS_TAG, UNGRADABLE_TAG, COMMENT_TAG, IMAGE_TAG)


def tag_of(question: str) -> str:
    """Name the tag of a question: its name, unless another tag has it."""
    taken = question in TAKEN or question.startswith((REGIONS, DOUBTFUL, QUESTION))
    return QUESTION + question if taken else question


def question_of(tag: str) -> str:
    """Inverse of `tag_of`."""
    return tag.removeprefix(QUESTION)


def regions_tag(finding: str, *, doubtful: bool) -> str:
    """Name the tag of a finding's regions."""
    return (DOUBTFUL if doubtful else "") + REGIONS + finding


def regions_of(tag: str) -> tuple[str, bool] | None:
    """Inverse of `regions_tag`: finding, and whether they are doubtful; None for a tag of something else."""
    doubtful = tag.startswith(DOUBTFUL + REGIONS)
    plain = tag.removeprefix(DOUBTFUL) if doubtful else tag
    return (plain.removeprefix(REGIONS), doubtful) if plain.startswith(REGIONS) else None


def interface(protocol: Protocol, schema: LabelSchema) -> str:
    """Write the interface as XML; paste it into a project's settings before importing its tasks.

    Args:
        protocol: its findings, questions and reasons.
        schema: the project's, for the questions' answers.
    """
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=IMAGE_TAG, value="$image", zoomControl="true", brightnessControl="true")
    colours = {f["name"]: f["colour"] for f in protocol.page(schema)["findings"]}
    kinds: list[Kind] = ["ellipse", "polygon", "point", "brush"]
    for kind in kinds:
        marked = [f.name for f in protocol.findings if kind in f.marks]
        if marked:
            tag = ET.SubElement(view, TAGS[kind], name=kind, toName=IMAGE_TAG)
            for name in marked:
                ET.SubElement(tag, "Label", value=name, background=colours[name])
    places = ET.SubElement(view, "KeyPointLabels", name=LANDMARKS_TAG, toName=IMAGE_TAG)
    for name in LANDMARKS:
        ET.SubElement(places, "Label", value=name)
    for f in protocol.findings:
        if "regions" in f.marks:
            for doubtful in (False, True):
                _choices(view, regions_tag(f.name, doubtful=doubtful), NAMES, several=True)
    if protocol.findings:
        states = [f"{f.name}={state}" for f in protocol.findings for state in STATES]
        _choices(view, FINDINGS_TAG, states, several=True)
    for q in protocol.questions:
        _choices(view, tag_of(q.name), schema.question(q.name).answers)
    _choices(view, UNGRADABLE_TAG, (*protocol.ungradable, YES), several=True)
    ET.SubElement(view, "TextArea", name=COMMENT_TAG, toName=IMAGE_TAG, editable="true")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _choices(view: ET.Element, name: str, choices: Iterable[str], *, several: bool = False) -> None:
    ET.SubElement(view, "Header", value=name)
    tag = ET.SubElement(view, "Choices", name=name, toName=IMAGE_TAG, choice="multiple" if several else "single")
    for value in choices:
        ET.SubElement(tag, "Choice", value=value)
