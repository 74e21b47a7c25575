"""Parameters that all data sets share: image size, class-balanced subsets, a validation split.

Imports neither NumPy nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench.plugins.params import Params


class DatasetParams(Params):
    """Base of a data set's parameters.

    ``Dataset.load`` applies ``size``, ``resize`` and ``damaged``; :func:`ucbench.data.loading.load_dataset` applies the
    others.

    Subclasses list in ``locations`` the fields that only locate the files. These stay out of :meth:`identity`: the
    fingerprint of the loaded images stands for them, so the same images in another folder are the same data.
    """

    locations: ClassVar[frozenset[str]] = frozenset()
    neutral: ClassVar[Mapping[str, Any]] = {"damaged": "refuse"}

    size: int | None = Field(None, ge=4, description="side of the square images in pixels; none: unchanged")
    resize: int | None = Field(None, ge=4, description="short side before the centre crop to `size`; none: `size`")
    train_per_class: int | None = Field(None, ge=1, description="training images per class, drawn at random; none: all")
    test_per_class: int | None = Field(None, ge=1, description="test images per class, drawn at random; none: all")
    validation: float | None = Field(
        None, gt=0, lt=1, description="share of the training images that replaces the test split"
    )
    subset_seed: int = Field(0, ge=0, lt=2**32, description="seed of the subsets and the validation split")
    damaged: Literal["refuse", "leave-out"] = Field(
        "refuse", description="what becomes of a data set with damaged images: refused, or read without them"
    )

    @model_validator(mode="after")
    def _resize_covers_size(self) -> Self:
        if self.resize is not None and (self.size is None or self.resize < self.size):
            raise ValueError(f"resize={self.resize} needs a size= of at most {self.resize} to crop to, got {self.size}")
        return self

    @property
    def draws(self) -> bool:
        """Whether ``subset_seed`` matters."""
        return any(share is not None for share in (self.train_per_class, self.test_per_class, self.validation))

    def identity(self) -> dict[str, Any]:
        absent = self.locations if self.draws else self.locations | {"subset_seed"}
        return {name: value for name, value in super().identity().items() if name not in absent}
