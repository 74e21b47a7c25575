"""Opening a surrogate for a run, fitted on the protector's images if necessary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench.errors import UsageError
from ucbench.matrix.cell import CORE_VERSION
from ucbench.store.keys import derive_seed, key
from ucbench.training.context import Run
from ucbench.training.determinism import guarded
from ucbench.training.surrogate import FittedSurrogate, Surrogate

if TYPE_CHECKING:
    from ucbench.data.imageset import ImageSet
    from ucbench.plugins.registry import Component
    from ucbench.plugins.specs import SurrogateSpec
    from ucbench.session import Session


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
