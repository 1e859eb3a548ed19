"""Several readings of the same images as one: the mean of their probabilities, as logits that mean it."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.core.arrays import Tensor
from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs


def mean_outputs(outputs: Sequence[Outputs], schema: LabelSchema) -> Outputs:
    """Outputs whose probabilities (pixels, answers, activation maps) are the means of those of several outputs.

    Probabilities are averaged, not logits, as `engine.window.SlidingWindow` does: one reading that is sure of itself
    does not outvote the others. One alone comes back as it is; features and deep supervision of several are left out.

    Args:
        outputs: of the same batch and of networks of one kind; at least one.
        schema: the meaning of the channels.
    """
    if len(outputs) == 1:
        return outputs[0]
    pixel = [schema.channel_probability(out.pixel) for out in outputs if out.pixel is not None]
    image = [schema.image_probability(out.image) for out in outputs if out.image is not None]
    maps = [schema.activation_probability(out.activation) for out in outputs if out.activation is not None]
    return Outputs(
        pixel=schema.logits_of(mean(pixel)) if pixel else None,
        image=schema.image_logits_of({q: mean([p[q] for p in image]) for q in image[0]}) if image else None,
        activation=schema.activation_logits_of(mean(maps)) if maps else None,
    )


def mean(values: Sequence[Tensor]) -> Tensor:
    """Mean of tensors of one shape, added two by two.

    So the mean over an image, its mirror image and both of them upside down is the same number for each of the four.
    """
    return _sum(values) / len(values)


def _sum(values: Sequence[Tensor]) -> Tensor:
    half = len(values) // 2
    return values[0] if not half else _sum(values[:half]) + _sum(values[half:])
