"""The contract of poisoners."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.crafting.poisoner import Perturbation, Poisoner
from ucbench.crafting.release import make_release
from ucbench.crafting.surrogate import Surrogate
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, DataError, UsageError
from ucbench.matrix.matrix import native_budget
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import PoisonerSpec
from ucbench.testing.rules import Rule, RuleError
from ucbench.testing.samples import NUMERICS, MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import CALLS, INPUTS, RUNS, Subject, shape_text, subject_of
from ucbench.training.determinism import deterministic

NATIVE = Rule(
    "native-budget",
    "a poisoner must name the native_epsilon of its norm",
    "Set native_epsilon in the spec: pixels for l0, a length on the [0, 1] scale for l2. Where a parameter is called "
    "norm, the parameters' class variable native_epsilons has one for each.",
)
PERTURBATION = Rule(
    "perturbation",
    "craft() must return a Perturbation that fits the images",
    "Return ucbench.Perturbation(delta, index): finite float32 [M, 3, H, W] on the [0, 1] scale, to be added, and "
    "int64 [N] into it, an entry for each image; without an index, M is N.",
)
BUDGET = Rule(
    "budget",
    "a perturbation must keep to the budget that is lent",
    "Scale by run.budget.radius, which a request may set to another than the paper's. A method that relies on the "
    "core's projection says projects=True in its spec.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same perturbation",
    "Draw everything from run.generator(stream) or run.seed(stream); keep nothing between calls, in the instance or "
    "the module; never iterate over a set.",
)
LABEL_FREE = Rule(
    "label-free",
    "a poisoner of label_access='none' must not read labels",
    "Leave train.labels and train.label_sets alone, or say label_access='full' in the spec.",
)
GRANULARITY = Rule(
    "granularity",
    "as many images share a perturbation as granularity says",
    "Say in the spec what is so: 'sample', 'class', 'cluster' or 'universal'. Tables show it.",
)
CHECKPOINT = Rule(
    "checkpoint",
    "crafting that goes on from a checkpoint must end as without interruption",
    "Save all that the next step reads: the step, optimiser state, and the state of every generator that is drawn from "
    "step by step (or derive a stream for each step).",
)
FEW_IMAGES = Rule(
    "few-images",
    "sets of one class or one image must be crafted, or refused by UsageError",
    "A small mixture leaves a protector with such sets. Handle empty classes, or raise ucbench.UsageError and say how "
    "many images are needed.",
)
ASSIGN = Rule(
    "assign",
    "assign() must return int64 [N] into the perturbations, or None",
    "Return one index an image, .astype(np.int64), or None where the method cannot tell.",
)
ASSIGN_EACH = Rule(
    "assign-each",
    "assign() must judge every image by itself",
    "Compare an image with what state holds, never with the others of its set.",
)
TRANSFORM = Rule(
    "transform",
    "transform() must return images of the same shape in [0, 1]",
    "Return a new float32 tensor, clamped to [0, 1].",
)
RULES = (
    NATIVE, *CALLS, PERTURBATION, BUDGET, SAME_SEED, LABEL_FREE, GRANULARITY, CHECKPOINT, FEW_IMAGES, ASSIGN,
    ASSIGN_EACH, TRANSFORM,
)  # fmt: skip


def check_poisoner(
    poisoner: Component[Any] | Poisoner,
    *,
    spec: PoisonerSpec | None = None,
    surrogate: Surrogate | None = None,
    train: ImageSet | None = None,
) -> None:
    """Check a poisoner: budget, order and count, determinism, inputs, label access, granularity, ``assign``.

    One that saves checkpoints must give the same bytes when it goes on from any of them.

    Args:
        surrogate: lent while crafting; a :class:`~ucbench.testing.TinySurrogate` where the spec names one.
        train: what is perturbed, with labels; 13 pictures of 10 x 14 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(poisoner, spec, PoisonerSpec)
    if surrogate is None and subject.spec.surrogate:
        surrogate = TinySurrogate()
    train = train or sample_images()
    params = poisoner.params if isinstance(poisoner, Component) else getattr(poisoner, "params", None)
    with subject.apart(), deterministic(NUMERICS):
        _check(_Bench(subject, surrogate, _native_budget(subject, params)), train)


