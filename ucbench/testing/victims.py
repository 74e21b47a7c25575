"""The contract of victims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ucbench.exploit.train import Trainer
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import VictimSpec
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, make_run, sample_images
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic, seeded
from ucbench.training.recipe import Recipe, Victim
from ucbench.training.returned import shape_text

OPAQUE = Rule(
    "opaque",
    "the spec says opaque=True if the victim has fit() and predict(), and False otherwise",
    "A trainer has fit() and predict(), and opaque=True in its spec; an architecture has build() and a recipe.",
)
RECIPE = Rule(
    "recipe",
    "a victim must have a recipe",
    "Derive the parameters from ucbench.Recipe and set self.recipe = params, or set self.recipe = ucbench.Recipe(...).",
)
MODULE = Rule(
    "module",
    "build() must return a torch.nn.Module",
    "Return the network, freshly initialised for the number of classes and the size (height, width) of the images.",
)
INITIALISATION = Rule(
    "initialisation",
    "build() must initialise from torch's global generator, and from nothing else",
    "Leave initialisation to torch's layers, or draw without a generator argument: the core seeds the global one "
    "around build(). Set no seed, and load no weights that may change.",
)
LOGITS = Rule(
    "logits",
    "the model must return finite float32 logits [B, classes]",
    "End in a linear layer with one output per class and without softmax; every requested image size must work.",
)
GRADIENTS = Rule(
    "gradients",
    "a loss must reach all trainable weights",
    "Remove layers that forward() does not use, or set requires_grad=False on weights that must not change.",
)
EACH_IMAGE = Rule(
    "each-image",
    "in eval mode an image's logits must not depend on the rest of its batch",
    "Let normalisation use running statistics in eval mode, and use no statistics of the batch.",
)
TRAINS = Rule(
    "trains",
    "the engine must be able to train it by its recipe",
    "Try it with run.engine.fit(model, sample_images(), recipe, seed=0). Batches may hold a single image.",
)
PREDICTIONS = Rule(
    "predictions",
    "predict() must return one class per image",
    "Return int64 [N] in the numbering of the training set.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same predictions",
    "Draw everything from run.generator(stream) or run.seed(stream), and share no state between trainers.",
)
_OF_NETWORKS = (RECIPE, MODULE, INITIALISATION, LOGITS, GRADIENTS, EACH_IMAGE, TRAINS)
_OF_TRAINERS = (PREDICTIONS, SAME_SEED)
RULES = (*CALLS, OPAQUE, *_OF_NETWORKS, *_OF_TRAINERS)

#: Number of classes of the models built here.
CLASSES = 5


def check_victim(
    victim: Component[Any] | Victim | Trainer,
    *,
    spec: VictimSpec | None = None,
    sizes: Sequence[tuple[int, int]] = ((32, 32), (20, 28)),
) -> None:
    """Check a victim: initialisation from the global generator, logits, gradients, and one epoch in the engine.

    For a trainer (``opaque``): predictions, determinism, unchanged inputs.

    Args:
        sizes: heights and widths of images; a trainer is checked on the first only.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(victim, spec, VictimSpec)
    with subject.isolated(), deterministic(NUMERICS):
        component = subject.build()
        trains = isinstance(component, Trainer)
        with subject.isolated():
            subject.require(subject.spec.opaque == trains, OPAQUE, f"It says opaque={subject.spec.opaque}")
        if trains:
            subject.skip("it trains by itself", *_OF_NETWORKS)
            _check_trainer(subject, sizes[0])
            return
        subject.skip("it is not a trainer", *_OF_TRAINERS)
        recipe: Recipe = getattr(component, "recipe", None)  # type: ignore[assignment]
        subject.require(isinstance(recipe, Recipe), RECIPE, f"Its recipe is {shape_text(recipe)}")
        for size in sizes:
            with subject.isolated():
                _check_network(subject, recipe, size)


def _check_network(subject: Subject[VictimSpec], recipe: Recipe, size: tuple[int, int]) -> None:
    model = _build(subject, size, seed=0)
    with subject.isolated():
        _check_initialisation(subject, model, size)
    _check_logits(subject, model, size)
    _check_epoch(subject, model, recipe, size)


