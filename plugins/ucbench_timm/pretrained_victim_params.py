"""Parameters of the victims that start from pretrained weights: which weights, what of them learns, and a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import QUICK_RECIPE, Recipe
from ucbench_timm.surrogate_params import EfficientNetLite0Params, TimmSurrogateParams

_EMBEDDED = "efficientnet-lite0"


class PretrainedVictimParams(Recipe):
    """A recipe and the surrogate whose network it starts from: the same weights, resizing and normalisation.

    The literature's recipes are no presets here: they train from scratch, at rates that would undo the pretraining.
    """

    backbone: str = Field(
        _EMBEDDED,
        description=f"{_EMBEDDED}, or timm:NAME with the tag of the weights or with a checkpoint (quote the colon)",
    )
    checkpoint: Path | None = Field(None, description="a local file of weights for timm:NAME")
    size: int | None = Field(
        None,
        ge=32,
        description=(
            "side of the square, in pixels, to which images are resized; none, as of the surrogates: three times their "
            "longer side, but between 32 and 96, and 224 for pictures above 96; for timm:NAME the model's own"
        ),
    )
    normalize: Literal["none"] = Field("none", description="always none: the backbone has its own mean and deviation")

    @model_validator(mode="after")
    def _backbone_is_known(self) -> Self:
        self.surrogate()
        return self

    def surrogate(self) -> EfficientNetLite0Params | TimmSurrogateParams:
        """Parameters of the surrogate that has this backbone.

        Raises:
            UsageError: if :class:`TimmSurrogateParams` refuses them.
            ValueError: for any other backbone, or a checkpoint of one that has its weights.
        """
        if self.backbone == _EMBEDDED:
            if self.checkpoint is not None:
                raise ValueError(f"{_EMBEDDED} comes with its weights: checkpoint= goes with backbone='timm:NAME'")
            return EfficientNetLite0Params(size=self.size)
        library, _, name = self.backbone.partition(":")
        if library != "timm" or not name:
            raise ValueError(f"backbone is {_EMBEDDED} or timm:NAME, not {self.backbone!r}")
        options = {"checkpoint": self.checkpoint, "size": self.size}
        return TimmSurrogateParams.resolve(f"backbone {self.backbone!r}", argument=name, options=options)

    def identity(self) -> dict[str, Any]:
        """All fields but ``checkpoint``, and the SHA-256 of the weights where they lie in a file."""
        values = self.model_dump(mode="json", exclude={"checkpoint"})
        weights = self.surrogate().identity().get("weights")
        return values if weights is None else {**values, "weights": weights}


class FineTuneParams(PretrainedVictimParams):
    """What learns, and at which rate.

    The rate is a fifth of that from scratch, and is approached slowly, since the first gradients come through a
    classifier that knows nothing yet. The preset ``vit`` drops the decay and bounds the gradient's norm, as
    Dosovitskiy et al. (An Image is Worth 16x16 Words, ICLR 2021, arXiv:2010.11929, appendix B.1.1) do with
    transformers; epochs and batches stay as they are.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        "vit": {"weight_decay": 0.0, "clip_norm": 1.0},
    }

    frozen: Literal["none", "shallow"] = Field(
        "none", description="what keeps its pretrained weights: nothing, or the first stages of the backbone"
    )
    stages: int | None = Field(
        None, ge=1, description="how many stages `shallow` freezes, the stem being the first; none: half of them"
    )
    lr: float = Field(0.01, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of the weights that learn")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps over which the rate rises linearly from 0")

    @model_validator(mode="after")
    def _stages_are_frozen(self) -> Self:
        if self.stages is not None and self.frozen == "none":
            raise ValueError("stages= says how many stages frozen=shallow freezes, and frozen is none")
        return self


class LinearProbeParams(PretrainedVictimParams):
    """A recipe for one linear layer.

    The features of EfficientNet-Lite0 have a length of some 40, so that the classifier's steps are long already at a
    low rate: this one was best in cross-validation on 1,000 training images of CIFAR-10, with little to choose between
    0.003 and 0.03, and decay making no difference.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "quick": QUICK_RECIPE}

    lr: float = Field(0.01, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="coupled decay of the classifier")
