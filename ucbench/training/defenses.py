"""Defenses in training: their protocol, their run, and the pipeline that applies them stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UsageError
from ucbench.progress import Progress
from ucbench.training.context import Run
from ucbench.training.determinism import guarded
from ucbench.training.engine import Engine, TrainingHooks
from ucbench.training.returned import images_rule, misfit, shape_text, targets_misfit, targets_rule


class DefenseRun(Run):
    """The run of defenses and opaque trainers.

    Attributes:
        epoch: the current epoch of the training, from 1; 0 outside a training.
        epochs: all epochs of the training; 0 outside a training.
    """

    def __init__(
        self,
        engine: Engine,
        seeds: tuple[str, int],
        progress: Progress,
        *,
        clean: ImageSet | None = None,
        trusted: ImageSet | None = None,
        leaked: tuple[ImageSet, ImageSet] | None = None,
    ) -> None:
        super().__init__(engine, seeds, progress)
        self.epoch = self.epochs = 0
        self._clean, self._trusted, self._leaked = clean, trusted, leaked

    @property
    def clean(self) -> ImageSet:
        """The unperturbed training set, for ``prepare`` of a defense whose spec says ``oracle``.

        Raises:
            UsageError: for any other component.
        """
        if self._clean is None:
            raise UsageError("Only a defense whose spec says oracle may read run.clean, and only in prepare().")
        return self._clean

    @property
    def trusted(self) -> ImageSet:
        """The exploiter's clean labelled images, for ``prepare`` of a defense whose spec says ``needs_trusted``.

        Raises:
            UsageError: for any other component.
        """
        if self._trusted is None:
            raise UsageError("Only a defense whose spec says needs_trusted may read run.trusted, in prepare().")
        return self._trusted

    @property
    def leaked(self) -> tuple[ImageSet, ImageSet]:
        """The trusted images before and after the same craft, for ``prepare`` of a defense whose spec says ``leaked``.

        Raises:
            UsageError: for any other component.
        """
        if self._leaked is None:
            raise UsageError("Only a defense whose spec says leaked may read run.leaked, and only in prepare().")
        return self._leaked


#: The methods of a :class:`Defense`.
_STAGES = ("prepare", "augment", "mix", "loss", "rates", "at_test", "select")


@runtime_checkable
class Defense(Protocol):
    """``Class(params)`` with any of these methods. Stages run in this order, parts of a stage in the pipeline's order.

    * ``prepare(train: ImageSet, run) -> ImageSet`` - once for all trainings on a release; stored.
    * ``augment(x, run, generator) -> x`` - every batch, after the recipe's crop and flip; randomness per image.
    * ``mix(x, targets, run, generator) -> (x, targets)`` - every batch; targets are ``[B, K]`` probabilities.
    * ``loss(model, x, targets, run, generator) -> scalar`` - replaces the recipe's loss; one part of a pipeline.
    * ``rates(model, run) -> {name: factor}`` - every epoch: factors on the learning rates of parameters by name; those
      of several parts multiply.
    * ``at_test(x) -> x`` - every test batch.
    * ``select(scores) -> int`` - after every epoch: the epoch (from 0) whose weights to keep, the last one or the one
      it returned before; ``scores`` are the accuracies of all epochs so far on the trusted set, in percent.

    ``x`` is float32 ``[B, 3, H, W]`` in [0, 1].

    A part with ``loss`` may have an attribute ``through``. If it is True, no ``augment`` acts before ``mix``; instead,
    the model that ``loss`` gets augments its input at every call, with new draws, so that an attack on it is one on
    the images before their augmentation. An ``augment`` without gradient is an error there; where one passes none for
    some images only, the record's note ``attack_without_gradient`` gives their percentage over all steps of the attack.
    """


class DefensePipeline(TrainingHooks):
    """Defenses in the order of the chain that names them.

    Args:
        parts: ``(name, component)`` pairs; see :class:`Defense`.

    Raises:
        UsageError: if two parts define ``loss``, or ``select``, or one defines no stage; the text names them.
    """

    def __init__(self, parts: Sequence[tuple[str, Any]] = ()) -> None:
        self._parts = tuple(parts)
        self._attacked = self._blocked = 0
        self._checked: set[tuple[int, str]] = set()
        for name, part in parts:
            if not any(hasattr(part, stage) for stage in _STAGES):
                raise UsageError(f"{name} does nothing: its class has none of the methods {', '.join(_STAGES)}.")
        for method, action in (("loss", "replace the loss"), ("select", "select the epoch")):
            owners = [name for name, _ in self._having(method)]
            if len(owners) > 1:
                raise UsageError(f"Only one defense of a pipeline may {action}, but {' and '.join(owners)} both do.")

    def __len__(self) -> int:
        return len(self._parts)

    def _having(self, method: str) -> list[tuple[str, Any]]:
        return [(name, part) for name, part in self._parts if hasattr(part, method)]

    @property
    def soft_targets(self) -> bool:
        """Whether targets must be probabilities ``[B, K]`` rather than class indices."""
        return bool(self._having("mix") or self._having("loss"))

    @property
    def loss(self) -> Callable[..., Tensor] | None:
        """``loss(model, x, targets, run, generator)`` of the part that has one, or None."""
        owners = self._having("loss")
        if not self._through:
            return owners[0][1].loss if owners else None

        def loss(model: nn.Module, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
            augmented = _Augmented(model, self._having("augment"), run, generator, self._checked)
            value: Tensor = owners[0][1].loss(augmented, x, targets, run, generator)
            self._note_blocked(augmented, run)
            return value

        return loss

    def _note_blocked(self, augmented: _Augmented, run: DefenseRun) -> None:
        if not augmented.blocked:
            return
        blocked = torch.cat(augmented.blocked)
        self._attacked += len(blocked)
        self._blocked += int(blocked.sum())
        if self._blocked:
            if "attack_without_gradient" not in run.notes:
                names = " and ".join(name for name, _ in self._having("augment"))
                run.warn(
                    f"For some images, no gradient passes {names}, so that the attack does not move them; the note"
                    " attack_without_gradient gives their percentage over all steps."
                )
            run.note("attack_without_gradient", 100 * self._blocked / self._attacked)

    @property
    def _through(self) -> bool:
        """Whether ``augment`` acts in the model that ``loss`` gets."""
        return any(getattr(part, "through", False) for _, part in self._having("loss"))

    @property
    def preparing(self) -> tuple[bool, ...]:
        """Whether each part has a ``prepare``."""
        return tuple(hasattr(part, "prepare") for _, part in self._parts)

    @property
    def select(self) -> Callable[[Sequence[float]], int] | None:
        """``select(scores)`` of the part that has one, or None."""
        owners = self._having("select")
        return owners[0][1].select if owners else None

    def prepare(self, train: ImageSet, *runs: DefenseRun) -> ImageSet:
        """Apply every ``prepare`` in order.

        Args:
            runs: one for every part that prepares, so that each sees what it declares; or a single one for all.

        Raises:
            ContractError: if a part does not return an image set of the same number of images.
        """
        parts = self._having("prepare")
        for (name, part), run in zip(parts, runs * len(parts) if len(runs) == 1 else runs, strict=True):
            with guarded(f"Defense {name}", run.seed("global")):
                prepared = part.prepare(train, run)
            if not isinstance(prepared, ImageSet) or len(prepared) != len(train):
                raise ContractError(
                    f"Defense {name}: prepare() must return an ImageSet of the same {len(train)} images."
                )
            train = prepared
        return train

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        for name, part in () if self._through else self._having("augment"):
            x = _checked(name, part, "augment", self._checked, x, run, generator)
        return x

    def mix(self, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for name, part in self._having("mix"):
            x, targets = _checked(name, part, "mix", self._checked, x, targets, run, generator)
        return x, targets

    def rates(self, model: nn.Module, run: DefenseRun) -> dict[str, float]:
        rates: dict[str, float] = {}
        for _, part in self._having("rates"):
            for name, factor in part.rates(model, run).items():
                rates[name] = factor * rates.get(name, 1.0)
        return rates

    def at_test(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # evaluations call it where the network is autocast
            for name, part in self._having("at_test"):
                x = _checked(name, part, "at_test", self._checked, x)
        return x


def _checked(name: str, part: Any, stage: str, checked: set[tuple[int, str]], x: Tensor, *others: Any) -> Any:
    """What a part's ``stage`` returns; the first batch is checked, as a look at each would wait for a GPU.

    Args:
        checked: parts, by identity since a chain may repeat one, and their stages, whose first batch was right.
        others: what the stage takes after the images; the first are the targets where it mixes.

    Raises:
        ContractError: if it returns no images of the same shape and type in [0, 1], or with them no such targets.
    """
    call = getattr(part, stage)
    if (id(part), stage) in checked:
        return call(x, *others)
    # A stage may write into its inputs.
    images, targets = x.detach().clone(), others[0].clone() if stage == "mix" else None
    returned = call(x, *others)
    if targets is None:
        wrong = _broken(images_rule(f"{stage}()", images), misfit(images, returned))
    else:
        wrong = _wrong_mixture(f"{stage}()", images, targets, returned)
    if wrong:
        raise ContractError(f"Defense {name}: {wrong}")
    checked.add((id(part), stage))
    return returned


def _wrong_mixture(stage: str, x: Tensor, targets: Tensor, returned: Any) -> str:
    """What is wrong with images and targets returned for a batch; empty if nothing is."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        got = ", ".join(map(shape_text, returned)) if isinstance(returned, tuple | list) else shape_text(returned)
        return f"{stage} must return images and targets. Got {got or 'nothing'}."
    images, out = returned
    wrong_images = _broken(images_rule(stage, x), misfit(x, images))
    return wrong_images or _broken(targets_rule(stage, targets), targets_misfit(targets, out))


