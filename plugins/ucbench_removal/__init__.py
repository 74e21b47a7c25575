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
    )
    yield DefenseSpec(
        name="universal-subtract",
        summary="Cluster the high-pass residuals of the release, subtract each cluster's mean residual (this suite's)",
        load="ucbench_removal.subtraction:UniversalSubtract",
        params="ucbench_removal.params:SubtractParams",
        tier="T3",
        static=True,
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
    )
    yield DefenseSpec(
        name="filter-by-loss",
        summary="Leave the easiest images of every batch out of the loss (this suite's)",
        load="ucbench_removal.selection:LossFilter",
        params="ucbench_removal.params:FilterParams",
        tier="T3",
    )
    yield DefenseSpec(
        name="early-stopping",
        summary="Keep the weights of the epoch that does best on the exploiter's clean images",
        load="ucbench_removal.selection:EarlyStopping",
        tier="T3",
        needs_trusted=True,
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
    )
