"""The contract of defenses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench.data.imageset import ImageSet
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import DefenseSpec
from ucbench.testing.independence import likeness
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, TinySurrogate, make_run, sample_images, tensor_of
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic
from ucbench.training.returned import TOLERANCE, images_rule, misfit, shape_text, targets_misfit, targets_rule

STAGES = Rule(
    "stages",
    "a defense has at least one of prepare, augment, mix, loss, rates, at_test, select",
    "Define one of these methods; the core finds them by name.",
)
STATIC = Rule(
    "static",
    "static is True if prepare() is the only stage, and False otherwise",
    "Set static in the spec, or as a property of the parameters if they decide which stages there are.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same result",
    "Draw from the generator argument (in prepare, run.generator(stream)), and keep no state between calls.",
)
PREPARED = Rule(
    "prepared",
    "prepare() must return as many labelled images, of the same size and classes",
    "Return train.with_images(uint8 images of the same shape); a defense that removes images replaces them by others.",
)
BATCH = Rule(
    "batch",
    "images must stay float32 [B, 3, H, W] in [0, 1]",
    "Clamp to [0, 1] and keep dtype and shape, also for a batch of one image.",
)
PER_IMAGE = Rule(
    "per-image",
    "augment() must draw for every image, not once for a batch",
    "Draw tensors of shape [len(x), 1, 1, 1] (or [len(x)]) instead of one value. What a library draws once per call, "
    "such as an operation or an order, needs one call per image.",
)
TARGETS = Rule(
    "targets",
    "mix() must return targets that are probabilities",
    "Return float targets [B, K], non-negative with rows that sum to 1: both images' targets, weighted as the images.",
)
LOSS = Rule(
    "loss",
    "loss() must return a finite scalar with a gradient in the model's weights",
    "Return the mean over the batch; targets are probabilities [B, K].",
)
RATES = Rule(
    "rates",
    "rates() must return factors from 0 by names of the model's parameters",
    "Take the names from model.named_parameters(); leave out those whose factor is 1.",
)
MODEL = Rule(
    "model",
    "loss() and rates() must not change the model",
    "Restore weights, requires_grad and training flags before they return. Only running statistics may change.",
)
TEST_EACH = Rule(
    "test-each",
    "at_test() of an image must not depend on the rest of its batch",
    "Use no statistics of the batch.",
)
SELECT = Rule(
    "select",
    "select() must return the last epoch, or the one it returned before",
    "Return len(scores) - 1 to keep the weights of the last epoch; only these and those kept before are available.",
)
TRUSTED = Rule(
    "trusted",
    "a defense with select() must say that it needs the trusted set",
    "Set needs_trusted=True in the spec, so that a run without --trusted is refused before it starts.",
)
RULES = (
    *CALLS, STAGES, STATIC, SAME_SEED, PREPARED, BATCH, PER_IMAGE, TARGETS, LOSS, RATES, MODEL, TEST_EACH, SELECT,
    TRUSTED,
)  # fmt: skip

_CLASSES = 10
#: Batches of copies of one image, from which :data:`PER_IMAGE` is judged, and standard deviations that break it.
_BATCHES, _COPIES, _ALIKE = 16, 8, 5.0


def check_defense(
    defense: Component[Any] | object, *, spec: DefenseSpec | None = None, train: ImageSet | None = None
) -> None:
    """Check every stage that a defense has: shapes and ranges, determinism, inputs, randomness per image.

    Args:
        train: the images; by default 13 of 10 x 14 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(defense, spec, DefenseSpec)
    train = train or sample_images()
    with subject.isolated(), deterministic(NUMERICS):
        component = subject.build()
        stages = [stage for stage in _STAGES if hasattr(component, stage)]
        subject.require(bool(stages), STAGES, "It has none of them")
        static = getattr(getattr(component, "params", None), "static", subject.spec.static)
        with subject.isolated():
            evidence = f"It is {static}, and the stages are {', '.join(stages)}"
            subject.require(static == (stages == ["prepare"]), STATIC, evidence)
        for stage, rules in _RULES_OF_STAGE.items():
            if stage not in stages:
                subject.skip(f"it has no {stage}()", *rules)
        if not {"augment", "mix", "at_test"} & set(stages):
            subject.skip("it has no stage that changes batches", BATCH)
        if not {"loss", "rates"} & set(stages):
            subject.skip("it has no stage that gets the model", MODEL)
        for stage in stages:
            with subject.isolated():
                _STAGES[stage](subject, train)


