"""The parameters all data sets share: size of the pictures, class-balanced subsets, a validation split.

This module imports neither NumPy nor torch.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ucbench.plugins.params import Params


class DatasetParams(Params):
    """Base of a data set's parameters; :func:`ucbench.data.load_dataset` applies the subsets and the
    validation split.

    The component itself obeys ``size`` and ``resize`` only, because pixels that leave ``Dataset.load`` have
    one size.

    Subclasses name in ``locations`` the fields that only say where the pictures lie. These stay out of
    :meth:`identity`: the fingerprint of what was loaded stands for them, and the same pictures in another
    folder are the same data.
    """

    locations: ClassVar[frozenset[str]] = frozenset()

    size: int | None = Field(None, ge=4, description="side of the square pictures in pixels; none: as the data have it")
    resize: int | None = Field(None, ge=4, description="short side before the centre crop to `size`; none: `size`")
    train_per_class: int | None = Field(None, ge=1, description="training images a class, drawn at random; none: all")
    test_per_class: int | None = Field(None, ge=1, description="test images a class, drawn at random; none: all")
    validation: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the training images that serves as test split instead of the real one",
    )
    subset_seed: int = Field(0, ge=0, lt=2**32, description="draws the subsets and the validation split")

    @model_validator(mode="after")
    def _resize_covers_size(self) -> Self:
        if self.resize is not None and (self.size is None or self.resize < self.size):
            raise ValueError(f"resize={self.resize} needs a size= of at most {self.resize} to crop to, got {self.size}")
        return self

    @property
    def draws(self) -> bool:
        """Whether anything is drawn at random, so that ``subset_seed`` matters."""
        return any(share is not None for share in (self.train_per_class, self.test_per_class, self.validation))

    def identity(self) -> dict[str, Any]:
        unused = set() if self.draws else {"subset_seed"}
        return self.model_dump(mode="json", exclude=set(self.locations) | unused)
