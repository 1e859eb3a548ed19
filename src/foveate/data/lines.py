"""One line of a manifest: row or header to JSON and back, strictly; and what is wrong with a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, get_type_hints

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, create_model

from foveate.core.labels import YES_NO, LabelSchema
from foveate.core.types import Cue, MaskSource, Row

LATERALITIES = ("OD", "OS")
SPLITS = ("train", "val", "test")
ABSENT = (MaskSource(),)
"""Masks of a label that is known to be absent in the image; written ``"absent"``."""

NOWHERE = (Cue(),)
"""Cues of a label that the only annotator of the image did not find; written ``"absent"``."""

VERSION = 2
"""Written today. Version 1 had the key ``grader`` instead of ``annotator``; both are read."""

FORMER = {"annotator": "grader"}
"""Key -> its name in version 1."""

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Question(BaseModel):
    model_config = STRICT
    name: str
    answers: tuple[str, ...] = YES_NO
    ordered: bool = False
    evidence: tuple[str, ...] = ()
    merged: tuple[tuple[str, ...], ...] = ()
    healthy: str | None = None


class _Schema(BaseModel):
    model_config = STRICT
    questions: tuple[_Question, ...] = ()
    labels: tuple[str, ...] = ()
    exclusive: bool = False


class _Header(BaseModel):
    model_config = STRICT
    foveate: Literal[1, 2]
    schema_: _Schema = Field(alias="schema")
    info: dict[str, Any] = {}


def _model(noun: type, **instead: Any) -> type[BaseModel]:
    """A strict model with the fields of a dataclass, so that a field is written down once, in the noun."""
    hints: dict[str, Any] = get_type_hints(noun) | instead
    defaults = {
        f.name: Field(default_factory=f.default_factory)
        if f.default_factory is not MISSING
        else ...
        if f.default is MISSING
        else f.default
        for f in fields(noun)
    }
    make: Any = create_model
    for name in FORMER.keys() & defaults.keys():
        defaults[name] = Field(defaults[name], validation_alias=AliasChoices(name, FORMER[name]))
    model: type[BaseModel] = make(noun.__name__, __config__=STRICT, **{k: (hints[k], v) for k, v in defaults.items()})
    return model


_Source = _model(MaskSource)
_Cue = _model(Cue)
_Row = _model(
    Row,
    masks=dict[str, Literal["absent"] | list[_Source]],  # type: ignore[valid-type]
    cues=dict[str, Literal["absent"] | list[_Cue]],  # type: ignore[valid-type]
)


def row_from_line(text: str) -> Row:
    """The row that a line describes.

    Raises:
        ValueError: not JSON, unknown key, wrong type, a mask that cannot be; the message names value and remedy.
    """
    data = _checked(_Row, text).model_dump()
    masks = {}
    for label, sources in data["masks"].items():
        if sources == []:
            raise ValueError(f'masks.{label}=[]: leave the label out where it is unknown, or write "absent"')
        masks[label] = ABSENT if sources == "absent" else tuple(MaskSource(**source) for source in sources)
    cues = {}
    for label, given in data["cues"].items():
        if given == []:
            raise ValueError(f'cues.{label}=[]: leave the label out where it is unknown, or write "absent"')
        cues[label] = NOWHERE if given == "absent" else tuple(Cue(**cue) for cue in given)
    return Row(**{**data, "masks": masks, "cues": cues})


def row_to_line(row: Row, *, version: int = VERSION) -> str:
    """Write the line of a row, compact: empty fields are left out; fields in the order of the noun.

    Version 1 remains for `Manifest.hash`: runs of before find their data by it.
    """
    data = _filled(row, version)
    if row.masks:
        data["masks"] = {
            k: "absent" if m == ABSENT else [_filled(source, version) for source in m] for k, m in row.masks.items()
        }
    if row.cues:
        data["cues"] = {
            k: "absent" if c == NOWHERE else [_filled(cue, version) for cue in c] for k, c in row.cues.items()
        }
    if row.readings:
        data["readings"] = {reader: dict(answers) for reader, answers in row.readings.items()}
    return _dumps(data)


def header_from_line(text: str) -> tuple[LabelSchema, dict[str, Any]]:
    """Schema and info of a manifest's first line; ValueError if it is none."""
    header = _checked(_Header, text)
    data = header.model_dump(by_alias=True)
    return LabelSchema.from_json(data["schema"]), data["info"]


