"""What a person without a GPU trains: scikit-learn's linear SVM on HOG features, and its random forest on pixels."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="sklearn",
        summary="scikit-learn without a GPU: a linear SVM on HOG features, or a random forest on pixels",
        load="ucbench_sklearn.victims:Sklearn",
        params="ucbench_sklearn.params:SklearnParams",
        opaque=True,
        platform="sklearn",
        sample="hog-svm",
        paper="F. Pedregosa et al.: Scikit-learn: Machine Learning in Python. Journal of Machine Learning Research 12, "
        "2011. arXiv 1201.0490; N. Dalal, B. Triggs: Histograms of Oriented Gradients for Human Detection. CVPR 2005. "
        "doi 10.1109/CVPR.2005.177 (the features); L. Breiman: Random Forests. Machine Learning 45, 2001. "
        "doi 10.1023/A:1010933404324 (the forest)",
        fidelity="estimators are `LinearSVC` and `RandomForestClassifier` with scikit-learn's defaults, but for the "
        "seed; features are the default descriptor of Dalal and Triggs: no gamma correction, centred differences of "
        "the channel with the largest gradient, 9 unsigned orientations, trilinear votes, a Gaussian window on blocks "
        "of 2x2 cells that overlap by a cell, L2-Hys; images below 16 pixels get smaller cells; the paper's SVM has "
        "the hinge loss and C = 0.01 (preset `paper`), scikit-learn's default is its square and C = 1; at borders the "
        "image is continued by its edge; the forest sees pixel values and no features",
    )
