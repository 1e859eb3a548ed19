"""Activation maps of a run's answers on its frame: a finding's own map, else Grad-CAM divided by its maximum."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from foveate.core.labels import LabelSchema
from foveate.core.map_cells import on_frame
from foveate.core.mean import mean
from foveate.engine.localisation import strength
from foveate.engine.run import Pass, Step
from foveate.models.cam import closed_form, grad_cams, head_weight, linear_weight, normalise, of_answer, on_image

Key = tuple[str, str]
"""(question, answer)."""


def maps_of_passes(
    passes: Sequence[Pass], schema: LabelSchema, frame: tuple[int, int], *, checked: bool = False
) -> dict[Key, Tensor]:
    """Return (question, answer) -> map ``(b, h, w)`` in [0, 1] on the frame.

    A finding's own map is of "yes"; every other answer has its Grad-CAM, divided by its maximum. Of several passes
    (networks of an ensemble, views) the mean, each Grad-CAM divided by its maximum before and their mean after.

    Args:
        passes: of one batch.
        schema: of the run.
        frame: (rows, cols) of the run's frame.
        checked: the heads are known to be linear (`closed_form_holds`), so that nothing is compared and no gradient is
            needed: a graph cannot do either.
    """
    found: dict[Key, list[Tensor]] = {}
    own = own_findings(passes[-1], schema)
    for one in passes:
        for key, full in _maps_of(answering(one), schema, frame, checked=checked).items():
            found.setdefault(key, []).append(full.flip(one.axes) if one.axes else full)
    out = {}
    for key, several in found.items():
        full = mean(several)
        out[key] = normalise(full) if len(several) > 1 and key[0] not in own else full
    return out


def answering(one: Pass) -> Step:
    """Return the last stage of a pass that answers."""
    return [step for step in one.steps if step.outputs.image is not None][-1]


def own_findings(one: Pass, schema: LabelSchema) -> list[str]:
    """Return the findings that have an activation map of their own in a pass."""
    step = answering(one)
    own = strength(step.outputs, step.batch) is not None
    return [question.name for question in schema.findings] if own else []


def closed_form_holds(one: Pass, schema: LabelSchema) -> bool:
    """Whether all maps of a pass can be made without a gradient."""
    step, own = answering(one), own_findings(one, schema)
    others = [q.name for q in schema.questions if q.name not in own]
    return not others or linear_weight(step.network, step.outputs) is not None


def _maps_of(step: Step, schema: LabelSchema, frame: tuple[int, int], *, checked: bool) -> dict[Key, Tensor]:
    """Return (question, answer) -> map ``(b, h, w)`` of a stage, which may have a frame of its own (`Stage.size`)."""
    size = (step.batch.image.shape[2], step.batch.image.shape[3])
    strong = strength(step.outputs, step.batch)
    own = [question.name for question in schema.findings] if strong is not None else []
    maps: dict[Key, Tensor] = {}
    if strong is not None:
        for name in own:
            channel, _ = schema.channel(name, "yes")
            maps[name, "yes"] = on_frame(strong[:, channel : channel + 1], size)[:, 0]
    others = [(q.name, answer) for q in schema.questions if q.name not in own for answer in q.answers]
    raws = _grad_cams(step, [schema.channel(*key) for key in others], checked=checked)
    for key, raw in zip(others, raws, strict=True):
        maps[key] = on_image(normalise(raw), size=size)
    return {key: full if size == frame else _enlarged(full, frame) for key, full in maps.items()}


def _grad_cams(step: Step, channels: Sequence[tuple[int, float]], *, checked: bool) -> list[Tensor]:
    """Grad-CAM of image logits (channel, sign) of a stage: in closed form from its pass, if its head is linear.

    Otherwise the network is called once more, with gradients, for all of them.
    """
    if not channels:
        return []
    weight = head_weight(step.network) if checked else linear_weight(step.network, step.outputs)
    if weight is not None:
        feature = step.outputs.features[-1].float()
        return [closed_form(feature, weight=weight[channel] * sign) for channel, sign in channels]
    targets = [of_answer(channel, sign=sign) for channel, sign in channels]
    return grad_cams(step.network, step.batch.image, targets=targets, prior=step.batch.prior)


def _enlarged(maps: Tensor, frame: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[:, None], frame, mode="bilinear", align_corners=False)[:, 0]
