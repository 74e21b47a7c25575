"""Augmentation as a defense: changes drawn anew for every image of every batch."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="cutout",
        summary="Blacken a square at a random place of every image",
        load="ucbench_augment.erasing:Cutout",
        params="ucbench_augment.params:CutoutParams",
        paper="T. DeVries, G. W. Taylor: Improved Regularization of Convolutional Neural Networks with Cutout. 2017. "
        "arXiv 1708.04552",
        tier="T0",
    )
    yield DefenseSpec(
        name="random-erasing",
        summary="Fill a random rectangle of every second image with noise",
        load="ucbench_augment.erasing:RandomErasing",
        params="ucbench_augment.params:RandomErasingParams",
        paper="Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang: Random Erasing Data Augmentation. AAAI 2020. "
        "arXiv 1708.04896",
        tier="T0",
    )
    yield DefenseSpec(
        name="cutmix",
        summary="Paste a rectangle of another image, and mix the labels by area",
        load="ucbench_augment.mixing:CutMix",
        params="ucbench_augment.params:CutMixParams",
        paper="S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo: CutMix: Regularization Strategy to Train Strong "
        "Classifiers with Localizable Features. ICCV 2019. arXiv 1905.04899",
        tier="T0",
    )
    yield DefenseSpec(
        name="mixup",
        summary="Blend every image with another one, and the labels alike",
        load="ucbench_augment.mixing:Mixup",
        params="ucbench_augment.params:MixupParams",
        paper="H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018. "
        "arXiv 1710.09412",
        tier="T0",
    )
    yield DefenseSpec(
        name="randaugment",
        summary="Two random operations of fourteen on every image, at one common magnitude",
        load="ucbench_augment.policies:RandAugment",
        params="ucbench_augment.params:RandAugmentParams",
        paper="E. D. Cubuk, B. Zoph, J. Shlens, Q. V. Le: RandAugment: Practical Automated Data Augmentation with a "
        "Reduced Search Space. NeurIPS 2020. arXiv 1909.13719",
        version=2,
        tier="T0",
    )
    yield DefenseSpec(
        name="trivial-augment",
        summary="One random operation of fourteen on every image, at a random magnitude",
        load="ucbench_augment.policies:TrivialAugment",
        params="ucbench_augment.params:TrivialAugmentParams",
        paper="S. G. Müller, F. Hutter: TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation. ICCV 2021. "
        "arXiv 2103.10158",
        aliases=("trivialaugment",),
        version=2,
        tier="T0",
    )
    yield DefenseSpec(
        name="color-jitter",
        summary="Change brightness, contrast, saturation and hue of every image at random",
        load="ucbench_augment.color:ColorJitter",
        params="ucbench_augment.params:ColorJitterParams",
        paper="T. Chen, S. Kornblith, M. Norouzi, G. Hinton: A Simple Framework for Contrastive Learning of Visual "
        "Representations. ICML 2020. arXiv 2002.05709 (its colour distortion, Appendix A and B.9)",
        version=2,
        tier="T0",
    )
    yield DefenseSpec(
        name="gaussian-blur",
        summary="Blur every image with a Gaussian of random width",
        load="ucbench_augment.gaussian:GaussianBlur",
        params="ucbench_augment.params:GaussianBlurParams",
        paper="T. Chen, S. Kornblith, M. Norouzi, G. Hinton: A Simple Framework for Contrastive Learning of Visual "
        "Representations. ICML 2020. arXiv 2002.05709 (its blur, Appendix A)",
        version=2,
        tier="T0",
    )
    yield DefenseSpec(
        name="gaussian-noise",
        summary="Add Gaussian noise to every pixel",
        load="ucbench_augment.gaussian:GaussianNoise",
        params="ucbench_augment.params:GaussianNoiseParams",
        tier="T0",
    )
    yield DefenseSpec(
        name="ueraser",
        summary="Fractal light, shuffled channels and TrivialAugment: learn from the hardest of five such views",
        title="UEraser",
        load="ucbench_augment.ueraser:UEraser",
        params="ucbench_augment.params:UEraserParams",
        paper="T. Qin, X. Gao, J. Zhao, K. Ye, C.-Z. Xu: Learning the Unlearnable: Adversarial Augmentations Suppress "
        "Unlearnable Example Attacks. ICCV 2023 workshops. arXiv 2303.15127",
        version=2,
        tier="T0",
    )
