"""Refuse keywords of a wrong type before anything is trained: the types are those of the recipe's function."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from foveate.engine.recipe import TRAINING, Recipe

WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}
"""Type -> its name in a message."""

POSITIVE = frozenset(
    {"size", "epochs", "batch", "accumulate", "lr", "encoder_lr", "grade_lr", "grade_epochs", "answer_size"}
    | {"answer_epochs", "window", "validate_every", "validations"}
)
"""Keywords that must be finite and above 0, if they are given as a number; recipes check the ranges of others."""


def refuse_types(name: str, make: Callable[..., Recipe], keywords: Mapping[str, Any]) -> None:
    """Check the given keywords against the annotations of a recipe's function, or of `Recipe` for `TRAINING`.

    A keyword without an annotation, or with one that cannot be read (a user's own file), is not checked.

    Raises:
        ValueError: names recipe, keyword, value, the types that are allowed, and the remedy if it can be guessed.
    """
    hints = {k: v for k, v in _hints(Recipe).items() if k in TRAINING} | _hints(make)
    for key, value in keywords.items():
        if key in hints and (wrong := _wrong(value, hints[key], positive=key in POSITIVE)):
            raise ValueError(f"recipe {name!r}: {key} must be {wrong}, got {value!r}{_remedy(key, value, hints[key])}")


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of)
    except (NameError, TypeError, AttributeError):  # a user's own file may name what is imported for types only
        return {}


def _wrong(value: Any, hint: Any, *, positive: bool) -> str:
    """The rule that a value breaks, as the end of a sentence; empty if it breaks none."""
    try:
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value, strict=True)
    except ValidationError:
        return written(hint)
    except PydanticSchemaGenerationError:
        return ""
    if not positive or value is None:
        return ""
    return "finite" if not math.isfinite(value) else "" if value > 0 else "above 0"


def written(hint: Any) -> str:
    """A type in words.

    >>> written(int | None), written(float)
    ('a whole number or null', 'a number')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(written(one) for one in get_args(hint)))
    if hint in WORDS:
        return WORDS[hint]
    return "a list" if get_origin(hint) is not None else str(getattr(hint, "__name__", hint))


def _remedy(key: str, value: Any, hint: Any) -> str:
    """A number with a decimal comma is written with a point."""
    allowed = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if float in allowed and isinstance(value, str):
        try:
            return f"; write {key}={float(value.replace(',', '.')):g}"
        except ValueError:
            return ""
    return ""
