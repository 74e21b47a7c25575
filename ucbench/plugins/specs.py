"""Specs: what a plugin registers.

A spec names its class and its parameters as ``"module:Class"``, so that listing components imports neither torch nor a
component's dependencies. The class takes one argument, its parameters (a :class:`ucbench.Params`); ``run`` provides
everything else.

Components receive images as float32 in [0, 1], ``[B, 3, H, W]``, on ``run.device``; normalisation belongs to the model.
Image *sets* are uint8 arrays (:class:`ucbench.ImageSet`) and are never modified in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

LabelAccess = Literal["none", "names", "full"]
Granularity = Literal["sample", "class", "cluster", "universal"]
Norm = Literal["linf", "l2", "l0", "unbounded"]

#: The platform of victims that this package's engine trains, and of records older than the field.
OWN_PLATFORM = "ucbench"

#: Tiers of defenses, by what they need or do.
TIERS = {
    "T0": "augmentation",
    "T1": "squeezing",
    "T2": "adversarial training",
    "T3": "removal with the release, judged by trusted images at most",
    "T4": "external data or weights, or a diffusion model",
}


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """What every kind of component registers.

    Attributes:
        name: lower-kebab name, unique within its kind.
        summary: one line for ``ucbench list``.
        title: the name in the literature, with its abbreviations: ``Error-minimising noise (EM)``.
        load: ``"module:Class"`` of the component; imported only when a cell needs it.
        params: ``"module:Class"`` of its :class:`ucbench.Params`, in a module that imports no torch.
        version: raise it whenever the component's numbers change; part of every key.
        paper: citation as ``AUTHORS: TITLE. VENUE YEAR. arXiv NUMBER``, or ``doi DOI`` or an address at the end, then a
            note in parentheses; semicolons separate several.
        equation: what it computes, with its symbols explained. TeX between ``$``, or ``$$`` for a line of its own;
            a terminal shows it in Unicode.
        fidelity: how the implementation relates to the publication and its code, with all deviations, as clauses
            separated by semicolons; users read it.
        aliases: further names, which may begin with a digit.
        requires: modules it imports beyond ucbench's dependencies.
        extra: the pip requirement that installs them, shown when they are missing.
        sample: what follows the colon of a reference that is small and complete (``"0.5"``, ``"rate=0.5,steps=2"``), by
            which the component is checked. A component with required parameters needs one.
    """

    kind: ClassVar[str] = "component"

    name: str
    summary: str
    load: str
    title: str = ""
    params: str = "ucbench.plugins.params:Params"
    version: int = 1
    paper: str = ""
    equation: str = ""
    fidelity: str = ""
    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""
    sample: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """A data set.

    Attributes:
        epsilon: default linf radius in 8-bit units, the smallest that passed the gate; None: the poisoner's
            ``native_epsilon``.
        side: of its images in pixels, unless a parameter ``size`` says otherwise; None if it depends on files.
    """

    kind: ClassVar[str] = "dataset"

    epsilon: float | None = None
    side: int | None = None


@dataclass(frozen=True, kw_only=True)
class SurrogateSpec(ComponentSpec):
    """A model that poisoners optimise against.

    Attributes:
        label_access: ``full`` if it has seen labels of the evaluation; every poisoner that uses it inherits this.
        untrained: True for an architecture without weights, for poisoners that train it.
    """

    kind: ClassVar[str] = "surrogate"

    label_access: LabelAccess = "none"
    untrained: bool = False


@dataclass(frozen=True, kw_only=True)
class PoisonerSpec(ComponentSpec):
    """A method that turns images into a release.

    Attributes:
        label_access: what it needs to know of the labels: nothing, the names of the classes, or all.
        granularity: which images share one perturbation.
        budget: its norm; ``--epsilon`` applies to ``linf`` methods, others keep ``native_epsilon``. A parameter
            ``norm`` overrides it; the parameters' class variable ``native_epsilons`` then maps every norm to its native
            radius.
        native_epsilon: the paper's radius: 8-bit units for ``linf``, the [0, 1] scale for ``l2``, pixels for ``l0``.
        surrogate: reference of its default surrogate; empty if it needs none. The parameters' class variable
            ``surrogates`` names others for presets.
        trains_surrogate: True if it trains a new network, so that only untrained surrogates fit.
        oracle: True if it sees what a protector cannot; such rows are shown and not ranked.
        projects: True if it relies on the core's projection, which may then change any share of its values.
    """

    kind: ClassVar[str] = "poisoner"

    label_access: LabelAccess = "none"
    granularity: Granularity = "sample"
    budget: Norm = "linf"
    native_epsilon: float | None = None
    surrogate: str = ""
    trains_surrogate: bool = False
    oracle: bool = False
    projects: bool = False


@dataclass(frozen=True, kw_only=True)
class LabelingSpec(ComponentSpec):
    """How an exploiter labels the images.

    Attributes:
        source: ``semantic`` labelings read clean images or metadata, ``machine`` labelings the published pixels.
        surrogate: reference of the pretrained model it uses as ``run.surrogate``; a parameter ``model`` overrides it.
            Empty if it needs none.
    """

    kind: ClassVar[str] = "labeling"

    source: Literal["semantic", "machine"] = "semantic"
    surrogate: str = ""


@dataclass(frozen=True, kw_only=True)
class DefenseSpec(ComponentSpec):
    """What an exploiter does about a perturbation.

    Attributes:
        tier: T0 augmentation, T1 squeezing, T2 adversarial training, T3 removal, T4 external data or weights.
        static: True if it has only ``prepare``, so that opaque victims can use it too. A property ``static`` of its
            parameters overrides it.
        needs_trusted: True if it uses the trusted set; its ``prepare`` may read ``run.trusted``.
        oracle: True if it sees what an exploiter cannot: its ``prepare`` may read ``run.clean``. It must be the first
            of a chain, and is never ranked.
        leaked: True if the protector's method answers it: its ``prepare`` may read ``run.leaked``, the trusted images
            before and after the same craft. It needs the trusted set and is never ranked.
    """

    kind: ClassVar[str] = "defense"

    tier: Literal["T0", "T1", "T2", "T3", "T4"] = "T0"
    static: bool = False
    needs_trusted: bool = False
    oracle: bool = False
    leaked: bool = False


@dataclass(frozen=True, kw_only=True)
class VictimSpec(ComponentSpec):
    """Who trains on what was published.

    Attributes:
        opaque: True for a trainer (``fit`` and ``predict``); False for an architecture with a recipe.
        needs_trusted: True if it learns its labels from the trusted set.
        smallest: the shortest side of images that it takes, in pixels; None for any. A property ``smallest`` of its
            parameters overrides it.
        platform: whose trainer trains it: a framework's or a service's name.
    """

    kind: ClassVar[str] = "victim"

    opaque: bool = False
    needs_trusted: bool = False
    smallest: int | None = None
    platform: str = OWN_PLATFORM


@dataclass(frozen=True, kw_only=True)
class MetricSpec(ComponentSpec):
    """A measure beyond those in every record.

    Attributes:
        reads: the fields of :class:`ucbench.MetricContext` that it may read. A metric that reads neither ``model`` nor
            ``history`` is measured without training.
    """

    kind: ClassVar[str] = "metric"

    reads: tuple[Literal["source", "published", "test", "perturbed_test", "model", "history"], ...] = ("model", "test")


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(ComponentSpec):
    """A way to compute many cells.

    Attributes:
        remote: True if it computes on other machines, so that this one need not have the device.
    """

    kind: ClassVar[str] = "executor"

    remote: bool = False


@dataclass(frozen=True, kw_only=True)
class ExporterSpec(ComponentSpec):
    """A format of leaderboards."""

    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True)
class CellEvent:
    """What ``ucbench_cell_*`` hooks receive: the cell's record, and the folder it was written to, if any."""

    record: Mapping[str, Any]
    out: str | None = None


@dataclass(frozen=True)
class EpochEvent:
    """What ``ucbench_epoch_finished`` receives: one epoch of a victim's training.

    Attributes:
        cell: the cell's key, which names its record.
        request: the cell's axes by name, as in its record.
        epoch: of ``epochs``, from 1.
        epochs: of the recipe.
        values: ``loss`` (the epoch's mean), ``lr``, and ``test_accuracy`` (percent) where the recipe evaluates.
    """

    cell: str
    request: Mapping[str, Any]
    epoch: int
    epochs: int
    values: Mapping[str, float]


SPEC_KINDS: Mapping[str, type[ComponentSpec]] = {
    spec.kind: spec
    for spec in (
        DatasetSpec,
        SurrogateSpec,
        PoisonerSpec,
        LabelingSpec,
        DefenseSpec,
        VictimSpec,
        MetricSpec,
        ExecutorSpec,
        ExporterSpec,
    )
}
