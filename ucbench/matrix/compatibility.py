"""Which components fit together, and what they need of each other; checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.errors import UsageError
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.grammar import parse_chain
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import DefenseSpec, LabelingSpec, PoisonerSpec, SurrogateSpec, VictimSpec


def check_exploiter(defense: Sequence[Component[DefenseSpec]], victim: Component[VictimSpec], trusted: int) -> None:
    """Check that a victim can use these defenses, and that whoever needs a trusted set has one.

    Raises:
        UsageError: naming the part that does not fit.
    """
    for part in defense:
        if part.spec.needs_trusted and not trusted:
            raise UsageError(
                f"Defense {part} works with clean images that the exploiter has: grant some by --trusted N."
            )
        if victim.spec.opaque and not is_static(part):
            raise UsageError(
                f"Victim {victim} trains by itself, so {part}, which takes part in training, cannot be used."
            )
    if victim.spec.needs_trusted and not trusted:
        raise UsageError(f"Victim {victim} learns its labels from clean images: grant some by --trusted N.")


def is_static(defense: Component[DefenseSpec]) -> bool:
    """Whether the defense does nothing but prepare: as its parameters say, or its spec where they do not."""
    return bool(getattr(defense.params, "static", defense.spec.static))


def check_labeler(labeling: Component[LabelingSpec]) -> None:
    """Check that the model that a labeling uses has weights.

    Raises:
        UsageError: if it is a bare architecture.
    """
    labeler = labeler_of(labeling)
    if labeler is not None and labeler.spec.untrained:
        raise UsageError(f"Labeling {labeling} uses a model with weights, and {labeler} has none.")


def labeler_of(labeling: Component[LabelingSpec]) -> Component[SurrogateSpec] | None:
    """The pretrained model that a labeling uses, if any: its parameter ``model``, else its spec's surrogate."""
    named = getattr(labeling.params, "model", None) or labeling.spec.surrogate
    return labeling.registry.resolve(SurrogateSpec, named) if named else None


def check_surrogate(spec: PoisonerSpec, surrogate: Component[SurrogateSpec] | None) -> None:
    """Check that poisoner and surrogate agree on who brings the weights.

    Raises:
        UsageError: if the poisoner trains its surrogate and this one comes with weights, or the other way round.
    """
    if surrogate is None:
        return
    untrained = surrogate.spec.untrained
    if spec.trains_surrogate and not untrained:
        raise UsageError(
            f"Poisoner {spec.name!r} trains its surrogate itself, but {surrogate} comes with weights. Name a bare"
            f" architecture with --surrogate, such as its own default {spec.surrogate}."
        )
    if untrained and not spec.trains_surrogate:
        raise UsageError(
            f"Poisoner {spec.name!r} uses a surrogate's weights, but {surrogate} has none. Name one with"
            " --surrogate that is pretrained or trained on the spot (`ucbench list surrogate`)."
        )


def is_oracle(defense: str, registry: Registry) -> bool:
    """Whether a defense of this chain is an oracle, which is shown and enters no worst case.

    Raises:
        UsageError: for a name that does not exist.
    """
    if defense == NO_DEFENSE:
        return False
    return any(registry.find(DefenseSpec, part.name).oracle for part in parse_chain(defense))
