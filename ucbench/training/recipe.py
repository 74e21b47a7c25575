"""Training recipes as typed parameters, their learning rates, and the protocol of victims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from ucbench.errors import UsageError
from ucbench.plugins.params import Params

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_milestones(milestones: Sequence[int], epochs: int) -> None:
    """For validators of schedules by steps: ValueError unless the milestones rise and lie below ``epochs``."""
    if any(one >= epochs for one in milestones) or list(milestones) != sorted(set(milestones)):
        raise ValueError(f"milestones {tuple(milestones)} must rise and lie below epochs={epochs}")


class Recipe(Params):
    """How a model is trained: SGD with momentum, epochs over the whole set, random crop and flip.

    A crop enlarges the image by ``enlarge``, pads each side by ``crop`` of its shorter side and cuts a window of the
    image's size at a random offset. ``flip`` mirrors half of the images; ``auto`` does so if a mirrored image of the
    data set keeps its label, and so does ``alternate``, where an image that is mirrored in one epoch is not in the
    next. ``test_views`` are for the predictions of the trained victim; evaluations between epochs show the image alone.
    """

    neutral: ClassVar[Mapping[str, Any]] = {
        "initial_lr": 0.0,
        "bias_lr": 1.0,
        "lookahead": 0,
        "border": "black",
        "enlarge": 1.0,
        "test_views": 1,
    }

    epochs: int = Field(8, ge=1, description="passes over the training set")
    batch: int = Field(
        64, ge=1, description="images per step, 1 becomes 2; batches of an epoch differ by at most one image"
    )
    lr: float = Field(0.05, gt=0, description="peak learning rate")
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights")
    schedule: Literal["cosine", "linear", "step", "constant"] = Field(
        "cosine", description="after the warm-up; cosine and linear change at every step"
    )
    final_lr: float = Field(0.0, ge=0, description="last learning rate of the cosine, and of linear")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of all steps over which the rate rises linearly to lr")
    initial_lr: float = Field(0.0, ge=0, description="learning rate from which the warm-up rises")
    bias_lr: float = Field(
        1.0, gt=0, description="factor on the learning rate of normalisation layers' biases; their decay stays"
    )
    milestones: tuple[int, ...] = Field((), description="epochs (from 1) after which `step` multiplies by gamma: 75/90")
    gamma: float = Field(0.1, gt=0, le=1)
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm, or none")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    lookahead: int = Field(
        0, ge=0, description="steps between two meetings of the weights and their moving average; 0: none"
    )
    crop: float = Field(
        0.125, ge=0, lt=1, description="padding on each side as a share of the shorter side; 0 for none"
    )
    border: Literal["black", "reflect"] = Field("black", description="what the padding of a crop shows")
    enlarge: float = Field(
        1.0,
        ge=1,
        le=2,
        description="factor by which images are enlarged before a crop, bilinearly; test images are not",
    )
    flip: Literal["auto", "alternate", "always", "never"] = "auto"
    normalize: Literal["data", "imagenet", "half", "none"] = Field(
        "data", description="per-channel mean and deviation: of the training images, ImageNet's, 0.5, or none"
    )
    test_views: Literal[1, 2, 6] = Field(
        1,
        description="views of an image whose scores a trained victim averages: 1, itself; 2, and its mirror image; 6, "
        "and both moved by a pixel in two directions",
    )
    evaluate_every: int = Field(2, ge=1, description="epochs between evaluations; the last epoch is always evaluated")

    def mirrors(self, flip: bool) -> bool:
        """Whether images are mirrored: ``flip`` says whether a mirrored image of the data set keeps its label."""
        return self.flip == "always" or (self.flip != "never" and flip)

    @model_validator(mode="after")
    def _milestones_fit(self) -> Self:
        check_milestones(self.milestones, self.epochs)
        return self


@runtime_checkable
class Victim(Protocol):
    """``Class(params)``; an architecture with its training recipe."""

    recipe: Recipe

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        """A new model: normalised images ``[B, 3, H, W]`` of ``size`` (height, width) to logits ``[B, classes]``.

        Initialisation draws from torch's global generator, which the core seeds and restores. A model may also be
        :class:`InitializedFromImages`.
        """


@runtime_checkable
class InitializedFromImages(Protocol):
    """A model whose initial weights depend on the images that it is trained on."""

    def initialize_from(self, x: Tensor) -> None:
        """Set weights from up to 5,000 normalised training images, float32 ``[N, 3, H, W]``.

        The engine calls it once, before the first step. It draws nothing.
        """


def cosine(start: float, end: float, step: float, steps: float = 1) -> float:
    """Half a cosine from ``start`` (step 0) to ``end`` (step ``steps``), at ``step``.

    With the default ``steps``, ``step`` is the finished share in [0, 1].
    """
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / steps))


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimiser step ``step`` (from 0)."""
    total = recipe.epochs * steps_per_epoch
    warm = round(recipe.warmup * total)
    if step < warm:
        return recipe.initial_lr + (recipe.lr - recipe.initial_lr) * (step + 1) / warm
    finished = (step - warm) / max(1, total - warm)
    if recipe.schedule == "cosine":
        return cosine(recipe.lr, recipe.final_lr, finished)
    if recipe.schedule == "linear":
        return recipe.lr + (recipe.final_lr - recipe.lr) * finished
    if recipe.schedule == "step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
        return float(recipe.lr * recipe.gamma**passed)
    return recipe.lr


def scale_schedule(recipe: Params, factor: float) -> dict[str, str]:
    """The options that make a recipe ``factor`` times as long: epochs (at least one) and milestones.

    Raises:
        UsageError: for parameters without epochs, and for more epochs than can be counted.
    """
    epochs = getattr(recipe, "epochs", None)
    if not isinstance(epochs, int):
        raise UsageError("it has no epochs that a schedule could multiply")
    if not epochs * factor < 2**63:  # as many as records hold
        raise UsageError(f"it would have {epochs * factor:g} epochs")
    scaled = max(1, round(epochs * factor))
    options = {"epochs": str(scaled)}
    if milestones := getattr(recipe, "milestones", ()):
        # Rounding may merge two, or move one to the end, where it has no effect.
        moved = sorted({round(m * factor) for m in milestones} - {0})
        options["milestones"] = "/".join(str(m) for m in moved if m < scaled)
    return options


#: Recipes of the literature, as presets that any victim may use.
PAPER_RECIPES: dict[str, dict[str, Any]] = {
    "eminn": {"epochs": 60, "batch": 128, "lr": 0.1, "clip_norm": 5.0, "normalize": "none"},
    "mi-ue": {"epochs": 200, "batch": 128, "lr": 0.5, "weight_decay": 1e-4, "final_lr": 1e-6, "normalize": "none"},
    # Under adversarial training.
    "mi-ue-at": {
        "epochs": 100,
        "batch": 128,
        "lr": 0.1,
        "schedule": "step",
        "milestones": (40, 80),
        "normalize": "none",
    },
    "adv-poison": {"epochs": 200, "batch": 128, "lr": 0.1},
    # Windows of 224 of 256 pixels, of images of 224.
    "uc": {
        "epochs": 90,
        "batch": 512,
        "lr": 0.1,
        "final_lr": 1e-6,
        "normalize": "half",
        "crop": 0.0,
        "enlarge": 256 / 224,
    },
    "apbench": {"epochs": 200, "batch": 256, "lr": 0.1, "schedule": "step", "milestones": (100,), "gamma": 0.5},
}
QUICK_RECIPE: dict[str, Any] = {"epochs": 4}
