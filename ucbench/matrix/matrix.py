"""Cells: what one row of a table is made of, and the cross product of the axes that gives them.

A cell names everything that can change its numbers. Its keys are computed here from the components' identities and the
fingerprints of the data, without torch and without the components' own dependencies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES, AXIS
from ucbench.matrix.compatibility import check_exploiter, check_labeler, check_surrogate, labeler_of
from ucbench.numerics import Numerics
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, SHAM, SHUFFLED
from ucbench.plugins.grammar import ComponentRef, parse, parse_chain
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import DatasetSpec, PoisonerSpec
from ucbench.store.keys import KeyText, key

#: Raised when the core's own training, evaluation or projection changes numbers.
CORE_VERSION = 1
#: Radius in 8-bit units where neither the request, the data set nor the poisoner names one.
FALLBACK_EPSILON = 8.0


@dataclass(frozen=True)
class CraftLabels:
    """What a label-based poisoner is told.

    ``source`` is ``none``, ``original``, ``predicted`` (the classes that ``model`` sees in the images, compacted to
    those that occur), ``clusters`` (``clusters`` of them, in the features of ``model``, or of the craft's surrogate
    where that is None) or ``exploiter`` (the labels the exploiter will use: oracle references only).
    """

    source: str
    clusters: int = 0
    model: Component | None = None

    def __str__(self) -> str:
        options = {"k": str(self.clusters)} if self.source == "clusters" else {}
        if self.model is not None:
            options["model"] = str(self.model)
        return str(ComponentRef(self.source, options=tuple(options.items())))

    def identity(self) -> Any:
        """What can change a number: the source, and the model with its weights."""
        return str(self) if self.model is None else [self.source, self.clusters, self.model.key_text]

    @property
    def access(self) -> str:
        """Label access of a poisoner told these: nobody's labels enter clusters and the classes a model predicts."""
        if self.source in ("original", "exploiter"):
            return "full"
        return getattr(self.model.spec, "label_access", "none") if self.model else "none"


