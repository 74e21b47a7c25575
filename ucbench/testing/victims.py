"""The contract of victims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ucbench.components import Trainer, Victim, VictimRecord
from ucbench.recipe import Recipe
from ucbench.registry import Resolved
from ucbench.testing.samples import NUMERICS, make_run, sample_images
from ucbench.testing.subject import Subject, shape_text, subject_of
from ucbench.training import arithmetic, seeded

#: Classes of the models built here.
CLASSES = 5


def check_victim(
    victim: Resolved | Victim | Trainer,
    *,
    record: VictimRecord | None = None,
    sizes: Sequence[tuple[int, int]] = ((32, 32), (20, 28)),
) -> None:
    """Check a victim: initialisation by the global generator, logits, gradients, and one epoch in the engine.

    Of a trainer (``opaque``): predictions, determinism, inputs left alone.

    Args:
        sizes: heights and widths of pictures to build for; a trainer is given the first only.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(victim, record, VictimRecord)
    trains = isinstance(subject.build(), Trainer)
    subject.require(
        subject.record.opaque == trains,
        "the record says opaque=True where there are fit() and predict(), and nowhere else",
        f"It says opaque={subject.record.opaque}",
    )
    if trains:
        with arithmetic(NUMERICS):
            _check_trainer(subject, sizes[0])
        return
    recipe: Recipe = getattr(subject.build(), "recipe", None)  # type: ignore[assignment]
    subject.require(isinstance(recipe, Recipe), "a victim must have a recipe", f"Its recipe is {shape_text(recipe)}")
    with arithmetic(NUMERICS):
        for size in sizes:
            model = _build(subject, size, seed=0)
            _check_initialisation(subject, model, size)
            _check_logits(subject, model, size)
            _check_epoch(subject, model, recipe, size)


def _check_trainer(subject: Subject[VictimRecord], size: tuple[int, int]) -> None:
    train, trusted, test = (sample_images(count, size, CLASSES, seed=seed) for seed, count in enumerate((13, 10, 7)))
    predictions = []
    for state in (0, 1):
        trainer = subject.build()
        with subject.calling("fit()", train, trusted, state=state):
            trainer.fit(train, trusted if subject.record.needs_trusted else None, make_run(stage="train"))
        with subject.calling("predict()", test, state=state):
            predictions.append(np.asarray(trainer.predict(test.with_labels(None))))
    first, again = predictions
    subject.require(
        first.shape == (7,) and np.issubdtype(first.dtype, np.integer) and 0 <= first.min() <= first.max() < CLASSES,
        f"predict() must return one class of {CLASSES} an image",
        shape_text(first),
    )
    subject.same({"classes": first}, {"classes": again}, "the same seed must give the same predictions")


def _build(subject: Subject[VictimRecord], size: tuple[int, int], seed: int) -> nn.Module:
    # Not Subject.calling: building is the one call that may draw from the global generator.
    with seeded(seed):
        model = subject.build().build(CLASSES, size)
    subject.require(isinstance(model, nn.Module), "build() must return a torch.nn.Module", shape_text(model))
    return model  # type: ignore[no-any-return]


def _check_initialisation(subject: Subject[VictimRecord], model: nn.Module, size: tuple[int, int]) -> None:
    first, again, other = (
        {name: weight.detach().numpy() for name, weight in one.named_parameters()}
        for one in (model, _build(subject, size, seed=0), _build(subject, size, seed=1))
    )
    subject.same(first, again, "build() must draw from torch's global generator, and from nothing else")
    subject.require(
        any((first[name] != other[name]).any() for name in first),
        "build() must initialise afresh from torch's global generator",
        "Two seeds gave the same weights",
    )


def _check_logits(subject: Subject[VictimRecord], model: nn.Module, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 3, *size), generator=generator)
    with subject.calling(f"training a step on 2 images of {size}"):
        logits = model.train()(x)
        _check_shape(subject, logits, 2)
        logits.square().mean().backward()
    unreached = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    subject.require(not unreached, "a loss must reach all trainable weights", f"No gradient at {', '.join(unreached)}")
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        together = model.eval()(x)
        alone = model(x[:1])
    _check_shape(subject, alone, 1)
    subject.require(
        torch.allclose(alone, together[:1], rtol=1e-3, atol=1e-4),
        "in eval mode an image's logits must not depend on the rest of its batch",
        f"They differ by {(alone - together[:1]).abs().max():.3g}",
    )


def _check_shape(subject: Subject[VictimRecord], logits: Tensor, batch: int) -> None:
    rule = f"the model must return finite float32 logits [{batch}, {CLASSES}] for {batch} images and {CLASSES} classes"
    fits = isinstance(logits, Tensor) and logits.dtype == torch.float32 and logits.shape == (batch, CLASSES)
    subject.require(fits, rule, f"It returned {shape_text(logits)}")
    subject.require(bool(torch.isfinite(logits).all()), rule, "Some are not finite")


def _check_epoch(subject: Subject[VictimRecord], model: nn.Module, recipe: Recipe, size: tuple[int, int]) -> None:
    """Thirteen images in batches of four: the number of images need not be a multiple of the batch."""
    train = sample_images(13, size, CLASSES)
    short = recipe.model_copy(update={"epochs": 1, "batch": 4, "milestones": ()})
    with subject.calling("an epoch of training", train):
        run = make_run(stage="train")
        result = run.engine.fit(model, train, short, seed=0)
        predicted = run.engine.predict(result.model, train)
    subject.require(predicted.shape == (13,), "a trained model must predict a class an image", shape_text(predicted))
