"""Surrogates: networks with ImageNet's weights, one trained on the spot, and one that its poisoner trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.models import get_pretrained_cfg_value
from torch import Tensor, nn

from ucbench import (
    DataError,
    FrozenNetwork,
    ImageSet,
    NetworkSurrogate,
    Normalized,
    UntrainedSurrogate,
    UsageError,
    load_weights,
    normalized,
    read_weights,
    seeded,
    split_evenly,
)
from ucbench_timm.params import (
    RANDOM_WEIGHTS,
    EfficientNetLite0Params,
    TimmSurrogateParams,
    TrainedParams,
    UntrainedParams,
    check_name,
    efficientnet_lite0_file,
)
from ucbench_timm.victims import ResNet18, create, resnet

if TYPE_CHECKING:
    from ucbench import Run

_log = logging.getLogger(__name__)

#: Longest side, in pixels, below which ``features=auto`` takes features of two depths.
TINY = 16


class TimmNetwork(FrozenNetwork):
    """A network of timm, whose features are the classifier's input."""

    def penultimate(self, x: Tensor) -> Tensor:
        features: Tensor = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
        return features


class EfficientNetLite0(NetworkSurrogate):
    """EfficientNet-Lite0 (ImageNet-1k, 4.7 million weights): features ``[B, 1280]``, scores ``[B, 1000]``.

    Images are resized to ``size`` pixels square (bicubic) and normalised by mean = std = 0.5. The network was
    trained at 224 pixels; 96 costs a fifth of that. With ``features=levels``, features are ``[B, 1600]``; ``auto`` has
    those for images below :data:`TINY` pixels.

    Raises:
        DataError: if the installed weights are not the expected ones.
    """

    def __init__(self, params: EfficientNetLite0Params) -> None:
        network = timm.create_model("tf_efficientnet_lite0")
        weights = efficientnet_lite0_file()
        load_by_position(network, read_weights(weights).tensors, str(weights))
        half = (0.5, 0.5, 0.5)
        size = None if params.size is None else (params.size, params.size)
        kind = {"penultimate": _ScaledNetwork, "levels": _LevelsNetwork, "auto": _AutoNetwork}[params.features]
        super().__init__(kind(network, mean=half, std=half, size=size))