@dataclass(frozen=True)
class Axes:
    """A request: the values of every axis (see :data:`ucbench.matrix.axes.AXES`). Cells are their cross product.

    Each may be given as one value or several, as text or as it is; it is kept as a list of read values.

    Attributes:
        surrogates: empty means each poisoner's own default.
        craft_labels: ``original``, ``predicted[:model=SURROGATE]``, ``clusters[:k=K,model=SURROGATE]``; poisoners that
            read no labels ignore it.
        labeler: the surrogate meant where craft labels name no model; empty leaves that an error.
        epsilons: linf radii in 8-bit units for linf poisoners; empty means the data set's, then the poisoner's own.
        trusted: how many clean labelled images the exploiter is granted; they are taken from the training set.
        metrics: what to measure beyond what every record has, of every cell; no axis.
        seeds: pairs of craft and train seed.
        schedule: factor on the epochs of every victim.

    Raises:
        UsageError: for a value that is not of its axis' type or out of range.
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
            if axis.request:
                given = getattr(self, axis.request)
                read = axis.values(given) if axis.repeatable else axis.read(given)
                object.__setattr__(self, axis.request, read)


@dataclass(frozen=True)
class Craft:
    """What makes a release, the data apart.

    ``seed`` is None where nothing is drawn. ``base`` is the craft whose perturbations a ``shuffled`` one deals anew.
    """

    poisoner: Component
    surrogate: Component | None
    labels: CraftLabels
    budget: Budget
    seed: int | None
    base: Craft | None = None
    #: Cells that differ in the exploiter share their craft, and so the work of writing its key.
    _keys: dict[tuple[str, KeyText | None, Numerics], str] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def made_by(self) -> PoisonerSpec:
        """The record of the poisoner that crafts: for a ``shuffled`` one, the one whose perturbations it deals anew."""
        record = (self.base or self).poisoner.spec
        assert isinstance(record, PoisonerSpec)
        return record

    @property
    def is_reference(self) -> bool:
        return self.poisoner.spec.name in (CLEAN, SHAM)

    @property
    def is_clean(self) -> bool:
        return self.poisoner.spec.name == CLEAN

    def key(self, fingerprint: str, told: KeyText | None, numerics: Numerics) -> str:
        """Key of the release of the images with this fingerprint; ``told`` is the labeling an oracle was told."""
        asked = (fingerprint, told, numerics)
        if asked not in self._keys:
            self._keys[asked] = self._key(*asked)
        return self._keys[asked]

    def _key(self, fingerprint: str, told: KeyText | None, numerics: Numerics) -> str:
        if self.base is not None:
            return key("release", {"core": CORE_VERSION, "shuffled": self.base.key(fingerprint, told, numerics)})
        return key(
            "release",
            {
                "core": CORE_VERSION,
                "images": fingerprint,
                "poisoner": self.poisoner.key_text,
                "surrogate": self.surrogate.key_text if self.surrogate else None,
                "labels": self.labels.identity(),
                "told": told,
                "budget": [self.budget.norm, self.budget.epsilon],
                "seed": self.seed,
                "numerics": numerics.key_text,
            },
        )


@dataclass(frozen=True)
class Cell:
    """One row: dataset x craft x mixture x labeling x defense x victim x seeds."""

    dataset: Component
    craft: Craft
    labeling: Component
    defense: tuple[Component, ...]
    victim: Component
    mixture: float
    train_seed: int
    #: Clean labelled images granted to the exploiter, set aside before anything is crafted.
    trusted: int = 0
    #: What is measured beyond what every record has. No part of any key: it changes no number.
    metrics: tuple[Component, ...] = ()

    @property
    def _labeling_key_text(self) -> KeyText:
        labeler = labeler_of(self.labeling)
        if labeler is None:
            return self.labeling.key_text
        return KeyText.of({**self.labeling.identity(), "model": labeler.key_text})

    def release_key(self, part_fingerprint: str, numerics: Numerics) -> str | None:
        """Key of the release of the protected part with this fingerprint; None for the clean reference."""
        if self.craft.is_clean:
            return None
        told = self._labeling_key_text if self.craft.labels.source == "exploiter" else None
        return self.craft.key(part_fingerprint, told, numerics)

    def key(self, release_key: str | None, train_fingerprint: str, test_fingerprint: str, numerics: Numerics) -> str:
        """Key of the cell's record, on data with these fingerprints."""
        return key(
            "cell",
            {
                "core": CORE_VERSION,
                "release": release_key,
                "train": train_fingerprint,
                "test": test_fingerprint,
                "mixture": self.mixture,
                "labeling": self._labeling_key_text,
                "defense": [part.key_text for part in self.defense],
                "victim": self.victim.key_text,
                "train_seed": self.train_seed,
                "trusted": self.trusted,
                "numerics": numerics.key_text,
            },
        )

    @property
    def defense_text(self) -> str:
        return "+".join(str(part) for part in self.defense) or NO_DEFENSE

    def describe(self) -> dict[str, Any]:
        """The cell in the words of the tables: one value an axis."""
        craft = self.craft
        return {
            "dataset": str(self.dataset),
            "poisoner": poisoner_text(craft.poisoner),
            "preset": craft.poisoner.preset,
            "surrogate": str(craft.surrogate) if craft.surrogate else "none",
            "craft_labels": str(craft.labels),
            "labeling": str(self.labeling),
            "defense": self.defense_text,
            "victim": str(self.victim),
            "norm": craft.budget.norm,
            "epsilon": craft.budget.epsilon,
            "mixture": self.mixture,
            "trusted": self.trusted,
            "craft_seed": craft.seed,
            "train_seed": self.train_seed,
        }


