"""Presence without place: a classifier that says of each label whether the image bears it, all over the image."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs


class Presence(nn.Module):
    """Pixel logits that are the same at every pixel of an image: the classifier's logit for that label.

    So losses and figures of presence, which take the highest of the pixels, serve it as they serve a network that
    marks. Its masks are the whole image or nothing, and are worth nothing as masks: `core.reading.presence_only` tells
    them, and pictures, areas and explanations leave them out.

    Args:
        schema: its labels are asked for.
        classifier: makes the network for a schema of questions, one yes/no question a label.

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
        """Pixel logits, and as ``aux`` those of an attention branch where the classifier has one."""
        found = self.classifier(image)
        aux = () if found.activation is None else (over(found.activation.mean((2, 3)), image),)
        return Outputs(pixel=over(found.image, image), features=found.features, aux=aux)


def over(logits: Float[Tensor, "b l"], image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b l h w"]:
    """Each logit at every pixel of the image."""
    return logits[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