def _broken(rule: str, evidence: str) -> str:
    return evidence and f"{rule}. {evidence}."


class _Augmented(nn.Module):
    """A model that augments its input anew at every call.

    Attributes:
        blocked: per gradient of the input, whether it is 0 for an image [B] though that of the augmented image is not.
    """

    def __init__(
        self,
        model: nn.Module,
        parts: Sequence[tuple[str, Any]],
        run: DefenseRun,
        generator: torch.Generator,
        checked: set[tuple[int, str]],
    ) -> None:
        super().__init__()
        self.model = model
        self._parts, self._run, self._generator, self._checked = parts, run, generator, checked
        self.training = model.training
        self.blocked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        images = x
        with torch.autocast(x.device.type, enabled=False):  # as in the stage that this replaces
            for name, part in self._parts:
                augmented = _checked(name, part, "augment", self._checked, x, self._run, self._generator)
                if x.requires_grad and not augmented.requires_grad:
                    raise UsageError(f"No attack can go through the defense {name}: it passes no gradient.")
                x = augmented
        if images.requires_grad and x is not images:
            self._watch(images, x)
        scores: Tensor = self.model(x)
        return scores

    def _watch(self, images: Tensor, augmented: Tensor) -> None:
        arrived: list[Tensor] = []
        # Hooks see the gradients that the attack computes anyway.
        augmented.register_hook(lambda gradient: arrived.append(gradient.flatten(1).any(1)))
        images.register_hook(lambda gradient: self.blocked.extend(out & ~gradient.flatten(1).any(1) for out in arrived))
