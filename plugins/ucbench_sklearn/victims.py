"""scikit-learn's estimators as opaque trainers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from ucbench import ImageSet
from ucbench_sklearn.hog import hog
from ucbench_sklearn.params import ForestParams, HogSvmParams

if TYPE_CHECKING:
    from ucbench import DefenseRun


class Sklearn:
    """The estimator that the parameters name, on its features."""

    def __init__(self, params: HogSvmParams | ForestParams) -> None:
        self.params = params
        self._estimator: Any = None

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: DefenseRun) -> None:
        """Fit on all images; an SVM that did not converge is a warning of the record."""
        self._estimator = self._fresh(run.seed("estimator", bits=32))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self._estimator.fit(self._features(train), train.known_labels)
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                run.warn(str(warning.message))

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = self._estimator.predict(self._features(images)).astype(np.int64)
        return classes

    def _fresh(self, seed: int) -> Any:
        params = self.params
        if isinstance(params, HogSvmParams):
            return LinearSVC(C=params.c, loss=params.loss, random_state=seed)
        return RandomForestClassifier(params.trees, random_state=seed, n_jobs=torch.get_num_threads())

    def _features(self, images: ImageSet) -> NDArray[Any]:
        """``[N, D]``: descriptors of the images, or their pixels."""
        if isinstance(self.params, HogSvmParams):
            return hog(images.images, self.params.cell, self.params.orientations)
        return images.images.reshape(len(images), -1)
