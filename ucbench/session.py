"""What one run shares: store, numerics, engine, registry, and loaded data.

Imports no torch, which takes longer than planning thousands of cells; the first use of :attr:`Session.engine` does.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import ImageSet
from ucbench.data.loading import LoadedDataset, load_dataset
from ucbench.data.selection import protected_part, set_aside
from ucbench.errors import ContractError, UsageError, visible
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics, resolve
from ucbench.plugins.registry import Component, Registry, installed
from ucbench.plugins.specs import DatasetSpec
from ucbench.progress import Progress, Silent
from ucbench.store.store import Store
from ucbench.store.timings import Timings

if TYPE_CHECKING:
    from ucbench.training.engine import Engine

T = TypeVar("T")


def _guarded(who: str) -> AbstractContextManager[None]:
    """As :func:`ucbench.training.determinism.guarded`, unless torch is not in use: plans do without it."""
    if "torch" not in sys.modules:
        return nullcontext()
    from ucbench.training.determinism import guarded

    return guarded(who)


@dataclass(frozen=True)
class Protected:
    """The part of a training set ``train`` that the protector perturbs; ``indices`` int64 ``[M]``, ascending."""

    train: ImageSet
    indices: NDArray[np.int64]

    @property
    def images(self) -> ImageSet:
        """The part's images, copied each time: a session may hold the parts of many mixtures and seeds."""
        return self.train if len(self.indices) == len(self.train) else self.train.subset(self.indices)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the part's images."""
        return self.images.fingerprint


class Session:
    """What the cells of one run share.

    Args:
        store: holds releases, fitted surrogates and finished cells.
        numerics: device, precision and threads of all computations.
        progress: where stages report; silent by default.
        registry: the components; by default the installed ones.

    Attributes:
        timings: seconds of earlier work on this machine, by kind of work.
        failed_crafts: errors of this run's crafts and their tracebacks, by release key.
    """

    def __init__(
        self,
        store: Store,
        numerics: Numerics,
        progress: Progress | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.store, self.numerics = store, numerics
        self.progress: Progress = progress or Silent()
        self.timings = Timings(self.store.root)
        self._registry = registry
        self.failed_crafts: dict[str, tuple[BaseException, TracebackType | None]] = {}
        self._memory: dict[str, Any] = {}

    def with_numerics(self, numerics: Numerics) -> Session:
        """A session with the same store and registry and other numerics."""
        return Session(self.store, numerics, self.progress, self._registry)

    @functools.cached_property
    def registry(self) -> Registry:
        """The components."""
        return self._registry or installed()

    @functools.cached_property
    def engine(self) -> Engine:
        """The training engine. The first use imports torch."""
        from ucbench.training.engine import Engine

        return Engine(self.numerics)

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """The value of ``make()`` for ``name``, computed once and then kept in memory."""
        if name not in self._memory:
            self._memory[name] = make()
        value: T = self._memory[name]
        return value

    def remember_last(self, kind: str, name: str, make: Callable[[], T]) -> T:
        """As :meth:`remember`, but of all values of this kind only the last is kept."""
        if kind in self._memory and self._memory[kind][0] != name:
            del self._memory[kind]  # first: memory may not hold two
        value: T = self.remember(kind, lambda: (name, make()))[1]
        return value

    def dataset(self, dataset: Component[DatasetSpec]) -> LoadedDataset:
        """Both splits of a data set, read once. Reports their sizes, the data set's note and its inventory."""

        def load() -> LoadedDataset:
            with _guarded(f"Data set {dataset}"), self.progress.stage(f"reading {dataset}"):
                loaded = load_dataset(dataset.build(), dataset.params, self.store)
            heading = (
                f"{dataset}: {len(loaded.train)} training and {len(loaded.test)} test images of "
                f"{loaded.train.size[0]}x{loaded.train.size[1]} pixels, {len(loaded.train.classes)} classes"
                + (f" ({loaded.note})" if loaded.note else "")
            )
            for line in (heading, *loaded.inventory.lines()):
                self.progress.say(visible(line))  # names of folders may hold line breaks
            return loaded

        return self.remember(f"dataset {dataset}", load)

    def data(self, cell: Cell) -> LoadedDataset:
        """The cell's data set, with the trusted images split off its training set."""
        if not cell.trusted:
            return self.dataset(cell.dataset)

        def split() -> LoadedDataset:
            loaded = self.dataset(cell.dataset)
            train, trusted = set_aside(loaded.train, cell.trusted)
            return replace(loaded, train=train, trusted=trusted)

        return self.remember(f"dataset {cell.dataset} trusted {cell.trusted}", split)

    def protected(self, cell: Cell) -> Protected:
        """The images that the protector perturbs: all, or the stratified part that the mixture names, drawn once.

        Raises:
            UsageError: if the mixture is too small for one image.
        """
        train, seed = self.data(cell).train, cell.craft.seed
        if cell.mixture == 1 or seed is None:
            return Protected(train, np.arange(len(train)))

        def draw() -> Protected:
            indices = protected_part(train.known_labels, cell.mixture, seed)
            if not len(indices):
                raise UsageError(f"A mixture of {cell.mixture:g} protects no image of {cell.dataset}. Raise it.")
            return Protected(train, indices)

        return self.remember(f"part {cell.mixture!r} {seed} of {cell.dataset} trusted {cell.trusted}", draw)

    @contextmanager
    def unmodified(self, who: str, *sets: ImageSet) -> Iterator[None]:
        """Compare image sets with their fingerprints after the block: torch can write to read-only arrays.

        Args:
            who: the components that had the sets, as the subject of the error.

        Raises:
            ContractError: if they differ, also after an error of the block; data sets are read again for the next cell.
        """
        for images in sets:
            _ = images.fingerprint  # cached, for sets of which nothing has needed it yet
        try:
            yield
        except Exception:  # an interruption goes on
            self._compare(who, sets)
            raise
        self._compare(who, sets)

    def _compare(self, who: str, sets: Sequence[ImageSet]) -> None:
        # replace() drops the cached fingerprint, so it is computed from the arrays as they are now.
        if any(replace(images).fingerprint != images.fingerprint for images in sets):
            self._memory.clear()
            raise ContractError(f"{who} modified its input images or labels. Work on a copy of them.")


def open_session(
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Session:
    """The installed plugins with this machine's numerics; the store is in UCBENCH_HOME."""
    receiver = progress or Silent()

    @contextmanager
    def waiting(text: str) -> Iterator[None]:
        receiver.say(text)
        with receiver.stage("waiting"):
            yield

    return Session(Store(waiting=waiting), resolve(device, dtype, threads), receiver, installed())
