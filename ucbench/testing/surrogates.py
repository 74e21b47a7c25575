"""The contract of surrogates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.components import FittedSurrogate, Surrogate, SurrogateRecord
from ucbench.data import ImageSet
from ucbench.errors import UsageError
from ucbench.registry import Resolved
from ucbench.testing.samples import NUMERICS, make_run, sample_images
from ucbench.testing.subject import Subject, shape_text, subject_of
from ucbench.training import arithmetic, seeded


def check_surrogate(
    surrogate: Resolved | Surrogate, *, record: SurrogateRecord | None = None, train: ImageSet | None = None
) -> None:
    """Check a surrogate: features, scores, gradients to the images and to no weight; and for fitted ones, the state.

    A surrogate without a classifier may refuse ``logits`` by a UsageError.

    Args:
        train: what a fitted surrogate is trained on, and looks at; 13 pictures of 20 x 28 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(surrogate, record, SurrogateRecord)
    train = train or sample_images(size=(20, 28))
    with arithmetic(NUMERICS):
        if subject.record.untrained:
            _check_untrained(subject, train)
            return
        ready = _ready(subject, train)
        x = torch.from_numpy(train.images.copy()).float() / 255
        _check_frozen(subject, ready, x)
        _check_outputs(subject, ready, x)


def _ready(subject: Subject[SurrogateRecord], train: ImageSet) -> Surrogate:
    with seeded(0):  # construction may draw initial weights that are then overwritten
        surrogate = subject.build()
    subject.require(
        isinstance(surrogate, Surrogate), "a surrogate has module, features, logits and to", shape_text(surrogate)
    )
    if isinstance(surrogate, FittedSurrogate):
        _check_fitting(subject, surrogate, train)
    ready: Surrogate = surrogate
    ready.to(torch.device("cpu"), torch.float32)
    return ready


def _check_untrained(subject: Subject[SurrogateRecord], train: ImageSet) -> None:
    """A bare architecture: fresh networks by seed, trainable, with features; nothing to look through."""
    surrogate = subject.build()
    x = torch.from_numpy(train.images.copy()).float() / 255
    with subject.calling("module()", train):
        network = surrogate.module(0, train)
    with subject.calling("module()", train, state=1):
        again = surrogate.module(0, train)
    subject.same(_weights(network), _weights(again), "the same seed must give the same network")
    trainable = all(weight.requires_grad for weight in network.parameters())
    subject.require(trainable, "a fresh network must be trainable", "Some of its weights take no gradient")
    network.eval()
    scores, features = network(x), network.features(x)
    rule = f"a fresh network gives scores [{len(x)}, {len(train.classes)}] and features [{len(x)}, D]"
    shapes = scores.shape == (len(x), len(train.classes)) and features.shape[:-1] == (len(x),)
    subject.require(shapes, rule, f"Got {shape_text(scores)} and {shape_text(features)}")
    for name in ("features", "logits"):
        refused = False
        try:
            getattr(surrogate, name)(x)
        except UsageError:
            refused = True
        subject.require(refused, f"{name}() of a surrogate without weights must raise UsageError", "It did not")


def _weights(network: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}


def _check_fitting(subject: Subject[SurrogateRecord], surrogate: FittedSurrogate, train: ImageSet) -> None:
    """Leave ``surrogate`` fitted."""
    state = _fit(subject, subject.build(), train)
    again = _fit(subject, surrogate, train, global_state=1)
    subject.same(state, again, "the same seed must give the same state")
    x = torch.from_numpy(train.images.copy()).float() / 255
    fitted = surrogate.features(x).detach().numpy()
    restored = subject.build()
    with subject.calling("restore()", train):
        restored.restore(state, train, make_run(stage="surrogate"))
    subject.same(
        {"features": fitted},
        {"features": restored.features(x).detach().numpy()},
        "a restored surrogate must have the features of the fitted one",
    )


def _fit(
    subject: Subject[SurrogateRecord], surrogate: FittedSurrogate, train: ImageSet, global_state: int = 0
) -> dict[str, NDArray[Any]]:
    with subject.calling("fit()", train, state=global_state):
        state = dict(surrogate.fit(train, make_run(stage="surrogate")))
    wrong = [name for name, array in state.items() if not isinstance(array, np.ndarray)]
    subject.require(not wrong, "fit() must return NumPy arrays by name", f"Other types stand under {wrong}")
    return state


def _check_frozen(subject: Subject[SurrogateRecord], surrogate: Surrogate, x: Tensor) -> None:
    kept = x.clone()
    watched = x.clone().requires_grad_()
    rule = "features must be differentiable in the images"
    with subject.calling("features()"):
        features = surrogate.features(watched)
    subject.require(features.requires_grad, rule, "They have no gradient")
    features.square().sum().backward()  # type: ignore[no-untyped-call]
    reached = watched.grad is not None and bool(watched.grad.any())
    subject.require(reached, rule, "Their gradient is missing or zero everywhere")
    subject.require(torch.equal(watched.detach(), kept), "features() must not modify its input", "The images changed")
    module = surrogate.module(0)
    subject.require(isinstance(module, nn.Module), "module() must return a torch.nn.Module", shape_text(module))
    touched = [name for name, weight in module.named_parameters() if weight.grad is not None]
    subject.require(
        not touched, "features must leave no gradient on the weights", f"There is one on {', '.join(touched[:3])}"
    )


@torch.no_grad()
def _check_outputs(subject: Subject[SurrogateRecord], surrogate: Surrogate, x: Tensor) -> None:
    for name in ("features", "logits"):
        try:
            with subject.calling(f"{name}()"):
                together = getattr(surrogate, name)(x)
        except UsageError:
            if name == "logits":
                continue
            raise
        subject.require(
            isinstance(together, Tensor) and together.dtype == torch.float32 and together.shape[:-1] == (len(x),),
            f"{name}() must return float32 [{len(x)}, D] for {len(x)} images",
            f"It returned {shape_text(together)}",
        )
        subject.require(bool(torch.isfinite(together).all()), f"{name}() must return finite values", "Some are not")
        alone = getattr(surrogate, name)(x[:1])
        scale = float(together.abs().max())
        subject.require(
            torch.allclose(alone, together[:1], rtol=1e-3, atol=1e-4 * scale),
            f"{name}() of an image must not depend on the rest of its batch",
            f"It differs by {(alone - together[:1]).abs().max():.3g}, the largest value being {scale:.3g}",
        )
