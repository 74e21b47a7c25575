"""Which components fit together; checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ucbench.errors import UcbenchError, UsageError
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.grammar import parse, parse_chain
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import DefenseSpec, LabelingSpec, MetricSpec, PoisonerSpec, SurrogateSpec, VictimSpec


def check_exploiter(defense: Sequence[Component[DefenseSpec]], victim: Component[VictimSpec], trusted: int) -> None:
    """Check that these defenses fit together and the victim, and that components that need a trusted set have one.

    Raises:
        UsageError: if not; the text names the component.
    """
    for place, part in enumerate(defense):
        if part.spec.oracle and place:
            raise UsageError(
                f"Defense {part} reads the clean images beside the published ones, so none may change these before it:"
                " write it first in the chain, and no other such control."
            )
        if (part.spec.needs_trusted or part.spec.leaked) and not trusted:
            raise UsageError(f"Defense {part} uses clean images of the exploiter: add --trusted N.")
        if victim.spec.opaque and not is_static(part):
            raise UsageError(
                f"Victim {victim} trains by itself, so it cannot use defense {part}, which takes part in training."
            )
    if victim.spec.needs_trusted and not trusted:
        raise UsageError(f"Victim {victim} learns its labels from clean images: add --trusted N.")


def check_metrics(metrics: Iterable[Component[MetricSpec]], victim: Component[VictimSpec]) -> None:
    """Check that these metrics can measure a victim.

    Raises:
        UsageError: if one cannot; the text names both.
    """
    for metric in metrics:
        if not can_measure(metric, victim):
            raise UsageError(f"Metric {metric} reads the victim's network, which {victim} does not show.")


def can_measure(metric: Component[MetricSpec], victim: Component[VictimSpec]) -> bool:
    """Whether the metric can measure the victim: a trainer shows no network."""
    return not victim.spec.opaque or "model" not in metric.spec.reads


def reads_victim(metric: Component[MetricSpec]) -> bool:
    """Whether the metric needs the trained victim: its network, or the history of its training."""
    return bool({"model", "history"} & set(metric.spec.reads))


def check_size(victim: Component[VictimSpec], data: str, size: tuple[int, int]) -> None:
    """Check that a victim takes images of this height and width.

    Raises:
        UsageError: if not; the text names victims that do.
    """
    smallest = getattr(victim.params, "smallest", victim.spec.smallest)
    if not _takes(smallest, size):
        specs = victim.registry.specs(VictimSpec.kind)
        fitting = ", ".join(s.name for s in specs if isinstance(s, VictimSpec) and _takes(s.smallest, size))
        can_enlarge = "size" in type(victim.params).model_fields
        advice = "Enlarge them with its option size=, or name" if can_enlarge else "Name"
        raise UsageError(
            f"Victim {victim} takes images of {smallest} pixels and more, but those of {data} have"
            f" {size[0]}x{size[1]}. {advice} another one with --victim: {fitting}."
        )


def check_count(who: str, least: int, data: str, count: int) -> None:
    """Check that a component has as many images as it needs.

    Args:
        who: the component, as the subject of the error.
        data: whose images are counted.

    Raises:
        UsageError: if not.
    """
    if count < least:
        raise UsageError(f"{who} cannot work with fewer than {least} images, but {data} has {count}.")


def _takes(smallest: int | None, size: tuple[int, int]) -> bool:
    return smallest is None or min(size) >= smallest


def is_static(defense: Component[DefenseSpec]) -> bool:
    """Whether the defense only prepares: the parameters' ``static``, else the spec's."""
    return bool(getattr(defense.params, "static", defense.spec.static))


def applies(defense: str, victim: str, registry: Registry) -> bool:
    """Whether the victim can use this chain; also True where a component is not installed here."""
    if defense == NO_DEFENSE:
        return True
    try:
        if not registry.find(VictimSpec, parse(victim).name).opaque:
            return True
        return all(is_static(registry.resolve(DefenseSpec, part)) for part in parse_chain(defense))
    except UcbenchError:
        return True


def check_labeler(labeling: Component[LabelingSpec]) -> None:
    """Check that the model of a labeling has weights.

    Raises:
        UsageError: if it is an untrained architecture.
    """
    labeler = labeler_of(labeling)
    if labeler is not None and labeler.spec.untrained:
        raise UsageError(f"Labeling {labeling} needs a model with weights, but {labeler} has none.")


def labeler_of(labeling: Component[LabelingSpec]) -> Component[SurrogateSpec] | None:
    """The pretrained model that a labeling uses, if any: its parameter ``model``, else its spec's surrogate."""
    reference = getattr(labeling.params, "model", None) or labeling.spec.surrogate
    return labeling.registry.resolve(SurrogateSpec, reference) if reference else None


def surrogate_of(poisoner: Component[PoisonerSpec]) -> str:
    """The reference of a poisoner's surrogate where none is requested: its preset's, else its spec's; empty if none."""
    return poisoner.params.surrogates.get(poisoner.preset, poisoner.spec.surrogate)


def check_surrogate(spec: PoisonerSpec, surrogate: Component[SurrogateSpec] | None) -> None:
    """Check that the surrogate has weights, or that the poisoner trains it.

    Raises:
        UsageError: if neither or both hold.
    """
    if surrogate is None:
        return
    untrained = surrogate.spec.untrained
    if spec.trains_surrogate and not untrained:
        raise UsageError(
            f"Poisoner {spec.name!r} trains its surrogate, but {surrogate} has weights. Name an untrained architecture"
            f" with --surrogate, such as its default {spec.surrogate}."
        )
    if untrained and not spec.trains_surrogate:
        raise UsageError(
            f"Poisoner {spec.name!r} needs a surrogate with weights, but {surrogate} has none. Name another one with"
            " --surrogate (`ucbench list surrogate`)."
        )


def is_unrankable(defense: str, registry: Registry) -> bool:
    """Whether a part of this chain sees more than exploiters do, as an oracle or by leaked pairs.

    Such rows are shown, but no worst case includes them.

    Raises:
        UsageError: for an unknown name.
    """
    if defense == NO_DEFENSE:
        return False
    specs = [registry.find(DefenseSpec, part.name) for part in parse_chain(defense)]
    return any(spec.oracle or spec.leaked for spec in specs)
