"""Victims of other frameworks: what their pages state of defaults, and that requests are refused in time."""

from __future__ import annotations

import json
import subprocess

import pytest

from ucbench import FrameworkParams, UsageError, VictimSpec, installed
from ucbench.exploit.framework import environment
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


@pytest.mark.parametrize("name", sorted(STATED))
def test_defaults_of_the_installed_framework_are_those_that_the_victims_page_states(name, tmp_path):
    python = params_of(name).framework.python
    script, stated = STATED[name]
    command = [python, "-c", f"import json\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment(python))
    assert json.loads(done.stdout.splitlines()[-1]) == stated


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
