"""Victims of other frameworks: what their pages state of defaults, that requests are refused in time, and that they
learn from the images and labels that they are given."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ucbench import FrameworkParams, ImageSet, UsageError, VictimSpec, installed
from ucbench.exploit.framework import environment
from ucbench.matrix.compatibility import check_size
from ucbench.testing import sample_images
from ucbench.testing.samples import make_run

#: A victim of each framework, and what its worker's defaults rest on: a script that prints them, and their values.
STATED = {
    "paddle": (
        """
import inspect, paddle
fit = inspect.signature(paddle.Model.fit).parameters
adam = inspect.signature(paddle.optimizer.Adam.__init__).parameters
print(json.dumps([fit["epochs"].default, fit["batch_size"].default, fit["shuffle"].default, fit["drop_last"].default,
                  adam["learning_rate"].default]))
""",
        [1, 1, True, False, 0.001],
    ),
    "keras": (
        """
import os
os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"] = "torch", os.getcwd()
import inspect, keras
fit = inspect.signature(keras.Model.fit).parameters
compiled = inspect.signature(keras.Model.compile).parameters
print(json.dumps([fit["epochs"].default, fit["shuffle"].default, compiled["optimizer"].default,
                  inspect.signature(keras.optimizers.RMSprop).parameters["learning_rate"].default]))
""",
        [1, True, "rmsprop", 0.001],
    ),
    "transformers": (
        """
from transformers import TrainingArguments
a = TrainingArguments(output_dir=".", use_cpu=True)
print(json.dumps([a.num_train_epochs, a.per_device_train_batch_size, a.learning_rate, a.lr_scheduler_type.value,
                  a.weight_decay, a.max_grad_norm, a.warmup_steps, a.optim.value[:5]]))
""",
        [3.0, 8, 5e-5, "linear", 0.0, 1.0, 0, "adamw"],
    ),
    "fastai": (
        """
import inspect
from fastai.vision.all import Adam, Datasets, vision_learner
learner = inspect.signature(vision_learner).parameters
print(json.dumps([inspect.signature(Datasets.dataloaders).parameters["bs"].default, learner["lr"].default,
                  learner["opt_func"].default is Adam, inspect.signature(Adam).parameters["wd"].default]))
""",
        [64, 0.001, True, 0.01],
    ),
}


def params_of(name: str) -> FrameworkParams:
    """Default parameters of a framework's victim; skips the test if the framework is not installed."""
    params = installed().resolve(VictimSpec, name).params
    assert isinstance(params, FrameworkParams)
    try:
        params.identity()
    except UsageError as error:
        pytest.skip(str(error))
    return params


def printed_by(params: FrameworkParams, script: str, *arguments: str, cwd: Path) -> str:
    """What a script prints that runs in the framework's interpreter and sees no GPU."""
    python = params.framework.python
    variables = environment(python) | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([python, "-c", script, *arguments], capture_output=True, text=True, cwd=cwd, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(STATED))
def test_defaults_of_the_installed_framework_are_those_that_the_victims_page_states(name, tmp_path):
    script, stated = STATED[name]
    printed = printed_by(params_of(name), f"import json\n{script}", cwd=tmp_path)
    assert json.loads(printed.splitlines()[-1]) == stated


@pytest.mark.parametrize(
    ("reference", "meant"),
    [("paddle:resnet81", "resnet18"), ("keras:ResNet5", "ResNet50"), ("keras:konvnet", "convnet")],
)
def test_unknown_model_is_refused_while_planning_with_the_nearest(reference, meant):
    params_of(reference.partition(":")[0])
    with pytest.raises(UsageError, match=f"has no model .* Did you mean .*'{meant}'"):
        installed().resolve(VictimSpec, reference)


@pytest.mark.parametrize(
    "reference", ["transformers@quick:resnet", "keras@quick", "paddle:resnet18:epochs=1,batch=8", "fastai@quick"]
)
def test_remainder_of_one_image_is_trained_around_and_predicted(reference):
    """Batch norm in training fails on one image; prediction must not lose what training leaves out."""
    params_of(reference.partition(":")[0].partition("@")[0])
    trainer = installed().resolve(VictimSpec, reference).build()
    trainer.fit(sample_images(9, (8, 8), 3), None, make_run(stage="train"))
    assert trainer.predict(sample_images(9, (8, 8), 3, seed=1).with_labels(None)).shape == (9,)


@pytest.mark.parametrize("name", sorted(STATED))
def test_victim_is_listed_with_its_platform_whether_or_not_it_is_installed(name):
    spec = installed().find(VictimSpec, name)
    assert (spec.platform, spec.opaque, spec.extra) == (name, True, f"ucbench[{name}]")


def test_model_with_several_outputs_is_refused_while_planning():
    with pytest.raises(UsageError, match="googlenet has three outputs"):
        installed().resolve(VictimSpec, "paddle:googlenet")


def test_images_that_hold_no_patch_of_vit_base_are_refused_before_anything_is_crafted():
    base = installed().resolve(VictimSpec, "transformers:vit:base=true")
    check_size(base, "those", (16, 32))
    with pytest.raises(UsageError, match=r"of 16 pixels and more.* Enlarge them with its option size=, or"):
        check_size(base, "those", (32, 15))


