"""Grad-CAM as a pure function, its closed form for a linear head on a mean, and its enlargement to the image.

Selvaraju et al. 2017: L = ReLU(sum_k alpha_k A_k), alpha_k = mean over positions of d target / d A_k (eqs 1, 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foveate.core.types import Outputs
from foveate.models.parts.heads import ImageHead

Target = Callable[[Outputs], Tensor]
"""Quantity that a map explains: a network's outputs -> one number per image, ``(b,)``."""


def of_answer(channel: int | Int[Tensor, " b"], *, sign: float | Float[Tensor, " b"] = 1.0) -> Target:
    """Explain an image logit; `LabelSchema.channel` gives channel and sign of an answer.

    Args:
        channel: of the image logits; a tensor gives each image its own (its predicted class).
        sign: -1 explains the "no" of a yes/no question; a tensor gives each image its own.

    Raises:
        ValueError: (from the target) the network gives no image logits or has no such channel.
    """

    def target(outputs: Outputs) -> Tensor:
        logits = outputs.image
        if logits is None:
            raise ValueError("of_answer: the network gives no image logits; explain a label with of_label")
        if isinstance(channel, int):
            if not 0 <= channel < logits.shape[1]:
                raise ValueError(f"channel={channel} must be from 0 to {logits.shape[1] - 1}; see LabelSchema.channel")
            return logits[:, channel] * sign
        return logits.gather(1, channel.to(logits.device)[:, None])[:, 0] * sign

    return target


def of_label(channel: int, *, where: Bool[Tensor, "b h w"] | None = None) -> Target:
    """Explain a label: the mean of its pixel logits (Vinogradova et al. 2020, Seg-Grad-CAM, up to a factor).

    Args:
        channel: of the pixel logits (0 is the background when labels are exclusive).
        where: pixels that count, for instance those predicted to bear the label; None = all. An image without any
            gets 0.

    Raises:
        ValueError: (from the target) the network gives no pixel logits or has no such channel.
    """

    def target(outputs: Outputs) -> Tensor:
        if outputs.pixel is None or not 0 <= channel < outputs.pixel.shape[1]:
            count = 0 if outputs.pixel is None else outputs.pixel.shape[1]
            raise ValueError(
                f"channel={channel} must be one of the {count} pixel logits; explain an answer with of_answer"
            )
        logits = outputs.pixel[:, channel]
        counts = torch.ones_like(logits) if where is None else where.to(logits)
        return (logits * counts).sum((1, 2)) / counts.sum((1, 2)).clamp_min(1)

    return target


def grad_cam(
    network: nn.Module,
    image: Float[Tensor, "b c h w"],
    *,
    target: Target,
    layer: int = -1,
    prior: Float[Tensor, "b k h w"] | None = None,
) -> Float[Tensor, "b i j"]:
    """Map the evidence for the target: >= 0, unscaled, at the resolution of the feature map, on the image's device.

    See `grad_cams` for several targets of one image.

    Works under ``no_grad`` and ``inference_mode`` and with frozen parameters. Leaves no gradient, hook or state behind.

    Args:
        network: in evaluation mode, so that images do not influence each other.
        image: as the network reads it.
        target: `of_answer`, `of_label`, or your own function of the outputs.
        layer: which of ``Outputs.features``; -1 = the coarsest.
        prior: as the network reads it.

    Raises:
        ValueError: the network is in training mode, has no such layer, or the target does not depend on it.
    """
    return grad_cams(network, image, targets=[target], layer=layer, prior=prior)[0]


def grad_cams(
    network: nn.Module,
    image: Float[Tensor, "b c h w"],
    *,
    targets: Sequence[Target],
    layer: int = -1,
    prior: Float[Tensor, "b k h w"] | None = None,
) -> list[Float[Tensor, "b i j"]]:
    """`grad_cam` of several targets, one map each: one forward pass, one backward pass per target.

    Arguments and errors as for `grad_cam`.
    """
    if network.training:
        raise ValueError("network is in training mode, where images of a batch mix; call network.eval() first")
    if not targets:
        return []
    with torch.inference_mode(False), torch.enable_grad():
        # The image is a fresh leaf that requires its gradient: so autograd records every map, even if all parameters
        # are frozen.
        outputs: Outputs = network(
            image.detach().clone().requires_grad_(), None if prior is None else prior.detach().clone()
        )
        if not -len(outputs.features) <= layer < len(outputs.features):
            raise ValueError(
                f"layer={layer}: the network gives {len(outputs.features)} feature maps; -1 is the coarsest"
            )
        feature = outputs.features[layer]
        last = len(targets) - 1
        gradients = [
            torch.autograd.grad(target(outputs).sum(), feature, allow_unused=True, retain_graph=i < last)[0]
            for i, target in enumerate(targets)
        ]
    maps = []
    for gradient in gradients:
        if gradient is None:
            raise ValueError(f"layer={layer}: the target does not depend on this feature map; explain another layer")
        alpha = gradient.detach().float().mean((2, 3))
        maps.append(torch.einsum("bk,bkij->bij", alpha, feature.detach().float()).relu())
    return maps


