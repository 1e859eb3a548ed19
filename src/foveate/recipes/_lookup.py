"""Recipes by name: their files, their keywords, and which of a paper's recipes keywords belong to."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Collection, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from foveate.core import plugins
from foveate.recipes._effect import Effect, idle

COMPARISONS = "comparisons/"
"""Names of recipes that only a study needs begin so. Their files are in ``studies``, which recipes must not import:
they are found by name (`core.plugins`), and only if somebody asks for one."""

FORMER = {"masks": "annotation_fraction", "aim": "eval_cue", "graders": "annotators"}
"""Former name of a keyword -> its name today."""

BEFORE = {"stretch": False, "anatomy": True}
"""Keyword that earlier versions did not have -> the value by which they worked."""


def recipe_file(name: str) -> ModuleType:
    """Import the file of a recipe.

    Raises:
        ValueError: there is no such recipe; the message lists those there are.
    """
    if name.endswith(".py"):
        return _own(Path(name))
    if name.startswith(COMPARISONS):
        return plugins.load("studies/comparisons", name.removeprefix(COMPARISONS))
    return plugins.load("recipes", name)


def defaults(name: str) -> dict[str, Any]:
    """Keywords of a recipe's function and their defaults.

    Raises:
        ValueError: no such recipe, or its file has no function ``recipe``.
    """
    make = getattr(recipe_file(name), "recipe", None)
    if make is None:
        raise ValueError(f"{name}: has no function recipe(schema, *, ...); see the recipes of foveate for the form")
    return {k: p.default for k, p in inspect.signature(make).parameters.items() if p.kind is p.KEYWORD_ONLY}


def effect_of(name: str) -> Effect:
    """Keywords of a recipe that have an effect only in some combinations (`_effect`)."""
    effect: Effect = getattr(recipe_file(name), "EFFECT", {})
    return effect


def effective(name: str, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords without those that change nothing in this combination; unknown ones are kept."""
    values, effect = {**defaults(name), **keywords}, effect_of(name)
    return {k: v for k, v in keywords.items() if idle(k, values, effect) is None}


def placed(name: str, keywords: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The recipe that keywords belong to, the method or the comparison of that name, and those with an effect there.

    In earlier versions one recipe was both. A study gives its rows such keywords, and old run folders list them.

    Args:
        name: of a method; a name that has no comparison stays.
        keywords: of the method, of its comparison, or of both.
    """
    if not plugins.has("studies/comparisons", name):
        return name, effective(name, keywords)
    other = COMPARISONS + name
    own = recipe_file(other).method(keywords)
    place, given = (other, dict(keywords)) if own is None else (name, own)
    elsewhere = {*defaults(name), *defaults(other)} - set(defaults(place))
    return place, effective(place, {k: v for k, v in given.items() if k not in elsewhere})


def comparison_with(name: str, keywords: Collection[str]) -> str | None:
    """The comparison of a method if it knows these keywords, for a message."""
    other = COMPARISONS + name
    return other if plugins.has("studies/comparisons", name) and set(keywords) <= set(defaults(other)) else None


def renamed(name: str, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of a run that an earlier version wrote, under their names of today."""
    if name.endswith(".py"):
        return dict(keywords)
    known = defaults(name)
    given = {FORMER.get(k, k) if k not in known else k: v for k, v in keywords.items()}
    added = {k: v for k, v in BEFORE.items() if k in known and k not in given}
    every = {**known, **given, **added}
    return {k: v for k, v in added.items() if idle(k, every, effect_of(name)) is None} | given


def _own(path: Path) -> ModuleType:
    """Import a user's own recipe file."""
    if not path.is_file():
        raise ValueError(f"recipe {str(path)!r}: no such file")
    tag = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = spec_from_file_location(f"_foveate_own_{path.stem}_{tag}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"recipe {str(path)!r}: not a Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
