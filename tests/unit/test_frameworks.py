"""Victims of other frameworks: found without importing them, trained in a process that is gone when nobody needs it."""

from __future__ import annotations

import gc
import stat
import sys
import time
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from pydantic import field_validator

import ucbench
from ucbench.exploit import framework as frameworks
from ucbench.exploit.framework_trainer import _Process, visible_gpus
from ucbench.testing import check_victim, sample_images
from ucbench.testing.samples import make_run

#: A framework that "learns" the mean brightness of classes, prints a lot, and misbehaves on request.
WORKER = """
    import os, sys
    import numpy as np
    import toyframe

    def fit(images, labels, options):
        print("epoch 1")
        if options["model"] == "die":
            os.kill(os.getpid(), 9)
        if options["model"] == "fail":
            raise ValueError("no such layer")
        if options["model"] == "hang":
            open(os.environ["TOYFRAME_STARTED"], "w").close()
            __import__("time").sleep(600)
        noise = np.random.default_rng(options["seed"]).normal(size=options["classes"])
        means = [images[labels == k].mean() if (labels == k).any() else 1e9 for k in range(options["classes"])]
        return np.array(means) + 1e-3 * noise

    def predict(state, images):
        sys.stdout.write("predicting")
        return np.abs(images.mean((1, 2, 3))[:, None] - state).argmin(1)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> ucbench.Framework:
    """The framework, installed where only PYTHONPATH finds it: importing it in this process would fail."""
    site = tmp_path / "site"
    (site / "toyframe" / "models").mkdir(parents=True)
    (site / "toyframe" / "__init__.py").write_text("import numpy\n__version__ = '2.5+local'\n")
    (site / "toyframe" / "models" / "__init__.py").write_text("from .nets import small, Large as large\n1 / 0\n")
    (site / "toyframe_dist-2.5.dist-info").mkdir()
    (site / "toyframe_dist-2.5.dist-info" / "METADATA").write_text("Name: toyframe-dist\nVersion: 2.5\n")
    worker = tmp_path / "worker.py"
    worker.write_text(dedent(WORKER))
    monkeypatch.setenv("PYTHONPATH", str(site))
    frameworks._installed.cache_clear()
    return ucbench.Framework("toyframe", ("other-dist", "toyframe-dist"), worker, "ucbench[toy]")


def params_of(framework: ucbench.Framework, model: str = "small") -> ucbench.FrameworkParams:
    class ToyParams(ucbench.FrameworkParams):
        model: str = "small"

        @field_validator("model")
        @classmethod
        def _known(cls, model: str) -> str:
            misbehaving = ("die", "fail", "hang")
            return model if model in misbehaving else cls.checked(model, framework.exported("models"))

    ToyParams.framework = framework
    return ToyParams.resolve("victim 'toy'", options={"model": model})


def another_python(folder: Path) -> str:
    """This interpreter under another name, as that of another environment."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_version_is_part_of_the_key_without_importing_the_framework(toy):
    assert params_of(toy).identity() == {"model": "small", "toyframe": "2.5"}
    assert "toyframe" not in sys.modules


def test_models_are_read_from_source_and_an_unknown_one_is_refused_while_planning(toy):
    assert toy.exported("models") == ("large", "small")
    with pytest.raises(ucbench.UsageError, match=r"toyframe has no model 'smal'\. Did you mean 'small'\?"):
        params_of(toy, "smal")


def test_models_of_all_are_preferred_to_imported_names(tmp_path):
    (tmp_path / "__init__.py").write_text("from os import path\n__all__ = ['b', 'a']\n")
    assert frameworks._exported(tmp_path / "__init__.py") == ("a", "b")


def test_missing_framework_is_one_line_when_a_key_is_needed_and_no_error_before(tmp_path):
    missing = ucbench.Framework("nosuchframe", ("nosuchframe",), tmp_path / "w.py", "ucbench[none]")
    params = params_of(missing, "anything")
    with pytest.raises(ucbench.UsageError) as caught:
        params.identity()
    assert str(caught.value) == (
        'nosuchframe is not installed here. Run: pip install "ucbench[none]", or name the interpreter of an environment'
        " that has it in UCBENCH_NOSUCHFRAME_PYTHON."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is no Python interpreter"), ("#!/bin/sh\necho hello\n", "does not answer as a Python interpreter")],
)
def test_wrong_interpreter_is_one_line_that_names_the_variable(toy, tmp_path, monkeypatch, content, said):
    path = tmp_path / "elsewhere"
    if content:
        path.write_text(content)
        path.chmod(0o700)
    monkeypatch.setenv("UCBENCH_TOYFRAME_PYTHON", str(path))
    with pytest.raises(ucbench.UsageError, match=f"^UCBENCH_TOYFRAME_PYTHON=.*elsewhere {said}[^\n]*$"):
        params_of(toy).identity()


