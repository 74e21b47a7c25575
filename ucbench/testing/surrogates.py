"""The contract of surrogates."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import SurrogateSpec
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, make_run, sample_images, tensor_of
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic, seeded
from ucbench.training.returned import shape_text
from ucbench.training.surrogate import FittedSurrogate, Surrogate

METHODS = Rule(
    "methods",
    "a surrogate has module, features, logits and to",
    "Define all four; without a classifier, logits() raises ucbench.UsageError.",
)
NETWORK = Rule(
    "network",
    "module() must return a torch.nn.Module",
    "Return the frozen network; if the spec says untrained=True, a new one initialised from the seed argument.",
)
FRESH = Rule(
    "fresh",
    "a fresh network must follow its seed, be trainable, and return scores [B, classes] and features [B, D]",
    "Build it for len(train.classes) classes with trainable weights, initialised from the seed argument, and define "
    "its method features(x): the input of its classifier.",
)
NO_WEIGHTS = Rule(
    "no-weights",
    "features() and logits() of a surrogate without weights must raise UsageError",
    "Raise ucbench.UsageError there: only the fresh networks of module() have features and scores.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same network or state",
    "Initialise module() from its seed (`with ucbench.seeded(seed):`); in fit(), draw from run.generator(stream).",
)
STATE = Rule(
    "state",
    "fit() must return NumPy arrays by name",
    "Return arrays, such as {name: tensor.numpy() for name, tensor in network.state_dict().items()}.",
)
LABEL_FREE = Rule(
    "label-free",
    "a surrogate of label_access='none' must be fitted without labels",
    "Do not read train.labels and train.label_sets, or set label_access='full' in the spec.",
)
RESTORED = Rule(
    "restored",
    "a restored surrogate must have the features and scores of the fitted one",
    "Put everything that features() and logits() read into the state, also running statistics and normalisation.",
)
DIFFERENTIABLE = Rule(
    "differentiable",
    "features must be differentiable in the images",
    "Use no torch.no_grad(), .detach(), rounding or .numpy() on the way from pixels to features.",
)
FROZEN = Rule(
    "frozen",
    "features must leave no gradient on the weights",
    "Freeze them: network.eval().requires_grad_(False).",
)
OUTPUTS = Rule(
    "outputs",
    "features() and logits() must return finite float32 [B, D]",
    "Flatten to two dimensions and convert to float32.",
)
EACH_IMAGE = Rule(
    "each-image",
    "features and logits of an image must not depend on the rest of its batch",
    "Put the network in eval mode, and use no statistics of the batch.",
)
_UNTRAINED = (FRESH, NO_WEIGHTS)
_FITTED = (STATE, LABEL_FREE, RESTORED)
_READY = (METHODS, NETWORK, DIFFERENTIABLE, FROZEN, OUTPUTS, EACH_IMAGE)
RULES = (*CALLS, METHODS, NETWORK, *_UNTRAINED, SAME_SEED, *_FITTED, DIFFERENTIABLE, FROZEN, OUTPUTS, EACH_IMAGE)


def check_surrogate(
    surrogate: Component[Any] | Surrogate, *, spec: SurrogateSpec | None = None, train: ImageSet | None = None
) -> None:
    """Check a surrogate: features, scores, gradients to the images but not the weights, and the state of fitted ones.

    ``logits`` of a surrogate without a classifier may raise UsageError.

    Args:
        train: the images, also to fit on; by default 13 of 20 x 28 pixels in 3 classes.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(surrogate, spec, SurrogateSpec)
    train = train or sample_images(size=(20, 28))
    with subject.isolated(), deterministic(NUMERICS):
        if subject.spec.untrained:
            subject.skip("it is untrained", *_READY, *_FITTED)
            _check_untrained(subject, train)
            return
        subject.skip("it is not untrained", *_UNTRAINED)
        ready = _ready(subject, train)
        x = tensor_of(train)
        with subject.isolated():
            _check_frozen(subject, ready, x)
        _check_outputs(subject, ready, x)


def _ready(subject: Subject[SurrogateSpec], train: ImageSet) -> Surrogate:
    with seeded(0):  # construction may draw initial weights that are then overwritten
        surrogate = subject.build()
    missing = [name for name in ("module", "features", "logits", "to") if not hasattr(surrogate, name)]
    subject.require(isinstance(surrogate, Surrogate), METHODS, f"It lacks {', '.join(missing)}")
    if isinstance(surrogate, FittedSurrogate):
        _check_fitting(subject, surrogate, train)
    else:
        subject.skip("it is not fitted", *_FITTED, SAME_SEED)
    ready: Surrogate = surrogate
    ready.to(torch.device("cpu"), torch.float32)
    return ready


