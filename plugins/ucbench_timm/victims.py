"""The victims' architectures.

timm builds networks for images of 224 pixels. Up to :data:`SMALL` pixels each of them gets the early layers
that the literature on CIFAR uses instead; what changes is said class by class. Above, they keep those of
ImageNet.
"""

from __future__ import annotations

from typing import Any, ClassVar

import timm
from timm.layers.classifier import ClassifierHead
from timm.models import get_pretrained_cfg_value
from timm.models.vgg import VGG, cfgs
from torch import nn

from ucbench import UsageError
from ucbench_timm.params import ResNetParams, TimmVictimParams, VGGParams, VictimParams, ViTParams, check_name

#: Longest side, in pixels, up to which images get the small-image layers.
SMALL = 64


def create(name: str, size: tuple[int, int], **options: Any) -> Any:
    """``timm.create_model(name, **options)`` for images of ``size``.

    timm gets the size only for models of a fixed one; all others take any.
    """
    if get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = size
    return timm.create_model(name, **options)


def is_small(size: tuple[int, int]) -> bool:
    return max(size) <= SMALL


def _stem(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    stem = nn.Conv2d(3, channels, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    return stem


def resnet(name: str, width: int, classes: int, size: tuple[int, int]) -> nn.Module:
    """timm's ``name`` as :class:`ResNet` describes it, with weights drawn from the global generator."""
    # timm scales the stem only in its form of three convolutions; the single one takes that form's place.
    model = create(
        name,
        size,
        num_classes=classes,
        channels=(width, 2 * width, 4 * width, 8 * width),
        stem_type="deep",
        stem_width=width // 2,
        zero_init_last=False,
    )
    if is_small(size):
        model.conv1 = _stem(width, kernel=3, stride=1)
        model.maxpool = nn.Identity()
    else:
        model.conv1 = _stem(width, kernel=7, stride=2)
    return model


class ResNet:
    """A ResNet with ``width`` channels in the stem and 1, 2, 4, 8 times ``width`` in the stages.

    (In bottlenecks that is the inner width; the outer one is four times as large.) Up to 64 pixels the stem
    is a 3x3 convolution of stride 1 without max-pool, so that the four stages take 32 pixels to 4; above, it
    is the 7x7 convolution of stride 2 and the max-pool. Residual branches start active (batch-norm weights 1,
    as in the CIFAR literature) where timm would start them at 0.
    """

    name: ClassVar[str]

    def __init__(self, params: ResNetParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        return resnet(self.name, self.recipe.width, classes, size)


class ResNet18(ResNet):
    """Two basic blocks a stage; stem and width as :class:`ResNet` says."""

    name = "resnet18"


class ResNet50(ResNet):
    """3, 4, 6 and 3 bottleneck blocks in the stages; stem and width as :class:`ResNet` says."""

    name = "resnet50"


class DenseNet121:
    """DenseNet-121 (growth rate 32).

    Up to 64 pixels the stem is a 3x3 convolution of stride 1 without max-pool: 32 pixels end as 4.
    """

    def __init__(self, params: VictimParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        model = create("densenet121", size, num_classes=classes)
        if is_small(size):
            model.features.conv0 = _stem(model.features.conv0.out_channels, kernel=3, stride=1)
            model.features.pool0 = nn.Identity()
        return model


class MobileNetV2:
    """MobileNetV2 of width 1.

    Up to 64 pixels the stem and the second stage (24 channels) have stride 1 instead of 2: 32 pixels end as
    4.
    """

    def __init__(self, params: VictimParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        model = create("mobilenetv2_100", size, num_classes=classes)
        if is_small(size):
            model.conv_stem.stride = (1, 1)
            model.blocks[1][0].conv_dw.stride = (1, 1)
        return model


class VGG16:
    """VGG-16 with batch norm.

    Up to 64 pixels the classifier is global average pooling and one linear layer instead of two hidden layers
    of 4,096, and the last of the five max-pools are left out where they would take a side of less than 32
    pixels below one. ``width`` scales the channels of all stages (64 in the paper).
    """

    def __init__(self, params: VGGParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        if not is_small(size):
            return self._timms(classes, size)
        # The hidden layers are replaced below: with one channel they cost nothing until then.
        model = self._timms(classes, size, mlp_ratio=1 / 4096)
        model.pre_logits = nn.Identity()
        model.head = ClassifierHead(model.num_features, classes, pool_type="avg")
        pools = [index for index, layer in enumerate(model.features) if isinstance(layer, nn.MaxPool2d)]
        halvings = min(size).bit_length() - 1
        for index in pools[halvings:]:
            model.features[index] = nn.Identity()
        return model

    def _timms(self, classes: int, size: tuple[int, int], mlp_ratio: float = 1.0) -> Any:
        width = self.recipe.width
        if width == 64:
            return create("vgg16_bn", size, num_classes=classes, mlp_ratio=mlp_ratio)
        layers = [layer * width // 64 if isinstance(layer, int) else layer for layer in cfgs["vgg16"]]
        return VGG(layers, classes, norm_layer=nn.BatchNorm2d, mlp_ratio=mlp_ratio)


class ViTSmall:
    """ViT-S: 12 blocks of width 384 with 6 heads, a class token and learned positions.

    Up to 64 pixels a patch has 4 pixels a side, above 16. Sides that are not a multiple of it are padded on the
    right and below with 0 after normalisation, the mean colour where ``normalize=data``.
    """

    def __init__(self, params: ViTParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        patch = 4 if is_small(size) else 16
        height, width = size
        below, right = -height % patch, -width % patch
        model = create(
            "vit_small_patch16_224",
            (height + below, width + right),
            num_classes=classes,
            patch_size=patch,
            embed_dim=self.recipe.width,
            num_heads=self.recipe.width // 64,
            depth=self.recipe.depth,
        )
        return nn.Sequential(nn.ZeroPad2d((0, right, 0, below)), model) if below or right else model


class TimmVictim:
    """Any architecture, as timm builds and initialises it, at any image size.

    Raises:
        UsageError: for a name timm does not know, or an image size that the architecture does not take.
    """

    def __init__(self, params: TimmVictimParams) -> None:
        check_name(params.model)
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        name = self.recipe.model
        try:
            return create(name, size, num_classes=classes)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(
                f"timm cannot build {name} for images of {size[0]}x{size[1]} pixels"
                f" ({type(error).__name__}: {error}). Choose another model, or resize the images."
            ) from error
