"""The frame that a network works on: the image padded to whole map pixels, the prior beside it, logits back to it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def padded(image: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Lower and right edge repeated up to the next multiple, as the encoders do."""
    return F.pad(image, (0, -image.shape[3] % multiple, 0, -image.shape[2] % multiple), mode="replicate")


def enlarged(logits: Float[Tensor, "b c i j"], reduction: int, *, size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Logits of the padded frame at the size of the image (rows, cols): bilinear, then cut.

    Args:
        logits: at the network's own resolution.
        reduction: image pixels per pixel of that.
        size: of the image.
    """
    if reduction > 1:
        logits = F.interpolate(logits, scale_factor=float(reduction), mode="bilinear", align_corners=False)
    return logits[:, :, : size[0], : size[1]]


def resampled(maps: Float[Tensor, "b k i j"], like: Float[Tensor, "b c m n"]) -> Float[Tensor, "b k m n"]:
    """Maps of the padded frame at the resolution of another map of it: means of blocks, or bilinear enlargement."""
    factor = maps.shape[2] // like.shape[2]
    if factor > 1:
        return F.avg_pool2d(maps, factor)
    if maps.shape[2:] == like.shape[2:]:
        return maps
    return F.interpolate(maps, (like.shape[2], like.shape[3]), mode="bilinear", align_corners=False)


def beside(
    image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k i j"] | None, *, prior_channels: int
) -> Float[Tensor, "b d h w"]:
    """The image with the prior's maps as further channels.

    Args:
        image: in [0, 1].
        prior: maps in [0, 1] over the image; zeros point nothing out.
        prior_channels: that the network was made for; 0 = the prior is not read.

    Raises:
        ValueError: there is no prior, or it has another number of maps or another size than the image.
    """
    if prior_channels == 0:
        return image
    if prior is None:
        raise ValueError(
            f"prior=None, the network reads {prior_channels} maps beside the image; hand it the maps of the stage "
            "before (a Stage's reads), zeros where nothing is pointed out, or make it with prior_channels=0"
        )
    if prior.shape[1] != prior_channels:
        raise ValueError(
            f"prior has {prior.shape[1]} maps, the network reads {prior_channels}; "
            f"make it with prior_channels={prior.shape[1]}"
        )
    _check_size(prior, image)
    return torch.cat([image, prior], 1)


def one_map(prior: Float[Tensor, "b k i j"] | None, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """The prior as one map: the largest of its maps at each pixel; zeros point nothing out.

    Raises:
        ValueError: there is no prior, or it has another size than the image.
    """
    if prior is None:
        raise ValueError(
            "prior=None, the network is guided by a map; hand it the maps of the stage before (a Stage's reads), zeros "
            "where nothing is pointed out, or make it with fuse=None"
        )
    _check_size(prior, image)
    return prior.amax(1, keepdim=True)


def _check_size(prior: Tensor, image: Tensor) -> None:
    if prior.shape[2:] != image.shape[2:]:
        raise ValueError(
            f"prior is {tuple(prior.shape[2:])} where the image is {tuple(image.shape[2:])}; resize it (cam.on_image)"
        )
