"""Releases: a poisoner's perturbation after it is checked, projected, rounded and measured.

A release is stored as integer changes, one per image or K shared ones; images are computed from it when needed.
Components are not trusted: images, order and count are the source's, whatever they return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucbench.crafting.poisoner import Perturbation
from ucbench.data.budget import BLOCK_VALUES, Budget, Changes, blocks
from ucbench.data.distortion import measure
from ucbench.data.imageset import ImageSet, UInt8Images
from ucbench.errors import ContractError
from ucbench.store.objects import Arrays

Index = NDArray[np.int64]

#: Largest share of values that projection may move, unless the poisoner declares that it relies on it.
MOST_MOVED = 0.01

_STATE = "state."


@dataclass(frozen=True, eq=False)
class Release:
    """What a protector publishes, as differences from the source.

    Attributes:
        changes: int16 ``[M, 3, H, W]`` in 8-bit levels, within the budget; possibly a memory map.
        index: int64 ``[N]``: image i of the source is changed by ``changes[index[i]]``.
        state: arrays with which the poisoner assigns perturbations to unseen images.
        meta: JSON values: ``budget``, ``measured`` (see :func:`ucbench.data.distortion.measure`), ``moved_share`` and
            ``clipped_share`` (see :func:`make_release`), and what :func:`ucbench.crafting.craft.craft_release` adds.
    """

    changes: Changes
    index: Index
    state: Arrays
    meta: Mapping[str, Any]

    @property
    def is_shared(self) -> bool:
        """Whether groups of images share a perturbation: neither one for all images, nor one for each."""
        return 1 < len(self.changes) < len(self.index)

    def with_meta(self, **added: Any) -> Release:
        """The release with further entries in ``meta``."""
        return replace(self, meta={**self.meta, **added})

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to store, which :meth:`from_arrays` reads."""
        state = {f"{_STATE}{name}": array for name, array in self.state.items()}
        return {"changes": self.changes, "index": self.index, **state}

    @classmethod
    def from_arrays(cls, arrays: Arrays, meta: Mapping[str, Any]) -> Release:
        """The release of arrays that :meth:`to_arrays` returned.

        Raises:
            ContractError: if ``changes`` or ``index`` is missing or of another type: the store was altered, hashes too.
        """
        for name, dtype, axes in (("changes", np.int16, 4), ("index", np.int64, 1)):
            if (array := arrays.get(name)) is None or array.dtype != dtype or array.ndim != axes:
                raise ContractError(f"A stored release needs an array {name!r}, {np.dtype(dtype)} with {axes} axes.")
        state = {name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)}
        return cls(arrays["changes"], arrays["index"], state, meta)


def materialise(images: UInt8Images, changes: Changes, index: Index, block_values: int = BLOCK_VALUES) -> UInt8Images:
    """Add changes to images and clip to 0..255, block by block.

    Args:
        images: uint8 ``[N, 3, H, W]``; not modified.
        changes: int16 ``[M, 3, H, W]`` in levels, possibly a memory map.
        index: int64 ``[N]`` into ``changes``.
        block_values: values added at once; limits the memory beyond the result.

    Returns:
        A new uint8 ``[N, 3, H, W]``.

    Raises:
        ContractError: if the shapes do not fit each other or an index is out of range.
    """
    if changes.shape[1:] != images.shape[1:]:
        raise ContractError(f"Changes of shape {list(changes.shape)} do not fit images of shape {list(images.shape)}.")
    _check_index(index, len(images), len(changes))
    result = np.empty(images.shape, np.uint8)
    for block in blocks(images.shape, block_values):
        np.clip(images[block] + changes[index[block]], 0, 255, out=result[block], casting="unsafe")
    return result


