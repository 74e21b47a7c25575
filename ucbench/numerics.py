"""Device, precision, threads and determinism of a computation, and the machine it runs on.

Precision, thread count and the determinism flag can change a number, so they are part of every key; the device is
environment. This module imports torch only where a GPU or a tensor is in use, so that ``plan`` computes every key
without it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ucbench.errors import UsageError
from ucbench.store.keys import KeyText

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Dtype = Literal["float32", "bfloat16"]

#: Processor flags under which bfloat16 is computed natively rather than emulated (which would be slower than float32).
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True)
class Numerics:
    """Numerical settings without ``auto``. The device is not part of :meth:`identity`.

    With ``compiled`` the engine compiles what it trains without a defense's own loss, victims and surrogates, on a GPU
    into CUDA graphs: worth it for long trainings there, not on a processor. No command sets it.
    """

    device: str
    dtype: Dtype
    threads: int
    deterministic: bool = True
    compiled: bool = False

    def identity(self) -> dict[str, Any]:
        """The part that belongs to a key; ``compiled`` only where it is set, so that other keys stay."""
        identity = {"dtype": self.dtype, "threads": self.threads, "deterministic": self.deterministic}
        return {**identity, "compiled": True} if self.compiled else identity

    @functools.cached_property
    def key_text(self) -> KeyText:
        """Canonical text of :meth:`identity`, for keys."""
        return KeyText.of(self.identity())


def resolve(
    device: str = "auto", dtype: str = "auto", threads: int | None = None, deterministic: bool = True
) -> Numerics:
    """Replace ``auto`` by this machine's device, precision and number of cores.

    Raises:
        UsageError: for an unknown device or dtype, or fewer than one thread.
    """
    if device == "auto":
        device = "cuda" if _has_nvidia() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise UsageError(f"Unknown device {device!r}. Use auto, cpu, cuda, cuda:N or mps.")
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") or (device == "cpu" and cpu_has_bf16()) else "float32"
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"Unknown dtype {dtype!r}. Use auto, float32 or bfloat16.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads must be at least 1, got {threads}.")
    return Numerics(device, dtype, threads or available_cores(), deterministic)  # type: ignore[arg-type]


def available_cores() -> int:
    """Cores this process may use: those of its affinity mask (containers, SLURM), else all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Feature flags of the processor; empty on systems other than Linux."""
    return frozenset(_cpuinfo("flags").split())


def cpu_has_bf16() -> bool:
    """Whether the processor computes in bfloat16 natively; False on systems other than Linux."""
    return bool(_BF16_FLAGS & cpu_flags())


@functools.cache
def cpu_name() -> str:
    """The processor's model name, or what the ``platform`` module calls it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(field: str) -> str:
    """What Linux says of its first processor; empty where it does not, and on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    line = next((line for line in text.splitlines() if line.startswith(field)), "")
    return line.partition(":")[2].strip()


def allocator() -> str:
    """The memory allocator of this process: ``jemalloc``, ``tcmalloc``, ``mimalloc`` or ``glibc``; empty if unknown."""
    try:
        libraries = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # A library that is loaded before the system's replaces its allocator.
    replacing = next((name for name in ("jemalloc", "tcmalloc", "mimalloc") if f"lib{name}" in libraries), "")
    return replacing or ("glibc" if platform.libc_ver()[0] == "glibc" else "")


def _has_nvidia() -> bool:
    # The driver's file answers without importing torch.
    return Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


#: Types of device that have no float64.
_WITHOUT_FLOAT64 = frozenset({"mps"})


def double_device(device: torch.device) -> torch.device:
    """Where to compute in float64 what lies on ``device``: there, or on the CPU where it has no float64 (mps)."""
    import torch

    return torch.device("cpu") if device.type in _WITHOUT_FLOAT64 else device


def as_double(x: Tensor) -> Tensor:
    """``x`` in float64, on its :func:`double_device`. What is computed from it may have to be moved back."""
    return x.to(double_device(x.device)).double()


#: Libraries that can change a number.
_LIBRARIES = (
    "ucbench", "torch", "torchvision", "kornia", "timm", "open_clip_torch", "numpy", "scipy", "scikit-learn", "pillow",
)  # fmt: skip


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of the libraries that can change a number."""
    installed = {}
    for name in _LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def environment(numerics: Numerics) -> dict[str, Any]:
    """Device, processor, system and versions, for records; never part of a key."""
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
    """Peak memory of this process in MiB: GPU memory on CUDA, resident memory elsewhere."""
    if numerics.device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(numerics.device)) >> 20
    # Not what getrusage() says where this exists: to a new process Linux passes on the peak of the one that started it.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)
