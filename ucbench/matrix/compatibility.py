"""Which components fit together, and what they need of each other; told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.errors import UsageError
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.grammar import parse_chain
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import PoisonerSpec


def check_exploiter(defense: Sequence[Component], victim: Component, trusted: int) -> None:
    """Check that a victim can use these defenses, and that whoever needs a trusted set has one.

    Raises:
        UsageError: naming the part that does not fit.
    """
    for part in defense:
        if getattr(part.spec, "needs_trusted", False) and not trusted:
            raise UsageError(f"Defense {part} works with clean images of the exploiter's: grant some by --trusted N.")
        if getattr(victim.spec, "opaque", False) and not is_static(part):
            raise UsageError(f"Victim {victim} trains by itself, and {part} takes part in training: it cannot.")
    if getattr(victim.spec, "needs_trusted", False) and not trusted:
        raise UsageError(f"Victim {victim} learns its labels from clean images: grant some by --trusted N.")


def is_static(defense: Component) -> bool:
    """Whether the defense does nothing but prepare: as its parameters say, or its spec where they do not."""
    return bool(getattr(defense.params, "static", getattr(defense.spec, "static", False)))


def check_labeler(labeling: Component) -> None:
    """Check that the model a labeling looks through has weights.

    Raises:
        UsageError: if it is a bare architecture.
    """
    labeler = labeler_of(labeling)
    if labeler is not None and getattr(labeler.spec, "untrained", False):
        raise UsageError(f"Labeling {labeling} looks through a model with weights, and {labeler} has none.")


def labeler_of(labeling: Component) -> Component | None:
    """The pretrained model a labeling looks through, if any: its parameter ``model``, else its spec's surrogate."""
    named = getattr(labeling.params, "model", None) or getattr(labeling.spec, "surrogate", "")
    return labeling.registry.resolve("surrogate", named) if named else None


def check_surrogate(spec: PoisonerSpec, surrogate: Component | None) -> None:
    """Check that poisoner and surrogate agree on who brings the weights.

    Raises:
        UsageError: if the poisoner trains its surrogate and this one comes with weights, or the other way round.
    """
    if surrogate is None:
        return
    untrained = getattr(surrogate.spec, "untrained", False)
    if spec.trains_surrogate and not untrained:
        raise UsageError(
            f"Poisoner {spec.name!r} trains its surrogate itself, but {surrogate} comes with weights. Name a bare"
            f" architecture with --surrogate, such as its own default {spec.surrogate}."
        )
    if untrained and not spec.trains_surrogate:
        raise UsageError(
            f"Poisoner {spec.name!r} looks through a surrogate's weights, but {surrogate} has none. Name one with"
            " --surrogate that is pretrained or trained on the spot (`ucbench list surrogate`)."
        )


def is_oracle(defense: str, registry: Registry) -> bool:
    """Whether a defense of this chain is an oracle, which is shown and enters no worst case.

    Raises:
        UsageError: for a name that does not exist.
    """
    if defense == NO_DEFENSE:
        return False
    return any(getattr(registry.find("defense", part.name), "oracle", False) for part in parse_chain(defense))
