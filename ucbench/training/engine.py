"""The training engine of victims, surrogates and bi-level poisoners."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UcbenchError, UsageError
from ucbench.numerics import Numerics
from ucbench.store.keys import derive_seed
from ucbench.training.batches import ResidentSet, split_evenly
from ucbench.training.determinism import seeded
from ucbench.training.memory import keep_freed_memory
from ucbench.training.normalized import Normalized, initialize, normalized
from ucbench.training.optim import Lookahead, Stepper
from ucbench.training.recipe import Recipe, learning_rate


class DivergedError(UcbenchError):
    """The loss of a training is not finite."""


def check_finite(loss: float, what: str) -> None:
    """Raise DivergedError unless the loss is finite; ``what`` begins its text: ``Training diverged in epoch 3``."""
    if not math.isfinite(loss):
        raise DivergedError(f"{what}: the mean loss is {loss}. Lower the learning rate.")


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        model: images in [0, 1] to logits; in eval mode.
        history: one mapping per evaluated epoch: ``epoch``, ``loss``, ``lr``, and ``<name>_accuracy`` in percent for
            every evaluated set.
        seconds: wall time of the training steps, without evaluations.
        images_per_second: training throughput over ``seconds``.
    """

    model: Normalized
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    images_per_second: float = 0.0


