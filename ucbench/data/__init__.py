"""Image sets: the value, reading pictures into one, and choosing parts of one.

Names are imported when first used, so that a parameters module may import :mod:`ucbench.data.params` without
NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucbench.data.framed import FramedDataset, Split, SplitName
    from ucbench.data.images import Framing, Picture, assemble, choose_framing, decode
    from ucbench.data.imageset import ImageSet, LabelSet
    from ucbench.data.loading import LoadedDataset, load_dataset
    from ucbench.data.params import DatasetParams
    from ucbench.data.selection import balanced_indices, balanced_subset, set_aside, split_validation, stratified_split

__all__ = [
    "DatasetParams",
    "FramedDataset",
    "Framing",
    "ImageSet",
    "LabelSet",
    "LoadedDataset",
    "Picture",
    "Split",
    "SplitName",
    "assemble",
    "balanced_indices",
    "balanced_subset",
    "choose_framing",
    "decode",
    "load_dataset",
    "set_aside",
    "split_validation",
    "stratified_split",
]

_HOME = {
    "framed": ("FramedDataset", "Split", "SplitName"),
    "images": ("Framing", "Picture", "assemble", "choose_framing", "decode"),
    "imageset": ("ImageSet", "LabelSet"),
    "loading": ("LoadedDataset", "load_dataset"),
    "params": ("DatasetParams",),
    "selection": ("balanced_indices", "balanced_subset", "set_aside", "split_validation", "stratified_split"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
