"""Parameters of NTGA. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params

#: The code's 10 steps amount to one of epsilon, since each starts from the clean images.
_RELEASED: Mapping[str, Any] = {"attacked": 10_000, "steps": 1, "step": 1.0}


class NTGAParams(Params):
    """Defaults are the ``standard`` preset."""

    block: int = Field(512, ge=2, description="images perturbed together: those that the infinite network learns")
    attacked: int = Field(1000, ge=1, description="other images, on which it is to be wrong (official code: 10,000)")
    time: float = Field(
        64.0, gt=0, description="steps of gradient descent that it learns, at rate 1, t (official code: 64 by default)"
    )
    steps: int = Field(10, ge=1, description="signed ascent steps on the images of a block")
    step: float = Field(0.11, gt=0, le=2, description="length of a step in units of epsilon")
    layers: int = Field(5, ge=1, description="layers of the network, each linear with erf")
    weight_variance: float = Field(1.76, gt=0, description="of its initial weights, times their number of inputs")
    bias_variance: float = Field(0.18, ge=0, description="of its initial biases")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"attacked": 200, "steps": 4, "step": 0.3},
        "paper": {"attacked": 10_000},
        "released": _RELEASED,
        "cifar10": {**_RELEASED, "time": 4096.0},
    }