def header_to_line(schema: LabelSchema, info: Mapping[str, Any]) -> str:
    """A manifest's first line; TypeError if info holds what JSON cannot."""
    return _dumps({"foveate": VERSION, "schema": schema.to_json(), "info": dict(info)})


def problem(row: Row, schema: LabelSchema) -> str | None:
    """The first fault of a row under a schema, and the remedy; None if there is none."""
    for name in ("id", "image"):
        if not getattr(row, name).strip():
            return f"{name}={getattr(row, name)!r} is empty; give the image a name and a file"
    try:
        for question, answer in row.answers.items():
            schema.question(question).index(answer)
    except ValueError as error:
        return f"answers: {error}"
    try:
        for question, answer in ((q, a) for given in row.readings.values() for q, a in given.items()):
            schema.question(question).index(answer)
    except ValueError as error:
        return f"readings: {error}"
    if strange := sorted(set(row.cues) - set(schema.labels)):
        return f"cues: label must be one of {list(schema.labels)}, got {strange[0]!r}; add it to the schema or drop it"
    if strange := sorted(set(row.masks) - set(schema.labels)):
        return f"masks: label must be one of {list(schema.labels)}, got {strange[0]!r}; add it to the schema or drop it"
    if row.laterality not in (None, *LATERALITIES):
        return f"laterality={row.laterality!r}: write 'OD' for a right eye, 'OS' for a left one, or leave it out"
    if row.split not in (None, *SPLITS):
        return f"split must be one of {list(SPLITS)}, got {row.split!r}; rename it or leave it out"
    if row.fold is not None and row.fold < 0:
        return f"fold={row.fold}: folds count from 0"
    if row.spacing is not None and min(row.spacing) <= 0:
        return f"spacing={list(row.spacing)}: give millimetres per row and per column, both above 0"
    return None


def _checked(model: type[BaseModel], text: str) -> BaseModel:
    try:
        json.loads(text, object_pairs_hook=_once)
        return model.model_validate_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos + 1} ({error.msg}): {text.strip()[:60]!r}") from None
    except RecursionError:
        raise ValueError(f"nested too deeply for a line of a manifest: {text.strip()[:60]!r}; write it anew") from None
    except ValidationError as error:
        raise ValueError(explain(error, model)) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The most specific thing wrong with data of a user: key, value and remedy."""
    first = max(error.errors(), key=lambda e: len(e["loc"]))  # of a choice, the one that came furthest
    key = ".".join(str(part) for part in first["loc"] if not isinstance(part, str) or "[" not in part) or "the line"
    if first["type"] == "extra_forbidden":
        known = [f.alias or name for name, f in model.model_fields.items()]
        there = f"; known are {known}" if len(first["loc"]) == 1 else ""
        return f"unknown key {key!r} (value {_short(first['input'])}){there}; correct the spelling or leave it out"
    if first["type"] == "missing":
        return f"key {key!r} is missing; add it"
    said = first["msg"].removeprefix("Value error, ")
    return f"{key}={_short(first['input'])}: {said[0].lower() + said[1:]}; correct it or leave it out"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in names if names.count(k) > 1)!r} is there twice; keep one")
    return data


def _filled(noun: Row | MaskSource | Cue, version: int) -> dict[str, Any]:
    """Fields that differ from their default, and are not empty."""
    out = {}
    former = FORMER if version == 1 else {}
    for f in fields(noun):
        value = getattr(noun, f.name)
        if value not in (None, (), {}) and value != f.default:
            kept = f.name in ("masks", "cues") or not isinstance(value, Mapping)
            out[former.get(f.name, f.name)] = value if kept else dict(value)
    return out


def _dumps(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)
