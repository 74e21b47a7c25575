"""Parameters of MI-UE. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Params

#: The schedule of the released code, 0.2/255 to 0.4/255 a step at epsilon 8/255.
_SCHEDULE: Mapping[str, Any] = {"rounds": 100, "steps": 10, "alpha_first": 0.2 / 8, "alpha_last": 0.4 / 8}


class MIUEParams(Params):
    """Defaults are the ``standard`` preset, for two cores. None of them was tuned on results.

    * ``rounds`` and ``steps``: 20 times 5 cost 20 passes of training and 100 of perturbing, where the code's 100 times
      10 cost 1,100. Steps of twice the code's length make up for some of it: a pixel can travel 7.4 times epsilon in
      all (the code: 37 times).
    * ``zeta``: the paper's 0.1, with the code's division by the dimension, at which the term is a gentle addition. In
      the paper's ablation it matters little beside the similarity term.
    * ``denominator``: the code's, whose ratio is a probability, so that the term is bounded below by 0, the more weakly
      pursued the better it is met.
    * ``flip``: off, as in the code without ``--post-aug``. A victim mirrors image *and* perturbation, which is not what
      the option fits.
    * ``poison_batch``: not below the code's 512: a batch's pairs are all that the objective sees.
    """

    rounds: int = Field(
        20, ge=1, description="rounds of one epoch of training and one pass of perturbing (released code: 100)"
    )
    steps: int = Field(5, ge=1, description="signed steps on the perturbations of a batch, a round (released code: 10)")
    alpha_first: float = Field(
        0.05, gt=0, le=2, description="length of a step in the first round, over epsilon (released code: 0.2 / 8)"
    )
    alpha_last: float = Field(
        0.1,
        gt=0,
        le=2,
        description="where the length goes linearly, reached one round after the last (released code: 0.4 / 8)",
    )
    zeta: float = Field(
        0.1, ge=0, description="weight of the distance term beside the similarity term (paper: 0.1, released code: 0)"
    )
    temperature: float = Field(0.1, gt=0, description="divides the cosines (0.1 in paper and code)")
    denominator: Literal["all", "other-class"] = Field(
        "all",
        description=(
            "pairs in the denominator of the similarity term: all in the batch, an image with itself among them "
            "(released code), or those of different classes (paper)"
        ),
    )
    distance_scale: Literal["dimension", "none"] = Field(
        "dimension",
        description="what distances are divided by: the number of features (released code) or nothing (paper)",
    )
    poison_batch: int = Field(
        512, ge=2, description="images whose features are compared with each other (released code: 512)"
    )
    balanced: Literal["auto", "always", "never"] = Field(
        "auto",
        description=(
            "deal every class evenly to the batches of perturbing, no image without others of its class where it can "
            "be helped; auto: where there are more than 40 classes (released code: never)"
        ),
    )
    flip: bool = Field(
        False,
        description=(
            "mirror each image, but not its perturbation, with probability 1/2 in every pass, if the data set's "
            "images may be mirrored (released code: with --post-aug)"
        ),
    )
    batch: int = Field(128, ge=1, description="images in a step of training")
    lr: float = Field(0.1, gt=0, description="learning rate of the network in the first round; falls along a cosine")
    final_lr: float = Field(1e-6, ge=0, description="where the cosine ends, one round after the last")
    momentum: float = Field(0.9, ge=0, lt=1, description="of the network's SGD")
    weight_decay: float = Field(1e-4, ge=0, description="of the network's SGD")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"rounds": 5, "steps": 4, "alpha_first": 0.1, "alpha_last": 0.2},
        "paper": {**_SCHEDULE, "denominator": "other-class", "distance_scale": "none", "balanced": "never"},
        "released": {**_SCHEDULE, "zeta": 0.0, "flip": True, "balanced": "never"},
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released"), "resnet18:normalize=imagenet")
