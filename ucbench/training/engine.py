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
            raise UsageError("A defense that selects the epoch needs a trusted set: pass trusted=.")
        wrapped = normalized(model, recipe.normalize, train).to(self.device)
        # The wrapper's [1, 3, 1, 1] buffers need no layout.
        wrapped.model.to(memory_format=torch.channels_last)
        initialize(wrapped, train)
        data, stepper = self._resident(train, recipe), self._stepper(wrapped, recipe)
        generator = torch.Generator().manual_seed(seed)
        steps_per_epoch = split_evenly(len(train), recipe.batch)
        steps = recipe.epochs * steps_per_epoch
        lookahead = Lookahead(wrapped, recipe.lookahead, steps) if recipe.lookahead else None
        # A defense's loss may call the network in several ways, each of which would be compiled.
        compiles = self.numerics.compiled and hooks.loss is None
        forward: Any = torch.compile(wrapped, mode="reduce-overhead", dynamic=False) if compiles else wrapped
        classes = len(train.classes)
        history: list[dict[str, Any]] = []
        best = _BestEpoch(hooks.select)
        rates: dict[Tensor, float] = {}
        seconds, step = 0.0, 0
        # Dropout and similar layers use the global generator.
        with seeded(derive_seed("layers", seed)):
            for epoch in range(1, recipe.epochs + 1):
                wrapped.train()
                if run is not None:
                    run.epoch, run.epochs = epoch, recipe.epochs
                    factors = hooks.rates(wrapped.model, run)
                    rates = {wrapped.model.get_parameter(name): factor for name, factor in factors.items()}
                started = time.perf_counter()
                total = torch.zeros((), device=self.device)
                for x, labels in data.epoch(recipe.batch, generator):
                    rate = learning_rate(recipe, step, steps_per_epoch)
                    loss = self._loss(forward, x, labels, classes, recipe, hooks, run, generator)
                    total += stepper.apply(loss, rate, rates) * len(labels)
                    step += 1
                    if lookahead is not None:
                        lookahead.update()
                    if progress is not None:
                        progress(1)
                mean_loss = float(total) / len(train)  # the epoch's only synchronisation with a GPU
                seconds += time.perf_counter() - started
                check_finite(mean_loss, f"Training diverged in epoch {epoch}")
                point: dict[str, Any] = {"epoch": epoch, "loss": mean_loss, "lr": rate}
                if epoch % recipe.evaluate_every == 0 or epoch == recipe.epochs:
                    for name, images in (evaluate or {}).items():
                        point[f"{name}_accuracy"] = self._accuracy(wrapped, images, hooks)
                    history.append(point)
                if trusted is not None and hooks.select is not None:
                    best.update(wrapped, self._accuracy(wrapped, trusted, hooks))
                if on_epoch is not None:
                    on_epoch(point, recipe.epochs)
        best.restore(wrapped)
        if best.epoch is not None and run is not None:
            run.note("selected_epoch", best.epoch + 1)
        wrapped.eval()
        throughput = recipe.epochs * len(train) / seconds if seconds else 0.0
        return TrainResult(wrapped, history, seconds, throughput)

    def _resident(self, train: ImageSet, recipe: Recipe) -> ResidentSet:
        """The set with the recipe's crops and flips."""
        return ResidentSet(
            train,
            padding=round(recipe.crop * min(train.size)),
            border=recipe.border,
            enlarge=recipe.enlarge,
            flip=recipe.flip == "always" or (recipe.flip != "never" and train.flip),
            alternate=recipe.flip == "alternate",
            device=self.device,
        )

    def _stepper(self, network: nn.Module, recipe: Recipe) -> Stepper:
        """The recipe's optimiser."""
        names = ("lr", "momentum", "weight_decay", "bias_lr", "nesterov", "clip_norm")
        return self.stepper(network, **{name: getattr(recipe, name) for name in names})

    def _accuracy(self, model: nn.Module, images: ImageSet, hooks: TrainingHooks) -> float:
        """In percent."""
        return 100.0 * float((self.predict(model, images, hooks) == images.known_labels).mean())

    def _loss(
        self,
        model: nn.Module,
        x: Tensor,
        labels: Tensor,
        classes: int,
        recipe: Recipe,
        hooks: TrainingHooks,
        run: Any,
        generator: torch.Generator,
    ) -> Tensor:
        """Mean loss of the batch, float32."""
        targets = labels
        if run is not None:
            x = hooks.augment(x, run, generator)
            if hooks.soft_targets:
                targets = F.one_hot(labels, classes).float()
                x, targets = hooks.mix(x, targets, run, generator)
            if hooks.loss is not None:
                # The defense does not see the recipe, so apply its label smoothing here.
                targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / classes
                with self.autocast():
                    return hooks.loss(model, x, targets, run, generator)
        with self.autocast():
            logits = model(x)
        return F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)

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
