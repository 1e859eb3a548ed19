"""Read a map.toml, the mapping of a merge; docs/guides/merge.md describes its contents."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from foveate.data.derive import labels_present
from foveate.data.lines import explain

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _renamed(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else {"to": None} if value is False else value


def _dropped(value: Any) -> Any:
    return None if value is False else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Name = Annotated[str, Field(min_length=1)]


class LabelMap(BaseModel):
    """Mapping of a label: a new name, or None to drop it."""

    model_config = STRICT
    to: Name | None


class QuestionMap(BaseModel):
    """Mapping of a question and its answers: new names, or None for an answer that becomes unknown."""

    model_config = STRICT
    to: Name | None
    answers: dict[str, Annotated[str | None, BeforeValidator(_dropped)]] = {}


class SourceMap(BaseModel):
    """How one manifest changes. Names that are not here stay as they are.

    Args:
        questions, labels: old name -> new name.
        people: sources with the same name share their patients.
        absent: labels of the merged set that are nowhere in the images of this source.
        absent_if: question -> answer -> labels that are nowhere in the images with that answer.
        exclusive: whether its labels do not overlap.
    """

    model_config = STRICT
    questions: dict[str, Annotated[QuestionMap, BeforeValidator(_renamed)]] = {}
    labels: dict[str, Annotated[LabelMap, BeforeValidator(_renamed)]] = {}
    people: Name | None = None
    absent: Annotated[list[str], BeforeValidator(_listed)] = []
    absent_if: dict[str, dict[str, Annotated[list[str], BeforeValidator(_listed)]]] = {}
    exclusive: Literal[True] | None = None


class Merged(BaseModel):
    """A question of the merged manifest, if the sources do not ask it alike or its answers come from masks."""

    model_config = STRICT
    answers: list[str] = ["no", "yes"]
    ordered: bool = False
    evidence: Annotated[list[str], BeforeValidator(_listed)] = []
    healthy: str | None = None
    derive: Annotated[list[str], BeforeValidator(labels_present)] = []


class Mapping(BaseModel):
    """All of a map.toml; an empty one joins what has the same name.

    Args:
        name: of the merged set.
        exclusive: whether a pixel of the merged set has at most one label; None = if this is so in every source.
        splits: keep the sources' splits and folds, or reset them.
        questions: of the merged set, if they differ between the sources.
        sources: by `merge.source_name`.
    """

    model_config = STRICT
    name: Name = "merged"
    exclusive: bool | None = None
    splits: Literal["keep", "reset"] = "keep"
    questions: dict[str, Merged] = {}
    sources: dict[str, SourceMap] = {}


def read_mapping(path: str | Path) -> Mapping:
    """The mapping in a toml file.

    Raises:
        ValueError: no such file, no TOML, unknown key, wrong value; file, key, value and remedy are named.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return Mapping.model_validate(tomllib.load(file))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; without --map what has the same name is joined") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error, Mapping)}") from None