def _check_prepare(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    prepared, spec = [], subject.spec
    others = sample_images(12, train.size, len(train.classes), seed=1)
    for state in (0, 1):
        with subject.calling("prepare()", train, state=state):
            run = make_run(
                stage="train",
                clean=train if spec.oracle else None,
                trusted=others if spec.needs_trusted else None,
                leaked=(others, others.with_images(others.images ^ np.uint8(4))) if spec.leaked else None,
            )
            returned = subject.build().prepare(train, run)
        fits = (
            isinstance(returned, ImageSet)
            and returned.images.shape == train.images.shape
            and returned.classes == train.classes
            and returned.labels is not None
        )
        evidence = shape_text(getattr(returned, "images", returned))
        subject.require(fits, PREPARED, f"Got {evidence}")
        prepared.append(returned)
    first, again = ({"images": images.images, "labels": images.known_labels} for images in prepared)
    subject.same(first, again, SAME_SEED.stated("the same seed must prepare the same set"))


def _check_augment(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    def augment(x: Tensor, generator: torch.Generator) -> Tensor:
        out: Tensor = subject.build().augment(x, make_run(stage="train"), generator)
        return out

    x = tensor_of(train)
    for batch in (x, x[1:2]):
        _check_images(subject, "augment()", batch, _repeat(subject, "augment()", augment, batch)[0])
    copies = x[1:2].expand(_COPIES, -1, -1, -1).clone()

    def batches(first_seed: int) -> Tensor:
        seeds = range(first_seed, first_seed + _BATCHES)
        return torch.stack([_call(subject, "augment()", augment, copies, seed=seed)[0].detach() for seed in seeds])

    outputs = batches(0)
    if torch.equal(outputs, outputs[:1, :1].expand_as(outputs)):
        subject.skip("augment() draws nothing", PER_IMAGE)
        return
    alike = likeness(outputs, x[1])
    if alike > _ALIKE:  # once by chance is possible, as where very few images change
        alike = min(alike, likeness(batches(_BATCHES), x[1]))
    subject.require(
        alike <= _ALIKE,
        PER_IMAGE,
        f"In {_BATCHES} batches of {_COPIES} copies of an image, the copies of one batch became more alike than those "
        f"of different batches, by {alike:.0f} standard deviations",
    )


def _check_mix(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    def mix(x: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mixed, out = subject.build().mix(x, targets, make_run(stage="train"), generator)
        return mixed, out

    images, one_hot = tensor_of(train), _targets(train)
    for x, targets in ((images, one_hot), (images[1:2], one_hot[1:2])):
        mixed, out = _repeat(subject, "mix()", mix, x, targets)
        _check_images(subject, "mix()", x, mixed)
        evidence = targets_misfit(targets, out)
        subject.require(not evidence, TARGETS.stated(targets_rule("mix()", targets)), evidence)


def _check_loss(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    def loss(x: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        model = _model()  # a call may change running statistics, from which the next would start
        with _unchanged(subject, "loss()", model):
            return (subject.build().loss(model, x, targets, make_run(stage="train"), generator),)

    (value,) = _repeat(subject, "loss()", loss, tensor_of(train), _targets(train))
    rule = LOSS.stated("loss() must return a finite scalar")
    subject.require(isinstance(value, Tensor) and value.ndim == 0, rule, f"Got {shape_text(value)}")
    subject.require(bool(torch.isfinite(value)), rule, f"Got {value.detach()}")
    rule = LOSS.stated("loss() must have a gradient in the model's weights")
    subject.require(value.requires_grad, rule, "It has none")


def _check_rates(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    model, run = _model(), make_run(stage="train")
    run.epoch, run.epochs = 3, 3
    with _unchanged(subject, "rates()", model), subject.calling("rates()"):
        rates = subject.build().rates(model, run)
    names = {name for name, _ in model.named_parameters()}
    subject.require(isinstance(rates, Mapping) and set(rates) <= names, RATES, f"The names are {sorted(names)}")
    subject.require(all(0 <= factor < float("inf") for factor in rates.values()), RATES, f"Got {dict(rates)}")


def _model() -> nn.Module:
    """A network in training mode, with running statistics."""
    return nn.Sequential(nn.BatchNorm2d(3), TinySurrogate().module(0))


@contextlib.contextmanager
def _unchanged(subject: Subject[DefenseSpec], what: str, model: nn.Module) -> Iterator[None]:
    before = _state(model)
    yield
    after = _state(model)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    with subject.isolated():
        rule = MODEL.stated(f"{what} must not change the model")
        subject.require(not changed, rule, f"It changed {', '.join(changed[:3])}")


def _state(model: nn.Module) -> dict[str, object]:
    """All that a defense must leave: weights with their flags, and the mode of each module."""
    weights = {
        name: (weight.requires_grad, weight.detach().numpy().tobytes()) for name, weight in model.named_parameters()
    }
    return {**weights, **{f"{name or 'model'}.training": module.training for name, module in model.named_modules()}}


def _check_at_test(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    def at_test(x: Tensor, generator: torch.Generator) -> Tensor:
        out: Tensor = subject.build().at_test(x)
        return out

    x = tensor_of(train)
    (together,) = _repeat(subject, "at_test()", at_test, x)
    _check_images(subject, "at_test()", x, together)
    (alone,) = _repeat(subject, "at_test()", at_test, x[1:2])
    subject.require(
        torch.allclose(alone, together[1:2], atol=TOLERANCE),
        TEST_EACH,
        f"It differs by {(alone - together[1:2]).abs().max():.3g}",
    )


def _check_select(subject: Subject[DefenseSpec], train: ImageSet) -> None:
    with subject.isolated():
        subject.require(subject.spec.needs_trusted, TRUSTED, "needs_trusted is False in the spec")
    previous = -1
    scores: tuple[float, ...] = ()
    for last, score in enumerate((40.0, 55.0, 55.0, 30.0)):
        scores = (*scores, score)
        with subject.calling("select()"):
            epoch = subject.build().select(scores)
        evidence = f"For accuracies {list(scores)} it returned {epoch!r} after {previous}"
        subject.require(epoch in (last, previous), SELECT, evidence)
        previous = epoch


_STAGES: dict[str, Callable[[Subject[DefenseSpec], ImageSet], None]] = {
    "prepare": _check_prepare,
    "augment": _check_augment,
    "mix": _check_mix,
    "loss": _check_loss,
    "rates": _check_rates,
    "at_test": _check_at_test,
    "select": _check_select,
}
_RULES_OF_STAGE = {
    "prepare": (PREPARED,),
    "augment": (PER_IMAGE,),
    "mix": (TARGETS,),
    "loss": (LOSS,),
    "rates": (RATES,),
    "at_test": (TEST_EACH,),
    "select": (SELECT, TRUSTED),
}


def _repeat(subject: Subject[DefenseSpec], what: str, stage: Callable[..., Any], *inputs: Tensor) -> tuple[Tensor, ...]:
    """The outputs of ``stage``, which must be equal under two states of the global generators."""
    first, again = (_call(subject, what, stage, *inputs, seed=0, state=state) for state in (0, 1))
    values = [{f"output {i}": out.detach().numpy() for i, out in enumerate(outputs)} for outputs in (first, again)]
    with subject.isolated():
        subject.same(values[0], values[1], SAME_SEED.stated(f"{what} must repeat under the same seed"))
    return first


def _call(
    subject: Subject[DefenseSpec], what: str, stage: Callable[..., Any], *inputs: Tensor, seed: int, state: int = 0
) -> tuple[Tensor, ...]:
    copies = [tensor.clone() for tensor in inputs]
    with subject.calling(what, *copies, state=state):
        returned = stage(*copies, torch.Generator().manual_seed(seed))
    outputs: tuple[Tensor, ...] = returned if isinstance(returned, tuple) else (returned,)
    wrong = [shape_text(out) for out in outputs if not isinstance(out, Tensor)]
    subject.require(not wrong, BATCH.stated(f"{what} must return tensors"), f"Got {', '.join(wrong)}")
    return outputs


def _check_images(subject: Subject[DefenseSpec], what: str, x: Tensor, returned: Tensor) -> None:
    evidence = misfit(x, returned)
    subject.require(not evidence, BATCH.stated(images_rule(what, x)), evidence)


def _targets(train: ImageSet) -> Tensor:
    return F.one_hot(torch.from_numpy(train.known_labels.copy()), _CLASSES).float()
