"""The loss of `auto`, and the rule of all recipes on sets without masks."""

from __future__ import annotations

from foveate.core.labels import LabelSchema
from foveate.losses.answer import cross_entropy
from foveate.losses.weigh import Weigh
from foveate.recipes._marking import marking_terms


def needs_labels(schema: LabelSchema, *, recipe: str) -> None:
    """ValueError if a recipe that marks is asked to learn from a set without masks."""
    if not schema.labels:
        raise ValueError(
            f"{recipe}: the schema has no labels, and the method marks pixels; take a recipe that answers questions "
            "alone (auto, image_quality), or a manifest with masks"
        )


def terms_of(schema: LabelSchema, *, classify: float, rare: float) -> Weigh:
    """Cross entropy of the answers, and the terms of masks of `_marking`; terms without truth are left out.

    Args:
        schema: what the network learns.
        classify: share of the answers, 0 to 1; without masks or without answers the others have all of it.
        rare: power of the weights of rare labels' pixels at the start.
    """
    share = classify if schema.labels and schema.questions else float(bool(schema.questions))
    answers = {"answers": (share, cross_entropy)} if share else {}
    return Weigh(**answers, **marking_terms(schema, share=1 - share, rare=rare))