def expand(axes: Axes, registry: Registry, keep: Callable[[Cell], bool] | None = None) -> list[Cell]:
    """All cells of the request, each one's references before it, none twice, however it is spelled.

    With ``keep``, only the cells for which it is true, and their references.

    Raises:
        UsageError: for names, parameters or values that do not exist or do not fit together.
    """
    if not axes.seeds:
        raise UsageError("No seeds: give at least one, such as --seed 0 or --seed 0-2.")
    datasets = [registry.resolve("dataset", text) for text in axes.datasets]
    poisoners = [registry.resolve("poisoner", text) for text in axes.poisoners]
    labelings = [registry.resolve("labeling", text) for text in axes.labelings]
    defenses = [_chain(text, registry) for text in axes.defenses]
    victims = [_at_schedule(registry.resolve("victim", text), axes.schedule) for text in axes.victims]
    metrics = tuple(registry.resolve("metric", text) for text in axes.metrics)
    for labeling in labelings:
        check_labeler(labeling)
    clean, sham = registry.resolve("poisoner", CLEAN), registry.resolve("poisoner", SHAM)
    cells: dict[str, Cell] = {}
    # Exploiters share the crafts, so these are made out once a data set and seed.
    crafts = {
        (dataset, seed): [craft for one in poisoners for craft in _crafts(one, datasets[dataset], axes, registry, seed)]
        for dataset in range(len(datasets))
        for seed, _ in axes.seeds
    }
    exploiters = itertools.product(enumerate(datasets), axes.trusted, labelings, defenses, victims)
    for (place, dataset), trusted, labeling, defense, victim in exploiters:
        check_exploiter(defense, victim, trusted)
        # What the references of a cell depend on, the exploiter given; those that are there already.
        referenced: set[tuple[Budget, float, int, int]] = set()
        for craft_seed, train_seed in axes.seeds:
            for craft in crafts[place, craft_seed]:
                # A fraction of no perturbation is none: one clean cell serves all mixtures.
                for mixture in [1.0] if craft.is_clean else axes.mixtures:
                    cell = Cell(dataset, craft, labeling, defense, victim, mixture, train_seed, trusted, metrics)
                    if keep is not None and not keep(cell):
                        continue
                    shared = (craft.budget, mixture, craft_seed, train_seed)
                    if shared not in referenced:
                        referenced.add(shared)
                        for reference in _references(cell, clean, sham, craft_seed):
                            cells.setdefault(dedup_key(reference), reference)
                    cells.setdefault(dedup_key(cell), cell)
    return list(cells.values())


def dedup_key(cell: Cell) -> str:
    """Equal for cells that are the same work: their key, the data set's name standing for fingerprints not read yet."""
    data = str(cell.dataset)
    return cell.key(cell.release_key(data, _ANY_NUMERICS), data, data, _ANY_NUMERICS)


_ANY_NUMERICS = Numerics("cpu", "float32", 1)


def poisoner_text(poisoner: Component) -> str:
    """The poisoner without its preset, which is a column of its own."""
    return str(replace(poisoner.ref, preset=None))


def _at_schedule(victim: Component, factor: float) -> Component:
    if factor == 1:
        return victim
    from ucbench.training.recipe import scale_schedule

    try:
        changed = scale_schedule(victim.params, factor)
    except UsageError as error:
        raise UsageError(f"--schedule {factor:g}x does not fit victim {victim}: {error}.") from None
    options = tuple({**dict(victim.ref.options), **changed}.items())
    return victim.registry.resolve("victim", replace(victim.ref, options=options))


def _chain(text: str, registry: Registry) -> tuple[Component, ...]:
    if text == NO_DEFENSE:
        return ()
    return tuple(registry.resolve("defense", ref) for ref in parse_chain(text))


def _crafts(
    poisoner: Component, dataset: Component, axes: Axes, registry: Registry, craft_seed: int
) -> Iterable[Craft]:
    """The crafts of one poisoner: its surrogates x craft labels x budgets."""
    record = poisoner.spec
    assert isinstance(record, PoisonerSpec)
    if record.name == CLEAN:
        yield Craft(poisoner, None, CraftLabels("none"), Budget("unbounded", None), None)
        return
    if record.name == SHUFFLED:
        base = registry.resolve("poisoner", getattr(poisoner.params, "poisoner", ""))
        if base.spec.name in (CLEAN, SHUFFLED):
            raise UsageError(f"{poisoner} makes no sense: name a poisoner, as in shuffled:uc.")
        for craft in _crafts(base, dataset, axes, registry, craft_seed):
            yield replace(craft, poisoner=poisoner, base=craft)
        return
    for labels in _craft_labels(record, axes, registry):
        # A poisoner without a surrogate is lent one only for the clusters it is told.
        uses_surrogate = bool(record.surrogate) or (labels.source == "clusters" and labels.model is None)
        names = (axes.surrogates or [record.surrogate]) if uses_surrogate else [""]
        surrogates = [registry.resolve("surrogate", name) if name else None for name in names]
        for named in surrogates:
            check_surrogate(record, named)
        for surrogate, budget in itertools.product(surrogates, _budgets(poisoner, dataset, axes)):
            yield Craft(poisoner, surrogate, labels, budget, craft_seed)


