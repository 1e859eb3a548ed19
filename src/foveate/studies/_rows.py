"""Rows of a study: each takes of the keywords common to all what has an effect on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.engine.recipe import Recipe
from foveate.engine.study import Study
from foveate.recipes import load_recipe
from foveate.recipes._lookup import placed


def row_recipe(name: str, schema: LabelSchema, common: Mapping[str, Any], **own: Any) -> Recipe:
    """The recipe of a row: the method, or its comparison if its keywords are not the method's.

    Args:
        name: of the method.
        schema: the manifest's.
        common: keywords for all rows; those that have no effect on this one are left out.
        own: the row's; they win.

    Raises:
        ValueError: neither the method nor its comparison knows a keyword.
    """
    place, keywords = placed(name, {**common, **own})
    return load_recipe(place, schema, **keywords)


def refuse_unused(study: Study, common: Mapping[str, Any]) -> None:
    """ValueError if a keyword that is given to all rows of a study has no effect on any."""
    used = {name for table in study.values() for recipe in table.values() for name in recipe.keywords}
    if idle := sorted(set(common) - used):
        raise ValueError(
            f"study {study.name!r}: keyword {idle} has no effect on any row; leave it out. Rows use {sorted(used)}"
        )
