"""Networks and losses of stage 1 that Lesion-Net is compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import Term
from foveate.losses.balanced import weighted_bce
from foveate.losses.dual_dice import presence_dice
from foveate.losses.overlap import dice_squared, per_label, whole_batch
from foveate.losses.pixel import deep, focal
from foveate.losses.weigh import Weigh
from foveate.models.baselines.abn import ABN, own_logits, start_branch
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.danet import DANet
from foveate.models.baselines.deeplabv3plus import DeepLabV3Plus
from foveate.models.baselines.fcn import FCN
from foveate.models.baselines.presence import Presence
from foveate.models.joint import Joint
from foveate.models.lesion_net import LesionNet
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.transposed import TransposedUNet
from foveate.recipes.lesion_net import dual_losses

Make = Callable[..., nn.Module]

LOSSES: dict[str, Term] = {"wce": weighted_bce, "focal": partial(focal, alpha=0.8, gamma=2.0)}
"""Losses that compare one pixel at a time; "dice" and "dual" are `dice_squared` and `dual_dice`."""

CUT: dict[str, Make] = {"lesion_net": LesionNet, "fcn": FCN}
"""Networks whose path is cut at ``stride``."""

WHOLE: dict[str, Make] = {"deeplabv3plus": DeepLabV3Plus, "danet": DANet}
"""Networks with a path of their own."""

PRESENCE: dict[str, Make] = {"classifier": Classifier, "abn": ABN}
"""Networks that answer whether a lesion is present, and mark nothing."""

NETWORKS = (*CUT, *WHOLE, "unet", *PRESENCE)


def lesion_network(name: str, schema: LabelSchema, *, encoder: str, stride: int) -> Callable[[], nn.Module]:
    """The maker of a network of stage 1."""
    if name in CUT:
        return partial(CUT[name], encoder, schema, stride=stride)
    if name in PRESENCE:
        return partial(Presence, schema, classifier=partial(PRESENCE[name], encoder))
    if name == "unet":
        return partial(Joint, encoder, schema, decoder=partial(TransposedUNet, widths=(512, 256, 128, 64)))
    return partial(WHOLE[name], encoder, schema)


def lesion_losses(name: str, loss: str, *, share: float, late: bool, per_lesion: bool) -> tuple[Weigh, Weigh | None]:
    """Losses of a network of stage 1, before and from the first drop of the rate on.

    Classifiers of presence learn on their part of "dual" alone. DANet and ABN have further outputs, which count fully.
    """
    pool = per_label if per_lesion else whole_batch
    if name in PRESENCE:
        before, after = Weigh(lesions=(1.0, partial(presence_dice, pool=pool))), None
    elif loss == "dual":
        before, after = dual_losses(share=share, late=late, per_lesion=per_lesion)
    else:
        before, after = Weigh(lesions=(1.0, LOSSES.get(loss, partial(dice_squared, pool=pool)))), None
    if name not in ("danet", "abn"):
        return before, after
    return _deep(before), None if after is None else _deep(after)


def with_branch(loss: Weigh) -> Weigh:
    """The loss of ABN's answers, and the same of its attention branch."""
    both = {f"{k}_branch": (w, partial(branch, term=term)) for k, (w, term) in loss.terms.items()}
    return Weigh(**loss.terms, **both)


def branch(outputs: Outputs, batch: Batch, *, term: Term) -> Tensor:
    """A term of the answers, applied to those of the attention branch."""
    return term(outputs._replace(image=own_logits(outputs)), batch)


def filled_abn(network: nn.Module, *, weights: str) -> None:
    """Fill every encoder from a file or the hub, and the attention branch from the last stage of its trunk."""
    pretrain(network, weights=weights)
    start_branch(network)


def _deep(loss: Weigh) -> Weigh:
    return Weigh(**{k: (w, partial(deep, weights=1.0, term=term)) for k, (w, term) in loss.terms.items()})
