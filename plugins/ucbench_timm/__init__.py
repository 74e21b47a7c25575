"""Victims and surrogates built by timm (Wightman, PyTorch Image Models, https://doi.org/10.5281/zenodo.4414861)."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import SurrogateSpec, VictimSpec, hookimpl

_VICTIMS = "ucbench_timm.victims"
_PRETRAINED_VICTIMS = "ucbench_timm.pretrained_victims"
_SURROGATES = "ucbench_timm.surrogates"
_PARAMS = "ucbench_timm.params"
_RESNET = "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition. CVPR 2016. arXiv 1512.03385"
_TRANSFER = "S. Kornblith, J. Shlens, Q. V. Le: Do Better ImageNet Models Transfer Better? CVPR 2019. arXiv 1805.08974"


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="resnet18",
        summary="ResNet-18; up to 64 px with a 3x3 stride-1 stem and no max-pool",
        load=f"{_VICTIMS}:ResNet18",
        params=f"{_PARAMS}:ResNetParams",
        sample="width=16",
        version=2,
        paper=_RESNET,
        aliases=("rn18",),
        fidelity="up to 64 pixels a 3x3 stem of stride 1 without max-pool, as in the literature on CIFAR, above it "
        "ImageNet's; residual branches start active; the default recipe is the suite's, those of papers are presets",
    )
    yield VictimSpec(
        name="resnet50",
        summary="ResNet-50; up to 64 px with a 3x3 stride-1 stem and no max-pool",
        load=f"{_VICTIMS}:ResNet50",
        params=f"{_PARAMS}:ResNetParams",
        sample="width=16",
        version=2,
        paper=_RESNET,
        aliases=("rn50",),
        fidelity="up to 64 pixels a 3x3 stem of stride 1 without max-pool, as in the literature on CIFAR, above it "
        "ImageNet's; residual branches start active; the default recipe is the suite's, those of papers are presets",
    )
    yield VictimSpec(
        name="densenet121",
        summary="DenseNet-121; up to 64 px with a 3x3 stride-1 stem and no max-pool",
        load=f"{_VICTIMS}:DenseNet121",
        params=f"{_PARAMS}:VictimParams",
        smallest=8,
        paper="G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger: Densely Connected Convolutional Networks. CVPR "
        "2017. arXiv 1608.06993",
        fidelity="timm's, with a 3x3 stem of stride 1 and no max-pool up to 64 pixels, as is common on CIFAR; the "
        "default recipe is the suite's, those of papers are presets",
    )
    yield VictimSpec(
        name="mobilenetv2",
        summary="MobileNetV2; up to 64 px with stride 1 in the stem and the second stage",
        load=f"{_VICTIMS}:MobileNetV2",
        params=f"{_PARAMS}:VictimParams",
        paper="M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen: MobileNetV2: Inverted Residuals and Linear "
        "Bottlenecks. CVPR 2018. arXiv 1801.04381",
        aliases=("mobilenet-v2",),
        fidelity="timm's, of width 1; up to 64 pixels stem and second stage have stride 1, as is common on CIFAR; the "
        "default recipe is the suite's, those of papers are presets",
    )
    yield VictimSpec(
        name="vgg16",
        summary="VGG-16 with batch norm; up to 64 px with one linear layer for a head",
        load=f"{_VICTIMS}:VGG16",
        params=f"{_PARAMS}:VGGParams",
        paper="K. Simonyan, A. Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. ICLR "
        "2015. arXiv 1409.1556",
        aliases=("vgg",),
        fidelity="with batch norm, which the paper has not; up to 64 pixels one linear layer replaces the hidden ones, "
        "and max-pools that would leave less than a pixel are left out; the default recipe is the suite's, those of "
        "papers are presets",
    )
    yield VictimSpec(
        name="vit-small",
        summary="ViT-S; patches of 4 px up to 64 px, of 16 px above",
        load=f"{_VICTIMS}:ViTSmall",
        params=f"{_PARAMS}:ViTParams",
        sample="width=64,depth=2",
        paper="A. Dosovitskiy et al.: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale. "
        "ICLR 2021. arXiv 2010.11929",
        aliases=("vit",),
        fidelity="timm's ViT-S; patches of 4 pixels up to 64 pixels; sides that are no multiple of a patch are padded "
        "with 0 after normalisation, the mean colour where normalize=data; SGD with a warm-up and clipped gradients, "
        "where the paper pretrains with Adam",
    )
    yield VictimSpec(
        name="timm",
        summary="timm:MODEL, any architecture exactly as timm builds it, from scratch",
        load=f"{_VICTIMS}:TimmVictim",
        params=f"{_PARAMS}:TimmVictimParams",
        sample="test_efficientnet",
        fidelity="the architecture exactly as timm builds and initialises it; the default recipe is the suite's",
    )
    yield VictimSpec(
        name="fine-tune",
        summary="T4: EfficientNet-Lite0 or timm:NAME, pretrained and trained on, whole or the deep stages",
        load=f"{_PRETRAINED_VICTIMS}:FineTune",
        params=f"{_PARAMS}:FineTuneParams",
        paper=_TRANSFER,
        fidelity="the paper's question at a fixed recipe of the suite's, where the paper searches rate and decay for "
        "every data set; frozen stages are as timm counts them",
    )
    yield VictimSpec(
        name="linear-probe",
        summary="T4: a linear classifier on a frozen, pretrained EfficientNet-Lite0 or timm:NAME",
        load=f"{_PRETRAINED_VICTIMS}:LinearProbe",
        params=f"{_PARAMS}:LinearProbeParams",
        paper=_TRANSFER,
        fidelity="the paper's question by SGD with the recipe's crop and flip, where the paper fits logistic "
        "regression on features without augmentation",
    )


@hookimpl
def ucbench_surrogates() -> Iterator[SurrogateSpec]:
    yield SurrogateSpec(
        name="efficientnet-lite0",
        summary="EfficientNet-Lite0 trained on ImageNet, weights from an installed package",
        load=f"{_SURROGATES}:EfficientNetLite0",
        params=f"{_PARAMS}:EfficientNetLite0Params",
        paper="M. Tan, Q. V. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks. ICML 2019. "
        "arXiv 1905.11946",
        fidelity="the weights of an installed package; images are resized to three times their longer side, between 32 "
        "and 96 pixels, or to 224 above, where the network was trained at 224; features of two depths below 16 pixels "
        "are this suite's",
    )
    yield SurrogateSpec(
        name="timm",
        summary="timm:MODEL.TAG, any pretrained model of timm, or a local checkpoint",
        load=f"{_SURROGATES}:TimmSurrogate",
        params=f"{_PARAMS}:TimmSurrogateParams",
        paper="R. Wightman: PyTorch Image Models. 2019. doi 10.5281/zenodo.4414861",
        fidelity="normalisation, interpolation and size are the model's; whole images are resized, not cropped",
    )
    yield SurrogateSpec(
        name="resnet18",
        summary="The victim's ResNet-18 without weights, for poisoners that train it themselves",
        load=f"{_SURROGATES}:UntrainedResNet18",
        params=f"{_PARAMS}:UntrainedParams",
        paper=_RESNET,
        aliases=("rn18",),
        untrained=True,
        fidelity="up to 64 pixels a 3x3 stem of stride 1 without max-pool, as in the literature on CIFAR, above it "
        "ImageNet's; residual branches start active; inputs are not normalised by default, as in EMinN's code; MI-UE's "
        "has `normalize=imagenet`",
    )
    yield SurrogateSpec(
        name="trained",
        summary="A ResNet-18 trained on the clean training set with its labels",
        load=f"{_SURROGATES}:TrainedSurrogate",
        params=f"{_PARAMS}:TrainedParams",
        sample="width=16,epochs=1",
        label_access="full",
        fidelity="`adv-poison` is the recipe of the official code of adversarial poisons, images normalised by their "
        "own mean and deviation, but crops are by whole pixels with black around, in the code by fractions of a pixel "
        "with the mean colour; the default is the suite's short recipe",
    )