def _check_trainer(subject: Subject[VictimSpec], size: tuple[int, int]) -> None:
    train, trusted, test = (sample_images(count, size, CLASSES, seed=seed) for seed, count in enumerate((13, 10, 7)))
    predictions = []
    for state in (0, 1):
        trainer = subject.build()
        with subject.calling("fit()", train, trusted, state=state):
            trainer.fit(train, trusted if subject.spec.needs_trusted else None, make_run(stage="train"))
        with subject.calling("predict()", test, state=state):
            predictions.append(np.asarray(trainer.predict(test.with_labels(None))))
    first, again = predictions
    subject.require(
        first.shape == (7,) and np.issubdtype(first.dtype, np.integer) and 0 <= first.min() <= first.max() < CLASSES,
        PREDICTIONS.stated(f"predict() must return one of {CLASSES} classes per image"),
        f"It returned {shape_text(first)}",
    )
    subject.same({"classes": first}, {"classes": again}, SAME_SEED)


def _build(subject: Subject[VictimSpec], size: tuple[int, int], seed: int) -> nn.Module:
    # Not Subject.calling: build() is the one call that may draw from the global generator.
    victim = subject.build()
    with seeded(seed), subject.running(f"build() for images of {size}"):
        model = victim.build(CLASSES, size)
    subject.require(isinstance(model, nn.Module), MODULE, f"It returned {shape_text(model)}")
    return model  # type: ignore[no-any-return]


def _check_initialisation(subject: Subject[VictimSpec], model: nn.Module, size: tuple[int, int]) -> None:
    first, again, other = (
        {name: weight.detach().numpy() for name, weight in network.named_parameters()}
        for network in (model, _build(subject, size, seed=0), _build(subject, size, seed=1))
    )
    rule = INITIALISATION.stated("build() must draw from torch's global generator, and from nothing else")
    subject.same(first, again, rule)
    subject.require(
        any((first[name] != other[name]).any() for name in first),
        INITIALISATION.stated("build() must initialise from torch's global generator"),
        "Two seeds gave the same weights",
    )


def _check_logits(subject: Subject[VictimSpec], model: nn.Module, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 3, *size), generator=generator)
    with subject.calling(f"training a step on 2 images of {size}"):
        logits = model.train()(x)
        _check_shape(subject, logits, 2)
        logits.square().mean().backward()
    unreached = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    with subject.isolated():
        subject.require(not unreached, GRADIENTS, f"No gradient at {', '.join(unreached)}")
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        together = model.eval()(x)
        alone = model(x[:1])
    _check_shape(subject, alone, 1)
    with subject.isolated():
        subject.require(
            torch.allclose(alone, together[:1], rtol=1e-3, atol=1e-4),
            EACH_IMAGE,
            f"They differ by {(alone - together[:1]).abs().max():.3g}",
        )


def _check_shape(subject: Subject[VictimSpec], logits: Tensor, batch: int) -> None:
    text = f"the model must return finite float32 logits [{batch}, {CLASSES}] for {batch} images and {CLASSES} classes"
    rule = LOGITS.stated(text)
    fits = isinstance(logits, Tensor) and logits.dtype == torch.float32 and logits.shape == (batch, CLASSES)
    subject.require(fits, rule, f"It returned {shape_text(logits)}")
    subject.require(bool(torch.isfinite(logits).all()), rule, "Some are not finite")
    subject.require(not (_sum_to_one(logits) and bool((logits >= 0).all())), rule, "They are probabilities")
    subject.require(not _sum_to_one(logits.exp()), rule, "They are logarithms of probabilities")


def _sum_to_one(values: Tensor) -> bool:
    sums = values.sum(1)
    return torch.allclose(sums, torch.ones_like(sums), atol=1e-4)


def _check_epoch(subject: Subject[VictimSpec], model: nn.Module, recipe: Recipe, size: tuple[int, int]) -> None:
    """Thirteen images in batches of four: the number of images need not be a multiple of the batch."""
    train = sample_images(13, size, CLASSES)
    short = recipe.model_copy(update={"epochs": 1, "batch": 4, "milestones": ()})
    with subject.calling("an epoch of training", train, rule=TRAINS):
        run = make_run(stage="train")
        result = run.engine.fit(model, train, short, seed=0)
        predicted = run.engine.predict(result.model, train)
    rule = TRAINS.stated("a trained model must predict one class per image")
    subject.require(predicted.shape == (13,), rule, f"It returned {shape_text(predicted)}")
