"""Numerics: what ``auto`` means here, and which part of it may change a number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ucbench import numerics
from ucbench.errors import UsageError
from ucbench.numerics import Numerics, resolve


@pytest.fixture
def processor(monkeypatch):
    """Make the machine one whose processor has the given flags, without a GPU unless ``nvidia``."""

    def choose(*flags: str, nvidia: bool = False) -> None:
        monkeypatch.setattr(numerics, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(numerics, "_has_nvidia", lambda: nvidia)

    choose()
    return choose


def test_numerics_identity_excludes_the_device():
    here = Numerics("cpu", "float32", threads=2)
    assert here.identity() == Numerics("cuda:1", "float32", threads=2).identity()
    assert here.identity() == {"dtype": "float32", "threads": 2, "deterministic": True}


@pytest.mark.parametrize(
    "other",
    [
        Numerics("cpu", "bfloat16", threads=2),
        Numerics("cpu", "float32", threads=1),
        Numerics("cpu", "float32", threads=2, deterministic=False),
        Numerics("cpu", "float32", threads=2, compiled=True),
    ],
)
def test_numerics_identity_holds_dtype_threads_determinism_and_compilation(other):
    assert other.identity() != Numerics("cpu", "float32", threads=2).identity()


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        (("avx2", "avx512f", "avx512_bf16"), "bfloat16"),
        (("amx_tile", "amx_bf16"), "bfloat16"),
        (("avx2", "avx512f", "avx512_vnni", "amx_int8"), "float32"),
        ((), "float32"),
    ],
)
def test_resolve_picks_float32_without_native_bfloat16(processor, flags, dtype):
    processor(*flags)
    assert resolve().dtype == dtype
    assert resolve("cpu", "bfloat16").dtype == "bfloat16"


def test_resolve_picks_cuda_with_a_gpu(processor):
    processor(nvidia=True)
    assert (resolve().device, resolve().dtype) == ("cuda", "bfloat16")
    assert (resolve("cpu").device, resolve("cpu").dtype) == ("cpu", "float32")
    assert resolve("cuda:1").device == "cuda:1"
    assert resolve("mps").dtype == "float32"


def test_resolve_picks_cpu_when_the_gpu_is_hidden(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert resolve().device == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resolve().device == "cpu"


def test_cpu_flags_are_read_from_cpuinfo(monkeypatch):
    text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx512_bf16 amx_tile\nbugs\t: spectre\n"
    monkeypatch.setattr(Path, "read_text", lambda *args, **options: text)
    assert numerics.cpu_flags.__wrapped__() == {"fpu", "avx512_bf16", "amx_tile"}
    assert numerics.cpu_name.__wrapped__() == "Some CPU @ 2 GHz"


def test_cpu_flags_are_empty_without_cpuinfo(monkeypatch):
    def missing(*args: object, **options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert numerics.cpu_flags.__wrapped__() == frozenset()
    assert numerics.cpu_name.__wrapped__()


@pytest.mark.parametrize(
    ("maps", "libc", "expected"),
    [
        ("7f r-xp /usr/lib/libjemalloc.so.2\n7f /usr/lib/libc.so.6", "glibc", "jemalloc"),
        ("7f r-xp /usr/lib/libtcmalloc_minimal.so.4", "glibc", "tcmalloc"),
        ("7f r-xp /usr/lib/libc.so.6", "glibc", "glibc"),
        ("7f r-xp /lib/ld-musl-x86_64.so.1", "", ""),
    ],
)
def test_allocator_is_the_library_that_is_loaded(monkeypatch, maps, libc, expected):
    monkeypatch.setattr(Path, "read_text", lambda *args, **options: maps)
    monkeypatch.setattr(numerics.platform, "libc_ver", lambda: (libc, ""))
    assert numerics.allocator() == expected


def test_resolve_threads_equal_the_available_cores(processor, monkeypatch):
    monkeypatch.setattr(numerics.os, "sched_getaffinity", lambda process: {3, 5, 6}, raising=False)
    assert resolve().threads == 3
    assert resolve(threads=1).threads == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"dtype": "float16"}, "Unknown dtype 'float16'"),
        ({"threads": 0}, "--threads must be at least 1, got 0"),
    ],
)
def test_resolve_raises_on_unknown_values(processor, options, text):
    with pytest.raises(UsageError, match=text):
        resolve(**options)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="getrusage() is all there is")
def test_peak_memory_of_a_new_process_is_not_that_of_the_process_that_started_it():
    large = bytearray(b"1" * (400 << 20))
    code = "from ucbench.numerics import Numerics, peak_memory; print(peak_memory(Numerics('cpu', 'float32', 1)))"
    small = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert 5 < small < 300 < len(large) >> 20 <= numerics.peak_memory(Numerics("cpu", "float32", 1))