def make_release(
    perturbation: Perturbation, train: ImageSet, budget: Budget, *, declares_projection: bool = False
) -> Release:
    """Check what a poisoner returned, project it to the budget, and measure the perturbed ``train``.

    ``meta`` of the release holds ``budget`` (norm and epsilon), ``measured``, ``moved_share`` (the share of
    the perturbation's values that projection moved) and ``clipped_share`` (the share of the published values
    that clipping to 0..255 moved).

    Args:
        perturbation: as the poisoner returned it.
        train: the images it perturbed.
        budget: the limit it had to keep.
        declares_projection: the poisoner declares that it relies on the projection, so any share may be moved.

    Raises:
        ContractError: if an array has the wrong type, shape or range, holds NaN or infinity, or exceeds the
            budget in more than :data:`MOST_MOVED` of its values.
    """
    delta, index = _checked(perturbation, train)
    changes, moved = budget.project(delta)
    if moved > MOST_MOVED and not declares_projection:
        raise ContractError(
            f"The perturbation exceeds its budget ({budget}): projection moved {moved:.1%} of its values, and"
            f" {MOST_MOVED:.1%} are allowed.{_beyond_scale(delta)} Keep to run.budget while crafting, or declare the"
            " projection."
        )
    published = materialise(train.images, changes, index)
    meta = {
        "budget": {"norm": budget.norm, "epsilon": budget.epsilon},
        "measured": measure(train.images, published),
        "moved_share": moved,
        "clipped_share": _clipped_share(train.images, changes, index),
    }
    return Release(changes, index, dict(perturbation.state), meta)


def _beyond_scale(delta: NDArray[np.float32]) -> str:
    """A hint at perturbations in levels, where the scale of 1 ends at a change from black to white."""
    largest = max((float(np.abs(delta[block]).max()) for block in blocks(delta.shape)), default=0.0)
    return (
        f" The largest is {largest:g}, on a scale where 8 levels are 8/255: divide levels by 255."
        if largest > 1
        else ""
    )


def _checked(perturbation: Perturbation, train: ImageSet) -> tuple[NDArray[np.float32], Index]:
    """Delta and explicit index, of the right types and shapes."""
    if not isinstance(perturbation, Perturbation):
        raise ContractError(f"A poisoner must return a ucbench.Perturbation, got {_type_name(perturbation)}.")
    delta, index = perturbation.delta, perturbation.index
    count, shape = len(train), train.images.shape[1:]
    expected = f"float32 [M, {', '.join(map(str, shape))}] with M at least 1"
    _check_array("delta", delta, np.float32, expected)
    if delta.shape[1:] != shape or not len(delta):
        raise ContractError(f"Perturbation.delta must be {expected}, got shape {list(delta.shape)}.")
    if index is None:
        if len(delta) != count:
            raise ContractError(
                f"Perturbation.delta holds {len(delta)} perturbations for {count} images: give one for each"
                " image, or set Perturbation.index to say which image gets which."
            )
        index = np.arange(count, dtype=np.int64)
    _check_array("index", index, np.int64, f"int64 [{count}]")
    _check_index(index, count, len(delta))
    for name, array in perturbation.state.items():
        _check_array(f"state[{name!r}]", array, None, "of any type and shape")
    return delta, index


def _check_array(name: str, array: object, dtype: type[np.generic] | None, expected: str) -> None:
    if not isinstance(array, np.ndarray):
        raise ContractError(f"Perturbation.{name} must be a NumPy array, {expected}; got {_type_name(array)}.")
    if dtype is not None and array.dtype != dtype:
        raise ContractError(f"Perturbation.{name} must be {expected}, got {array.dtype} {list(array.shape)}.")


def _check_index(index: Index, images: int, changes: int) -> None:
    if index.shape != (images,):
        raise ContractError(f"The index must be int64 [{images}], one entry per image; got {list(index.shape)}.")
    wrong = np.flatnonzero((index < 0) | (index >= changes))
    if wrong.size:
        first = int(wrong[0])
        raise ContractError(f"index[{first}] is {index[first]}, but the {changes} perturbations are numbered from 0.")


def _clipped_share(images: UInt8Images, changes: Changes, index: Index) -> float:
    clipped = 0
    for block in blocks(images.shape):
        exact = images[block] + changes[index[block]]
        clipped += int(np.count_nonzero((exact < 0) | (exact > 255)))
    return clipped / images.size


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
