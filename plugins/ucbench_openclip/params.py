"""Parameters of the components that use a CLIP. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ucbench import QUICK_RECIPE, Params, Recipe, sha256_of
from ucbench_openclip.configuration import read_config

#: The prompt of Radford et al. (2021), section 3.1.4; it stands for the classes of any set of images.
SIMPLE = "a photo of a {class}."
#: Name of the 80 templates that Radford et al. average for ImageNet; open_clip brings them.
ENSEMBLE = "ensemble"

#: What keys and records call weights that were not trained.
RANDOM_WEIGHTS = "random weights, for tests of the plumbing"

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


class ClipParams(Params):
    """Which CLIP. Weights enter a key by their content.

    ``ARCH/TAG`` is open_clip's name of an architecture and of weights for it (``open_clip.list_pretrained()`` has
    them). With ``checkpoint`` the weights are the file's. ARCH and TAG then say architecture, activation and
    normalisation; ARCH alone has open_clip's defaults; without either, what ``open_clip_config.json`` in the file's
    folder describes. With ``weights=random``, ARCH alone is built as open_clip initialises it, always from one seed.
    """

    argument: ClassVar[str | None] = "clip"

    clip: str | None = Field(
        None,
        description=(
            "open_clip's architecture and tag of the weights, RN50/openai; none: what open_clip_config.json beside the "
            "checkpoint describes"
        ),
    )
    checkpoint: Path | None = Field(
        None,
        description=(
            "a local file of weights in open_clip's format, safetensors or torch's own, or a training checkpoint that "
            "has them; none: the tag's"
        ),
    )
    weights: Literal["trained", "random"] = Field(
        "trained", description=f"trained, or random for ARCH alone: {RANDOM_WEIGHTS}"
    )
    size: int | None = Field(
        None,
        ge=16,
        description="side of the square, in pixels, to which images are resized; none: the model's own",
    )

    @field_validator("clip")
    @classmethod
    def _is_a_name(cls, clip: str | None) -> str | None:
        if clip is not None and not _NAME.fullmatch(clip):
            raise ValueError(f"{clip!r} is not of the form ARCH/TAG, as RN50/openai is")
        return clip

    @field_validator("checkpoint")
    @classmethod
    def _at_home(cls, checkpoint: Path | None) -> Path | None:
        return checkpoint and checkpoint.expanduser()

    @model_validator(mode="after")
    def _weights_are_named(self) -> Self:
        if self.weights == "random":
            if self.clip is None or self.checkpoint is not None or self.tag is not None:
                raise ValueError("weights=random goes with ARCH alone, as in RN50:weights=random")
        elif self.checkpoint is None and self.tag is None:
            what = "no CLIP is named" if self.clip is None else f"{self.clip!r} leaves open which weights"
            raise ValueError(
                f"{what}: write ARCH/TAG, as in RN50/openai, or give checkpoint=FILE, or weights=random to test the"
                " plumbing"
            )
        return self

    @property
    def architecture(self) -> str | None:
        """ARCH of ``clip``."""
        return self.clip and self.clip.partition("/")[0]

    @property
    def tag(self) -> str | None:
        """TAG of ``clip``."""
        return (self.clip or "").partition("/")[2] or None

    def identity(self) -> dict[str, Any]:
        """All fields but ``checkpoint`` and ``weights``, and what they amount to.

        ``weights`` is a checkpoint's SHA-256, or says that they are random; ``config`` is the description beside a
        checkpoint where no architecture is named.

        Raises:
            DataError: if one of the files cannot be read.
        """
        values = super().identity()
        del values["checkpoint"], values["weights"]
        if self.weights == "random":
            values["weights"] = RANDOM_WEIGHTS
        if self.checkpoint is not None:
            values["weights"] = sha256_of(self.checkpoint)
            if self.clip is None:
                values["config"] = read_config(self.checkpoint)
        return values

    def check_names(self) -> None:
        from ucbench_openclip.names import check_names

        check_names(self.architecture, self.tag, self.checkpoint)


class OpenClipParams(ClipParams):
    """The preset ``uc`` is the surrogate of UC-CLIP (Zhang et al., CVPR 2023, arXiv 2301.01217)."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "uc": {"clip": "RN50/openai"}}

    normalize: bool = Field(False, description="features of length 1; UC takes the image tower's output as it is")
    classes: tuple[str, ...] = Field(
        (), description="class names, separated by /, that scores are for; none: features only"
    )


class OpenClipProbeParams(ClipParams, Recipe):
    """A recipe for one linear layer, with a preset for the image tower below it too.

    The literature's recipes are not presets here: they train from scratch, at rates that would undo the pretraining.
    The preset ``fine-tune`` has a warm-up, since the first gradients come through a classifier that knows nothing yet,
    and bounds the gradient's norm, as the preset ``vit`` of the victim ``fine-tune`` does.
    """

    #: Keys are older than these two alone.
    neutral: ClassVar[Mapping[str, Any]] = {"enlarge": 1.0, "test_views": 1}

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        "fine-tune": {"method": "fine-tune", "warmup": 0.1, "clip_norm": 1.0},
    }

    method: Literal["probe", "fine-tune"] = Field(
        "probe", description="what learns: the classifier alone (probe), or the image tower too (fine-tune)"
    )
    lr: float = Field(0.01, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="coupled decay of the weights that learn")
    normalize: Literal["none"] = Field("none", description="always none: the CLIP has its own mean and deviation")


class NamedParams(ClipParams):
    """Parameters of labelings that know the names of the classes."""

    templates: tuple[str, ...] = Field(
        (SIMPLE,),
        min_length=1,
        description=(
            "prompts whose embeddings are averaged, separated by /: simple ('a photo of a {class}.'), ensemble (the 80 "
            "of Radford et al.), or texts that hold {class}"
        ),
    )

    @field_validator("templates")
    @classmethod
    def _hold_a_class(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        known = tuple(SIMPLE if template == "simple" else template for template in templates)
        for template in known:
            if template != ENSEMBLE and "{class}" not in template:
                raise ValueError(f"{template!r} is neither 'simple' nor 'ensemble', and has no place for {{class}}")
        return known


class ZeroShotParams(NamedParams):
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "ensemble": {"templates": (ENSEMBLE,)}}

    annotate: Literal["published", "clean"] = Field(
        "published",
        description="which pixels are annotated; clean, a control that no exploiter has: those before perturbation",
    )


class CoarseByNameParams(NamedParams):
    groups: int = Field(2, ge=2, description="classes left, at most as many as the data set has")
    # scikit-learn takes no larger seed. It is separate from the cell's seeds: all rows of a table share the labels.
    map_seed: int = Field(0, ge=0, lt=2**32, description="seed of the groups, the same for all craft and train seeds")
