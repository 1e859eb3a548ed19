"""Label Studio JSON: every annotation of an image in its task, shapes as shapes; and back.

Positions there are percent of the image's size, counted from its outer corner; painted pixels are run lengths
(`label_studio_runs`).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.exchange.label_studio_interface import (
    COMMENT_TAG,
    FINDINGS_TAG,
    IMAGE_TAG,
    KINDS,
    LANDMARKS,
    LANDMARKS_TAG,
    UNGRADABLE_TAG,
    YES,
    interface,
    question_of,
    regions_of,
    regions_tag,
    tag_of,
)
from foveate.annotate.exchange.label_studio_runs import decode, encode
from foveate.annotate.store.records import ImageRecord
from foveate.annotate.web.pictures import Pictures
from foveate.core.files import write_file, write_json
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Layer, packed, rasterise
from foveate.core.types import Row

DOUBTFUL = "doubtful"
POINT = 0.4  # width at which a point is shown, in percent of the image


def task(record: ImageRecord, *, protocol: Protocol, image: str) -> dict[str, Any]:
    """Return one image with every annotation that is done, and the adjudicator's consensus as ground truth.

    Args:
        record: the image.
        protocol: of the project.
        image: an address that Label Studio's server or browser opens (`image_address`).
    """
    size = (record.item.rows, record.item.cols)
    annotations = [
        _annotation(name, marks, size, seconds=record.seconds[name], truth=False)
        for name, marks in record.annotations.items()
    ]
    if record.final is not None:
        annotations.append(_annotation("consensus", record.final, size, seconds=0.0, truth=True))
    data = {"image": image, "id": record.row.id}
    return {"id": record.item.id, "data": data, "meta": {"protocol": protocol.name}, "annotations": annotations}


def image_address(row: Row, root: Path, *, address: str | None) -> str:
    """Return the address of an image in a task.

    Args:
        row: the image; its path starts from root.
        root: folder of the manifest.
        address: where Label Studio finds the images: the row's path is added to it, percent-encoded. None: the image is
            embedded, as pixels that every browser shows.

    Raises:
        Unreadable: the image is to be embedded and cannot be read.
    """
    if address is not None:
        return address + quote(PurePosixPath(row.image).as_posix())
    picture = Pictures(root).whole(row, level=0, look="plain")
    return f"data:{picture.kind};base64,{base64.b64encode(picture.data).decode()}"


def write(
    tasks: Sequence[Mapping[str, Any]], path: Path, *, protocol: Protocol, schema: LabelSchema
) -> tuple[Path, Path]:
    """Write tasks, and beside them the labelling interface that fits their annotations; returns both files."""
    write_json(path, list(tasks))
    beside = path.with_suffix(".xml")

    def view(aside: Path) -> None:
        aside.write_text(interface(protocol, schema), encoding="utf-8")

    write_file(beside, view)
    return path, beside


def read(
    data: Sequence[Mapping[str, Any]], *, images: Iterable[str], source_annotator: str | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return image id -> marks as plain data, of the named (else the first) annotation; and what was not imported.

    Args:
        data: tasks.
        images: ids of the project; a task names one as ``id``, else by its file's name.
        source_annotator: whose annotation (name or mail address).
    """
    known = set(images)
    out: dict[str, dict[str, Any]] = {}
    notes = []
    for number, one in enumerate(data):
        about = one.get("data", {})
        name = str(about.get("id") or PurePosixPath(str(about.get("image", ""))).stem)
        if name not in known:
            notes.append(f"task {number}: {name!r} the project has no such image; left out")
            continue
        given = [a for a in one.get("annotations", ()) if not a.get("was_cancelled")]
        given = [a for a in given if source_annotator in (None, *_names(a.get("completed_by")))]
        if not given:
            notes.append(f"{name}: no annotation{f' by {source_annotator}' if source_annotator else ''}; left out")
            continue
        try:
            marks, lost = _marks(given[0].get("result", ()))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            notes.append(f"{name}: not in the format of Label Studio ({type(error).__name__}: {error}); left out")
            continue
        out[name] = {"marks": marks, "seconds": float(given[0].get("lead_time") or 0.0)}
        notes += [f"{name}: {line}" for line in lost]
    return out, notes


# -- out -------------------------------------------------------------------------------------------------------------


def _annotation(name: str, marks: Marks, size: tuple[int, int], *, seconds: float, truth: bool) -> dict[str, Any]:
    frame = {"to_name": IMAGE_TAG, "original_width": size[1], "original_height": size[0], "image_rotation": 0}
    result = [frame | _result(shape, size) for shape in marks.plain()["shapes"]]
    chosen = {tag_of(q): [a] for q, a in marks.answers.items()}
    chosen |= {FINDINGS_TAG: [f"{name}={state}" for name, state in marks.findings.items()]} if marks.findings else {}
    chosen |= {UNGRADABLE_TAG: list(marks.ungradable.reasons) or [YES]} if marks.ungradable else {}
    result += [
        {"from_name": tag, "to_name": IMAGE_TAG, "type": "choices", "value": {"choices": c}}
        for tag, c in chosen.items()
    ]
    for place in LANDMARKS:
        at = getattr(marks, place)
        if at is not None:
            value = _point(at, size) | {"keypointlabels": [place]}
            result.append(frame | {"id": place, "from_name": LANDMARKS_TAG, "type": "keypointlabels", "value": value})
    if marks.comments:
        texts = {"text": [c.text for c in marks.comments]}
        result.append({"from_name": COMMENT_TAG, "to_name": IMAGE_TAG, "type": "textarea", "value": texts})
    by = {"first_name": name, "email": f"{name}@foveate"}
    return {"completed_by": by, "lead_time": seconds, "ground_truth": truth, "was_cancelled": False, "result": result}