def test_interpreter_of_the_variable_is_used_and_does_not_get_this_ones_modules(toy, tmp_path, monkeypatch):
    assert toy.victim(summary="").requires == ("toyframe",)
    monkeypatch.setenv("UCBENCH_TOYFRAME_PYTHON", another_python(tmp_path))
    assert toy.victim(summary="").requires == ()
    with pytest.raises(ucbench.UsageError, match="not installed in UCBENCH_TOYFRAME_PYTHON="):
        _ = toy.version  # PYTHONPATH, where it lies, is this interpreter's


def test_trainer_keeps_the_contract_of_victims(toy):
    check_victim(ucbench.FrameworkTrainer(params_of(toy)), spec=toy.victim(summary=""), sizes=[(8, 10)])


def test_images_labels_and_options_arrive_and_classes_come_back(toy):
    train = sample_images(30, (8, 8), 3)
    levels = np.repeat(np.array([40, 120, 200], np.uint8), 10)
    train = train.with_images(np.broadcast_to(levels[:, None, None, None], train.images.shape).copy())
    train = train.with_labels(np.repeat([2, 0, 1], 10), ("a", "b", "c"))
    trainer = ucbench.FrameworkTrainer(params_of(toy))
    trainer.fit(train, None, make_run(stage="train"))
    assert (trainer.predict(train.with_labels(None)) == train.known_labels).all()


def test_versions_are_those_of_the_interpreter_that_trains(toy):
    """The worker's NumPy is a stand-in with another version than this process has."""
    lines = ["import sys, numpy, platform", "numpy.__version__ = '0.1'", "platform.python_version = lambda: '3.99.0'"]
    toy.worker.write_text("\n".join(lines) + dedent(WORKER))
    run = make_run(stage="train")
    ucbench.FrameworkTrainer(params_of(toy)).fit(sample_images(6, (8, 8), 3), None, run)
    assert run.trainers == {"toyframe": {"python": "3.99.0", "toyframe": "2.5+local", "numpy": "0.1"}}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("fail", r"ended with exit code 1 in fit\(\): ValueError: no such layer"),
        ("die", r"ended by signal 9 in fit\(\): epoch 1"),
    ],
)
def test_process_that_ends_is_one_line_with_how_and_its_last_words(toy, model, said):
    trainer = ucbench.FrameworkTrainer(params_of(toy, model))
    with pytest.raises(ucbench.FrameworkError, match=f"^The process of toyframe {said}$"):
        trainer.fit(sample_images(6, (8, 8), 3), None, make_run(stage="train"))


def test_process_and_folder_go_with_the_trainer(toy):
    trainer = ucbench.FrameworkTrainer(params_of(toy))
    trainer.fit(sample_images(6, (8, 8), 3), None, make_run(stage="train"))
    process, folder = trainer._process._worker, trainer._process.folder
    assert process.poll() is None
    assert folder.is_dir()
    del trainer
    gc.collect()
    assert process.poll() is not None
    assert not folder.exists()


def test_worker_ends_while_it_trains_when_its_driver_is_gone(toy, tmp_path, monkeypatch):
    """A killed run must not leave a training of hours behind."""
    monkeypatch.setenv("TOYFRAME_STARTED", str(tmp_path / "started"))
    process = _Process(toy, 1)
    for name in ("images", "labels"):
        np.save(process.folder / f"{name}.npy", np.zeros(1))
    process._worker.stdin.write(b'{"name": "fit", "arrays": ["images", "labels"], "options": {"model": "hang"}}\n')
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    process._worker.stdin.close()
    assert process._worker.wait(timeout=60) == 0
    assert not process.folder.exists()


@pytest.mark.parametrize(
    ("device", "mine", "theirs"),
    [
        ("cpu", "3", ""),
        ("cuda:1", None, "1"),
        ("cuda", None, "0"),
        ("cuda:1", "2,5", "5"),
        ("cuda", "GPU-a,b", "GPU-a"),
    ],
)
def test_worker_sees_the_one_gpu_that_this_process_means(monkeypatch, device, mine, theirs):
    if mine is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mine)
    assert visible_gpus(torch.device(device)) == theirs


def test_worker_has_the_numerics_threads_and_sees_no_gpu_on_a_processor(toy):
    toy.worker.write_text(
        "import os\ndef fit(images, labels, options):\n"
        "    assert not options['gpu'] and options['threads'] == int(os.environ['OMP_NUM_THREADS'])\n"
        "    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''\n"
        "    assert sorted(os.listdir()) == ['images.npy', 'labels.npy', 'log']\n"
    )
    ucbench.FrameworkTrainer(params_of(toy)).fit(sample_images(6, (8, 8), 3), None, make_run(stage="train"))
