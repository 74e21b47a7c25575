"""Parameters of the search for transformations. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ucbench import Params, did_you_mean

#: The transformations, in the order of the search.
NAMES = ("dilate", "erode", "median", "blur", "grey", "threshold", "posterize", "solarize", "rotate", "shear")


class SearchParams(Params):
    """Defaults are the ``standard`` preset."""

    candidates: tuple[str, ...] = Field(NAMES, description="transformations, in the order in which they are tried")
    images: int = Field(2000, ge=2, description="of the release at most, on which a trial network learns")
    epochs: int = Field(8, ge=1, description="of every trial")
    rounds: int = Field(1, ge=1, description="passes over the transformations; the search ends where none helps")
    gain: float = Field(
        1.0, gt=0, description="least rise of accuracy in percentage points, besides two standard errors"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"images": 1000, "epochs": 4},
        "thorough": {"images": 10000, "epochs": 20, "rounds": 3},
    }

    @field_validator("candidates")
    @classmethod
    def _are_known(cls, candidates: tuple[str, ...]) -> tuple[str, ...]:
        for name in candidates:
            if name not in NAMES:
                raise ValueError(f"there is no transformation {name!r}.{did_you_mean(name, NAMES)}")
        return candidates
