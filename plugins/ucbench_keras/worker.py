"""Training by Keras, in its own process; see :class:`ucbench.Framework`."""

import os
import sys
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = os.getcwd()  # where it writes its settings
# Keras takes any accelerator that torch has, Apple's too, which no variable hides.
os.environ["KERAS_TORCH_DEVICE"] = "cuda" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu"

import keras
import numpy as np
import torch
from keras import layers
from numpy.typing import NDArray


def fit(images: NDArray[np.uint8], labels: NDArray[np.int64], options: dict[str, Any]) -> Any:
    torch.set_num_threads(options["threads"])
    keras.utils.set_random_seed(options["seed"])
    model = _model(options["model"], options["classes"], (*images.shape[2:], 3))
    model.compile(loss="sparse_categorical_crossentropy")
    model.fit(_channels_last(images), labels, epochs=options["epochs"], verbose=0)
    return model


def predict(model: Any, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    classes: NDArray[np.int64] = model.predict(_channels_last(images), verbose=0).argmax(1)
    return classes


def _model(name: str, classes: int, shape: tuple[int, ...]) -> Any:
    """From values 0 to 255 to probabilities."""
    inputs = keras.Input(shape)
    if name != "convnet":
        build = getattr(keras.applications, name)
        scaled = sys.modules[build.__module__].preprocess_input(inputs)
        return keras.Model(inputs, build(weights=None, classes=classes, input_shape=shape)(scaled))
    return keras.Sequential(
        [
            inputs,
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def _channels_last(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.transpose(0, 2, 3, 1).astype(np.float32)
