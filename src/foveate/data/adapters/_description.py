"""Read a dataset.toml; docs/reference/dataset_toml.md describes its contents."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from foveate.core.labels import YES_NO, LabelSchema, Question
from foveate.core.types import MaskSource
from foveate.data.derive import labels_present
from foveate.data.lines import explain

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Column(BaseModel):
    """A column and how its text is read."""

    model_config = STRICT
    column: str
    values: dict[str, str] = {}
    unknown: list[str] = []


class Pair(BaseModel):
    """Two columns with numbers, across (x) and down (y), both times scale."""

    model_config = STRICT
    x: str
    y: str
    scale: float = Field(1.0, gt=0)


TextColumn = Annotated[Column | None, BeforeValidator(_column)]
Values = Annotated[list[int], BeforeValidator(_listed)]
Texts = Annotated[list[str], BeforeValidator(_listed)]


class Columns(BaseModel):
    """Which column holds what of a row."""

    model_config = STRICT
    patient: TextColumn = None
    eye: TextColumn = None
    laterality: TextColumn = None
    modality: TextColumn = None
    volume: TextColumn = None
    position: TextColumn = None
    split: TextColumn = None
    fold: TextColumn = None
    disc: Pair | None = None
    fovea: Pair | None = None
    spacing: Pair | None = None


class Table(BaseModel):
    """A csv file with one line per image."""

    model_config = STRICT
    file: str
    id: str
    delimiter: str | None = Field(None, min_length=1, max_length=1)


class Asked(BaseModel):
    """A question and the column with its answers."""

    model_config = STRICT
    column: str | None = None
    values: dict[str, str] = {}
    answers: list[str] = []
    ordered: bool = False
    healthy: str | None = None
    evidence: Texts = []
    unknown: Texts = []
    leave_out: Texts = []
    derive: Annotated[list[str], BeforeValidator(labels_present)] = []

    def question(self, name: str) -> Question:
        """The question it asks; answers in the order given, else that of ``values``, else no and yes."""
        answers = tuple(self.answers) or tuple(dict.fromkeys(self.values.values())) or YES_NO
        return Question(
            name,
            YES_NO if set(answers) == set(YES_NO) else answers,
            self.ordered,
            tuple(self.derive or self.evidence),
            healthy=self.healthy,
        )


class Mask(BaseModel):
    """Mask files of one label by one annotator."""

    model_config = STRICT
    masks: str | None = None
    index: Annotated[list[int] | None, BeforeValidator(lambda v: v if v is None else _listed(v))] = None
    bit: int | None = Field(None, ge=0, lt=32)
    above: float | None = None
    below: float | None = None
    ignore: Values = []
    annotator: str = Field("grader1", validation_alias=AliasChoices("annotator", "grader"))  # the former key
    missing: Literal["error", "absent", "unknown"] = "error"

    @model_validator(mode="after")
    def _one_way(self) -> Mask:
        ways = [name for name in ("index", "bit", "above", "below") if getattr(self, name) is not None]
        if len(ways) != (1 if self.masks else 0):
            raise ValueError(
                f'with masks = "dir/{{id}}.png" goes exactly one of index, bit, above, below (given: {ways or "none"})'
            )
        return self

    def source(self, path: str | None) -> MaskSource:
        """This annotator's mask in a file, or without one the statement that the label is absent."""
        if path is None:
            return MaskSource(annotator=self.annotator)
        index = None if self.index is None else tuple(self.index)
        return MaskSource(path, index, self.bit, self.above, self.below, tuple(self.ignore), self.annotator)


Annotators = Annotated[list[Mask], BeforeValidator(_listed)]


class Description(BaseModel):
    """All of a dataset.toml."""

    model_config = STRICT
    name: str = Field(min_length=1)
    licence: str | None = None
    citation: str | None = None
    modality: str | None = None
    spacing: list[float] | None = Field(None, min_length=2, max_length=2)
    images: Annotated[list[str], BeforeValidator(_listed)]
    exclude: Annotated[list[str], BeforeValidator(_listed)] = []
    file_name: str | None = None
    exclusive: bool = False
    table: Annotated[list[Table], BeforeValidator(_listed)] = []
    columns: Columns = Columns()
    questions: dict[str, Asked] = {}
    labels: dict[str, Annotators] = {}
    absent_if: dict[str, dict[str, Texts]] = {}

    @field_validator("images", "exclude")
    @classmethod
    def _below(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError("patterns start inside the data set's folder, like images/*.jpg")
        return patterns

    @field_validator("file_name")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and not re.compile(pattern).groupindex:
                raise ValueError(r"it names no part of the file name; write one like (?P<patient>\d+)")
        except re.error as error:
            raise ValueError(f"no regular expression ({error})") from None
        return pattern

    @property
    def schema_(self) -> LabelSchema:
        """The label schema of the set."""
        return LabelSchema(
            tuple(asked.question(name) for name, asked in self.questions.items()), tuple(self.labels), self.exclusive
        )

    @property
    def info(self) -> dict[str, Any]:
        """Name, licence and citation, where given."""
        return {k: v for k in ("name", "licence", "citation") if (v := getattr(self, k)) is not None}


def describe(path: Path) -> Description:
    """The description in a toml file.

    Raises:
        ValueError: no such file, no TOML, unknown key, wrong value; file, key, value and remedy are named.
    """
    try:
        with path.open("rb") as file:
            description = Description.model_validate(tomllib.load(file))
        _ = description.schema_
    except FileNotFoundError:
        raise ValueError(
            f"{path}: there is no such file; describe the folder in a dataset.toml of a dozen lines"
        ) from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to describe a folder; write it anew") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error, Description)}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return description
