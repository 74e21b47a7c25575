"""Cells that take milliseconds, for checking what runs cells: a data set, poisoners, a labeling and a victim."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from torch import nn

from ucbench.crafting.poisoner import CraftRun, Perturbation
from ucbench.data.framed import SplitName
from ucbench.data.imageset import ImageSet
from ucbench.data.params import DatasetParams
from ucbench.exploit.labels import LabelRun
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins import builtin
from ucbench.plugins.hookspecs import hookimpl
from ucbench.plugins.manager import load_module
from ucbench.plugins.params import Params
from ucbench.plugins.registry import Registry
from ucbench.plugins.specs import DatasetSpec, LabelingSpec, PoisonerSpec, VictimSpec
from ucbench.testing.samples import sample_images
from ucbench.training.recipe import Recipe


class Few:
    """Thirteen images to train on and thirteen to test."""

    def __init__(self, params: DatasetParams) -> None:
        self.params = params

    def load(self, split: SplitName) -> ImageSet:
        return sample_images(seed=0 if split == "train" else 1, name=f"few {split}")


class Own:
    """The original labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        return published.with_labels(clean.known_labels, clean.classes), test


class Linear:
    """One linear layer, trained for an epoch."""

    recipe = Recipe(epochs=1, batch=4, crop=0)

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))


class Spots:
    """One pattern of random signs for all images."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        signs = np.random.default_rng(run.seed("spots")).choice(np.array([-1, 1], np.float32), (1, 3, *train.size))
        return Perturbation(np.float32(run.budget.radius) * signs, np.zeros(len(train), np.int64))


class Failing(Spots):
    """Raises while it crafts."""

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        raise RuntimeError("it cannot be done")


class SmallPlugin:
    """Registers the components of this module."""

    @hookimpl
    def ucbench_datasets(self) -> Iterator[DatasetSpec]:
        yield DatasetSpec(
            name="few", summary="", load=f"{__name__}:Few", params="ucbench.data.params:DatasetParams", epsilon=8
        )

    @hookimpl
    def ucbench_labelings(self) -> Iterator[LabelingSpec]:
        yield LabelingSpec(name="own", summary="", load=f"{__name__}:Own")

    @hookimpl
    def ucbench_victims(self) -> Iterator[VictimSpec]:
        yield VictimSpec(name="linear", summary="", load=f"{__name__}:Linear")

    @hookimpl
    def ucbench_poisoners(self) -> Iterator[PoisonerSpec]:
        yield PoisonerSpec(name="spots", summary="", load=f"{__name__}:Spots", granularity="universal")
        yield PoisonerSpec(name="failing", summary="", load=f"{__name__}:Failing", granularity="universal")


@functools.lru_cache(maxsize=1)
def small_registry() -> Registry:
    """The components of the core and of this module."""
    core = load_module("ucbench", builtin, "ucbench", "0")
    return Registry([core, load_module("small", SmallPlugin(), "ucbench", "0")], small_registry)


def small_cells(*poisoners: str, seeds: int = 2, registry: Registry | None = None) -> list[Cell]:
    """The cells of these poisoners and their references with ``seeds`` seeds; ``registry`` may have more poisoners."""
    request = Request(["few"], poisoners, ["linear"], ["own"], seeds=[(seed, seed) for seed in range(seeds)])
    return expand(request, registry or small_registry())
