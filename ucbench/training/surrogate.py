"""Surrogates: their contract, and what their classes begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.training.context import Run
from ucbench.training.frozen import FrozenNetwork


@runtime_checkable
class Surrogate(Protocol):
    """``Class(params)``; the model that the protector optimises against.

    :meth:`features` and :meth:`logits` resize and normalise, are differentiable in ``x``, and leave no gradient on the
    weights. A surrogate may also have ``note``, a text: what a reader of a record should know of its weights.
    """

    def module(self, seed: int, train: ImageSet | None = None) -> torch.nn.Module:
        """The network, from images ``[B, 3, H, W]`` in [0, 1] to scores ``[B, K]``, normalisation included.

        A surrogate whose spec says ``untrained`` returns a new one at every call: initialised from ``seed`` for the
        classes, size and pixel statistics of ``train``, with trainable weights and a method ``features(x)`` for its
        penultimate features ``[B, D]``; weights that take no gradient stay as they are. The :meth:`features` and
        :meth:`logits` of such a surrogate raise UsageError.
        Any other surrogate returns its frozen network.
        """

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""

    def logits(self, x: Tensor) -> Tensor:
        """Class scores ``[B, K]`` float32."""

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to ``device``, compute in ``dtype`` (float32, or bfloat16 under autocast); called once by the core."""


@runtime_checkable
class FittedSurrogate(Surrogate, Protocol):
    """A surrogate that is trained before use; the core stores what :meth:`fit` returns."""

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on the clean set and return the state: arrays by name."""

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Load a state that :meth:`fit` returned."""


class UntrainedSurrogate:
    """Base of surrogates that are an architecture without weights; these define :meth:`Surrogate.module`."""

    def features(self, x: Tensor) -> Tensor:
        """Raises UsageError: there are no weights yet."""
        return self._refuse()

    def logits(self, x: Tensor) -> Tensor:
        """Raises UsageError: there are no weights yet."""
        return self._refuse()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to move: the engine places every network it trains."""

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "This surrogate is an architecture without weights, for poisoners that train it themselves. Name a"
            " pretrained one, or `trained`, where features are wanted."
        )


class NetworkSurrogate:
    """A surrogate around one :class:`FrozenNetwork`, which may be set before or after :meth:`to` is called."""

    def __init__(self, network: FrozenNetwork | None = None) -> None:
        self._network: FrozenNetwork | None = None
        self._device, self._dtype = torch.device("cpu"), torch.float32
        if network is not None:
            self.adopt(network)

    def adopt(self, network: FrozenNetwork) -> None:
        """Use ``network``, on the device and in the precision set by :meth:`to`."""
        self._network = network.to(self._device)
        network.dtype = self._dtype

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Set where the network runs, and whether its layers run in autocast to bfloat16."""
        self._device, self._dtype = device, dtype
        if self._network is not None:
            self.adopt(self._network)

    def module(self, seed: int = 0, train: ImageSet | None = None) -> FrozenNetwork:
        """The network with its weights; neither argument changes it.

        Raises:
            UsageError: if a fitted surrogate is neither fitted nor restored yet.
        """
        if self._network is None:
            raise UsageError(f"{type(self).__name__} has no weights yet: call fit() or restore() first.")
        return self._network

    @property
    def note(self) -> str:
        """What a reader of a record should know of the weights; empty if nothing."""
        return self.module().note

    def features(self, x: Tensor) -> Tensor:
        """Features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""
        return self.module().features(x)

    def logits(self, x: Tensor) -> Tensor:
        """Class scores ``[B, K]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""
        scores: Tensor = self.module()(x)
        return scores


def note_weights(run: Run, name: str, surrogate: Surrogate | None) -> None:
    """Put into the record, as ``name``, what its reader should know of the surrogate's weights, if anything."""
    if note := getattr(surrogate, "note", ""):
        run.note(name, note)
