"""Removal as a defense: find the perturbation in the release, and take it out."""

from collections.abc import Iterator

from ucbench import DefenseSpec, MetricSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="orthogonal-projection",
        summary="Fit a linear classifier to the released pixels, project its weights out of every training image",
        title="Orthogonal projection (OP)",
        load="ucbench_removal.projection:OrthogonalProjection",
        params="ucbench_removal.params:ProjectionParams",
        paper="P. Sandoval-Segura, V. Singla, J. Geiping, M. Goldblum, T. Goldstein: What Can We Learn from "
        "Unlearnable Datasets? NeurIPS 2023. arXiv 2305.19254",
        aliases=("op",),
        tier="T3",
        static=True,
        fidelity="images are stored in 8 bits, so they are rounded and clipped to [0, 1] after the projection, where "
        "the paper trains on unbounded floats (the record notes the `clipped` share of values); the order of the "
        "images is drawn anew for every pass, where the released code keeps it; `standard` shrinks batches to about "
        "the published number of steps, 49 a pass (50 on 50,000 or 10,000 images), `paper` and `published` do not; "
        "`published` adds the augmentation of its training: rotations of up to 10 degrees, shear, scale, colour "
        "jitter, and CutMix of half of the images, where shares and boxes are drawn for every image; its rotations and "
        "shears are bilinear, where the code takes the nearest pixel, and come after the recipe's crop and flip, in "
        "the code before; its 50 epochs and weight decay of 1e-4 are the victim's to set; test images are not "
        "projected, as published",
    )
    yield DefenseSpec(
        name="universal-subtract",
        summary="Cluster the high-pass residuals of the release, subtract each cluster's mean residual (this suite's)",
        load="ucbench_removal.subtraction:UniversalSubtract",
        params="ucbench_removal.params:SubtractParams",
        tier="T3",
        static=True,
        fidelity="no publication: this suite's, and what a reader of UC may ask for first",
    )
    yield DefenseSpec(
        name="coin",
        summary="Move every pixel by a random fraction of its neighbourhood, anew for every image and batch",
        title="Corruption by random interpolation (COIN)",
        load="ucbench_removal.coin:RandomInterpolation",
        params="ucbench_removal.params:InterpolationParams",
        paper="M. Li, X. Wang, Z. Yu, S. Hu, Z. Zhou, L. Zhang, L. Y. Zhang: Detecting and Corrupting "
        "Convolution-based Unlearnable Examples. AAAI 2025. arXiv 2311.18403",
        tier="T3",
        fidelity="displacements of up to 2 pixels as published for images of 32, at every size; borders wrap as in the "
        "released code, with a period of the side less 1; its truncation to 8 bits is left out; schedule and network "
        "are the victim's",
    )
    yield DefenseSpec(
        name="filter-by-loss",
        summary="Leave the easiest images of every batch out of the loss (this suite's)",
        load="ucbench_removal.selection:LossFilter",
        params="ucbench_removal.params:LossFilterParams",
        tier="T3",
        fidelity="no publication: this suite's; the choice by loss within a batch is that of online hard example "
        "mining and, for `drop=highest`, of co-teaching with one network",
    )
    yield DefenseSpec(
        name="early-stopping",
        summary="Keep the weights of the epoch that does best on the exploiter's clean images",
        load="ucbench_removal.selection:EarlyStopping",
        tier="T3",
        needs_trusted=True,
        fidelity="no published figure was found; the epoch is chosen by accuracy on the trusted set, and training runs "
        "to its end",
    )


@hookimpl
def ucbench_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="detection",
        summary="How well simple classifiers predict labels from high-pass residuals; clean images score too",
        load="ucbench_removal.detection:Detection",
        paper="D. Yu, H. Zhang, W. Chen, J. Yin, T.-Y. Liu: Availability Attacks Create Shortcuts. KDD 2022. "
        "arXiv 2111.00898; Y. Zhu, L. Yu, X.-S. Gao: Detection and Defense of Unlearnable Examples. AAAI 2024. "
        "arXiv 2312.08898",
        reads=("published",),
        fidelity="both measures see high-pass residuals of the release instead of the perturbations or the pixels, and "
        "are scored on a held-out fifth; the linear one is logistic regression, whose literature reports accuracy on "
        "the fitted images; the two-layer network has 128 hidden units and Adam, where Zhu, Yu and Gao have a layer as "
        "wide as the input and SGD, and the area under the curve replaces their threshold of 70 %",
    )
