"""Hugging Face transformers: models built from their configuration, trained by its Trainer."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl
from ucbench_transformers.params import TRANSFORMERS


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield TRANSFORMERS.victim(
        summary="Hugging Face transformers: a model from its configuration, by the Trainer, as transformers:vit",
        params="ucbench_transformers.params:TransformersParams",
        paper="T. Wolf et al.: Transformers: State-of-the-Art Natural Language Processing. EMNLP 2020. arXiv "
        "1910.03771; A. Dosovitskiy et al.: An Image is Worth 16x16 Words: Transformers for Image Recognition at "
        "Scale. ICLR 2021. arXiv 2010.11929 (`vit`); K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for "
        "Image Recognition. CVPR 2016. arXiv 1512.03385 (`resnet`)",
        fidelity="models, image processors and Trainer are those of transformers, of the installed version; the "
        "Trainer's arguments have their defaults: 3 epochs, batches of 8, AdamW at 5e-5 that falls linearly to 0, no "
        "decay of weights, gradients of length 1 at most; weights are random, where most users of the Trainer start "
        "from pretrained ones; the model `resnet` is `ResNetConfig()`, a ResNet-50; the processor resizes to the "
        "images' own size, where its own default is 224 or 384, and then crops as it does by default; the model `vit` "
        "has the width and heads of ViT-Tiny and patches of an eighth of the image, in whole pixels; at the "
        "right and lower border, what fills no patch is not seen (4 of 100 pixels); the preset `full` is "
        "`ViTConfig()`, a ViT-Base, or `ResNetConfig()`, at 224 pixels; a last batch of a single image is dropped, "
        "since batch norm fails on it; no augmentation",
    )
