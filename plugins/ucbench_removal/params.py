"""Parameters of the removing defenses. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Component, DefenseSpec, Params, installed, parse_chain

#: The augmentation with which orthogonal projection is published, as a chain.
PUBLISHED_AUGMENTATION = (
    "kornia:RandomRotation:degrees=10,p=1.0+kornia:RandomAffine:degrees=0,p=1.0,scale=0.8/1.2,shear=10"
    "+color-jitter@orthogonal-projection+cutmix"
)

Filter = Literal["median", "gaussian"]


class ProjectionParams(Params):
    """Defaults are the ``standard`` preset: on small sets, smaller batches give about the published number of steps.

    The published 20 passes by batches of 1,024 are 980 steps on 50,000 images, where ``standard`` takes 1,000; on 5,000
    they would be 100.
    """

    epochs: int = Field(20, ge=1, description="passes of the linear classifier over the release")
    batch: int = Field(1024, ge=2, description="images per step at most; batches of a pass differ by one image at most")
    steps: int = Field(49, ge=1, description="least steps per pass: batches shrink on small sets (published: 1)")
    lr: float = Field(0.1, gt=0, description="learning rate, a tenth after 1/2, a hundredth after 3/4 of the passes")
    centre: bool = Field(
        False, description="project the difference to the mean image, which stays (published: the image)"
    )
    augmentation: Literal["none", "published"] = Field(
        "none", description="of the projected images in training: none, or rotation, shear, colour jitter and CutMix"
    )

    neutral: ClassVar[Mapping[str, Any]] = {"augmentation": "none"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "paper": {"steps": 1},
        "published": {"steps": 1, "augmentation": "published"},
    }

    @property
    def static(self) -> bool:
        """Whether the training images are only prepared."""
        return self.augmentation == "none"

    def members(self) -> list[Component[DefenseSpec]]:
        """The defenses that augment, in their order."""
        chain = () if self.static else parse_chain(PUBLISHED_AUGMENTATION)
        return [installed().resolve(DefenseSpec, part) for part in chain]

    def identity(self) -> dict[str, Any]:
        """All fields, and the identities of the defenses that augment."""
        members = [member.identity() for member in self.members()]
        return {**super().identity(), **({"members": members} if members else {})}


class SubtractParams(Params):
    by: Literal["residual", "label"] = Field(
        "residual", description="what groups the images: k-means of their residuals, or the exploiter's own labels"
    )
    clusters: Annotated[int, Field(ge=1)] | Literal["silhouette", "classes"] = Field(
        "silhouette",
        description=(
            "groups for by=residual: a number, the number of classes, or of 1 (few images), 2, 3, 4, 6 ... 64 the one "
            "with the largest silhouette, at 25 images or more per group"
        ),
    )
    filter: Filter = Field("median", description="what a residual is the difference to")
    scale: float = Field(
        2.0, gt=0, description="of the filter in pixels: half-width of the median's window, Gaussian's deviation"
    )
    clip: float | None = Field(
        8.0, gt=0, description="residuals are clustered within +-clip 8-bit levels, since edges go beyond; or none"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "label": {"by": "label"}}

    @model_validator(mode="after")
    def _window_is_whole(self) -> Self:
        if self.filter == "median" and self.scale != int(self.scale):
            raise ValueError(f"a median's window has a whole half-width, not scale={self.scale:g}")
        return self

    def least_images(self, size: tuple[int, int]) -> int:
        """As many as clusters, where their number is given."""
        return self.clusters if self.by == "residual" and isinstance(self.clusters, int) else 0


class InterpolationParams(Params):
    displacement: float = Field(
        2.0, gt=0, description="largest shift along either axis in pixels, alpha (paper: 2 at 32 pixels)"
    )


class LossFilterParams(Params):
    share: float = Field(0.2, gt=0, lt=1, description="of every batch that is left out, rounded down to whole images")
    drop: Literal["lowest", "highest"] = Field("lowest", description="losses that are left out")
    warmup: int = Field(1, ge=0, description="epochs before anything is left out: a fresh network's losses say little")
