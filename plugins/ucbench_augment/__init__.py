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
        fidelity="the square is black, as in the literature of unlearnable examples; in the paper it has the mean "
        "colour; its side is relative to the image's shorter one; `uc` is the variant of that method's repository, a "
        "tenth of the area wholly inside the image, drawn here for every image and there for a batch",
    )
    yield DefenseSpec(
        name="random-erasing",
        summary="Fill a random rectangle of every second image with noise",
        load="ucbench_augment.erasing:RandomErasing",
        params="ucbench_augment.params:RandomErasingParams",
        paper="Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang: Random Erasing Data Augmentation. AAAI 2020. "
        "arXiv 1708.04896",
        tier="T0",
        fidelity="the paper's variant RE-R; the logarithm of the aspect is drawn uniformly, as in torchvision (paper: "
        "the aspect); a rectangle that does not fit is drawn again at most 20 times (paper: without limit)",
    )
    yield DefenseSpec(
        name="cutmix",
        summary="Paste a rectangle of another image, and mix the labels by area",
        load="ucbench_augment.mixing:CutMix",
        params="ucbench_augment.params:CutMixParams",
        paper="S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo: CutMix: Regularization Strategy to Train Strong "
        "Classifiers with Localizable Features. ICCV 2019. arXiv 1905.04899",
        tier="T0",
        fidelity="share, box and whether an image is mixed are drawn for every image, where paper and code draw them "
        "for a batch; labels are weighted by the exact share of pixels; a box is as wide as its share asks, in the "
        "code of ISS and others one pixel narrower where that is odd; `apbench` mixes every image, as that benchmark "
        "does; `eminn` mixes twice, with partners of the batch that are mixed by then, where the code takes unmixed "
        "ones of the whole set; `uc` is the variant of that method's repository, a fixed share of 0.9 that leaves "
        "labels alone, its boxes wholly inside the image and there one for a batch",
    )
    yield DefenseSpec(
        name="mixup",
        summary="Blend every image with another one, and the labels alike",
        load="ucbench_augment.mixing:Mixup",
        params="ucbench_augment.params:MixupParams",
        paper="H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018. "
        "arXiv 1710.09412",
        tier="T0",
        fidelity="the share is drawn for every image, where the paper's code draws one for a batch; `uc` is the "
        "variant of that method's repository, a fixed share of 0.9 that leaves labels alone",
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
        fidelity="torchvision's variant: 14 operations, drawn with replacement for every image, magnitudes from 0 to "
        "30, random signs; values are not rounded to 8 bits between operations; kornia computes all operations except "
        "posterize and autocontrast",
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
        fidelity="angles are not rounded to degrees, bits are rounded where the paper's code rounds them up, and "
        "values are not rounded to 8 bits; kornia computes all operations except posterize and autocontrast",
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
        fidelity="the jitter of SimCLR's colour distortion without its random grayscale; operations and their random "
        "order are torchvision's, drawn for every image; kornia computes all but the hue",
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
        fidelity="SimCLR's widths with MI-UE's kernel of 3 on every image, where SimCLR has a kernel of a tenth of the "
        "height and blurs half of the images; it acts after the recipe's crop and flip, so also on the black border, "
        "where MI-UE's code acts before; `uc` and `14a` are the fixed blurs of those repositories; APBench's (kernel "
        "3, deviation 0.1) leaves images unchanged and is not offered",
    )
    yield DefenseSpec(
        name="gaussian-noise",
        summary="Add Gaussian noise to every pixel",
        load="ucbench_augment.gaussian:GaussianNoise",
        params="ucbench_augment.params:GaussianNoiseParams",
        tier="T0",
        fidelity="as in MI-UE's evaluation, whose code calls the deviation of 8 levels a variance; it acts after the "
        "recipe's crop and flip, so also on the black border, where MI-UE's code acts before; values are clipped to "
        "[0, 1] and not rounded; `eclipse` is the noise of that defense alone, without its purification",
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
        fidelity="the default is the paper's: the worst of five views through the first 50 epochs (of its 200), so "
        "that a training of fewer epochs is UEraser-Max; `released` has the official README's 60 of 200 as a share, "
        "0.3 of the victim's epochs, `max` is UEraser-Max, `lite` UEraser-Lite; network, rate and schedule are the "
        "victim's; in our views TrivialAugment is drawn for every image, with Pillow's operations in kornia's nominal "
        "ranges and bilinear interpolation, where kornia draws one operation for a batch, defines some of them "
        "otherwise, and keeps 4 bits or fewer when it posterizes; fractals start from corners that are uniform in [0, "
        "1], as in kornia 0.9, and in the kornia of the publication from a third of that, which darkens; `kornia` "
        "makes the views by the classes that the official code uses, one operation for every image; light and contrast "
        "change in half of the views, as in the official function, where its notebook for error-minimising noise "
        "changes all; no preset compresses with JPEG, as the official code does against some poisons: an exploiter "
        "does not know the poison, and can chain a compressing defense",
    )
