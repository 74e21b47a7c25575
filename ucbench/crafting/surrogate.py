"""Surrogates: their contract, and opening one for a run, fitted on the protector's images if necessary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, runtime_checkable

from ucbench.errors import UsageError
from ucbench.matrix.cell import CORE_VERSION
from ucbench.store.keys import derive_seed, key
from ucbench.training.context import Run
from ucbench.training.determinism import guarded

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ucbench.data.imageset import ImageSet
    from ucbench.plugins.registry import Component
    from ucbench.plugins.specs import SurrogateSpec
    from ucbench.session import Session


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

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
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

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Raises UsageError: there are no weights yet."""
        return self._refuse()

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Raises UsageError: there are no weights yet."""
        return self._refuse()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to move: the engine places every network it trains."""

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "This surrogate is an architecture without weights, for poisoners that train it themselves. Name a"
            " pretrained one, or `trained`, where features are wanted."
        )


def note_weights(run: Run, name: str, surrogate: Surrogate | None) -> None:
    """Put into the record, as ``name``, what its reader should know of the surrogate's weights, if anything."""
    if note := getattr(surrogate, "note", ""):
        run.note(name, note)


def open_surrogate(component: Component[SurrogateSpec], seed: int, images: ImageSet, session: Session) -> Surrogate:
    """The surrogate on the session's device, opened once per session; of fitted ones, the session keeps the last.

    A :class:`FittedSurrogate` is fitted on ``images`` with ``seed``, or restored from the store; any other is the same
    for all images. It gets labels only if its spec says that it reads them, so that other labels do not cause another
    fit.
    """
    if component.spec.label_access == "none":
        images = images.with_labels(None)

    def fitted() -> Surrogate:
        with guarded(f"Surrogate {component}", derive_seed("surrogate", seed, "global")):
            surrogate: FittedSurrogate = component.build()
            _fit(surrogate, component, seed, images, session)
            surrogate.to(session.engine.device, session.engine.dtype)
        return surrogate

    pretrained = _pretrained(component, session)
    if pretrained is None:
        return session.remember_last("fitted surrogate", f"{component} {images.fingerprint} {seed}", fitted)
    return pretrained


def open_pretrained(component: Component[SurrogateSpec], user: str, session: Session) -> Surrogate:
    """A pretrained surrogate on the session's device.

    Raises:
        UsageError: if it has to be fitted first; the text names ``user``.
    """
    surrogate = _pretrained(component, session)
    if surrogate is None:
        raise UsageError(f"{user} uses {component}, which has to be trained first. Name a pretrained model.")
    return surrogate


def _pretrained(component: Component[SurrogateSpec], session: Session) -> Surrogate | None:
    """None if it has to be fitted, which only its class knows: planning must not import that."""

    def make() -> Surrogate | None:
        with guarded(f"Surrogate {component}"):
            surrogate: Surrogate = component.build()
            if isinstance(surrogate, FittedSurrogate):
                return None
            surrogate.to(session.engine.device, session.engine.dtype)
        return surrogate

    return session.remember(f"surrogate {component}", make)


def _fit(
    surrogate: FittedSurrogate, component: Component[SurrogateSpec], seed: int, images: ImageSet, session: Session
) -> None:
    run = Run(session.engine, ("surrogate", seed), session.progress)
    identity = {
        "core": CORE_VERSION,
        "surrogate": component.identity(),
        "images": images.fingerprint,
        "seed": seed,
        "numerics": session.numerics.identity(),
    }
    stored, _ = session.store.get_or_make(
        "surrogate", key("surrogate", identity), lambda: (surrogate.fit(images, run), {"notes": run.notes})
    )
    surrogate.restore(stored.arrays, images, run)
