"""Parameters of the labelings. Imports no torch."""

from typing import ClassVar

from pydantic import Field

from ucbench import Params


class LabelSetParams(Params):
    argument: ClassVar[str | None] = "name"

    name: str = Field(description="the label set, as the data set calls it")
