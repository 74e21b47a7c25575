"""Parameters of One for All. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench_openclip.params import ClipParams

#: Name of the 1,000 class names of ImageNet; open_clip brings them.
IMAGENET = "imagenet"

_RELEASED: Mapping[str, Any] = {
    "clip": "ViT-B-32/openai",
    "concepts": (IMAGENET,),
    "opposite": "reciprocal",
    "weight": 0.1,
    "pairs": "batch",
    "norm": "l2",
    "width": 64,
    "blocks": 24,
    "epochs": 200,
    "batch": 30,
    "weight_decay": 5e-4,
}


class OneForAllParams(ClipParams):
    """Defaults are the ``standard`` preset."""

    concepts: tuple[str, ...] = Field(
        (),
        description=(
            "names of what images may show, separated by /, or imagenet for its 1,000; none: the names of the data "
            "set's classes"
        ),
    )
    similar: int = Field(3, ge=1, description="concepts to leave: the image's own and those most like it, k (paper: 5)")
    opposite: Literal["difference", "reciprocal"] = Field(
        "difference",
        description=(
            "how the cosine to the most unlike concept enters: subtracted, or as its reciprocal (released code), which "
            "has a pole at 0"
        ),
    )
    weight: float = Field(1.0, ge=0, description="of that term (released code: 0.1, of the reciprocal)")
    pairs: Literal["own", "batch"] = Field(
        "own",
        description="cosines of images with their own targets, or with those of all images of a batch (released code)",
    )
    norm: Literal["linf", "l2"] = Field(
        "linf",
        description="largest value of a perturbation at most epsilon, or its length exactly epsilon (released code)",
    )
    width: int = Field(16, ge=1, description="channels of the generator's first layer (released code: 64)")
    blocks: int = Field(4, ge=0, description="its residual blocks (released code: 24)")
    epochs: int = Field(10, ge=1, description="passes over the images (released code: 200, over ImageNet)")
    batch: int = Field(
        64, ge=1, description="images a step, 1 becomes 2; batches of a pass differ by at most one image"
    )
    lr: float = Field(1e-3, gt=0, description="Adam's first learning rate; falls along a cosine at every pass")
    weight_decay: float = Field(0.0, ge=0, description="Adam's coupled weight decay (released code: 5e-4)")
    augment: bool = Field(True, description="show windows of 7/8 of the sides, enlarged, half of them mirrored")

    native_epsilons: ClassVar[Mapping[str, float]] = {"linf": 16.0, "l2": 16.0}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 2},
        "paper": {**_RELEASED, "similar": 5, "pairs": "own"},
        "released": _RELEASED,
    }
