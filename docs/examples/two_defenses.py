# two_defenses.py
from ucbench import DefenseSpec, hookimpl


class Negative:
    def __init__(self, params):
        self.params = params

    def prepare(self, train, run):
        return train.with_images(255 - train.images)


class Swapped(Negative):
    def prepare(self, train, run):
        return train.with_images(train.images[:, ::-1])


@hookimpl
def ucbench_defenses():
    yield DefenseSpec(
        name="negative",
        summary="Light and dark exchanged",
        load=f"{__name__}:Negative",
        static=True,
    )
    yield DefenseSpec(
        name="swapped",
        summary="Red and blue exchanged",
        load=f"{__name__}:Swapped",
        static=True,
    )
