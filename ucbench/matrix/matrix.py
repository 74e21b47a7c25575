"""The matrix: the cells of a request, which are the cross product of the values of its axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES, AXIS, SMALL, SMALL_VICTIM, VICTIM
from ucbench.matrix.cell import Cell, Craft, CraftLabels
from ucbench.matrix.compatibility import check_exploiter, check_labeler, check_metrics, check_surrogate, surrogate_of
from ucbench.numerics import Numerics
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN, NO_DEFENSE, SHUFFLED, UNCRAFTED
from ucbench.plugins.builtin_params import ShuffledParams
from ucbench.plugins.grammar import ComponentRef, parse, parse_chain
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import (
    DatasetSpec,
    DefenseSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)

#: Radius in 8-bit units if neither request, data set nor poisoner has one.
FALLBACK_EPSILON = 8.0


@dataclass(frozen=True)
class Request:
    """The values of every axis, see :data:`ucbench.matrix.axes.AXES`.

    Each takes one value or several, as text or typed, and becomes a list of typed values.

    Attributes:
        victims: empty means a default by the size of the images.
        surrogates: empty means each poisoner's default.
        craft_labels: ``original``, ``predicted[:model=SURROGATE]``, ``clusters[:k=K,model=SURROGATE]``; ignored by
            poisoners that use no labels.
        labeler: default model of craft labels; without it, craft labels that need a model must name one.
        epsilons: linf radii in 8-bit units for linf poisoners; empty means the data set's, else the poisoner's.
        trusted: number of clean labelled images of the exploiter, taken out of the training set.
        metrics: measures beyond those in every record, for every cell; not an axis.
        seeds: pairs of craft and train seed.
        schedule: factor on the epochs of every victim.

    Raises:
        UsageError: for a value that is not of its axis's type, or out of range.
    """

    datasets: Sequence[str]
    poisoners: Sequence[str]
    victims: Sequence[str]
    labelings: Sequence[str]
    defenses: Sequence[str] = AXIS["defense"].defaults
    surrogates: Sequence[str] = AXIS["surrogate"].defaults
    craft_labels: Sequence[str] = AXIS["craft_labels"].defaults
    labeler: str = ""
    epsilons: Sequence[float] = AXIS["epsilon"].defaults
    mixtures: Sequence[float] = AXIS["mixture"].defaults
    trusted: Sequence[int] = AXIS["trusted"].defaults
    metrics: Sequence[str] = AXIS["metric"].defaults
    seeds: Sequence[tuple[int, int]] = ((0, 0),)
    schedule: float = AXIS["schedule"].default

    def __post_init__(self) -> None:
        for axis in AXES:
            if axis.plural:
                value = getattr(self, axis.plural)
                object.__setattr__(self, axis.plural, axis.values(value) if axis.repeatable else axis.read(value))


def expand(request: Request, registry: Registry, keep: Callable[[Cell], bool] | None = None) -> list[Cell]:
    """All cells of the request without duplicates, each after its references.

    Args:
        keep: selects cells; their references are always included. Cells that are left out need not be valid.

    Raises:
        UsageError: for unknown names, parameters or values, and for those that do not fit together.
    """
    if not request.seeds:
        raise UsageError("No seeds: give at least one, such as --seed 0 or --seed 0-2.")
    datasets = [registry.resolve(DatasetSpec, text) for text in request.datasets]
    poisoners = [registry.resolve(PoisonerSpec, text) for text in request.poisoners]
    labelings = [registry.resolve(LabelingSpec, text) for text in request.labelings]
    defenses = [_chain(text, registry) for text in request.defenses]
    victims = [
        [
            _at_schedule(registry.resolve(VictimSpec, text), request.schedule)
            for text in request.victims or [_victim(dataset)]
        ]
        for dataset in datasets
    ]
    metrics = tuple(registry.resolve(MetricSpec, text) for text in request.metrics)
    for text in request.surrogates:  # a poisoner without one would not notice a wrong name
        registry.resolve(SurrogateSpec, text)
    clean, sham = (registry.resolve(PoisonerSpec, name) for name in ADDED_REFERENCES)
    # All exploiters share the crafts of a data set and seed.
    crafts = {
        (index, seed): [craft for one in poisoners for craft in _crafts(one, dataset, request, registry, seed)]
        for index, dataset in enumerate(datasets)
        for seed, _ in request.seeds
    }
    exploiters = (
        (*exploiter, victim)
        for exploiter in itertools.product(enumerate(datasets), request.trusted, labelings, defenses)
        for victim in victims[exploiter[0][0]]
    )
    cells: dict[str, Cell] = {}
    for (index, dataset), trusted, labeling, defense, victim in exploiters:
        candidates = (
            Cell(dataset, craft, labeling, defense, victim, mixture, train_seed, trusted, metrics)
            for craft_seed, train_seed in request.seeds
            for craft in crafts[index, craft_seed]
            # Mixtures of unperturbed images are the same: one clean cell serves all.
            for mixture in ([1.0] if craft.is_clean else request.mixtures)
        )
        selected = [cell for cell in candidates if keep is None or keep(cell)]
        if selected:  # what a suite leaves out need not fit together
            check_labeler(labeling)
            check_exploiter(defense, victim, trusted)
            check_metrics(metrics, victim)
        for cell in selected:
            check_surrogate(cell.craft.made_by, cell.craft.surrogate)
        for cell in _with_references(selected, clean, sham):
            cells.setdefault(dedup_key(cell), cell)
    return list(cells.values())


def dedup_key(cell: Cell) -> str:
    """Equal for cells that are the same work: their key, with the data set's name instead of fingerprints."""
    data = str(cell.dataset)
    return cell.key(cell.release_key(data, _ANY_NUMERICS), data, data, _ANY_NUMERICS)


