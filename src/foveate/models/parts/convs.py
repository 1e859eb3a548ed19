"""Convolutions with the normalisation and ReLU that follow them."""

from __future__ import annotations

from torch import nn

from foveate.models.parts.start import start_convs


def conv_norm(
    channels: int, width: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, active: bool = True
) -> nn.Sequential:
    """Make a convolution without bias, batch normalisation and (if active) ReLU; at stride 1 the size stays.

    Args:
        channels: of the input map.
        width: channels of the result.
        kernel: of the convolution, odd.
        stride: of the convolution.
        dilation: of the convolution.
        active: whether ReLU follows.
    """
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)
    return start_convs(nn.Sequential(conv, nn.BatchNorm2d(width), *([nn.ReLU()] if active else [])))


def double_conv(channels: int, width: int, *, bias: bool = False) -> nn.Sequential:
    """Make two 3x3 convolutions, each with batch normalisation and ReLU.

    Args:
        channels: of the input map.
        width: channels of the result.
        bias: of the convolutions. Normalisation removes it, so it matters only for parameter counts.
    """
    layers = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=bias),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),  # a new map of 64 x 256 x 256 takes ten times as long as the maximum itself
        nn.Conv2d(width, width, 3, padding=1, bias=bias),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
    return start_convs(layers)
