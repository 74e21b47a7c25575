"""The machine and the software a record was made with: recorded beside its numbers, never part of a key."""

from __future__ import annotations

import functools
import platform
import resource
import sys
from importlib import metadata
from typing import Any

from ucbench.numerics import Numerics, cpu_name

_LIBRARIES = ("ucbench", "torch", "timm", "numpy", "scikit-learn", "pillow")


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of the libraries that can move a number."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def environment(numerics: Numerics) -> dict[str, Any]:
    """Device, processor, system and versions."""
    device = numerics.device
    if device.startswith("cuda"):
        import torch

        device = f"{device} ({torch.cuda.get_device_name(device)})"
    return {
        "device": device,
        "dtype": numerics.dtype,
        "threads": numerics.threads,
        "deterministic": numerics.deterministic,
        "processor": cpu_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions(),
    }


def peak_memory(numerics: Numerics) -> int:
    """Largest memory of this process so far, in MiB: of the device on CUDA, resident elsewhere."""
    if numerics.device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(numerics.device)) >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)
