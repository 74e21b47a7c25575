"""What a plugin hands to ucbench: specs, and the protocols of the classes they point to.

A spec is cheap: it names its class and its parameters lazily (``"module:Class"``), so listing components imports
neither torch nor a component's own dependencies. The classes behind the specs are built with one argument, their
parameters (a :class:`ucbench.plugins.params.Params`), and are lent everything else by the core through ``run``.

Images given to components are float32 in [0, 1], ``[B, 3, H, W]``, on ``run.device``; normalisation is the model's own.
Image *sets* are uint8 arrays (:class:`ucbench.data.ImageSet`) and are never modified in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ucbench.data import ImageSet
    from ucbench.data.budget import Budget
    from ucbench.leaderboard import Entry
    from ucbench.training import Engine
    from ucbench.training.recipe import Recipe

LabelAccess = Literal["none", "names", "full"]
Granularity = Literal["sample", "class", "cluster", "universal"]
Norm = Literal["linf", "l2", "l0", "unbounded"]


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One installed component, as its plugin registers it.

    Attributes:
        name: lower-kebab name, unique within its kind.
        summary: one line for ``ucbench list``.
        load: ``"module:Class"`` of the component; imported only when a cell needs it.
        params: ``"module:Class"`` of its :class:`ucbench.plugins.params.Params`, in a module that imports no torch.
        version: raised whenever the component's numbers change; part of every key.
        paper: citation: authors, title, venue, year, arXiv number.
        equation: what it computes, as one would write it on a line: plain text, its symbols told.
        aliases: further names it answers to.
        requires: modules that must be importable beyond ucbench's own dependencies.
        extra: the pip requirement that brings them, shown when they are missing.
    """

    kind: ClassVar[str] = "component"

    name: str
    summary: str
    load: str
    params: str = "ucbench.plugins.params:Params"
    version: int = 1
    paper: str = ""
    equation: str = ""
    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """``epsilon``: the linf radius (8-bit units) used unless one is named: the smallest at which the gate was passed.

    None leaves the choice to the poisoner's own ``native_epsilon``.
    """

    kind: ClassVar[str] = "dataset"

    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class SurrogateSpec(ComponentSpec):
    """A model that poisoners optimise against.

    Attributes:
        label_access: inherited by every poisoner that uses the surrogate: ``full`` if it saw evaluated labels.
        untrained: True for a bare architecture without weights of its own, for poisoners that train it themselves.
    """

    kind: ClassVar[str] = "surrogate"

    label_access: LabelAccess = "none"
    untrained: bool = False


@dataclass(frozen=True, kw_only=True)
class PoisonerSpec(ComponentSpec):
    """What tables show of a poisoner, beside the common fields.

    Attributes:
        label_access: what it must be told of the labels.
        granularity: how many images share one perturbation.
        budget: the norm it is made for; ``--epsilon`` applies to ``linf`` methods, others keep ``native_epsilon``. A
            parameter called ``norm`` overrides it, and the parameters' class variable ``native_epsilons`` then maps
            every norm it may take to its native radius.
        native_epsilon: the paper's radius: 8-bit units for ``linf``, the [0, 1] scale for ``l2``, pixels for ``l0``.
        surrogate: component reference of the surrogate used unless another is named; empty if it needs none.
        trains_surrogate: True if it trains a fresh network itself, so that only untrained surrogates fit it.
        oracle: True if it sees what a protector cannot; such rows are shown and not ranked.
        projects: True if it relies on the core's projection, which may then move any share of its values.
        fidelity: how the implementation relates to the publication, deviations named.
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
    fidelity: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelingSpec(ComponentSpec):
    """How an exploiter labels.

    Attributes:
        source: ``semantic`` labelings read clean images or metadata, ``machine`` labelings the published pixels.
        surrogate: component reference of the pretrained model it is lent as ``run.surrogate``; a parameter called
            ``model`` names another. Empty if it needs none.
    """

    kind: ClassVar[str] = "labeling"

    source: Literal["semantic", "machine"] = "semantic"
    surrogate: str = ""


@dataclass(frozen=True, kw_only=True)
class DefenseSpec(ComponentSpec):
    """What an exploiter does about a perturbation.

    Attributes:
        tier: T0 augmentation, T1 squeezing, T2 adversarial training, T3 removal, T4 external data or weights.
        static: True if it does nothing but ``prepare``, so that victims which train by themselves can use it too. A
            property ``static`` of its parameters overrides it.
        needs_trusted: True if it works with the trusted set.
        oracle: True if it sees what an exploiter cannot: ``prepare`` is lent ``run.clean``. No ranking can name it.
    """

    kind: ClassVar[str] = "defense"

    tier: Literal["T0", "T1", "T2", "T3", "T4"] = "T0"
    static: bool = False
    needs_trusted: bool = False
    oracle: bool = False


@dataclass(frozen=True, kw_only=True)
class VictimSpec(ComponentSpec):
    """Who trains on what was published.

    Attributes:
        opaque: True for a :class:`Trainer`, which trains by itself; False for an architecture with a recipe.
        needs_trusted: True if it learns its labels from the trusted set.
    """

    kind: ClassVar[str] = "victim"

    opaque: bool = False
    needs_trusted: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricSpec(ComponentSpec):
    """A measure beyond those that every spec has.

    Attributes:
        reads: which fields of :class:`MetricContext` it is given; the others are None. One that reads neither
            ``model`` nor ``history`` is measured without training.
    """

    kind: ClassVar[str] = "metric"

    reads: tuple[Literal["source", "published", "test", "perturbed_test", "model", "history"], ...] = ("model", "test")


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(ComponentSpec):
    """A way to compute many cells."""

    kind: ClassVar[str] = "executor"


@dataclass(frozen=True, kw_only=True)
class ExporterSpec(ComponentSpec):
    """A format that a leaderboard's table is written in."""

    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True)