_ANY_NUMERICS = Numerics("cpu", "float32", 1)


def _victim(dataset: Component[DatasetSpec]) -> str:
    """The default victim for a data set, by what is known of its images before they are read."""
    side = getattr(dataset.params, "size", None) or dataset.spec.side
    return SMALL_VICTIM if side in SMALL else VICTIM


def _at_schedule(victim: Component[VictimSpec], factor: float) -> Component[VictimSpec]:
    if factor == 1:
        return victim
    from ucbench.training.recipe import scale_schedule

    try:
        scaled = scale_schedule(victim.params, factor)
    except UsageError as error:
        raise UsageError(f"--schedule {factor:g}x does not fit victim {victim}: {error}.") from None
    options = tuple({**dict(victim.ref.options), **scaled}.items())
    return victim.registry.resolve(VictimSpec, replace(victim.ref, options=options))


def _chain(text: str, registry: Registry) -> tuple[Component[DefenseSpec], ...]:
    if text == NO_DEFENSE:
        return ()
    references = parse_chain(text)
    if any(ref.name == NO_DEFENSE for ref in references):
        raise UsageError(f"Defense {text!r}: {NO_DEFENSE} means no defense, so it joins no chain and has no settings.")
    return tuple(registry.resolve(DefenseSpec, ref) for ref in references)


def _crafts(
    poisoner: Component[PoisonerSpec],
    dataset: Component[DatasetSpec],
    request: Request,
    registry: Registry,
    craft_seed: int,
) -> Iterable[Craft]:
    """The crafts of one poisoner: its surrogates x craft labels x budgets."""
    spec = poisoner.spec
    if spec.name == CLEAN:
        yield Craft(poisoner, None, CraftLabels("none"), Budget("unbounded", None), None)
        return
    if spec.name == SHUFFLED:
        assert isinstance(poisoner.params, ShuffledParams)
        base = registry.resolve(PoisonerSpec, poisoner.params.poisoner)
        if base.spec.name in UNCRAFTED:
            raise UsageError(f"{poisoner} cannot shuffle {base}: name a poisoner, as in shuffled:uc.")
        for craft in _crafts(base, dataset, request, registry, craft_seed):
            yield replace(craft, poisoner=poisoner, base=craft)
        return
    for labels in _craft_labels(spec, request, registry):
        # A poisoner without a surrogate gets one only to cluster its features into craft labels.
        uses_surrogate = bool(spec.surrogate) or (labels.source == "clusters" and labels.model is None)
        names = (request.surrogates or [surrogate_of(poisoner)]) if uses_surrogate else [""]
        surrogates = [registry.resolve(SurrogateSpec, name) if name else None for name in names]
        for surrogate, budget in itertools.product(surrogates, _budgets(poisoner, dataset, request)):
            yield Craft(poisoner, surrogate, labels, budget, craft_seed)


