"""Keras: its application models and the small network of its documentation, trained by fit()."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl
from ucbench_keras.params import KERAS


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield KERAS.victim(
        summary="Keras: a small convnet, or an application model from random weights, by fit(), as keras:ResNet50",
        params="ucbench_keras.params:KerasParams",
        paper="F. Chollet et al.: Keras. 2015. https://keras.io",
        fidelity="layers, models, optimiser, loss and trainer are those of Keras, of the installed version, on its "
        "torch backend; `compile()` and `fit()` have their defaults, RMSprop at 0.001 and batches of 32, but for the "
        "epochs, 15 as in the introductory example on handwritten digits: the default of `fit()` is one (preset "
        "`fit`); the model `convnet` has the layers of that example, two convolutions with max-pooling, dropout and "
        "one dense layer, but pads images, so that 8 pixels are enough, and scales values to [0, 1]; other models "
        "have `weights=None`, the images' own size and the scaling of their `preprocess_input`; no augmentation",
    )