class Perturbation:
    """What a poisoner returns.

    Attributes:
        delta: float32 ``[M, 3, H, W]`` in units of the [0, 1] pixel scale, to be *added* to the images.
        index: int64 ``[N]`` into ``delta``, one entry an image; None means M = N and image i gets ``delta[i]``.
        state: named arrays stored with the release (cluster centres and the like), for ``assign``.
    """

    delta: NDArray[np.float32]
    index: NDArray[np.int64] | None = None
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Checkpoint(Protocol):
    """Where a long craft saves its progress, so that an interrupted one goes on."""

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The last saved ``(step, arrays)``, or None."""

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Save atomically; may be called at every step, the core decides how often it writes."""


class Run(Protocol):
    """What the core lends a component while it works."""

    device: torch.device
    engine: Engine
    #: Set while crafting.
    budget: Budget | None
    #: Set while crafting with a surrogate, and for labelings that look through a model.
    surrogate: Surrogate | None
    #: The training set before it was perturbed; set for the ``prepare`` of a defense whose spec says ``oracle``.
    clean: ImageSet | None
    checkpoint: Checkpoint
    #: Epoch of the training that lends it, from 1; 0 outside of one.
    epoch: int

    def generator(self, stream: str) -> torch.Generator:
        """A CPU generator seeded from the cell's seed and ``stream``; the same stream starts afresh at each call."""

    def seed(self, stream: str) -> int:
        """The integer (63 bits) behind :meth:`generator`, for libraries that take a seed."""

    def progress(self, text: str, total: int) -> Callable[[int], None]:
        """Open a progress bar; call the result with the number of steps done since the last call."""

    def note(self, name: str, value: Any) -> None:
        """Put a diagnostic into the record. ``value`` must be JSON (numbers, text, lists, mappings)."""

    def warn(self, text: str) -> None:
        """Put a warning into the record, and show it."""


@runtime_checkable
class Dataset(Protocol):
    """``Class(params)``; loads image sets by split.

    May also have ``note: str``, set by :meth:`load`: how its pictures were brought to one size, to be printed.
    """

    def load(self, split: Literal["train", "test"]) -> ImageSet:
        """Read one split.

        Raises:
            DataError: naming the file or column that cannot be read.
        """


@runtime_checkable
class Surrogate(Protocol):
    """``Class(params)``; the model the protector optimises against.

    Resizing and normalisation happen inside :meth:`features` and :meth:`logits`, which are differentiable in ``x`` and
    leave no gradient on the weights.
    """

    def module(self, seed: int, train: ImageSet | None = None) -> torch.nn.Module:
        """The network, taking images ``[B, 3, H, W]`` in [0, 1] to scores ``[B, K]``; normalisation is inside.

        A surrogate whose spec says ``untrained`` returns a new one at every call, drawn from ``seed`` for the
        classes, size and pixel statistics of ``train``, with trainable weights and a method ``features(x)`` for its
        penultimate features ``[B, D]``; its own :meth:`features` and :meth:`logits` raise UsageError. Any other
        returns the frozen network it has.
        """

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores ``[B, K]`` float32."""

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to ``device``, compute in ``dtype`` (float32, or bfloat16 under autocast); called once by the core."""


@runtime_checkable
class FittedSurrogate(Surrogate, Protocol):
    """A surrogate that must be trained before use; the core stores what :meth:`fit` returns under its own key."""

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on the clean set and return the state."""

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Take up a state that :meth:`fit` returned."""