def _craft_labels(record: PoisonerSpec, axes: Axes, registry: Registry) -> list[CraftLabels]:
    if record.oracle:
        return [CraftLabels("exploiter")]
    if record.label_access == "none":
        return [CraftLabels("none")]
    return [_with_model(parse_craft_labels(text, registry), record, axes, registry) for text in axes.craft_labels]


def _with_model(labels: CraftLabels, record: PoisonerSpec, axes: Axes, registry: Registry) -> CraftLabels:
    if labels.model is not None or labels.source == "original":
        return labels
    if labels.source == "clusters" and axes.surrogates and not record.surrogate:
        return labels  # with nothing to optimise against, the surrogate named for the run is there for the clusters
    if not axes.labeler:
        raise UsageError(f"Craft labels {labels} come from a model: name one, as in {labels.source}:model=NAME.")
    return replace(labels, model=registry.resolve("surrogate", axes.labeler))


def parse_craft_labels(text: str, registry: Registry) -> CraftLabels:
    """``original``, ``predicted[:model=SURROGATE]`` or ``clusters[:k=K,model=SURROGATE]`` (10 clusters by default).

    Raises:
        UsageError: for anything else, and for a model that has no weights.
    """
    ref: ComponentRef = parse(text)
    options = dict(ref.options)
    named = options.pop("model", None) if ref.name in ("predicted", "clusters") else None
    count = options.pop("k", "10") if ref.name == "clusters" else "0"
    clusters = int(count) if count.isdecimal() else 1
    if ref.name not in ("original", "predicted", "clusters") or clusters == 1 or options or ref.argument or ref.preset:
        raise UsageError(
            f"Unknown craft labels {text!r}. Use original, predicted:model=SURROGATE or clusters:k=K with K at least 2"
            " (and, if you like, model=SURROGATE)."
        )
    model = None if named is None else registry.resolve("surrogate", named)
    if model is not None and getattr(model.spec, "untrained", False):
        raise UsageError(f"Craft labels {text!r} want a model with weights, and {model} has none.")
    return CraftLabels(ref.name, clusters, model)


def native_budget(record: PoisonerSpec, params: object) -> Budget:
    """The budget a poisoner with these parameters is made for: its record's, or that of its parameter ``norm``.

    Raises:
        UsageError: if nothing names the radius of a norm other than linf.
    """
    norm = getattr(params, "norm", record.budget)
    if norm == "unbounded":
        return Budget("unbounded", None)
    epsilon = getattr(params, "native_epsilons", {}).get(norm, record.native_epsilon)
    return Budget(norm, epsilon or FALLBACK_EPSILON if norm == "linf" else epsilon)


def _budgets(poisoner: Component, dataset: Component, axes: Axes) -> list[Budget]:
    assert isinstance(poisoner.spec, PoisonerSpec)
    native = native_budget(poisoner.spec, poisoner.params)
    if native.norm != "linf":
        return [native]
    assert isinstance(dataset.spec, DatasetSpec)
    if axes.epsilons:
        return [Budget("linf", epsilon) for epsilon in axes.epsilons]
    return [Budget("linf", dataset.spec.epsilon) if dataset.spec.epsilon else native]


def _references(cell: Cell, clean: Component, sham: Component, craft_seed: int) -> list[Cell]:
    """The clean and the sham cell that ``cell`` is read against."""
    nothing = Craft(clean, None, CraftLabels("none"), Budget("unbounded", None), None)
    references = [replace(cell, craft=nothing, mixture=1.0)]
    if cell.craft.budget.epsilon is not None:
        noise = Craft(sham, None, CraftLabels("none"), cell.craft.budget, craft_seed)
        references.append(replace(cell, craft=noise))
    return references