def _result(shape: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    kind, label = shape["kind"], shape["label"]
    rows, cols = size
    meta = {"meta": {"text": [DOUBTFUL]}} if shape["doubtful"] else {}
    if kind == "regions":
        tag = regions_tag(label, doubtful=shape["doubtful"])
        return {"id": shape["id"], "from_name": tag, "type": "choices", "value": {"choices": shape["regions"]}}
    if kind == "ellipse":
        value = _percent(shape["centre"], size) | {
            "radiusX": 100 * shape["radii"][1] / cols,
            "radiusY": 100 * shape["radii"][0] / rows,
            "rotation": math.degrees(shape["turn"]),
        }
    elif kind == "polygon":
        value = {"points": [list(_percent(corner, size).values()) for corner in shape["corners"]], "closed": True}
    elif kind == "point":
        value = _point(shape["at"], size)
    else:
        value = {"format": "rle", "rle": encode(Layer(tuple(shape["runs"])), rows * cols)}
    name = KINDS[kind]
    return meta | {"id": shape["id"], "from_name": kind, "type": name, "value": value | {name: [label]}}


def _percent(point: Sequence[float], size: tuple[int, int]) -> dict[str, float]:
    return {"x": 100 * (point[1] + 0.5) / size[1], "y": 100 * (point[0] + 0.5) / size[0]}


def _point(point: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    return {**_percent(point, size), "width": POINT}


# -- in --------------------------------------------------------------------------------------------------------------


def _marks(results: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return marks as plain data, and what was not understood."""
    marks: dict[str, Any] = {"answers": {}, "findings": {}, "shapes": [], "comments": []}
    lost = []
    layers: dict[tuple[str, bool], list[tuple[Layer, tuple[int, int]]]] = {}
    kinds = {name: kind for kind, name in KINDS.items()}
    for number, one in enumerate(results):
        value, kind, name = one["value"], one["type"], str(one.get("from_name", ""))
        doubtful = DOUBTFUL in one.get("meta", {}).get("text", ())
        if kind == "choices":
            _choices(marks, name, [str(c) for c in value["choices"]], str(one.get("id") or number), doubtful)
            continue
        if kind == "textarea":
            marks["comments"] += [{"text": str(text)} for text in value["text"]]
            continue
        if kind not in kinds:
            lost.append(f"type must be one of {[*KINDS.values(), 'choices', 'textarea']}, got {kind!r}; left out")
            continue
        size = (int(one["original_height"]), int(one["original_width"]))
        if name == LANDMARKS_TAG:
            marks[value["keypointlabels"][0]] = _place(value["x"], value["y"], size)
            continue
        label = str(value[kind][0])
        if kind == "brushlabels":
            layers.setdefault((label, doubtful), []).append((decode(value["rle"], size), size))
            continue
        base = {"id": str(one.get("id") or number)[:40], "label": label, "kind": kinds[kind], "doubtful": doubtful}
        marks["shapes"].append(base | _shape(kinds[kind], value, size))
    for (label, doubtful), some in layers.items():
        runs = packed(rasterise(some[0][1], [layer for layer, _ in some])).runs
        if runs:
            base = {"id": f"brush {len(marks['shapes'])}", "label": label, "kind": "brush", "doubtful": doubtful}
            marks["shapes"].append(base | {"runs": list(runs)})
    return marks, lost


def _choices(marks: dict[str, Any], tag: str, chosen: list[str], key: str, doubtful: bool) -> None:
    of = regions_of(tag)
    if of is not None:
        base = {"id": key[:40], "label": of[0], "kind": "regions", "doubtful": of[1] or doubtful}
        marks["shapes"].append(base | {"regions": chosen})
    elif tag == FINDINGS_TAG:
        marks["findings"] |= dict(item.rsplit("=", 1) for item in chosen)
    elif tag == UNGRADABLE_TAG:
        marks["ungradable"] = {"reasons": [c for c in chosen if c != YES]}
    else:
        marks["answers"][question_of(tag)] = chosen[0]


def _shape(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    if kind == "ellipse":
        return {
            "centre": _place(value["x"], value["y"], size),
            "radii": [value["radiusY"] * size[0] / 100, value["radiusX"] * size[1] / 100],
            "turn": math.radians(value.get("rotation", 0.0)),
        }
    if kind == "polygon":
        return {"corners": [_place(x, y, size) for x, y in value["points"]]}
    return {"at": _place(value["x"], value["y"], size)}


def _place(x: float, y: float, size: tuple[int, int]) -> list[float]:
    return [y * size[0] / 100 - 0.5, x * size[1] / 100 - 0.5]


def _names(by: Any) -> tuple[str, ...]:
    if isinstance(by, Mapping):
        return tuple(str(by[key]) for key in ("first_name", "email", "id") if key in by)
    return (str(by),)
