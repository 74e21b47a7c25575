"""Training recipes as typed parameters: what a victim does with images and labels, architecture aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from ucbench.errors import UsageError
from ucbench.plugins.params import Params

if TYPE_CHECKING:
    from torch import nn


class Recipe(Params):
    """How a model is trained. Epochs are passes over the whole set; no image is ever dropped.

    The optimiser is SGD with momentum. Crop and flip belong to the recipe: a crop pads each side by ``crop`` of the
    picture's side and cuts at a random place; ``flip`` mirrors half of the pictures, and ``auto`` asks the data set
    whether a mirrored picture keeps its label.
    """

    epochs: int = Field(8, ge=1, description="passes over the training set")
    batch: int = Field(64, ge=1, description="images a step; batches of an epoch differ by at most one image")
    lr: float = Field(0.05, gt=0, description="peak learning rate")
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights")
    schedule: Literal["cosine", "step", "constant"] = Field("cosine", description="cosine moves at every step")
    final_lr: float = Field(0.0, ge=0, description="where the cosine ends")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of all steps over which the rate rises linearly from 0")
    milestones: tuple[int, ...] = Field((), description="epochs (from 1) after which `step` multiplies by gamma: 75/90")
    gamma: float = Field(0.1, gt=0, le=1)
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm, or none")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    crop: float = Field(0.125, ge=0, lt=1, description="padding on each side as a share of the side; 0 for none")
    flip: Literal["auto", "always", "never"] = "auto"
    normalize: Literal["data", "imagenet", "half", "none"] = Field(
        "data", description="per-channel mean and deviation: of the training images, ImageNet's, 0.5, or none"
    )
    evaluate_every: int = Field(2, ge=1, description="epochs between two points of the history; the last always counts")

    @model_validator(mode="after")
    def _milestones_fit(self) -> Self:
        if any(m >= self.epochs for m in self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {self.milestones} must rise and lie below epochs={self.epochs}")
        return self


@runtime_checkable
class Victim(Protocol):
    """``Class(params)``; architecture and training recipe."""

    recipe: Recipe

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        """A freshly initialised model taking normalised images ``[B, 3, H, W]`` to logits ``[B, classes]``.

        Initialisation draws from torch's global generator, which the core seeds and restores around the call.
        """


def scale_schedule(recipe: Params, factor: float) -> dict[str, str]:
    """The options that make a recipe ``factor`` times as long: epochs (at least one) and the milestones among them.

    Raises:
        UsageError: for parameters that have no epochs.
    """
    epochs = getattr(recipe, "epochs", None)
    if not isinstance(epochs, int):
        raise UsageError("it has no epochs that a schedule could multiply")
    longer = max(1, round(epochs * factor))
    options = {"epochs": str(longer)}
    if milestones := getattr(recipe, "milestones", ()):
        # Rounding may bring two together, or one to the end, where it would do nothing.
        moved = sorted({round(m * factor) for m in milestones} - {0})
        options["milestones"] = "/".join(str(m) for m in moved if m < longer)
    return options


#: Recipes of the literature (methods.md, section 5), as presets any victim may take over.
PAPER_RECIPES: dict[str, dict[str, Any]] = {
    "eminn": {"epochs": 60, "batch": 128, "lr": 0.1, "clip_norm": 5.0, "normalize": "none"},
    "mi-ue": {"epochs": 200, "batch": 128, "lr": 0.5, "weight_decay": 1e-4, "final_lr": 1e-6, "normalize": "none"},
    "adv-poison": {"epochs": 200, "batch": 128, "lr": 0.1},
    "uc": {"epochs": 90, "batch": 512, "lr": 0.1, "final_lr": 1e-6, "normalize": "half"},
    "apbench": {"epochs": 200, "batch": 256, "lr": 0.1, "schedule": "step", "milestones": (100,), "gamma": 0.5},
}
QUICK_RECIPE: dict[str, Any] = {"epochs": 4}
