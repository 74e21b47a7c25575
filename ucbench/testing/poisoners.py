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
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.matrix.matrix import native_budget
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import PoisonerSpec
from ucbench.testing.rules import Rule, RuleError
from ucbench.testing.samples import NUMERICS, MemoryCheckpoint, TinySurrogate, make_run, sample_images, tensor_of
from ucbench.testing.subject import CALLS, RUNS, Subject, subject_of
from ucbench.training.determinism import deterministic
from ucbench.training.returned import shape_text
from ucbench.training.surrogate import Surrogate

NATIVE = Rule(
    "native-budget",
    "a poisoner must name the native_epsilon of its norm",
    "Set native_epsilon in the spec: 8-bit levels for linf (8, not 8/255), pixels for l0, a length on the [0, 1] scale "
    "for l2. With a parameter norm, set the parameters' class variable native_epsilons, one value per norm.",
)
PERTURBATION = Rule(
    "perturbation",
    "craft() must return a Perturbation that fits the images",
    "Return ucbench.Perturbation(delta, index): finite float32 [M, 3, H, W] on the [0, 1] scale, to be added, and "
    "int64 [N] into it, one entry per image; without an index, M is N.",
)
BUDGET = Rule(
    "budget",
    "a perturbation must keep to its budget",
    "Scale by run.budget.radius, which a request may set to another than the paper's. If the method relies on the "
    "core's projection, set projects=True in the spec.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same perturbation",
    "Draw everything from run.generator(stream) or run.seed(stream); keep no state between calls, in the instance or "
    "the module; never iterate over a set.",
)
LABEL_FREE = Rule(
    "label-free",
    "a poisoner of label_access='none' or 'names' must not read labels",
    "Do not read train.labels and train.label_sets, or set label_access='full' in the spec.",
)
GRANULARITY = Rule(
    "granularity",
    "images must share perturbations as granularity says",
    "Set granularity in the spec to 'sample', 'class', 'cluster' or 'universal', as it is. Tables show it.",
)
CHECKPOINT = Rule(
    "checkpoint",
    "crafting that resumes from a checkpoint must end as without interruption",
    "Start from what run.checkpoint.load() returns. Save everything that the next step reads: the step, the optimiser "
    "state, and the state of every generator (or derive a new stream for each step).",
)
FEW_IMAGES = Rule(
    "few-images",
    "sets of one class or one image must be crafted, or refused with a UsageError",
    "A small mixture gives a protector such sets. Handle empty classes, or raise ucbench.UsageError and say how many "
    "images are needed.",
)
ASSIGN = Rule(
    "assign",
    "assign() must return int64 [N] into the perturbations, or None",
    "Return one index per image, .astype(np.int64), or None if the method cannot assign.",
)
ASSIGN_EACH = Rule(
    "assign-each",
    "assign() must judge every image by itself",
    "Compare an image with the arrays of state, never with the other images of its set.",
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

    If it saves checkpoints, it must craft the same bytes when it resumes from one.

    Args:
        surrogate: of the run; by default a :class:`~ucbench.testing.TinySurrogate` if the spec names a surrogate.
        train: the images to perturb, with labels; by default 13 of 10 x 14 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(poisoner, spec, PoisonerSpec)
    if surrogate is None and subject.spec.surrogate:
        surrogate = TinySurrogate()
    train = train or sample_images()
    params = poisoner.params if isinstance(poisoner, Component) else getattr(poisoner, "params", None)
    with subject.isolated(), deterministic(NUMERICS):
        _check(_Setup(subject, surrogate, _native_budget(subject, params)), train)


@dataclasses.dataclass(frozen=True)
class _Setup:
    """A poisoner with its surrogate and budget."""

    subject: Subject[PoisonerSpec]
    surrogate: Surrogate | None
    budget: Budget

    def without_hidden_labels(self, images: ImageSet) -> ImageSet:
        """``images`` with what the poisoner may read of the labels."""
        access = self.subject.spec.label_access
        if access == "full":
            return images
        return dataclasses.replace(images.with_labels(None), classes=images.classes if access == "names" else ())

    def craft(
        self, train: ImageSet, state: int = 0, checkpoint: MemoryCheckpoint | None = None, rule: Rule = RUNS
    ) -> Perturbation:
        """Craft a perturbation from which a release can be made."""
        with self.subject.calling("craft()", train, state=state, rule=rule):
            run = make_run(budget=self.budget, surrogate=self.surrogate, checkpoint=checkpoint)
            perturbation: Perturbation = self.subject.build().craft(train, run)
        with self.subject.accepting(PERTURBATION):
            make_release(perturbation, train, self.budget, declares_projection=True)
        return perturbation

    def check_budget(self, perturbation: Perturbation, train: ImageSet) -> None:
        """Make the release that the core would make."""
        with self.subject.accepting(BUDGET):
            make_release(perturbation, train, self.budget, declares_projection=self.subject.spec.projects)


def _check(setup: _Setup, train: ImageSet) -> None:
    subject, labelled, checkpoint = setup.subject, setup.without_hidden_labels(train), MemoryCheckpoint()
    try:
        first = setup.craft(labelled, checkpoint=checkpoint)
    except DataError as error:
        if labelled.labels is not None:
            raise
        access = subject.spec.label_access
        rule = LABEL_FREE.stated(f"a poisoner of label_access={access!r} must work without labels")
        raise RuleError(subject.label, rule, str(error)) from error
    with subject.isolated():
        setup.check_budget(first, labelled)
    with subject.isolated():
        _check_same(subject, first, setup.craft(labelled, state=1), SAME_SEED)
    with subject.isolated():
        _check_label_free(setup, first, train)
    with subject.isolated():
        _check_granularity(subject, first, train)
    with subject.isolated():
        _check_checkpoint(setup, first, labelled, checkpoint)
    smaller = _smaller(setup.budget)
    if smaller is not None:
        with subject.isolated():
            limited = dataclasses.replace(setup, budget=smaller)
            limited.check_budget(limited.craft(labelled), labelled)
    with subject.isolated():
        _check_few_images(setup, train)
    poisoner = subject.build()
    if not hasattr(poisoner, "transform"):
        subject.skip("it has no transform()", TRANSFORM)
    if not hasattr(poisoner, "assign"):
        subject.skip("it has no assign()", ASSIGN, ASSIGN_EACH)
        subject.skip("it has no assign(), without which it is never called", TRANSFORM)
        return
    with subject.isolated():
        _check_assign(setup, first)


def _native_budget(subject: Subject[PoisonerSpec], params: object) -> Budget:
    try:
        budget = native_budget(subject.spec, params)
    except UsageError as error:
        raise RuleError(subject.label, NATIVE, str(error)) from error
    subject.require(True, NATIVE, "")
    return budget


def _smaller(budget: Budget) -> Budget | None:
    """Half the budget; None if it cannot be halved."""
    if budget.epsilon is None or (budget.norm != "l2" and budget.epsilon < 2):
        return None
    return Budget(budget.norm, budget.epsilon / 2)


def _arrays(perturbation: Perturbation) -> dict[str, NDArray[Any]]:
    index = {} if perturbation.index is None else {"index": perturbation.index}
    return {"delta": perturbation.delta, **index, **{f"state[{k!r}]": v for k, v in perturbation.state.items()}}


def _check_same(subject: Subject[Any], first: Perturbation, second: Perturbation, rule: Rule) -> None:
    subject.same(_arrays(first), _arrays(second), rule)


def _check_label_free(setup: _Setup, first: Perturbation, train: ImageSet) -> None:
    access = setup.subject.spec.label_access
    if access == "full":
        setup.subject.skip(f"label_access is {access!r}", LABEL_FREE)
        return
    others = sample_images(len(train), train.size, seed=1)
    other = dataclasses.replace(
        train,
        labels=others.labels,
        classes=train.classes if access == "names" else others.classes,
        label_sets={"parity": others.label_sets["parity"]},
    )
    _check_same(setup.subject, first, setup.craft(other), LABEL_FREE)


def _check_checkpoint(setup: _Setup, first: Perturbation, labelled: ImageSet, checkpoint: MemoryCheckpoint) -> None:
    if not checkpoint.saved:
        setup.subject.skip("it saves no checkpoint", CHECKPOINT)
        return
    saved = checkpoint.saved[len(checkpoint.saved) // 2]
    further = MemoryCheckpoint(saved)
    resumed = setup.craft(labelled, state=2, checkpoint=further, rule=CHECKPOINT)
    rule = f"crafting that resumes from the checkpoint of step {saved[0]} must end as without interruption"
    _check_same(setup.subject, first, resumed, CHECKPOINT.stated(rule))
    again = [step for step, _ in further.saved if step <= saved[0]]
    rule = f"crafting that resumes from the checkpoint of step {saved[0]} must go on after it"
    setup.subject.require(not again, CHECKPOINT.stated(rule), f"It saved steps {again} once more")


def _check_granularity(subject: Subject[PoisonerSpec], perturbation: Perturbation, train: ImageSet) -> None:
    index = np.arange(len(train)) if perturbation.index is None else perturbation.index
    granularity = subject.spec.granularity
    if hasattr(subject.build(), "transform"):
        subject.skip("it has transform(), which changes every image differently", GRANULARITY)
        return
    groups = {"universal": np.zeros(len(train), np.int64), "class": train.known_labels}.get(granularity)
    if groups is None:
        subject.skip(f"granularity={granularity!r} does not say which images share one", GRANULARITY)
        return
    for group in np.unique(groups):
        count = len(np.unique(perturbation.delta[index[groups == group]], axis=0))
        whose = "all images" if granularity == "universal" else f"the images of {train.classes[group]!r}"
        subject.require(
            count == 1,
            GRANULARITY.stated(f"granularity={granularity!r} means that {whose} share one perturbation"),
            f"They have {count}",
        )


def _check_few_images(setup: _Setup, train: ImageSet) -> None:
    """Sets that a protector can get from a mixture: one class only, or one image only."""
    most = np.bincount(train.known_labels).argmax()
    for few in (train.subset(np.flatnonzero(train.known_labels == most)), train.subset(np.arange(1))):
        labelled = setup.without_hidden_labels(few)
        with contextlib.suppress(UsageError):  # it may refuse, but not crash
            setup.check_budget(setup.craft(labelled, rule=FEW_IMAGES), labelled)


def _check_assign(setup: _Setup, crafted: Perturbation) -> None:
    subject = setup.subject
    unseen = sample_images(7, crafted.delta.shape[2:], seed=2, name="unseen")
    labels = unseen.known_labels if subject.spec.label_access == "full" else None
    state = {name: _read_only(array) for name, array in crafted.state.items()}
    whole = _assign(setup, unseen, labels, state)
    if whole is None:
        subject.skip("assign() returned None", ASSIGN_EACH, TRANSFORM)
        return
    transforms = hasattr(setup.subject.build(), "transform")
    # With transform(), the index refers to the state, whose length only the poisoner knows.
    limit = np.iinfo(np.int64).max if transforms else len(crafted.delta)
    subject.require(
        whole.dtype == np.int64 and whole.shape == (7,) and whole.min() >= 0 and whole.max() < limit,
        ASSIGN.stated(f"assign() must return int64 [7] in 0..{limit - 1} for 7 images"),
        f"It returned {shape_text(whole)} with values {np.unique(whole).tolist()}",
    )
    with subject.isolated():
        for i in range(len(unseen)):
            one = np.array([i])
            alone = _assign(setup, unseen.subset(one), None if labels is None else labels[one], state)
            text = f"{ASSIGN_EACH.states}, but image {i} alone gets another perturbation than among 7"
            subject.same({"index": whole[one]}, {"index": np.asarray(alone)}, ASSIGN_EACH.stated(text))
    if transforms:
        with subject.isolated():
            _check_transform(setup, unseen, whole, state)


def _check_transform(
    setup: _Setup, unseen: ImageSet, index: NDArray[np.int64], state: Mapping[str, NDArray[Any]]
) -> None:
    x = tensor_of(unseen)
    with setup.subject.calling("transform()", x):
        changed = setup.subject.build().transform(x, torch.from_numpy(index.copy()), state)
    fits = isinstance(changed, torch.Tensor) and changed.dtype == torch.float32 and changed.shape == x.shape
    rule = TRANSFORM.stated(f"transform() must return images float32 {list(x.shape)} in [0, 1]")
    setup.subject.require(fits, rule, shape_text(changed))
    inside = bool((changed >= 0).all() and (changed <= 1).all())
    setup.subject.require(inside, rule, f"Its values run from {changed.min()} to {changed.max()}")


def _assign(
    setup: _Setup, images: ImageSet, labels: NDArray[np.int64] | None, state: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64] | None:
    with setup.subject.calling("assign()", images):
        run = make_run(budget=setup.budget, surrogate=setup.surrogate)
        index = setup.subject.build().assign(images.with_labels(None), labels, state, run)
    setup.subject.require(
        index is None or isinstance(index, np.ndarray),
        ASSIGN.stated("assign() must return an array or None"),
        f"It returned {shape_text(index)}",
    )
    return index  # type: ignore[no-any-return]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