def _craft_labels(spec: PoisonerSpec, request: Request, registry: Registry) -> list[CraftLabels]:
    if spec.oracle:
        return [CraftLabels("exploiter")]
    if spec.label_access != "full":
        return [CraftLabels(spec.label_access)]
    return [_with_model(parse_craft_labels(text, registry), spec, request, registry) for text in request.craft_labels]


def _with_model(labels: CraftLabels, spec: PoisonerSpec, request: Request, registry: Registry) -> CraftLabels:
    if labels.model is not None or labels.source == "original":
        return labels
    if labels.source == "clusters" and request.surrogates and not spec.surrogate:
        return labels  # the poisoner does not use the requested surrogate, so that one is for the clusters
    if not request.labeler:
        raise UsageError(f"Craft labels {labels} need a model: name one, as in {labels.source}:model=NAME.")
    return replace(labels, model=registry.resolve(SurrogateSpec, request.labeler))


def parse_craft_labels(text: str, registry: Registry) -> CraftLabels:
    """Read ``original``, ``predicted[:model=SURROGATE]`` or ``clusters[:k=K,model=SURROGATE]`` (default: 10 clusters).

    Raises:
        UsageError: for anything else, and for a model without weights.
    """
    ref: ComponentRef = parse(text)
    options = dict(ref.options)
    name = options.pop("model", None) if ref.name in ("predicted", "clusters") else None
    count = options.pop("k", "10") if ref.name == "clusters" else ""
    clusters = int(count) if count.isdecimal() else 0
    known = ref.name in ("original", "predicted") or (ref.name == "clusters" and clusters >= 2)
    if not known or options or ref.argument or ref.preset:
        raise UsageError(
            f"Unknown craft labels {text!r}. Use original, predicted:model=SURROGATE or clusters:k=K,model=SURROGATE"
            " with K at least 2."
        )
    model = None if name is None else registry.resolve(SurrogateSpec, name)
    if model is not None and model.spec.untrained:
        raise UsageError(f"Craft labels {text!r} need a model with weights, but {model} has none.")
    return CraftLabels(ref.name, clusters, model)


def native_budget(spec: PoisonerSpec, params: object) -> Budget:
    """The native budget of a poisoner: that of its parameter ``norm``, else of its spec.

    Raises:
        UsageError: if a norm other than linf has no native radius.
    """
    norm = getattr(params, "norm", spec.budget)
    if norm == "unbounded":
        return Budget("unbounded", None)
    epsilon = getattr(params, "native_epsilons", {}).get(norm, spec.native_epsilon)
    return Budget(norm, epsilon or FALLBACK_EPSILON if norm == "linf" else epsilon)


def _budgets(poisoner: Component[PoisonerSpec], dataset: Component[DatasetSpec], request: Request) -> list[Budget]:
    native = native_budget(poisoner.spec, poisoner.params)
    if native.norm != "linf":
        return [native]
    if request.epsilons:
        return [Budget("linf", epsilon) for epsilon in request.epsilons]
    return [Budget("linf", dataset.spec.epsilon) if dataset.spec.epsilon else native]


def _with_references(
    cells: Iterable[Cell], clean: Component[PoisonerSpec], sham: Component[PoisonerSpec]
) -> Iterator[Cell]:
    """The cells of one exploiter, each after the clean and the sham cell with which it is compared."""
    unperturbed = Craft(clean, None, CraftLabels("none"), Budget("unbounded", None), None)
    # With the exploiter fixed, references depend on these alone; each combination is added once.
    referenced: set[tuple[Budget, float, int | None, int]] = set()
    for cell in cells:
        craft = cell.craft
        shared = (craft.budget, cell.mixture, craft.seed, cell.train_seed)
        if shared not in referenced:
            referenced.add(shared)
            yield replace(cell, craft=unperturbed, mixture=1.0)
            if craft.budget.epsilon is not None:
                yield replace(cell, craft=Craft(sham, None, CraftLabels("none"), craft.budget, craft.seed))
        yield cell
