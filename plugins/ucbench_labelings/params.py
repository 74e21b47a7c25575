"""Parameters of the labelings. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from ucbench import Params
from ucbench_labelings.class_maps import read_class_map

T = TypeVar("T")


class CoarseParams(Params):
    argument: ClassVar[str | None] = "map"

    map: str = Field(
        "coarse",
        description=(
            "the name of the data set's label set of coarser classes; or a file FILE.toml with CLASS = COARSE, or "
            "COARSE = [CLASSES], for every class"
        ),
    )

    @property
    def file(self) -> Path | None:
        """The file that ``map`` names; None if it names a label set."""
        path = Path(self.map)
        return path.expanduser() if path.suffix.lower() == ".toml" else None

    def identity(self) -> dict[str, Any]:
        """The label set's name, or the map itself: neither where the file lies nor how it is written.

        Raises:
            UsageError: as :func:`ucbench_labelings.class_maps.read_class_map`.
        """
        return {"map": self.map if self.file is None else read_class_map(self.file)}


class DrawnParams(Params):
    """Parameters of labelings that draw at random. The seed is not the cell's: all rows of a table share the labels."""

    # numpy.random.RandomState and scikit-learn take no larger seed.
    map_seed: int = Field(0, ge=0, lt=2**32, description="seed of the labels, the same for all craft and train seeds")


class ModelParams(Params):
    """Parameters of labelings that use a pretrained model."""

    model: str | None = Field(
        None, description="the pretrained model, written as surrogates are; none: efficientnet-lite0@auto"
    )


class MergeParams(DrawnParams):
    groups: int = Field(2, ge=2, description="classes left, at most as many as the data set has")


class NoisyParams(DrawnParams):
    rate: float = Field(0.2, ge=0, le=1, description="share of the training images that get a wrong class")


class FineParams(DrawnParams, ModelParams):
    parts: int = Field(2, ge=2, description="parts of every class")


class MachineParams(ModelParams):
    """Parameters of labelings that read the published images."""

    annotate: Literal["published", "clean"] = Field(
        "published",
        description="which pixels are labelled; clean, a control that no exploiter has: those before perturbation",
    )

    def identity(self) -> dict[str, Any]:
        """All fields, but ``annotate`` only where it is ``clean``: keys are older than it."""
        values = super().identity()
        if self.annotate == "published":
            del values["annotate"]
        return values

    def chosen(self, before: T, now: T) -> T:
        """``before``, from the clean images, or ``now``, from the published ones, as ``annotate`` says."""
        return before if self.annotate == "clean" else now


class PredictedParams(MachineParams):
    pass


class KMeansParams(DrawnParams, MachineParams):
    k: int = Field(10, ge=2, description="clusters, which are the classes")

    def least_images(self, size: tuple[int, int]) -> int:
        """As many as clusters."""
        return self.k
