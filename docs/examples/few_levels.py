# few_levels.py
import numpy as np
from pydantic import Field

from ucbench import DefenseSpec, Params, hookimpl


class FewLevelsParams(Params):
    argument = "levels"

    levels: int = Field(ge=2, le=256, description="values per channel")


class FewLevels:
    def __init__(self, params):
        self.params = params

    def prepare(self, train, run):
        step = 255 / (self.params.levels - 1)
        pixels = np.round(np.round(train.images / step) * step)
        return train.with_images(pixels.astype(np.uint8))


@hookimpl
def ucbench_defenses():
    yield DefenseSpec(
        name="few-levels",
        summary="Channels rounded to a few values: few-levels:LEVELS",
        load=f"{__name__}:FewLevels",
        params=f"{__name__}:FewLevelsParams",
        tier="T1",
        static=True,
        sample="8",
    )
