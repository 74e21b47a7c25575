"""kornia: its two-dimensional augmentations as defenses, and accuracy under corruptions made of its functions.

kornia: Riba et al., https://github.com/kornia/kornia.
"""

from collections.abc import Iterator

from ucbench import DefenseSpec, MetricSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="kornia",
        summary="Any of kornia's augmentations by its class, as kornia:RandomPerspective; `show` lists all",
        load="ucbench_kornia.defense:Kornia",
        params="ucbench_kornia.params:KorniaParams",
        sample="RandomPerspective",
        paper="E. Riba, D. Mishkin, D. Ponsa, E. Rublee, G. Bradski: Kornia: an Open Source Differentiable Computer "
        "Vision Library for PyTorch. WACV 2020. arXiv 1910.02190",
        tier="T0",
        fidelity="operations are kornia's, of the installed version; choices that kornia makes once per call or per "
        "batch are made for every image, except `p` of those that mix with `gate=batch`; values are clamped to [0, 1]; "
        "RandomBrightness, RandomContrast and RandomSaturation are not Pillow's operations: on uniform noise, at "
        "factors of 0.7 and 1.3, they are up to 53 and 77, 39 and 40, 66 and 52 of 255 levels off.",
    )


@hookimpl
def ucbench_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="corruptions",
        summary="Accuracy of the victim on corrupted test images: noise, blur, colour, compression at five severities",
        load="ucbench_kornia.corruptions:Corruptions",
        params="ucbench_kornia.params:CorruptionsParams",
        version=2,
        paper="D. Hendrycks, T. Dietterich: Benchmarking Neural Network Robustness to Common Corruptions and "
        "Perturbations. ICLR 2019. arXiv 1903.12261",
        reads=("model", "test"),
        fidelity="modelled on CIFAR-10-C, not its files: kornia makes the images, of any test set; noises, Gaussian "
        "and zoom blur, brightness, contrast and JPEG have the published levels of the CIFAR variant, all others are "
        "this suite's; lengths grow with the image; glass blur, snow, frost, fog and spatter are left out, posterize "
        "is added; the family `saturate` only raises saturation, and JPEG rounds coefficients smoothly",
    )
