"""Baselines, narrow and with fixed random weights, for the tests of each and of all."""

import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.pspnet import PSPNet
from foveate.models.baselines.swin_unet import SwinUNet
from foveate.models.baselines.transfuse import TransFuse
from foveate.models.baselines.transunet import TransUNet
from foveate.models.baselines.unet import ClassicUNet

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")),), ("lesion",))
ORGANS = LabelSchema((), tuple("abcdefgh"), exclusive=True)


def unet(schema: LabelSchema = SCHEMA, *, prior_channels: int = 0) -> ClassicUNet:
    torch.manual_seed(0)
    return ClassicUNet(schema, widths=(4, 8, 16), prior_channels=prior_channels).eval()


def attention_unet(schema: LabelSchema = SCHEMA, *, prior_channels: int = 0) -> AttentionUNet:
    torch.manual_seed(0)
    return AttentionUNet(schema, widths=(4, 8, 16), prior_channels=prior_channels).eval()


def cenet(schema: LabelSchema = SCHEMA, *, prior_channels: int = 0) -> CENet:
    torch.manual_seed(0)
    return CENet(schema, encoder_name="resnet10t", width=4, prior_channels=prior_channels).eval()


def pspnet(schema: LabelSchema = SCHEMA, *, prior_channels: int = 0) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(schema, encoder_name="resnet10t", width=8, prior_channels=prior_channels).eval()


def transunet(schema: LabelSchema = SCHEMA, *, size: int = 64, prior_channels: int = 0) -> TransUNet:
    torch.manual_seed(0)
    return TransUNet(
        schema,
        size=size,
        stem=32,
        widths=(128, 128, 128),
        layers=(1, 1, 1),
        embed=16,
        depth=1,
        heads=2,
        decoder=(16, 16, 8, 8, 8),
        prior_channels=prior_channels,
    ).eval()


def swin_unet(
    schema: LabelSchema = SCHEMA, *, depths: tuple[int, ...] = (2, 1, 1), prior_channels: int = 0
) -> SwinUNet:
    torch.manual_seed(0)
    return SwinUNet(schema, size=64, window=4, embed=8, depths=depths, head=4, prior_channels=prior_channels).eval()


def transfuse(schema: LabelSchema = SCHEMA, *, prior_channels: int = 0) -> TransFuse:
    torch.manual_seed(0)
    return TransFuse(
        schema, encoder_name="resnet10t", embed=16, depth=1, heads=2, size=(32, 48), prior_channels=prior_channels
    ).eval()


CONVOLUTIONAL = (unet, attention_unet, cenet, pspnet)
TRANSFORMERS = (transunet, swin_unet, transfuse)
