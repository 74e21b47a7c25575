"""The contract of poisoners."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.budget import Budget
from ucbench.components import Perturbation, Poisoner, PoisonerRecord, Surrogate
from ucbench.data import ImageSet
from ucbench.errors import ContractError, DataError, UsageError
from ucbench.matrix import native_budget
from ucbench.registry import Resolved
from ucbench.release import make_release
from ucbench.testing.samples import NUMERICS, MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import Subject, shape_text, subject_of
from ucbench.training import arithmetic


def check_poisoner(
    poisoner: Resolved | Poisoner,
    *,
    record: PoisonerRecord | None = None,
    surrogate: Surrogate | None = None,
    train: ImageSet | None = None,
) -> None:
    """Check a poisoner: budget, order and count, determinism, inputs, label access, granularity, ``assign``.

    One that saves checkpoints must give the same bytes when it goes on from any of them.

    Args:
        surrogate: lent while crafting; a :class:`~ucbench.testing.TinySurrogate` where the record names one.
        train: what is perturbed, with labels; 13 pictures of 10 x 14 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(poisoner, record, PoisonerRecord)
    if surrogate is None and subject.record.surrogate:
        surrogate = TinySurrogate()
    train = train or sample_images()
    params = poisoner.params if isinstance(poisoner, Resolved) else getattr(poisoner, "params", None)
    bench = _Bench(subject, surrogate, _native_budget(subject, params))
    with arithmetic(NUMERICS):
        told = bench.told(train)
        checkpoint = MemoryCheckpoint()
        try:
            first = bench.craft(told, checkpoint=checkpoint)
        except DataError as error:
            if told.labels is not None:
                raise
            raise ContractError(f"{subject.label}: label_access='none' means to do without labels. {error}") from error
        _check_same(subject, first, bench.craft(told, state=1), "the same seed must give the same perturbation")
        if subject.record.label_access == "none":
            _check_label_free(bench, first, train)
        _check_granularity(subject, first, train)
        for saved in checkpoint.saved[len(checkpoint.saved) // 2 :][:1]:
            resumed = bench.craft(told, state=2, checkpoint=MemoryCheckpoint(saved))
            rule = f"crafting that goes on from the checkpoint of step {saved[0]} must end as without interruption"
            _check_same(subject, first, resumed, rule)
        smaller = _smaller(bench.budget)
        if smaller is not None:
            dataclasses.replace(bench, budget=smaller).craft(told)
        _check_few_images(bench, train)
        if hasattr(subject.build(), "assign"):
            _check_assign(bench, first)


@dataclasses.dataclass(frozen=True)
class _Bench:
    """One poisoner with what it is lent."""

    subject: Subject[PoisonerRecord]
    surrogate: Surrogate | None
    budget: Budget

    def told(self, images: ImageSet) -> ImageSet:
        return images.with_labels(None) if self.subject.record.label_access == "none" else images

    def craft(self, train: ImageSet, state: int = 0, checkpoint: MemoryCheckpoint | None = None) -> Perturbation:
        """Craft, and make the release that the core would make of it."""
        with self.subject.calling("craft()", train, state=state):
            run = make_run(budget=self.budget, surrogate=self.surrogate, checkpoint=checkpoint)
            perturbation: Perturbation = self.subject.build().craft(train, run)
            make_release(perturbation, train, self.budget, declares_projection=self.subject.record.projects)
        return perturbation


def _native_budget(subject: Subject[PoisonerRecord], params: object) -> Budget:
    try:
        return native_budget(subject.record, params)
    except UsageError as error:
        raise ContractError(f"{subject.label}: a poisoner must name the native_epsilon of its norm. {error}") from error


def _smaller(budget: Budget) -> Budget | None:
    """Half the budget, where there is one."""
    if budget.epsilon is None or (budget.norm != "l2" and budget.epsilon < 2):
        return None
    return Budget(budget.norm, budget.epsilon / 2)


def _arrays(perturbation: Perturbation) -> dict[str, NDArray[Any]]:
    index = {} if perturbation.index is None else {"index": perturbation.index}
    return {"delta": perturbation.delta, **index, **{f"state[{k!r}]": v for k, v in perturbation.state.items()}}


def _check_same(subject: Subject[Any], first: Perturbation, second: Perturbation, rule: str) -> None:
    subject.same(_arrays(first), _arrays(second), rule)


def _check_label_free(bench: _Bench, first: Perturbation, train: ImageSet) -> None:
    others = sample_images(len(train), train.size, seed=1)
    other = dataclasses.replace(
        train, labels=others.labels, classes=others.classes, label_sets={"parity": others.label_sets["parity"]}
    )
    rule = "a poisoner of label_access='none' must not read labels"
    _check_same(bench.subject, first, bench.craft(other), rule)


def _check_granularity(subject: Subject[PoisonerRecord], perturbation: Perturbation, train: ImageSet) -> None:
    index = np.arange(len(train)) if perturbation.index is None else perturbation.index
    granularity = subject.record.granularity
    if hasattr(subject.build(), "transform"):  # its change of an image is the image's own
        return
    groups = {"universal": np.zeros(len(train), np.int64), "class": train.known_labels}.get(granularity)
    if groups is None:
        return
    for group in np.unique(groups):
        used = len(np.unique(perturbation.delta[index[groups == group]], axis=0))
        whose = "all images" if granularity == "universal" else f"the images of {train.classes[group]!r}"
        subject.require(
            used == 1,
            f"granularity={granularity!r} means that {whose} share one perturbation",
            f"They have {used}",
        )


def _check_few_images(bench: _Bench, train: ImageSet) -> None:
    """Sets that a mixture can leave a protector with: some classes without any picture, or one picture in all."""
    most = np.bincount(train.known_labels).argmax()
    for few in (train.subset(np.flatnonzero(train.known_labels == most)), train.subset(np.arange(1))):
        with contextlib.suppress(UsageError):  # refusing is an answer, crashing is none
            bench.craft(bench.told(few))


def _check_assign(bench: _Bench, crafted: Perturbation) -> None:
    subject = bench.subject
    unseen = sample_images(7, crafted.delta.shape[2:], seed=2, name="unseen")
    labels = None if subject.record.label_access == "none" else unseen.known_labels
    state = {name: _read_only(array) for name, array in crafted.state.items()}
    whole = _assign(bench, unseen, labels, state)
    if whole is None:
        return
    transforms = hasattr(bench.subject.build(), "transform")
    # An index that `transform` reads counts what its state holds, which only it knows.
    limit = np.iinfo(np.int64).max if transforms else len(crafted.delta)
    subject.require(
        whole.dtype == np.int64 and whole.shape == (7,) and whole.min() >= 0 and whole.max() < limit,
        f"assign() must return int64 [7] in 0..{limit - 1} for 7 images",
        f"It returned {shape_text(whole)} with values {np.unique(whole).tolist()}",
    )
    for i in range(len(unseen)):
        one = np.array([i])
        alone = _assign(bench, unseen.subset(one), None if labels is None else labels[one], state)
        subject.same(
            {"index": whole[one]},
            {"index": np.asarray(alone)},
            f"assign() must judge every image by itself, but image {i} alone gets another perturbation than among 7",
        )
    if transforms:
        _check_transform(bench, unseen, whole, state)


def _check_transform(
    bench: _Bench, unseen: ImageSet, index: NDArray[np.int64], state: Mapping[str, NDArray[Any]]
) -> None:
    x = torch.from_numpy(unseen.images.copy()).float() / 255
    kept = x.clone()
    with bench.subject.calling("transform()", unseen):
        changed = bench.subject.build().transform(x, torch.from_numpy(index.copy()), state)
    bench.subject.require(torch.equal(x, kept), "transform() must not modify its inputs", "The images changed")
    fits = isinstance(changed, torch.Tensor) and changed.dtype == torch.float32 and changed.shape == x.shape
    rule = f"transform() must return images float32 {list(x.shape)} in [0, 1]"
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
        index is None or isinstance(index, np.ndarray), "assign() must return an array or None", shape_text(index)
    )
    return index  # type: ignore[no-any-return]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
