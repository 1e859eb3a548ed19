"""Metrics of activation maps: means over the images in which a finding is there and a cue or a mask of it is known."""

from __future__ import annotations

import numpy as np

from foveate.metrics.metric import Metric
from foveate.metrics.parts import FindingPart, Values


def on_cue(part: FindingPart) -> Values:
    """Activation in region: share of the activation that is on the cue.

    >>> from foveate.metrics.parts import finding_of
    >>> on_cue(finding_of([True, False], cue=[0.8, 0.2]))
    array([0.5])
    """
    return part.mean(part["cue"])


def on_cue_yes(part: FindingPart) -> Values:
    """AIR of the images answered "yes".

    >>> from foveate.metrics.parts import finding_of
    >>> on_cue_yes(finding_of([True, False], cue=[0.8, 0.2], given=[1, 0]))
    array([0.8])
    """
    return part.mean(np.where(part["given"] == 1, part["cue"], np.nan))


def on_cue_no(part: FindingPart) -> Values:
    """AIR of the images answered "no".

    >>> from foveate.metrics.parts import finding_of
    >>> on_cue_no(finding_of([True, False], cue=[0.8, 0.2], given=[1, 0]))
    array([0.2])
    """
    return part.mean(np.where(part["given"] == 0, part["cue"], np.nan))


def on_cue_called(part: FindingPart) -> Values:
    """AIR of the images from the best operating point on (Son et al. 2018).

    >>> from foveate.metrics.parts import finding_of
    >>> on_cue_called(finding_of([True, False], cue=[0.8, 0.2]))
    array([0.8])
    """
    return part.among(part["cue"], part.called)


def on_cue_missed(part: FindingPart) -> Values:
    """AIR of the images below the best operating point.

    >>> from foveate.metrics.parts import finding_of
    >>> on_cue_missed(finding_of([True, False], cue=[0.8, 0.2]))
    array([0.2])
    """
    return part.among(part["cue"], ~part.called)


def cue_share(part: FindingPart) -> Values:
    """Share of the image that the cue takes: the AIR of a map that ignores it.

    >>> from foveate.metrics.parts import finding_of
    >>> cue_share(finding_of([True, False], share=[0.25, 0.75]))
    array([0.5])
    """
    return part.mean(part["share"])


def on_mask(part: FindingPart) -> Values:
    """Share of the activation that is on the mask.

    >>> from foveate.metrics.parts import finding_of
    >>> on_mask(finding_of([True, False], mask=[0.5, float("nan")]))
    array([0.5])
    """
    return part.mean(part["mask"])


def hits(part: FindingPart) -> Values:
    """Pointing game: whether the map's highest cell holds some of the mask.

    >>> from foveate.metrics.parts import finding_of
    >>> hits(finding_of([True, False], hit=[1.0, 0.0]))
    array([0.5])
    """
    return part.mean(part["hit"])


def dice_of_activation(part: FindingPart) -> Values:
    """Dice of the activation from 0.5 on with the mask.

    >>> from foveate.metrics.parts import finding_of
    >>> dice_of_activation(finding_of([True, False], dice=[0.5, 1.0]))
    array([0.75])
    """
    return part.mean(part["dice"])


METRICS = (
    Metric("map/air", "AIR", on_cue, of="finding"),
    Metric("map/air_tp", "AIR of TP", on_cue_yes, of="finding"),
    Metric("map/air_fn", "AIR of FN", on_cue_no, of="finding"),
    Metric("map/harmonic_air_tp", "AIR of TP", on_cue_called, of="finding"),
    Metric("map/harmonic_air_fn", "AIR of FN", on_cue_missed, of="finding"),
    Metric("map/cue_share", "cue's share", cue_share, of="finding", better="neither"),
    Metric("map/air_mask", "AIR within mask", on_mask, of="finding"),
    Metric("map/pointing", "pointing game", hits, of="finding"),
    Metric("map/activation_dice", "Dice of activation", dice_of_activation, of="finding"),
)