@runtime_checkable
class Poisoner(Protocol):
    """``Class(params)``; makes perturbations. The core projects, rounds, clips and measures them."""

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturb ``train``. ``train.labels`` are the craft labels, or None.

        A poisoner may also define ``assign(images, labels, state, run) -> int64 [B] | None``: which perturbation each
        image of an unseen :class:`ImageSet` would have got; None where it cannot tell. ``labels`` are those it was told
        of, or None. Accuracy on the *perturbed* test set is measured through it.

        A poisoner whose change of an image is not a shared array to be added may define, beside ``assign``,
        ``transform(images, index, state) -> images``: float32 tensors ``[B, 3, H, W]`` in [0, 1] to the same, with
        ``index`` int64 ``[B]`` as assigned. It replaces the addition for unseen images.
        """


@runtime_checkable
class Labeling(Protocol):
    """``Class(params)``; the exploiter's labels for what was published, and scoring labels of the clean test set."""

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """Return ``published`` and ``test`` under the exploiter's labels.

        A semantic labeling reads ``clean`` (a person sees through the noise); a machine labeling reads ``published``.
        The labels of the second value never depend on ``published``. What is drawn from ``run`` is the same for all
        craft and train seeds: which labels an exploiter uses is part of the setting.
        """


@runtime_checkable
class Defense(Protocol):
    """``Class(params)`` with any of these methods; stages run in this order, within a stage in the chain's order.

    * ``prepare(train: ImageSet, run) -> ImageSet`` - once for all trainings on a release; kept in the store.
    * ``augment(x, run, generator) -> x`` - every batch, after the recipe's crop and flip; randomness per image.
    * ``mix(x, targets, run, generator) -> (x, targets)`` - every batch; targets are ``[B, K]`` probabilities.
    * ``loss(model, x, targets, run, generator) -> scalar`` - replaces the recipe's loss; one owner in a chain.
    * ``at_test(x) -> x`` - every test batch.
    * ``select(scores) -> int`` - after every epoch: which epoch's weights to keep (from 0), given the accuracy in
      percent of each so far on the trusted set; the last one, or the one it returned before.
    """


@runtime_checkable
class Victim(Protocol):
    """``Class(params)``; architecture and training recipe."""

    recipe: Recipe

    def build(self, classes: int, size: tuple[int, int]) -> torch.nn.Module:
        """A freshly initialised model taking normalised images ``[B, 3, H, W]`` to logits ``[B, classes]``.

        Initialisation draws from torch's global generator, which the core seeds and restores around the call.
        """


@runtime_checkable
class Trainer(Protocol):
    """``Class(params)``; an exploiter who trains by itself: contrastive learners, platforms."""

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: Run) -> None:
        """Train on what was published, and on the trusted set where there is one.

        A trainer without labels of its own ignores those of ``train`` and takes its classes from ``trusted``.
        """

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        """The class ``[N]`` of every image, in the numbering of the sets it was trained on."""


@dataclass(frozen=True, kw_only=True)
class MetricContext:
    """What a metric may read; a field its spec does not name in ``reads`` is None.

    Attributes:
        run: what the core lends it.
        source: the training images before they were perturbed, under the exploiter's labels.
        published: the training set as published, under the exploiter's labels.
        test: the clean test set under the scoring labels.
        perturbed_test: that set perturbed as the poisoner would have; None too where the method cannot tell.
        model: the trained victim in eval mode, taking images in [0, 1] to logits; defenses at test time are inside.
        history: one mapping an evaluated epoch of its training.
    """

    run: Run
    source: ImageSet | None = None
    published: ImageSet | None = None
    test: ImageSet | None = None
    perturbed_test: ImageSet | None = None
    model: torch.nn.Module | None = None
    history: Sequence[Mapping[str, Any]] | None = None


@runtime_checkable
class Metric(Protocol):
    """``Class(params)``; measures what every spec does not already say."""

    def compute(self, context: MetricContext) -> Mapping[str, float | None]:
        """Values by name, None where one is undefined; tables call them ``<metric as asked for>.<name>``."""


@runtime_checkable
class Exporter(Protocol):
    """``Class(params)``; writes a leaderboard's table in one format."""

    def export(self, entries: Sequence[Entry], title: str) -> str:
        """The entries, block by block as they come, under ``title``; equal entries give equal texts.

        Names are whatever components and suites are called: escaping them is the format's business.
        ``ucbench.leaderboard.formats.sections(entries)`` has them as rows of plain text.
        """


@dataclass(frozen=True)
class CellEvent:
    """What the observing hooks receive: the cell's spec as written, and the folder it was written to, if any."""

    spec: Mapping[str, Any]
    out: str | None = None


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
