"""Frame of a network: the image padded to whole map pixels, the prior beside it, and logits at the image's size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def padded(image: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Repeat the lower and right edge up to the next multiple, as the encoders do."""
    return F.pad(image, (0, -image.shape[3] % multiple, 0, -image.shape[2] % multiple), mode="replicate")


def enlarged(logits: Float[Tensor, "b c i j"], reduction: int, *, size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Bring logits of the padded frame to the size of the image (rows, cols): enlarge bilinearly, then cut.

    Args:
        logits: at the network's own resolution.
        reduction: image pixels per pixel of the logits.
        size: of the image.
    """
    if reduction > 1:
        logits = F.interpolate(logits, scale_factor=float(reduction), mode="bilinear", align_corners=False)
    return logits[:, :, : size[0], : size[1]]


def bilinear(x: Float[Tensor, "b c i j"], size: tuple[int, int]) -> Float[Tensor, "b c m n"]:
    """Resize a map bilinearly to (rows, cols), with its outer edges in place."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def doubled(x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c m n"]:
    """Double rows and columns of a map bilinearly, with its outer edges in place."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def resampled(maps: Float[Tensor, "b k i j"], like: Float[Tensor, "b c m n"]) -> Float[Tensor, "b k m n"]:
    """Bring maps of the padded frame to another map's resolution: means of blocks, or bilinear enlargement."""
    factor = maps.shape[2] // like.shape[2]
    if factor > 1:
        return F.avg_pool2d(maps, factor)
    if maps.shape[2:] == like.shape[2:]:
        return maps
    return bilinear(maps, (like.shape[2], like.shape[3]))


def beside(
    image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k i j"] | None, *, prior_channels: int
) -> Float[Tensor, "b d h w"]:
    """Add the prior's maps to the image as further channels.

    Args:
        image: in [0, 1].
        prior: maps in [0, 1] over the image; zeros point at nothing.
        prior_channels: number of maps for which the network was made; 0 = the prior is not read.

    Raises:
        ValueError: there is no prior, or it has another number of maps or another size than the image.
    """
    if prior_channels == 0:
        return image
    if prior is None:
        raise ValueError(
            f"prior=None, the network reads {prior_channels} maps beside the image; give it the maps of the stage "
            "before (a Stage's reads), zeros for an image without any, or make it with prior_channels=0"
        )
    if prior.shape[1] != prior_channels:
        raise ValueError(
            f"prior has {prior.shape[1]} maps, the network reads {prior_channels}; "
            f"make it with prior_channels={prior.shape[1]}"
        )
    _check_size(prior, image)
    return torch.cat([image, prior], 1)


def one_map(prior: Float[Tensor, "b k i j"] | None, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """Reduce the prior to one map: the largest of its maps at each pixel; zeros point at nothing.

    Raises:
        ValueError: there is no prior, or it has another size than the image.
    """
    if prior is None:
        raise ValueError(
            "prior=None, the network is guided by a map; give it the maps of the stage before (a Stage's reads), zeros "
            "for an image without any, or make it with fuse=None"
        )
    _check_size(prior, image)
    return prior.amax(1, keepdim=True)


def _check_size(prior: Tensor, image: Tensor) -> None:
    if prior.shape[2:] != image.shape[2:]:
        raise ValueError(
            f"prior is {tuple(prior.shape[2:])}, but the image is {tuple(image.shape[2:])}; resize it (cam.on_image)"
        )
