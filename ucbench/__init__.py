"""A benchmark suite for unlearnable examples.

``ucbench.run`` measures cells, ``ucbench.craft`` perturbs images, ``ucbench.plan`` tells what a run would
do. Authors of plugins find here what they need: ``hookimpl``, the records, ``Params``, ``Perturbation``, the
values and the errors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ucbench.components import (
    CellEvent,
    ComponentRecord,
    DatasetRecord,
    DefenseRecord,
    ExecutorRecord,
    ExporterRecord,
    LabelingRecord,
    MetricContext,
    MetricRecord,
    Perturbation,
    PoisonerRecord,
    SurrogateRecord,
    VictimRecord,
)
from ucbench.errors import (
    ContractError,
    DataError,
    PluginError,
    StoreError,
    UcbenchError,
    UsageError,
)
from ucbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from ucbench.api import craft, plan, run
    from ucbench.data import ImageSet, LabelSet
    from ucbench.params import Params
    from ucbench.recipe import Recipe

    __version__: str

__all__ = [
    "CellEvent",
    "ComponentRecord",
    "ContractError",
    "DataError",
    "DatasetRecord",
    "DefenseRecord",
    "ExecutorRecord",
    "ExporterRecord",
    "ImageSet",
    "LabelSet",
    "LabelingRecord",
    "MetricContext",
    "MetricRecord",
    "Params",
    "Perturbation",
    "PluginError",
    "PoisonerRecord",
    "Recipe",
    "StoreError",
    "SurrogateRecord",
    "UcbenchError",
    "UsageError",
    "VictimRecord",
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
    "Params": "ucbench.params",
    "Recipe": "ucbench.recipe",
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
