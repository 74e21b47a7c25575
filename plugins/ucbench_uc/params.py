"""Parameters of Unlearnable Clusters. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ucbench import Component, Params, UsageError, VictimSpec, installed

if TYPE_CHECKING:
    from ucbench_uc.views import Crop, Views

#: Longest side, in pixels, below which the defaults make blocks instead of augmenting.
TINY = 16
#: Longest side, in pixels, from which the defaults make blocks again: victims stride and pool before they look closely.
LARGE = 64

#: The paper's procedure as its code runs it, but fitted on each cluster's own images, as the paper's formula says.
_PAPER: Mapping[str, Any] = {
    "clusters": 10,
    "epochs": 50,
    "batch": 256,
    "lr": 1e-4,
    "final_lr": 1e-6,
    "weight_decay": 5e-4,
    "squash": "clamp",
    "coarseness": 1,
    "distance": "kl",
    "temperature": 1.0,
    "fit_on": "cluster",
    "augment": "images",
    "crop": "resize",
    "centres": "stored",
    "space": "raw",
    "holdout": 0.0,
    "students": 0,
    "perturbation": "generator",
    "width": 64,
    "residual_blocks": 6,
    "together": False,
}


class UCParams(Params):
    """Defaults are the ``standard`` preset; ``docs/uc.md`` says how they were chosen."""

    neutral: ClassVar[Mapping[str, Any]] = {"jpeg": None, "coarser": None}

    clusters: int | None = Field(
        None,
        ge=2,
        description="number of k-means clusters, p in the paper (released code: 10); none: 20, but 10 below 16 px",
    )
    space: Literal["raw", "unit", "whitened"] = Field(
        "raw",
        description=(
            "clustered are: surrogate features as they are (released code), scaled to length 1, or these projected to "
            "their first principal components, each scaled to variance 1"
        ),
    )
    dimensions: int = Field(
        64,
        ge=1,
        description=(
            "principal components of space=whitened; at most one less than images and features, and as many as the "
            "features vary along"
        ),
    )
    centres: Literal["augmented", "stored"] = Field(
        "augmented",
        description=(
            "target centres: mean features of each cluster's images, in two random crops and flips of each as while "
            "crafting, or as stored (released code); the same where augment is none"
        ),
    )
    holdout: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description=(
            "share of each cluster's images that is perturbed like the others but not fitted on, to diagnose the "
            "craft; at least one of two or more; with students, these are among the images that the students learned "
            "(released code: 0)"
        ),
    )
    students: int | None = Field(
        None,
        ge=0,
        description=(
            "networks trained to tell the clusters apart, whose features are attacked instead of the surrogate's: they "
            "see images at the size at which a victim does (released code: 0); none: 3, but 0 for images below 16 px"
        ),
    )
    student: str = Field(
        "airbench@small:epochs=20,whitening_eps=0.0005",
        description="the victim whose architecture and recipe the students have",
    )
    perturbation: Literal["generator", "direct"] = Field(
        "direct",
        description="what is optimised: generators (released code), or the values themselves, clipped at every step",
    )
    steps: int = Field(400, ge=1, description="optimiser steps of every generator, unless epochs is set")
    epochs: int | None = Field(
        None,
        ge=1,
        description=(
            "passes over the images a generator is fitted on; with together, over those of the largest cluster; "
            "replaces steps (released code: 50)"
        ),
    )
    batch: int = Field(8, ge=1, description="images a generator sees in one step")
    lr: float = Field(2e-3, gt=0, description="Adam's first learning rate; falls along a cosine at every step")
    final_lr: float = Field(2e-5, ge=0, description="where the cosine ends")
    direct_lr: float = Field(
        0.1,
        gt=0,
        description="lr of perturbation=direct, as a share of epsilon; falls in the proportion of final_lr to lr",
    )
    weight_decay: float = Field(0.0, ge=0, description="Adam's coupled weight decay (released code: 5e-4)")
    squash: Literal["tanh", "clamp", "straight-through"] = Field(
        "straight-through",
        description=(
            "how the generator's output meets the budget: epsilon * tanh; tanh then a hard clamp to +-epsilon, which "
            "has no gradient wherever it binds (released code); or that clamp with the gradient of its input"
        ),
    )
    distance: Literal["centres", "kl", "mse", "cosine"] = Field(
        "centres",
        description=(
            "what is minimised between perturbed features and the target centre: cross-entropy over all centres of "
            "cosines of centred features, KL of softmaxes of raw features (released code), squared or cosine distance"
        ),
    )
    temperature: float = Field(
        0.1, gt=0, description="divides cosines (centres) or features (kl; 1 in the released code)"
    )
    fit_on: Literal["cluster", "all"] = Field(
        "cluster", description="images a generator is fitted on: its cluster's (paper) or all (released code)"
    )
    derangement: Literal["shift", "farthest"] = Field(
        "shift", description="target of cluster i: i+1 modulo p, or the farthest in total with no fixed point"
    )
    augment: Literal["auto", "none", "images", "perturbed"] = Field(
        "auto",
        description=(
            "random crop and flip while crafting: of the images before adding (released code), or after adding; auto: "
            "after adding, but none for images below 16 px"
        ),
    )
    crop: Literal["resize", "reflect", "zeros", "scales", "student"] = Field(
        "student",
        description=(
            "that random crop: a window of the image enlarged by 8/7 (released code); or the image shifted by up to an "
            "eighth of its side, its reflection moving in, or by up to a seventh, black moving in; or a window of 1/4 "
            "to all of its area and other proportions (3/4 to 4/3), enlarged to its size; or as the student is trained"
        ),
    )
    jpeg: int | None = Field(
        None,
        ge=1,
        le=100,
        description=(
            "quality of the JPEG, with a gradient, that perturbed images become while crafting, before the crop of "
            "augment=perturbed (released code: none)"
        ),
    )
    coarseness: int | None = Field(
        None,
        ge=1,
        description=(
            "side in pixels of the blocks a perturbation consists of (released code: 1); none: 1, but 4 for images "
            "below 16 px, which a crop moves by too much for single pixels to survive, and 8 from 64 px up, where "
            "victims stride over single pixels"
        ),
    )
    coarser: int | None = Field(
        None,
        ge=2,
        description=(
            "side, in blocks of coarseness, of the larger blocks of a second perturbation that is optimised with each "
            "and added to it within the budget; for perturbation=direct (released code: none)"
        ),
    )
    width: int = Field(16, ge=1, description="channels of the generator's first layer, ngf (released code: 64)")
    residual_blocks: int = Field(3, ge=0, description="residual blocks of the generator (released code: 6)")
    together: bool = Field(
        True, description="advance all clusters in one batch; false crafts one after another, in less memory"
    )
    shuffle: bool = Field(True, description="false reads the images in their stored order (released code)")

    @model_validator(mode="after")
    def _coarser_is_direct(self) -> Self:
        if self.coarser and self.perturbation != "direct":
            raise ValueError("coarser needs perturbation=direct, since a generator's output is not a sum")
        return self

    @field_validator("student")
    @classmethod
    def _has_a_recipe(cls, student: str) -> str:
        try:
            spec = installed().resolve(VictimSpec, student).spec
        except UsageError as error:
            raise ValueError(str(error)) from error
        if spec.opaque:
            raise ValueError(
                f"a student is an architecture with a recipe, such as airbench, and {student} trains itself"
            )
        return student

    @property
    def student_victim(self) -> Component[VictimSpec]:
        """What every student is."""
        return installed().resolve(VictimSpec, self.student)

    def identity(self) -> dict[str, Any]:
        """All fields; the student by its identity, where there may be students or its crop is used."""
        unused = self.students == 0 and self.crop != "student"
        student = None if unused else self.student_victim.identity()
        return {**super().identity(), "student": student}

    def check_names(self) -> None:
        self.student_victim.params.check_names()

    def least_images(self, size: tuple[int, int]) -> int:
        """As many as clusters."""
        return self.cluster_count(size)

    def cluster_count(self, size: tuple[int, int]) -> int:
        """How many clusters there are, for images of ``size`` (height, width)."""
        return self.clusters or (10 if max(size) < TINY else 20)

    def student_count(self, size: tuple[int, int]) -> int:
        """How many networks are trained, for images of ``size`` (height, width)."""
        return (0 if max(size) < TINY else 3) if self.students is None else self.students

    def block_side(self, size: tuple[int, int]) -> int:
        """Side in pixels of the blocks of a perturbation, for images of ``size`` (height, width)."""
        return self.coarseness or (4 if max(size) < TINY else 8 if max(size) >= LARGE else 1)

    def augmentation(self, size: tuple[int, int]) -> Literal["none", "images", "perturbed"]:
        """What is cropped and flipped while crafting, for images of ``size`` (height, width)."""
        if self.augment == "auto":
            return "none" if max(size) < TINY else "perturbed"
        return self.augment

    def views(self, size: tuple[int, int], flip: bool) -> Views:
        """The views while crafting, for images of ``size`` (height, width), of which half are mirrored if ``flip``."""
        from ucbench_uc.views import Views

        augment = self.augmentation(size)
        if self.crop != "student":
            return Views(augment, self.crop, flip, self.jpeg)
        recipe = self.student_victim.build().recipe
        flip = recipe.mirrors(flip)
        if recipe.enlarge > 1:
            return Views(augment, "resize", flip, self.jpeg, enlarge=recipe.enlarge)
        border: Crop = "reflect" if recipe.border == "reflect" else "zeros"
        return Views(augment, border, flip, self.jpeg, round(recipe.crop * min(size)))

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"steps": 60},
        "photos": {"crop": "scales"},
        "multiscale": {"coarser": 8},
        "paper": _PAPER,
        "released": {**_PAPER, "fit_on": "all", "shuffle": False},
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released"), "efficientnet-lite0")
