# forest.py
import numpy as np
from pydantic import Field
from sklearn.ensemble import RandomForestClassifier

from ucbench import Params, VictimSpec, hookimpl


class ForestParams(Params):
    presets = {"quick": {"trees": 10}}

    trees: int = Field(100, ge=1, description="number of trees")


class Forest:
    def __init__(self, params):
        self.params = params

    def fit(self, train, trusted, run):
        seed = run.seed("forest", bits=32)
        forest = RandomForestClassifier(self.params.trees, random_state=seed)
        self._forest = forest.fit(_rows(train), train.known_labels)

    def predict(self, images):
        return self._forest.predict(_rows(images)).astype(np.int64)


def _rows(images):
    return images.images.reshape(len(images), -1)


@hookimpl
def ucbench_victims():
    yield VictimSpec(
        name="forest",
        summary="A random forest on the pixels",
        load=f"{__name__}:Forest",
        params=f"{__name__}:ForestParams",
        opaque=True,
    )