def _check_untrained(subject: Subject[SurrogateSpec], train: ImageSet) -> None:
    """Check an architecture without weights: fresh, trainable networks, determined by the seed, with features."""
    surrogate = subject.build()
    x = tensor_of(train)
    with subject.calling("module()", train):
        network = surrogate.module(0, train)
    with subject.calling("module()", train, state=1):
        again = surrogate.module(0, train)
    with subject.calling("module()", train):
        other = surrogate.module(1, train)
    with subject.isolated():
        rule = SAME_SEED.stated("the same seed must give the same network")
        subject.same(_weights(network), _weights(again), rule)
    with subject.isolated():
        first, second = _weights(network), _weights(other)
        differs = any(not np.array_equal(array, second[name]) for name, array in first.items())
        rule = FRESH.stated("a fresh network must follow its seed")
        subject.require(differs, rule, "Two seeds gave the same weights")
    trainable = any(weight.requires_grad for weight in network.parameters())
    rule = FRESH.stated("a fresh network must be trainable")
    subject.require(trainable, rule, "None of its weights takes a gradient")
    network.eval()
    with subject.calling("a fresh network"):
        scores, features = network(x), network.features(x)
    rule = FRESH.stated(
        f"a fresh network must return scores [{len(x)}, {len(train.classes)}] and features [{len(x)}, D]"
    )
    shapes = scores.shape == (len(x), len(train.classes)) and features.shape[:-1] == (len(x),)
    subject.require(shapes, rule, f"Got {shape_text(scores)} and {shape_text(features)}")
    for name in ("features", "logits"):
        raised = False
        try:
            getattr(surrogate, name)(x)
        except UsageError:
            raised = True
        rule = NO_WEIGHTS.stated(f"{name}() of a surrogate without weights must raise UsageError")
        subject.require(raised, rule, "It did not")


def _weights(network: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}


def _check_fitting(subject: Subject[SurrogateSpec], surrogate: FittedSurrogate, train: ImageSet) -> None:
    """Check fitting; ``surrogate`` is fitted afterwards."""
    x = tensor_of(train)
    if subject.spec.label_access == "none":
        train = train.with_labels(None)
    else:
        subject.skip(f"label_access is {subject.spec.label_access!r}", LABEL_FREE)
    state = _fit(subject, subject.build(), train)
    again = _fit(subject, surrogate, train, global_state=1)
    with subject.isolated():
        subject.same(state, again, SAME_SEED.stated("the same seed must give the same state"))
    fitted = _outputs(surrogate, x)  # before restore(): an instance is checked as it is, not built anew
    restored = subject.build()
    with subject.calling("restore()", train):
        restored.restore(state, train, make_run(stage="surrogate"))
    subject.same(fitted, _outputs(restored, x), RESTORED)


def _outputs(surrogate: Surrogate, x: Tensor) -> dict[str, NDArray[Any]]:
    """Features, and scores if there is a classifier."""
    outputs = {"features": surrogate.features(x).detach().numpy()}
    with contextlib.suppress(UsageError):
        outputs["logits"] = surrogate.logits(x).detach().numpy()
    return outputs


def _fit(
    subject: Subject[SurrogateSpec], surrogate: FittedSurrogate, train: ImageSet, global_state: int = 0
) -> dict[str, NDArray[Any]]:
    unlabelled = subject.accepting(LABEL_FREE, DataError) if train.labels is None else contextlib.nullcontext()
    with unlabelled, subject.calling("fit()", train, state=global_state):
        state = dict(surrogate.fit(train, make_run(stage="surrogate")))
    wrong = [name for name, array in state.items() if not isinstance(array, np.ndarray)]
    subject.require(not wrong, STATE, f"Other types: {', '.join(map(str, wrong))}")
    return state


def _check_frozen(subject: Subject[SurrogateSpec], surrogate: Surrogate, x: Tensor) -> None:
    images = x.clone().requires_grad_()
    with subject.calling("features()", images):
        features = surrogate.features(images)
    subject.require(features.requires_grad, DIFFERENTIABLE, "They have no gradient")
    features.square().sum().backward()
    reached = images.grad is not None and bool(images.grad.any())
    subject.require(reached, DIFFERENTIABLE, "Their gradient is missing or zero everywhere")
    with subject.calling("module()"):
        module = surrogate.module(0)
    subject.require(isinstance(module, nn.Module), NETWORK, f"It returned {shape_text(module)}")
    reached_weights = [name for name, weight in module.named_parameters() if weight.grad is not None]
    subject.require(not reached_weights, FROZEN, f"There is one on {', '.join(reached_weights[:3])}")
    with subject.calling("features()", x):
        features = surrogate.features(x)
    # features() may use another network than module() returns.
    subject.require(not features.requires_grad, FROZEN, "Features of images that take no gradient have one")


@torch.no_grad()
def _check_outputs(subject: Subject[SurrogateSpec], surrogate: Surrogate, x: Tensor) -> None:
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
            OUTPUTS.stated(f"{name}() must return float32 [{len(x)}, D] for {len(x)} images"),
            f"It returned {shape_text(together)}",
        )
        rule = OUTPUTS.stated(f"{name}() must return finite values")
        subject.require(bool(torch.isfinite(together).all()), rule, "Some are not")
        alone = getattr(surrogate, name)(x[:1])
        scale = float(together.abs().max())
        subject.require(
            torch.allclose(alone, together[:1], rtol=1e-3, atol=1e-4 * scale),
            EACH_IMAGE.stated(f"{name}() of an image must not depend on the rest of its batch"),
            f"It differs by {(alone - together[:1]).abs().max():.3g}, the largest value being {scale:.3g}",
        )