@dataclasses.dataclass(frozen=True)
class _Bench:
    """One poisoner with what it is lent."""

    subject: Subject[PoisonerSpec]
    surrogate: Surrogate | None
    budget: Budget

    def told(self, images: ImageSet) -> ImageSet:
        return images.with_labels(None) if self.subject.spec.label_access == "none" else images

    def craft(
        self, train: ImageSet, state: int = 0, checkpoint: MemoryCheckpoint | None = None, rule: Rule = RUNS
    ) -> Perturbation:
        """Craft, and find a perturbation of which a release can be made."""
        with self.subject.calling("craft()", train, state=state, rule=rule):
            run = make_run(budget=self.budget, surrogate=self.surrogate, checkpoint=checkpoint)
            perturbation: Perturbation = self.subject.build().craft(train, run)
        try:
            make_release(perturbation, train, self.budget, declares_projection=True)
        except ContractError as error:
            raise RuleError(self.subject.label, PERTURBATION.said(str(error))) from error
        self.subject.require(True, PERTURBATION, "")
        return perturbation

    def check_budget(self, perturbation: Perturbation, train: ImageSet) -> None:
        """Make the release that the core would make."""
        try:
            make_release(perturbation, train, self.budget, declares_projection=self.subject.spec.projects)
        except ContractError as error:
            raise RuleError(self.subject.label, BUDGET.said(str(error))) from error
        self.subject.require(True, BUDGET, "")


def _check(bench: _Bench, train: ImageSet) -> None:
    subject, told, checkpoint = bench.subject, bench.told(train), MemoryCheckpoint()
    try:
        first = bench.craft(told, checkpoint=checkpoint)
    except DataError as error:
        if told.labels is not None:
            raise
        rule = LABEL_FREE.said("label_access='none' means to do without labels")
        raise RuleError(subject.label, rule, str(error)) from error
    with subject.apart():
        bench.check_budget(first, told)
    with subject.apart():
        _check_same(subject, first, bench.craft(told, state=1), SAME_SEED)
    with subject.apart():
        _check_label_free(bench, first, train)
    with subject.apart():
        _check_granularity(subject, first, train)
    with subject.apart():
        _check_checkpoint(bench, first, told, checkpoint)
    smaller = _smaller(bench.budget)
    if smaller is not None:
        with subject.apart():
            lent = dataclasses.replace(bench, budget=smaller)
            lent.check_budget(lent.craft(told), told)
    with subject.apart():
        _check_few_images(bench, train)
    if not hasattr(subject.build(), "assign"):
        subject.skip("it has no assign()", ASSIGN, ASSIGN_EACH, TRANSFORM)
        return
    with subject.apart():
        _check_assign(bench, first)


def _native_budget(subject: Subject[PoisonerSpec], params: object) -> Budget:
    try:
        budget = native_budget(subject.spec, params)
    except UsageError as error:
        raise RuleError(subject.label, NATIVE, str(error)) from error
    subject.require(True, NATIVE, "")
    return budget


def _smaller(budget: Budget) -> Budget | None:
    """Half the budget, where there is one."""
    if budget.epsilon is None or (budget.norm != "l2" and budget.epsilon < 2):
        return None
    return Budget(budget.norm, budget.epsilon / 2)


def _arrays(perturbation: Perturbation) -> dict[str, NDArray[Any]]:
    index = {} if perturbation.index is None else {"index": perturbation.index}
    return {"delta": perturbation.delta, **index, **{f"state[{k!r}]": v for k, v in perturbation.state.items()}}


def _check_same(subject: Subject[Any], first: Perturbation, second: Perturbation, rule: Rule) -> None:
    subject.same(_arrays(first), _arrays(second), rule)


def _check_label_free(bench: _Bench, first: Perturbation, train: ImageSet) -> None:
    access = bench.subject.spec.label_access
    if access != "none":
        bench.subject.skip(f"label_access is {access!r}", LABEL_FREE)
        return
    others = sample_images(len(train), train.size, seed=1)
    other = dataclasses.replace(
        train, labels=others.labels, classes=others.classes, label_sets={"parity": others.label_sets["parity"]}
    )
    _check_same(bench.subject, first, bench.craft(other), LABEL_FREE)


