"""A benchmark suite for unlearnable examples.

``ucbench.run`` measures cells, ``ucbench.craft`` perturbs images, ``ucbench.plan`` tells what a run would
do. Authors of plugins find here what they need: ``hookimpl``, the records, ``Params``, ``Perturbation``, the
values and the errors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ucbench.crafting.poisoner import Perturbation
from ucbench.errors import ContractError, DataError, PluginError, StoreError, UcbenchError, UsageError
from ucbench.metrics.metric import MetricContext
from ucbench.plugins.hookspecs import hookimpl
from ucbench.plugins.specs import (
    CellEvent,
    ComponentSpec,
    DatasetSpec,
    DefenseSpec,
    ExecutorSpec,
    ExporterSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)

if TYPE_CHECKING:
    from ucbench.api import craft, plan, run
    from ucbench.data import ImageSet, LabelSet
    from ucbench.plugins.params import Params
    from ucbench.training.recipe import Recipe

    __version__: str

__all__ = [
    "CellEvent",
    "ComponentSpec",
    "ContractError",
    "DataError",
    "DatasetSpec",
    "DefenseSpec",
    "ExecutorSpec",
    "ExporterSpec",
    "ImageSet",
    "LabelSet",
    "LabelingSpec",
    "MetricContext",
    "MetricSpec",
    "Params",
    "Perturbation",
    "PluginError",
    "PoisonerSpec",
    "Recipe",
    "StoreError",
    "SurrogateSpec",
    "UcbenchError",
    "UsageError",
    "VictimSpec",
    "__version__",
    "craft",
    "hookimpl",
    "plan",
    "run",
]

# Their imports (pydantic, numpy, torch) would cost every `ucbench list` and every plugin's registration.
_LAZY = {
    "ImageSet": "ucbench.data",
    "LabelSet": "ucbench.data",
    "Params": "ucbench.plugins.params",
    "Recipe": "ucbench.training.recipe",
    "craft": "ucbench.api",
    "plan": "ucbench.api",
    "run": "ucbench.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ucbench")
    except PackageNotFoundError:  # a source tree on the path
        return "0+source"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
