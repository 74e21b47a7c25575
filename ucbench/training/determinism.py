"""Scopes of global state: seeds of the generators, torch's settings, and a check that components restore both."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ucbench.errors import ContractError
from ucbench.numerics import Numerics


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python within the block, and restore them after it."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


class _Setting(NamedTuple):
    """A setting of this process that can change numbers."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


def _attribute(owner: Any, name: str) -> _Setting:
    return _Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _move_to(folder: str) -> None:
    if folder:
        os.chdir(folder)


#: By the name under which an error mentions it.
_SETTINGS = {
    "torch.set_num_threads": _Setting(torch.get_num_threads, torch.set_num_threads),
    "torch.use_deterministic_algorithms": _Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    "torch.set_default_dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype),
    # None removes the mode that a default device installs, and that slows every call of torch.
    "torch.set_default_device": _Setting(
        lambda: str(torch.get_default_device()),
        lambda value: torch.set_default_device(None if value == "cpu" else value),
    ),
    "torch.set_grad_enabled": _Setting(torch.is_grad_enabled, torch._C._set_grad_enabled),
    "torch.set_float32_matmul_precision": _Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    # There is no getter, but Python's floats obey it too.
    "torch.set_flush_denormal": _Setting(lambda: sys.float_info.min / 2 == 0, torch.set_flush_denormal),
    "torch.backends.mkldnn.enabled": _attribute(torch.backends.mkldnn, "enabled"),
    "torch.backends.cudnn.enabled": _attribute(torch.backends.cudnn, "enabled"),
    "torch.backends.cudnn.benchmark": _attribute(torch.backends.cudnn, "benchmark"),
    "torch.backends.cudnn.deterministic": _attribute(torch.backends.cudnn, "deterministic"),
    "torch.backends.cudnn.allow_tf32": _attribute(torch.backends.cudnn, "allow_tf32"),
    "numpy.seterr": _Setting(np.geterr, lambda value: np.seterr(**value)),
    "os.chdir": _Setting(_working_folder, _move_to),
}


def _standard(numerics: Numerics) -> dict[str, Any]:
    """The settings of every computation."""
    return {
        "torch.set_num_threads": numerics.threads,
        # warn_only: an operation without a deterministic form must not end a week-long run.
        "torch.use_deterministic_algorithms": (numerics.deterministic, True),
        "torch.set_default_dtype": torch.float32,
        "torch.set_default_device": "cpu",
        "torch.set_grad_enabled": True,
        "torch.set_float32_matmul_precision": "highest",
        "torch.set_flush_denormal": False,
        "torch.backends.mkldnn.enabled": True,
        "torch.backends.cudnn.enabled": True,
        "torch.backends.cudnn.benchmark": not numerics.deterministic,
        "torch.backends.cudnn.deterministic": False,
        # TF32, torch's default in convolutions, rounds their inputs to 10 bits: float32 is to mean float32.
        "torch.backends.cudnn.allow_tf32": numerics.dtype != "float32",
    }


def _set(values: Mapping[str, Any]) -> list[str]:
    """Give settings these values; returns the names of those that had others."""
    changed = [name for name, value in values.items() if _SETTINGS[name].read() != value]
    for name in changed:
        _SETTINGS[name].write(values[name])
    return changed


@contextlib.contextmanager
def deterministic(numerics: Numerics) -> Iterator[None]:
    """Give torch the settings of all computations within the block, with these numerics; restore them after it."""
    standard = _standard(numerics)
    before = {name: _SETTINGS[name].read() for name in standard}
    _set(standard)
    try:
        yield
    finally:
        _set(before)


#: Where a replaced function would change the numbers of others.
_OWNERS: tuple[Any, ...] = (torch.nn.functional, torch.nn.init, torch.nn.Module, torch.autograd, torch.Tensor, torch)
#: torch itself replaces these when some of its modules are first imported.
_REPLACED_BY_TORCH = {"manual_seed"}

_Functions = list[tuple[Any, dict[str, Any]]]


def _functions() -> _Functions:
    """The functions of :data:`_OWNERS` as they are now."""
    return [(owner, {name: value for name, value in vars(owner).items() if callable(value)}) for owner in _OWNERS]


def _restore(functions: _Functions) -> list[str]:
    """Put back functions that were replaced or removed; returns their names."""
    replaced = []
    for owner, before in functions:
        now = vars(owner)
        for name, function in before.items():
            if now.get(name) is not function and name not in _REPLACED_BY_TORCH:
                setattr(owner, name, function)
                replaced.append(f"{getattr(owner, '__name__', owner)}.{name}")
    return replaced


@contextlib.contextmanager
def guarded(who: str, seed: int = 0) -> Iterator[None]:
    """Run a component's code within the block so that it changes no number of those that run after it.

    Torch's settings, the working folder, the functions of torch and the global generators are restored after the
    block. The generators start from ``seed``, so that a component that draws from them in spite of its contract gets
    the same draws whatever ran before. Costs about half a millisecond.

    Args:
        who: the component or components, as the subject of the error.

    Raises:
        ContractError: if a setting or function was changed; the text names all. Errors of the block come first.
    """
    settings, functions = {name: setting.read() for name, setting in _SETTINGS.items()}, _functions()
    try:
        with seeded(seed):
            yield
    finally:
        changed = [*_set(settings), *_restore(functions)]
    if changed:
        raise ContractError(
            f"{who} changed {', '.join(changed)}, which others rely on. Set it only within a block, and restore it."
        )