def _check_checkpoint(bench: _Bench, first: Perturbation, told: ImageSet, checkpoint: MemoryCheckpoint) -> None:
    if not checkpoint.saved:
        bench.subject.skip("it saves no checkpoint", CHECKPOINT)
        return
    saved = checkpoint.saved[len(checkpoint.saved) // 2]
    resumed = bench.craft(told, state=2, checkpoint=MemoryCheckpoint(saved), rule=CHECKPOINT)
    rule = f"crafting that goes on from the checkpoint of step {saved[0]} must end as without interruption"
    _check_same(bench.subject, first, resumed, CHECKPOINT.said(rule))


def _check_granularity(subject: Subject[PoisonerSpec], perturbation: Perturbation, train: ImageSet) -> None:
    index = np.arange(len(train)) if perturbation.index is None else perturbation.index
    granularity = subject.spec.granularity
    if hasattr(subject.build(), "transform"):
        subject.skip("it has transform(), so that its change of an image is the image's own", GRANULARITY)
        return
    groups = {"universal": np.zeros(len(train), np.int64), "class": train.known_labels}.get(granularity)
    if groups is None:
        subject.skip(f"granularity={granularity!r} leaves it open", GRANULARITY)
        return
    for group in np.unique(groups):
        used = len(np.unique(perturbation.delta[index[groups == group]], axis=0))
        whose = "all images" if granularity == "universal" else f"the images of {train.classes[group]!r}"
        subject.require(
            used == 1,
            GRANULARITY.said(f"granularity={granularity!r} means that {whose} share one perturbation"),
            f"They have {used}",
        )


def _check_few_images(bench: _Bench, train: ImageSet) -> None:
    """Sets that a mixture can leave a protector with: some classes without any picture, or one picture in all."""
    most = np.bincount(train.known_labels).argmax()
    for few in (train.subset(np.flatnonzero(train.known_labels == most)), train.subset(np.arange(1))):
        told = bench.told(few)
        with contextlib.suppress(UsageError):  # refusing is an answer, crashing is none
            bench.check_budget(bench.craft(told, rule=FEW_IMAGES), told)


def _check_assign(bench: _Bench, crafted: Perturbation) -> None:
    subject = bench.subject
    unseen = sample_images(7, crafted.delta.shape[2:], seed=2, name="unseen")
    labels = None if subject.spec.label_access == "none" else unseen.known_labels
    state = {name: _read_only(array) for name, array in crafted.state.items()}
    whole = _assign(bench, unseen, labels, state)
    if whole is None:
        subject.skip("assign() returned None", ASSIGN_EACH, TRANSFORM)
        return
    transforms = hasattr(bench.subject.build(), "transform")
    # An index that `transform` reads counts what its state holds, which only it knows.
    limit = np.iinfo(np.int64).max if transforms else len(crafted.delta)
    subject.require(
        whole.dtype == np.int64 and whole.shape == (7,) and whole.min() >= 0 and whole.max() < limit,
        ASSIGN.said(f"assign() must return int64 [7] in 0..{limit - 1} for 7 images"),
        f"It returned {shape_text(whole)} with values {np.unique(whole).tolist()}",
    )
    with subject.apart():
        for i in range(len(unseen)):
            one = np.array([i])
            alone = _assign(bench, unseen.subset(one), None if labels is None else labels[one], state)
            text = f"{ASSIGN_EACH.states}, but image {i} alone gets another perturbation than among 7"
            subject.same({"index": whole[one]}, {"index": np.asarray(alone)}, ASSIGN_EACH.said(text))
    if not transforms:
        subject.skip("it has no transform()", TRANSFORM)
        return
    with subject.apart():
        _check_transform(bench, unseen, whole, state)


def _check_transform(
    bench: _Bench, unseen: ImageSet, index: NDArray[np.int64], state: Mapping[str, NDArray[Any]]
) -> None:
    x = torch.from_numpy(unseen.images.copy()).float() / 255
    kept = x.clone()
    with bench.subject.calling("transform()", unseen):
        changed = bench.subject.build().transform(x, torch.from_numpy(index.copy()), state)
    rule = INPUTS.said("transform() must not modify its inputs")
    bench.subject.require(torch.equal(x, kept), rule, "The images changed")
    fits = isinstance(changed, torch.Tensor) and changed.dtype == torch.float32 and changed.shape == x.shape
    rule = TRANSFORM.said(f"transform() must return images float32 {list(x.shape)} in [0, 1]")
    bench.subject.require(fits, rule, shape_text(changed))
    inside = bool((changed >= 0).all() and (changed <= 1).all())
    bench.subject.require(inside, rule, f"Its values run from {changed.min()} to {changed.max()}")


def _assign(
    bench: _Bench, images: ImageSet, labels: NDArray[np.int64] | None, state: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64] | None:
    with bench.subject.calling("assign()", images):
        run = make_run(budget=bench.budget, surrogate=bench.surrogate)
        index = bench.subject.build().assign(images.with_labels(None), labels, state, run)
    bench.subject.require(
        index is None or isinstance(index, np.ndarray),
        ASSIGN.said("assign() must return an array or None"),
        f"It returned {shape_text(index)}",
    )
    return index  # type: ignore[no-any-return]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
