"""``pipeline.toml``: the steps of a reading, in order."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from foveate.core.files import file_name

FILE = "pipeline.toml"
EXAMPLE = '[[step]] with name = "grade" and model = "runs/grade"'


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _band(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= value[0] < value[1] <= 1:
        raise ValueError(f"must be two probabilities, the lower one first, got {list(value)}")
    return value


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]
Band = Annotated[tuple[float, float], AfterValidator(_band)]
Probability = Annotated[float, Field(ge=0, le=1)]


class StepSpec(BaseModel):
    """One step: a model, the images that it reads, and which of its answers count.

    Args:
        name: of the step, unique.
        model: run folder or bundle, relative to the file.
        modality: kinds of image that it reads; empty = all.
        laterality: "OD" or "OS"; empty = both, and eyes whose side is unknown.
        when: question of an earlier step -> answers with which this step reads the image.
        stop: question of this step -> answers with which no later step reads the image.
        thresholds: yes/no question -> probability from which the answer is "yes"; else those of the calibration.
        withhold: question -> band of probabilities in which the answer is withheld: for a yes/no question of "yes",
            else of the answer given.
        unlike: share of validation images that may be refused as unlike the training images; None = no such check.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=40)
    model: str
    modality: Several = ()
    laterality: Several = ()
    when: dict[str, Several] = Field(default_factory=dict)
    stop: dict[str, Several] = Field(default_factory=dict)
    thresholds: dict[str, Probability] = Field(default_factory=dict)
    withhold: dict[str, Band] = Field(default_factory=dict)
    unlike: Annotated[float, Field(gt=0, lt=0.5)] | None = None


class PipelineSpec(BaseModel):
    """The content of ``pipeline.toml``.

    Args:
        name: of the pipeline.
        modalities: kinds of image that are sent to it; each needs a step that reads it.
        default_modality: of images that state none.
        step: the steps, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=80)
    modalities: Several = ()
    default_modality: str | None = None
    step: tuple[StepSpec, ...] = Field(min_length=1)


def read_spec(path: Path) -> tuple[PipelineSpec, Path]:
    """Read a pipeline's file; return it with the folder that its paths are relative to.

    Args:
        path: of the file, or of the folder that holds ``pipeline.toml``.

    Raises:
        ValueError: there is no such file, or something in it is wrong; the message names the entry.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: there is no such file; write one with {EXAMPLE}")
    try:
        spec = PipelineSpec.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise ValueError(f"{file}: {place}: {first['msg'].removeprefix('Value error, ')}") from None
    names = [step.name for step in spec.step]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{file}: step {twice[0]!r} is there twice; give each step a name of its own")
    if wrong := [name for name in names if file_name(name, safe="") != name]:
        raise ValueError(f"{file}: step name {wrong[0]!r}: use letters, digits, '_', '-' and '.'")
    return spec, file.parent


def is_pipeline(path: Path) -> bool:
    """Whether a path is a pipeline's file, or a folder with one."""
    return path.suffix == ".toml" or (path / FILE).is_file()


def meets(given: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return why conditions on answers are not met; None if all are.

    Args:
        given: question -> answer, of the steps before; withheld answers are left out.
        wanted: question -> answers that meet it.
    """
    for question, answers in wanted.items():
        if question not in given:
            return f"{question} has no answer"
        if given[question] not in answers:
            return f"{question} is {given[question]}"
    return None