@pytest.mark.parametrize("reference", ["transformers:vit", "transformers:resnet:base=true", "transformers@full:vit"])
def test_models_that_make_patches_fit_or_enlarge_images_take_small_ones(reference):
    check_size(installed().resolve(VictimSpec, reference), "those", (8, 8))


def test_size_that_holds_no_patch_is_refused_while_planning():
    with pytest.raises(UsageError, match=r"size=15 is less than a patch of ViT-Base; give size=16 or more"):
        installed().resolve(VictimSpec, "transformers:vit:base=true,size=15")
    installed().resolve(VictimSpec, "transformers:resnet:base=true,size=15")


def squares(count: int, seed: int, shuffled: bool = False) -> ImageSet:
    """Squares of 8 pixels anywhere on noise of 16, whose colour is the class: blue, red or green.

    ``shuffled`` labels have nothing to do with the colours.
    """
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(60, 120, (count, 3, 16, 16), dtype=np.uint8), np.arange(count) % 3
    for image, label, (top, left) in zip(images, labels, rng.integers(0, 9, (count, 2)), strict=True):
        image[:, top : top + 8, left : left + 8] = 30
        image[(label + 2) % 3, top : top + 8, left : left + 8] = rng.integers(190, 250)
    return ImageSet(images, rng.permutation(labels) if shuffled else labels, ("blue", "red", "green"), name="squares")


@pytest.mark.parametrize("shuffled", [False, True], ids=["true labels", "shuffled labels"])
@pytest.mark.parametrize(
    ("reference", "count"),
    [
        ("sklearn:forest", 60),
        ("keras", 60),
        ("paddle:resnet18:epochs=12,batch=8", 60),
        ("transformers:vit:epochs=12", 60),
        ("fastai:resnet18:epochs=20", 240),  # in batches of 64
    ],
)
def test_victim_learns_colours_and_nothing_from_labels_without_a_pattern(reference, count, shuffled):
    """Fails if images and labels part, or if training and prediction treat pixels differently."""
    if not reference.startswith("sklearn"):
        params_of(reference.partition(":")[0])
    trainer = installed().resolve(VictimSpec, reference).build()
    trainer.fit(squares(count, 0, shuffled), None, make_run(stage="train"))
    test = squares(90, 1, shuffled)
    accuracy = (trainer.predict(test.with_labels(None)) == test.known_labels).mean()
    assert accuracy < 0.6 if shuffled else accuracy > 0.9


#: What the first convolution of a model should see, by victim: size of the images, offset and scale of their values,
#: the function that gets them, and its argument.
FIRST_LAYER = {
    "keras": ((12, 16), 0.0, 255.0, "torch.nn.functional.conv2d", 0),
    "paddle:resnet18": ((12, 16), 127.5, 127.5, "paddle.nn.Conv2D.forward", 1),
    "transformers:vit": ((16, 16), 127.5, 127.5, "torch.nn.functional.conv2d", 0),
    "fastai:resnet18": ((12, 16), 0.0, 255.0, "torch.nn.functional.conv2d", 0),
}
#: Trains and predicts by a worker, and saves the first batch that the function gets in each.
WATCHED = """
import importlib.util, json, pkgutil, sys
import numpy as np
path, watched, place, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
spec = importlib.util.spec_from_file_location("worker", path)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
images, labels = np.load("images.npy"), np.load("labels.npy")
owner, _, name = watched.rpartition(".")
owner = pkgutil.resolve_name(owner)
original, seen = getattr(owner, name), []
def watch(*args, **kwargs):
    x = args[place]
    if tuple(x.shape) == images.shape and not getattr(x, "is_meta", False):
        seen.append(x.detach().numpy().copy())
    return original(*args, **kwargs)
setattr(owner, name, watch)
state = worker.fit(images, labels, options)
trained = seen[0]
seen.clear()
worker.predict(state, images)
np.savez("seen.npz", trained=trained, predicted=seen[0])
"""


@pytest.mark.parametrize("reference", sorted(FIRST_LAYER))
def test_model_sees_every_pixel_in_its_place_channel_and_range(reference, tmp_path):
    params = params_of(reference.partition(":")[0])
    size, offset, scale, watched, place = FIRST_LAYER[reference]
    images = np.random.default_rng(0).integers(0, 256, (7, 3, *size), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(7) % 3)
    options = params.model_dump(mode="json") | {"epochs": 1, "classes": 3, "seed": 0, "threads": 1, "gpu": False}
    printed_by(params, WATCHED, str(params.framework.worker), watched, str(place), json.dumps(options), cwd=tmp_path)
    seen, expected = np.load(tmp_path / "seen.npz"), (images - offset) / scale
    np.testing.assert_allclose(seen["predicted"], expected, atol=1e-5)
    by_first_pixels = [np.lexsort(batch[:, 0, 0, :2].T) for batch in (seen["trained"], expected)]  # training shuffles
    np.testing.assert_allclose(seen["trained"][by_first_pixels[0]], expected[by_first_pixels[1]], atol=1e-5)


def test_keras_trains_on_the_processor_where_torch_has_an_accelerator_of_apple(tmp_path):
    params = params_of("keras")
    script = """
import functools, runpy, sys, torch
torch.backends.mps.is_available = functools.wraps(torch.backends.mps.is_available)(lambda: True)
runpy.run_path(sys.argv[1])
import keras
print(keras.Variable(0.0).value.device)
"""
    assert printed_by(params, script, str(params.framework.worker), cwd=tmp_path).split()[-1] == "cpu"
