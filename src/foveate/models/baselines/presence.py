"""Presence without place: a classifier whose logit for each label is repeated over the whole image."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs


class Presence(nn.Module):
    """Classifier with pixel logits: the logit of a label is the same at every pixel of the image.

    So losses and metrics of presence, which take the highest pixel, apply to it as to a network that marks. Its masks
    cover the whole image or nothing and carry no information about place: `core.reading.presence_only` recognises them,
    and pictures, areas and explanations leave them out.

    Args:
        schema: its labels become the questions.
        classifier: makes the network for a schema with one yes/no question per label.

    Raises:
        ValueError: the schema has no labels, or they are exclusive.
    """

    def __init__(self, schema: LabelSchema, *, classifier: Callable[[LabelSchema], nn.Module]) -> None:
        super().__init__()
        if not schema.labels or schema.exclusive:
            raise ValueError(
                f"labels={list(schema.labels)}, exclusive={schema.exclusive}: give overlapping labels; an image may "
                "bear several"
            )
        self.classifier = classifier(LabelSchema(tuple(Question(label) for label in schema.labels)))

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits, and those of an attention branch as ``aux`` if the classifier has one."""
        found = self.classifier(image)
        aux = () if found.activation is None else (over(found.activation.mean((2, 3)), image),)
        return Outputs(pixel=over(found.image, image), features=found.features, aux=aux)


def over(logits: Float[Tensor, "b l"], image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b l h w"]:
    """Repeat each logit at every pixel of the image."""
    return logits[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
