"""Why a release is unlearnable: what it does to a victim's features, and what its perturbations are like."""

from collections.abc import Iterator
from typing import Any

from ucbench import MetricSpec, hookimpl

_PARAMS = "ucbench_measures.params"
_SMI = "Z. Goldfeld, K. Greenewald: Sliced Mutual Information: A Scalable Measure of Statistical Dependence. NeurIPS "
_SMI += "2021. arXiv 2110.05279"
_FEATURES: dict[str, Any] = {"reads": ("source", "published", "test", "perturbed_test", "model")}
_IMAGES: dict[str, Any] = {"reads": ("source", "published")}


@hookimpl
def ucbench_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="mutual-information",
        summary="Sliced mutual information of the victim's features of clean and perturbed images, by five estimators",
        load="ucbench_measures.information:MutualInformation",
        params=f"{_PARAMS}:InformationParams",
        version=2,
        paper=_SMI,
        equation="E[I(t'g(X); p'g(X'))]: t, p random unit vectors; g(X), g(X') features, clean and perturbed",
        aliases=("smi",),
        **_FEATURES,
        fidelity="sliced mutual information as published, with two directions drawn apart for each projection; MI-UE, "
        "whose question this is, states neither projections, bins nor bandwidths in what we had, so values are not "
        "comparable with its; its estimators are four, histogram, kernel density, nearest neighbours and MINE, and "
        "`gaussian` is added; estimates are not cut off at 0",
    )
    yield MetricSpec(
        name="mutual-information-by-layer",
        summary="Sliced mutual information at every convolution and linear layer of the victim, from input to scores",
        load="ucbench_measures.information:InformationByLayer",
        params=f"{_PARAMS}:ByLayerParams",
        paper=_SMI,
        aliases=("smi-by-layer",),
        **_FEATURES,
        fidelity="sliced mutual information as published, with this suite's choice of layers; convolutions are "
        "averaged over positions",
    )
    yield MetricSpec(
        name="dependence",
        summary="HSIC and linear CKA of the victim's features of clean and perturbed images",
        load="ucbench_measures.information:Dependence",
        params=f"{_PARAMS}:FeatureParams",
        paper="A. Gretton, O. Bousquet, A. Smola, B. Schölkopf: Measuring Statistical Dependence with Hilbert-Schmidt "
        "Norms. ALT 2005. doi 10.1007/11564089_7; S. Kornblith, M. Norouzi, H. Lee, G. Hinton: Similarity of Neural "
        "Network Representations Revisited. ICML 2019. arXiv 1905.00414",
        **_FEATURES,
        fidelity="HSIC and CKA by the unbiased estimators of later work (Song et al., JMLR 2012; Nguyen, Raghu and "
        "Kornblith, ICLR 2021) instead of the cited biased ones, which lie above 0 for independent features; Gaussian "
        "kernels have the median distance for width",
    )
    yield MetricSpec(
        name="covariance",
        summary="Within-class covariance of the victim's features, clean and perturbed: log-determinant and trace",
        load="ucbench_measures.geometry:Covariance",
        params=f"{_PARAMS}:FeatureParams",
        equation="log det(S / v) / d: S within-class covariance, v mean variance of clean features, d features",
        **_FEATURES,
        fidelity="after the log-determinant in MI-UE's bound; per dimension, of at most 128 random projections, shrunk "
        "by 0.1 and relative to the variance of clean features, which are this suite's choices",
    )
    yield MetricSpec(
        name="uniformity",
        summary="Alignment and uniformity of the victim's features, and how far classes lie apart, clean and perturbed",
        load="ucbench_measures.geometry:Uniformity",
        params=f"{_PARAMS}:FeatureParams",
        paper="T. Wang, P. Isola: Understanding Contrastive Representation Learning through Alignment and Uniformity "
        "on the Hypersphere. ICML 2020. arXiv 2005.10242",
        equation="alignment E|g(x) - g(x')|^2; uniformity log E exp(-2 |g(x) - g(y)|^2), features g at length 1",
        **_FEATURES,
        fidelity="both measures as published, with alpha and t of 2, but a positive pair is an image with and without "
        "its perturbation instead of two augmentations; `discrepancy` and `mmd` are our reading of what Unlearnable "
        "Clusters calls discrepancy, whose formula we have not had",
    )
    yield MetricSpec(
        name="separability",
        summary="How well a linear classifier tells classes, and clusters, from the perturbations alone",
        load="ucbench_measures.perturbations:Separability",
        params=f"{_PARAMS}:PairParams",
        version=2,
        paper="D. Yu, H. Zhang, W. Chen, J. Yin, T.-Y. Liu: Availability Attacks Create Shortcuts. KDD 2022. "
        "arXiv 2111.00898",
        **_IMAGES,
        fidelity="the paper's question, by ridge regression on one-hot labels; `class_fitted` is on the fitted images, "
        "as published, which says something only where there are more images than values in one; `class_held_out` is "
        "added, as are clusters; perturbations are those measured after rounding "
        "and clipping",
    )
    yield MetricSpec(
        name="spectrum",
        summary="Share of the perturbations' energy by band of spatial frequency",
        load="ucbench_measures.perturbations:Spectrum",
        params=f"{_PARAMS}:PairParams",
        **_IMAGES,
        fidelity="no publication: this suite's",
    )