def load_by_position(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load tensors that stand in the network's order under other names.

    Raises:
        DataError: if their number differs, or any shape.
    """
    places = network.state_dict()
    if len(tensors) != len(places):
        raise DataError(f"{source} does not fit: it holds {len(tensors)} tensors, the network {len(places)}.")
    for (place, old), (name, new) in zip(places.items(), tensors.items(), strict=True):
        if old.shape != new.shape:
            raise DataError(f"{source} does not fit: {name} is {list(new.shape)}, but {place} is {list(old.shape)}.")
    network.load_state_dict(dict(zip(places, tensors.values(), strict=True)))


class _ScaledNetwork(TimmNetwork):
    """Resizes small images in proportion where no size is given."""

    def input_size(self, x: Tensor) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        longer = max(x.shape[-2:])
        side = 224 if longer > 96 else min(96, max(32, 3 * longer))
        return side, side


class _LevelsNetwork(_ScaledNetwork):
    """Features of two depths of an EfficientNet: the fourth stage by quadrant, and the penultimate ones."""

    def penultimate(self, x: Tensor) -> Tensor:
        network = self.network
        x = network.bn1(network.conv_stem(x))
        for depth, stage in enumerate(network.blocks):
            x = stage(x)
            if depth == 3:
                quadrants = F.adaptive_avg_pool2d(x, 2).flatten(1)
        top = network.forward_head(network.bn2(network.conv_head(x)), pre_logits=True)
        # Unequal lengths would let the earlier level, whose activations are 2 to 20 times longer, decide alone.
        return torch.cat([F.normalize(quadrants.float(), dim=1), F.normalize(top.float(), dim=1)], 1)


class _AutoNetwork(_LevelsNetwork):
    """Two depths for images so small that ImageNet's classes describe them poorly; the penultimate one for others."""

    def features(self, x: Tensor) -> Tensor:
        layers = self.penultimate if max(x.shape[-2:]) < TINY else super(_LevelsNetwork, self).penultimate
        return self.compute(layers, x)


class TimmSurrogate(NetworkSurrogate):
    """A pretrained model of timm, or a model of timm with a local checkpoint's weights or, on request, random ones.

    Normalisation, interpolation and (without ``size``) the input's size are those of the model's own
    configuration. Whole images are resized, not cropped. A checkpoint may have any number of classes, or no
    classifier.

    Raises:
        UsageError: for a name timm does not know.
        DataError: if the weights are not available, or do not fit.
    """

    def __init__(self, params: TimmSurrogateParams) -> None:
        super().__init__()
        self._name = params.model
        check_name(params.model)
        native: Any = get_pretrained_cfg_value(params.model, "input_size")
        height, width = (params.size, params.size) if params.size else native[1:]
        note = ""
        if params.weights == "random":
            note = RANDOM_WEIGHTS
            _log.warning("timm:%s has %s.", params.model, note)
            with seeded(0):
                network = create(params.model, (height, width))
        elif params.checkpoint is None:
            network = _with_timms_weights(params.model, (height, width))
        else:
            tensors, note = read_weights(params.checkpoint)
            network = create(params.model, (height, width), num_classes=_classes(params.model, tensors))
            load_weights(network, tensors, f"{params.checkpoint} ({params.model} at {height}x{width} pixels)")
        self._classes = network.num_classes
        config = network.pretrained_cfg
        self.adopt(
            TimmNetwork(
                network,
                mean=config["mean"],
                std=config["std"],
                size=(height, width),
                mode="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
                note=note,
            )
        )

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores ``[B, K]`` float32 for images ``[B, 3, H, W]`` in [0, 1].

        Raises:
            UsageError: if the weights come without a classifier.
        """
        if not self._classes:
            raise UsageError(f"The weights of timm:{self._name} have no classifier, only features.")
        return super().logits(x)


def _with_timms_weights(name: str, size: tuple[int, int]) -> Any:
    try:
        return create(name, size, pretrained=True)
    except Exception as error:  # the hub's client, the network and timm each raise their own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"timm cannot get the weights of {name} ({type(error).__name__}: {reason})."
            f" Without a network, give a local file: timm:{name}:checkpoint=PATH"
        ) from error


def _classes(name: str, tensors: Mapping[str, Tensor]) -> int:
    """The number of classes of the checkpoint's classifier; 0 if it has none."""
    classifier = get_pretrained_cfg_value(name, "classifier") or ""
    first = classifier if isinstance(classifier, str) else classifier[0]
    weight = tensors.get(f"{first}.weight")
    return 0 if weight is None else len(weight)


class TrainedSurrogate(NetworkSurrogate):
    """The victim's ResNet-18, trained on the clean training set with its labels.

    Features ``[B, 8 * width]``, scores ``[B, K]`` of the training set's classes. Images are not resized, and
    are normalised as the recipe says. Initialisation and training draw from the seed of the stream
    ``surrogate``.
    """

    def __init__(self, params: TrainedParams) -> None:
        super().__init__()
        self._victim = ResNet18(params)

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on ``train``; the state holds ``model.*`` (weights), ``mean`` and ``std`` (normalisation)."""
        recipe, seed = self._victim.recipe, run.seed("surrogate")
        steps = recipe.epochs * split_evenly(len(train), recipe.batch)
        progress = run.progress("training the surrogate", steps)
        result = run.engine.fit(self._fresh(train, seed), train, recipe, seed=seed, progress=progress)
        state = {name: tensor.cpu().contiguous().numpy() for name, tensor in result.model.state_dict().items()}
        self.restore(state, train, run)
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Restore what :meth:`fit` returned for the same training set."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        mean, std = tensors.pop("mean"), tensors.pop("std")
        network = self._fresh(train, seed=0)
        network.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
        self.adopt(TimmNetwork(network, mean=mean, std=std))

    def _fresh(self, train: ImageSet, seed: int) -> nn.Module:
        with seeded(seed):
            return self._victim.build(len(train.classes), train.size)


class FreshNetwork(Normalized):
    """A network of timm that takes images in [0, 1] and also gives its penultimate features."""

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to the classifier's input ``[B, D]``."""
        model: Any = self.model
        features: Tensor = model.forward_head(model.forward_features((x - self.mean) / self.std), pre_logits=True)
        return features


class UntrainedResNet18(UntrainedSurrogate):
    """The victim's ResNet-18 with fresh weights; small-image stem and width as there."""

    def __init__(self, params: UntrainedParams) -> None:
        self.params = params

    def module(self, seed: int, train: ImageSet | None = None) -> FreshNetwork:
        """A new, trainable network for the classes and size of ``train``, drawn from ``seed``.

        Raises:
            UsageError: without ``train``.
        """
        if train is None:
            raise UsageError("An untrained surrogate is built for a training set: module(seed, train).")
        with seeded(seed):
            model = resnet("resnet18", self.params.width, len(train.classes), train.size)
        shell = normalized(model, self.params.normalize, train)
        return FreshNetwork(model, shell.mean, shell.std)