class TrainingHooks:
    """Where defenses act on a training. These defaults change nothing; ``run`` is the caller's."""

    @property
    def soft_targets(self) -> bool:
        """Whether targets must be probabilities ``[B, K]`` rather than class indices."""
        return False

    @property
    def loss(self) -> Callable[..., Tensor] | None:
        """``loss(model, x, targets, run, generator) -> scalar`` instead of the recipe's, or None."""
        return None

    @property
    def select(self) -> Callable[[Sequence[float]], int] | None:
        """``select(scores)``, the epoch (from 0) whose weights to keep by trusted accuracy; None keeps the last."""
        return None

    def rates(self, model: nn.Module, run: Any) -> Mapping[str, float]:
        """Factors on the learning rates of the model's parameters in an epoch, by name; 1 for others."""
        return {}

    def augment(self, x: Tensor, run: Any, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] of a batch, after the recipe's crop and flip."""
        return x

    def mix(self, x: Tensor, targets: Tensor, run: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and targets ``[B, K]`` of a batch."""
        return x, targets

    def at_test(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] of a test batch."""
        return x


class _BestEpoch:
    """The weights of the epoch that a defense selects by accuracy on the trusted set."""

    def __init__(self, select: Callable[[Sequence[float]], int] | None) -> None:
        self.epoch: int | None = None
        self._select = select
        self._scores: list[float] = []
        self._weights: dict[str, Tensor] = {}

    def update(self, model: nn.Module, score: float) -> None:
        assert self._select is not None
        self._scores.append(score)
        epoch, last = self._select(tuple(self._scores)), len(self._scores) - 1
        if epoch == last:
            self._weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        elif epoch != self.epoch:
            raise ContractError(
                f"select() returned epoch {epoch}; it may return the last one, {last}, or {self.epoch} again."
            )
        self.epoch = epoch

    def restore(self, model: nn.Module) -> None:
        if self._weights:
            model.load_state_dict(self._weights)


class _Training:
    """One training on the engine's device, epoch by epoch.

    Attributes:
        network: the model with its normalisation.
        seconds: wall time of the steps so far.
    """

    def __init__(
        self,
        engine: Engine,
        model: nn.Module,
        train: ImageSet,
        recipe: Recipe,
        hooks: TrainingHooks,
        run: Any,
        seed: int,
    ) -> None:
        self._recipe, self._hooks, self._run = recipe, hooks, run
        self._autocast, self._device = engine.autocast, engine.device
        self.network = normalized(model, recipe.normalize, train).to(engine.device)
        # The wrapper's [1, 3, 1, 1] buffers need no layout.
        self.network.model.to(memory_format=torch.channels_last)
        initialize(self.network, train)
        self._data = _resident(train, recipe, engine.device)
        names = ("lr", "momentum", "weight_decay", "bias_lr", "nesterov", "clip_norm")
        self._stepper = engine.stepper(self.network, **{name: getattr(recipe, name) for name in names})
        self._generator = torch.Generator().manual_seed(seed)
        self._steps_per_epoch = split_evenly(len(train), recipe.batch)
        steps = recipe.epochs * self._steps_per_epoch
        self._lookahead = Lookahead(self.network, recipe.lookahead, steps) if recipe.lookahead else None
        self._forward: Any = self.network
        # A defense's loss may call the network in several ways, each of which would be compiled.
        if engine.numerics.compiled and hooks.loss is None:
            self._forward = torch.compile(self.network, mode="reduce-overhead", dynamic=False)
        self._images, self._classes = len(train), len(train.classes)
        self._step, self.seconds = 0, 0.0

    def epoch(self, number: int, progress: Callable[[int], None] | None) -> tuple[float, float]:
        """Train for an epoch, from 1; returns the mean loss and the last learning rate."""
        self.network.train()
        rates: dict[Tensor, float] = {}
        if self._run is not None:
            self._run.epoch, self._run.epochs = number, self._recipe.epochs
            factors = self._hooks.rates(self.network.model, self._run)
            rates = {self.network.model.get_parameter(name): factor for name, factor in factors.items()}
        started = time.perf_counter()
        total = torch.zeros((), device=self._device)
        for x, labels in self._data.epoch(self._recipe.batch, self._generator):
            rate = learning_rate(self._recipe, self._step, self._steps_per_epoch)
            total += self._stepper.apply(self._loss(x, labels), rate, rates) * len(labels)
            self._step += 1
            if self._lookahead is not None:
                self._lookahead.update()
            if progress is not None:
                progress(1)
        mean_loss = float(total) / self._images  # the epoch's only synchronisation with a GPU
        self.seconds += time.perf_counter() - started
        return mean_loss, rate

    def _loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the batch, float32."""
        hooks, run, smoothing = self._hooks, self._run, self._recipe.label_smoothing
        targets = labels
        if run is not None:
            x = hooks.augment(x, run, self._generator)
            if hooks.soft_targets:
                targets = F.one_hot(labels, self._classes).float()
                x, targets = hooks.mix(x, targets, run, self._generator)
            if hooks.loss is not None:
                # The defense does not see the recipe, so apply its label smoothing here.
                targets = targets * (1 - smoothing) + smoothing / self._classes
                with self._autocast():
                    return hooks.loss(self._forward, x, targets, run, self._generator)
        with self._autocast():
            logits = self._forward(x)
        return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def _resident(train: ImageSet, recipe: Recipe, device: torch.device) -> ResidentSet:
    """The set with the recipe's crops and flips."""
    return ResidentSet(
        train,
        padding=round(recipe.crop * min(train.size)),
        border=recipe.border,
        enlarge=recipe.enlarge,
        flip=recipe.mirrors(train.flip),
        alternate=recipe.flip == "alternate",
        device=device,
    )


class Engine:
    """Trains and evaluates models on one device in one precision.

    Args:
        numerics: device and precision. With ``bfloat16`` the forward pass runs under autocast; weights, losses and
            optimiser state stay float32.
    """

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.device = torch.device(numerics.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.dtype = torch.bfloat16 if numerics.dtype == "bfloat16" else torch.float32

    def autocast(self) -> torch.autocast:
        """The autocast scope of this engine's precision (disabled for float32)."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def placed(self, network: nn.Module) -> nn.Module:
        """``network``, moved to this engine's device and layout."""
        network.to(self.device)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):  # other modules may have buffers that this layout does not fit
                module.to(memory_format=torch.channels_last)
        return network

    def stepper(self, network: nn.Module, **options: Any) -> Stepper:
        """Single SGD steps on ``network``, for poisoners that train their surrogate; see :class:`Stepper`.

        The network is :meth:`placed`.
        """
        return Stepper(self.placed(network), autocast=self.autocast(), **options)

    def fit(
        self,
        model: nn.Module,
        train: ImageSet,
        recipe: Recipe,
        *,
        seed: int,
        run: Any = None,
        defenses: TrainingHooks | None = None,
        evaluate: Mapping[str, ImageSet] | None = None,
        trusted: ImageSet | None = None,
        progress: Callable[[int], None] | None = None,
        on_epoch: Callable[[Mapping[str, Any], int], None] | None = None,
    ) -> TrainResult:
        """Train ``model`` (normalised images to logits) on ``train`` by ``recipe``.

        Args:
            seed: of shuffling, crops, flips, dropout and the defenses' draws; the caller initialises the model.
            run: a :class:`ucbench.DefenseRun` for the defenses; required if there are any.
            defenses: a :class:`ucbench.training.defenses.DefensePipeline`.
            evaluate: sets whose accuracy enters the history, by name.
            trusted: the set by whose accuracy a defense selects the epoch.
            progress: called with the number of steps done since its last call.
            on_epoch: called after every epoch with a mapping as in the history, and the number of epochs.

        Raises:
            DivergedError: at the end of an epoch whose mean loss is not finite.
            UsageError: for defenses without ``run``, or a defense that selects the epoch without ``trusted``.
        """
        hooks = defenses or TrainingHooks()
        if defenses and run is None:
            raise UsageError("Defenses need a run: pass run= with them.")
        if hooks.select is not None and trusted is None:
            raise UsageError(
                "A defense with select() needs a trusted set: say needs_trusted in its spec, or pass trusted=."
            )
        training = _Training(self, model, train, recipe, hooks, run, seed)
        network, history = training.network, list[dict[str, Any]]()
        best = _BestEpoch(hooks.select)
        # Dropout and similar layers use the global generator.
        with seeded(derive_seed("layers", seed)):
            for epoch in range(1, recipe.epochs + 1):
                mean_loss, rate = training.epoch(epoch, progress)
                check_finite(mean_loss, f"Training diverged in epoch {epoch}")
                point: dict[str, Any] = {"epoch": epoch, "loss": mean_loss, "lr": rate}
                if epoch % recipe.evaluate_every == 0 or epoch == recipe.epochs:
                    for name, images in (evaluate or {}).items():
                        point[f"{name}_accuracy"] = self._accuracy(network, images, hooks)
                    history.append(point)
                if trusted is not None and hooks.select is not None:
                    best.update(network, self._accuracy(network, trusted, hooks))
                if on_epoch is not None:
                    on_epoch(point, recipe.epochs)
        best.restore(network)
        if best.epoch is not None and run is not None:
            run.note("selected_epoch", best.epoch + 1)
        network.eval()
        throughput = recipe.epochs * len(train) / training.seconds if training.seconds else 0.0
        return TrainResult(network, history, training.seconds, throughput)

    def _accuracy(self, model: nn.Module, images: ImageSet, hooks: TrainingHooks) -> float:
        """In percent."""
        return 100.0 * float((self.predict(model, images, hooks) == images.known_labels).mean())

    @torch.no_grad()
    def predict(
        self, model: nn.Module, images: ImageSet, defenses: TrainingHooks | None = None, batch: int = 500
    ) -> NDArray[np.int64]:
        """Predicted classes ``[N]`` by ``model`` (images in [0, 1] to logits), in eval mode."""
        hooks = defenses or TrainingHooks()
        was_training = model.training
        model.eval()
        parts = []
        for start in range(0, len(images), batch):
            block = torch.from_numpy(images.images[start : start + batch].copy()).to(self.device)
            x = block.float().div_(255.0).contiguous(memory_format=torch.channels_last)
            with self.autocast():
                parts.append(model(hooks.at_test(x)).argmax(1))
        model.train(was_training)
        return torch.cat(parts).cpu().numpy()
