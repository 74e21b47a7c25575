"""Width and recipe of the fast victim. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Params, Recipe

#: What the paper's rate counts: 1,024 examples, times what momentum .85 with Nesterov adds up to.
_UNIT = 1024 * (1 + 1 / (1 - 0.85))


def _rate(paper: float, batch: int) -> float:
    """The learning rate for the mean loss of ``batch`` images that equals the paper's for its summed loss."""
    return round(paper * batch / _UNIT, 4)


class AirbenchParams(Recipe):
    """The paper's recipe at a lower rate and smaller batches, which 10,000 images want.

    Presets: ``standard`` has half the paper's channels and 16 epochs; ``full`` all of them, the paper's rate, about
    its batch and epochs, and its six views at test time, for the whole of CIFAR-10; ``small`` a quarter and 45 epochs,
    for a few thousand images; ``quick`` is for tests.

    ``small`` also whitens less: full whitening amplifies what is faint in smooth photographs, sham noise included, so
    that a network trained with that noise misjudges images without it. The epsilon was chosen by clean and sham
    accuracy on held-out ``photos``, before any poisoner was tried with it.
    """

    neutral: ClassVar[Mapping[str, Any]] = {"whitening_eps": 5e-4, "enlarge": 1.0, "test_views": 1}

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "full": {
            "width": 1.0,
            "epochs": 10,
            "batch": 1000,
            "lr": _rate(11.5, 1000),
            "initial_lr": _rate(2.3, 1000),
            "final_lr": _rate(0.805, 1000),
            "weight_decay": 0.00133,
            "flip": "alternate",
            "lookahead": 5,
            "test_views": 6,
        },
        "small": {"width": 0.25, "epochs": 45, "whitening_eps": 0.02},
        "quick": {"width": 0.25, "epochs": 3},
    }

    width: float = Field(0.5, ge=0.125, le=4, description="channels as a share of the paper's 64, 256 and 256")
    whitening_eps: float = Field(5e-4, gt=0, description="added to the variances of whitened patches")
    epochs: int = Field(16, ge=1, description="passes over the training set")
    batch: int = Field(
        250, ge=1, description="images per step, 1 becomes 2; batches of an epoch differ by at most one image"
    )
    lr: float = Field(_rate(6, 250), gt=0, description="peak learning rate; 6 in the paper's units at this batch")
    initial_lr: float = Field(_rate(1.2, 250), ge=0, description="learning rate from which the warm-up rises")
    final_lr: float = Field(_rate(0.42, 250), ge=0, description="last learning rate")
    schedule: Literal["cosine", "linear", "step", "constant"] = Field("linear", description="after the warm-up")
    warmup: float = Field(0.23, ge=0, lt=1, description="share of all steps over which the rate rises linearly to lr")
    momentum: float = Field(0.85, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(0.00255, ge=0, description="coupled decay of all weights; the paper's 0.0153 over 6")
    bias_lr: float = Field(64.0, gt=0, description="factor on the learning rate of normalisation layers' biases")
    label_smoothing: float = Field(0.2, ge=0, lt=1)
    crop: float = Field(
        0.0625, ge=0, lt=1, description="padding on each side as a share of the shorter side; 2 pixels of 32"
    )
    border: Literal["black", "reflect"] = Field("reflect", description="what the padding of a crop shows")
    evaluate_every: int = Field(4, ge=1, description="epochs between evaluations; the last epoch is always evaluated")


class UntrainedAirbenchParams(Params):
    """Width, whitening and normalisation of the network; its poisoner decides how it is trained."""

    width: float = Field(0.25, ge=0.125, le=4, description="channels as a share of the paper's 64, 256 and 256")
    whitening_eps: float = Field(5e-4, gt=0, description="added to the variances of whitened patches")
    normalize: Literal["data", "imagenet", "half", "none"] = Field(
        "data", description="per-channel mean and deviation inside the network: the training images', ImageNet's, ..."
    )