LINEAR = 1e-3
"""Largest difference of image logits, as a share of their size, up to which a head counts as linear on a mean."""


def linear_weight(network: nn.Module, outputs: Outputs) -> Float[Tensor, "c k"] | None:
    """Weights of the image logits in the means of the coarsest map, for `closed_form`; None if they are not linear.

    The weights are checked: applied to these outputs' own map they must give these outputs' own logits. So a network
    that gates or combines its answers is never explained by the wrong map.

    Args:
        network: of these outputs; its head is ``image_head``, as in all of `foveate.models`.
        outputs: of one pass.
    """
    head = getattr(network, "image_head", None)
    if not isinstance(head, ImageHead) or outputs.image is None or not outputs.features:
        return None
    feature, weight = outputs.features[-1].float(), head.weight.detach().float()
    if feature.shape[1] != weight.shape[1] or outputs.image.shape[1] != len(weight):
        return None
    logits = feature.mean((2, 3)) @ weight.T + head.bias.detach().float()
    near = LINEAR * max(1.0, float(outputs.image.abs().max()))
    return weight if float((logits - outputs.image).abs().max()) <= near else None


def head_weight(network: nn.Module) -> Float[Tensor, "c k"] | None:
    """Weights of a network's ``image_head``, unchecked (`linear_weight` compares them with outputs); None without."""
    head = getattr(network, "image_head", None)
    return head.weight.detach().float() if isinstance(head, ImageHead) else None


def closed_form(
    feature: Float[Tensor, "b k i j"], *, weight: Float[Tensor, " k"] | Float[Tensor, "b k"]
) -> Float[Tensor, "b i j"]:
    """Compute `grad_cam` of a logit that is linear in the map's mean: alpha_k = w_k / (i j), without a backward pass.

    The result is differentiable, so that a loss can reach the classifier through the map.

    Args:
        feature: the map that the head reads, ``Outputs.features[-1]``.
        weight: of the logit, one number per channel (``ImageHead.weight[channel] * sign``), or one row per image.
    """
    alpha = weight.expand(feature.shape[0], -1) / (feature.shape[2] * feature.shape[3])
    return torch.einsum("bk,bkij->bij", alpha, feature).relu()


def cam_logits(
    feature: Float[Tensor, "b k i j"], *, weight: Float[Tensor, "c k"], bias: Float[Tensor, " c"]
) -> Float[Tensor, "b c i j"]:
    """Apply the linear head at every position: class activation maps whose means are the logits.

    `closed_form` is their ReLU over the number of positions, without the bias.

    Args:
        feature: the map that the head reads.
        weight: of the logits, one row each (``ImageHead.weight``).
        bias: of the logits (``ImageHead.bias``).
    """
    return F.conv2d(feature, weight[:, :, None, None], bias)


def normalise(cam: Float[Tensor, "*b i j"]) -> Float[Tensor, "*b i j"]:
    """Divide each map by its maximum: [0, 1]; a map whose maximum is 0 stays 0 everywhere."""
    top = cam.amax((-2, -1), keepdim=True)
    return cam / torch.where(top > 0, top, torch.ones_like(top))


def on_image(
    cam: Float[Tensor, "b i j"], *, size: tuple[int, int], reduction: int | None = None
) -> Float[Tensor, "b h w"]:
    """Bring a map to the image's pixels: enlarge it bilinearly, then cut off what the encoder padded.

    Args:
        cam: from `grad_cam` or `closed_form`.
        size: (rows, cols) of the image, 32 or more.
        reduction: image pixels per map pixel (``Encoder.reductions[layer]``); None = the next power of two, which is
            exact for every encoder whose reductions are powers of two.
    """
    covers = reduction or 1 << (-(-size[0] // cam.shape[1]) - 1).bit_length()
    large = F.interpolate(cam[:, None], scale_factor=float(covers), mode="bilinear", align_corners=False)[:, 0]
    return large[:, : size[0], : size[1]]
