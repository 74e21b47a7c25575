"""Hosts of the sides: a separate process each, so that allocator and thread pools are not shared, or this process."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from subjects.base import Setting
from ucbench.training.determinism import deterministic

Kind = Literal["plain", "ucbench"]
_CLASS = {"plain": "Plain", "ucbench": "Fast"}


@contextmanager
def scope(kind: Kind, setting: Setting) -> Iterator[None]:
    """ucbench's numerics; for the plain side torch's defaults, as a script would set them, with as many threads."""
    if kind == "ucbench":
        with deterministic(setting.numerics):
            yield
        return
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(setting.numerics.threads)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch TF32 off, which rounds the inputs of float32 convolutions."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Here:
    """Runs one kind of side in this process."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        self.kind, self.setting = kind, setting
        self._sides: dict[str, Any] = {}

    def call(self, load: str, method: str, *inputs: Any) -> Any:
        """``method`` of the side in module ``load``; ``check`` runs on a new side, in float32."""
        with scope(self.kind, self.setting):
            if method == "check":
                with full_precision():
                    return self._made(load, self.setting.exact()).check(*inputs)
            if load not in self._sides:
                self._sides[load] = self._made(load, self.setting)
            return getattr(self._sides[load], method)(*inputs)

    def forget(self, load: str) -> None:
        """Release a side's data and worker processes."""
        self._sides.pop(load, None)
        gc.collect()

    def close(self) -> None:
        self._sides.clear()

    def _made(self, load: str, setting: Setting) -> Any:
        module, _, name = load.partition(":")
        return getattr(importlib.import_module(module), name or _CLASS[self.kind])(setting)


class Elsewhere:
    """Runs one kind of side in a separate process, which idles between calls."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, kind, setting))
        self._process.start()
        other.close()

    def call(self, load: str, method: str, *inputs: Any) -> Any:
        """As :meth:`Here.call`.

        Raises:
            RuntimeError: with the traceback of the other process, or if it ended.
        """
        try:
            self._pipe.send((load, method, inputs))
            answer, problem = self._pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"{load}.{method}: the process ended, perhaps because memory ran out.") from None
        if problem:
            raise RuntimeError(problem)
        return answer

    def forget(self, load: str) -> None:
        self.call(load, "forget")

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()


def _serve(pipe: Any, kind: Kind, setting: Setting) -> None:
    host = Here(kind, setting)
    while True:
        try:
            load, method, inputs = pipe.recv()
        except EOFError:
            host.close()
            return
        try:
            answer = host.forget(load) if method == "forget" else host.call(load, method, *inputs)
            pipe.send((answer, ""))
        except Exception:
            pipe.send((None, traceback.format_exc()))
