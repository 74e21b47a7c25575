"""Parameters of scikit-learn's estimators. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Params, versions


class SklearnParams(Params):
    """Which estimator; its parameters have scikit-learn's defaults, which change between its releases."""

    argument: ClassVar[str | None] = "model"

    model: Literal["hog-svm", "forest"] = Field(description="a linear SVM on HOG features, or a forest on pixels")

    def identity(self) -> dict[str, Any]:
        """All fields, and scikit-learn's version."""
        return {**super().identity(), "scikit-learn": versions()["scikit-learn"]}

    @classmethod
    def for_argument(cls, argument: str | None) -> type[Params]:
        """The class with the parameters of that estimator."""
        return _params_of(argument)


class HogSvmParams(SklearnParams):
    """Of ``LinearSVC``, and of its features."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"c": 0.01, "loss": "hinge"}}
    #: Shortest side of images: two cells of two pixels.
    smallest: ClassVar[int | None] = 4

    model: Literal["hog-svm"] = Field("hog-svm", description="a linear SVM on HOG features")
    c: float = Field(1.0, gt=0, description="weight of the loss against that of the margin")
    loss: Literal["squared_hinge", "hinge"] = Field("squared_hinge", description="of an image within the margin")
    cell: int = Field(8, ge=2, description="side of a cell in pixels; at most half the shorter side of the images")
    orientations: int = Field(9, ge=2, description="bins of gradient directions over half a turn")


class ForestParams(SklearnParams):
    """Of ``RandomForestClassifier``."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"trees": 10}}

    model: Literal["forest"] = Field("forest", description="a random forest on pixels")
    trees: int = Field(100, ge=1, description="number of trees")


def _params_of(model: str | None) -> type[SklearnParams]:
    known: dict[str | None, type[SklearnParams]] = {"hog-svm": HogSvmParams, "forest": ForestParams}
    return known.get(model, SklearnParams)
