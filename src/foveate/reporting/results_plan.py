"""The plan of a results page: data, studies with their seeds, and the questions that the page answers."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foveate.data.lines import explain

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

ENOUGH = 3
"""Seeds from which a row is not marked as resting on few."""


class PlannedStudy(BaseModel):
    """A study on one data set, with every row trained once per seed.

    Args:
        study: name, as `foveate list studies` has it.
        manifest: its file, from the folder of the work.
        commands: how the manifest is made; printed on the page.
        seeds: of the runs.
        set: keywords of the study.
        tables, rows: some of them; all if left out.
        about: sentence about the data and the settings.
    """

    model_config = STRICT
    study: str
    manifest: str
    commands: list[str] = []
    seeds: list[int] = Field([0, 1, 2], min_length=1)
    set: dict[str, Any] = {}
    tables: list[str] = []
    rows: list[str] = []
    about: str = ""


class PlannedQuestion(BaseModel):
    """A question, answered by the paired difference of two rows.

    Args:
        ask: the question, which yes or no answers.
        of: key of the study.
        table: of the study, with both rows.
        row: method for which the question is asked.
        minus: method that it is compared with.
        metric: a name of `metrics.entries`, higher is better.
        margin: smallest difference that matters: "yes" needs an interval above it. Negative for "without costing".
    """

    model_config = STRICT
    ask: str
    of: str
    table: str
    row: str
    minus: str
    metric: str
    margin: float = 0.0


class ResultsPlan(BaseModel):
    """All of a results file, such as ``docs/results/dual_guidance.toml``.

    Args:
        title: of the page.
        text: paragraph below the title.
        studies: key -> study.
        questions: in the order of the page.
    """

    model_config = STRICT
    title: str
    text: str = ""
    studies: dict[str, PlannedStudy]
    questions: list[PlannedQuestion] = []

    @model_validator(mode="after")
    def _known(self) -> ResultsPlan:
        for one in self.questions:
            if one.of not in self.studies:
                raise ValueError(f"question {one.ask!r}: of must be one of {list(self.studies)}, got {one.of!r}")
        return self


def read_plan(path: Path) -> ResultsPlan:
    """Read a plan; ValueError names the file, the key and the value that is wrong."""
    try:
        with path.open("rb") as file:
            return ResultsPlan.model_validate(tomllib.load(file))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; name the plan of a results page (.toml)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error, ResultsPlan)}") from None
