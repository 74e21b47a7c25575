"""benchmarks/train_small_clip.py: what it saves, what it keeps out, and that it learns."""

from __future__ import annotations

import json

import benchmark_scripts
import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from ucbench.data.loading import load_dataset
from ucbench.errors import UsageError
from ucbench.numerics import Numerics
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.testing import make_run, sample_images
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine


@pytest.fixture(scope="module")
def script():
    with benchmark_scripts.script("train_small_clip") as module:
        yield module


def test_saved_model_serves_every_component_and_lists_kept_out_images(script, tmp_path):
    options = "digits:validation=0.2,test_per_class=5 OUT --keep-out 70 --subset-seed 3 --batch 200 --epochs 1"
    small = "--size 32 --width 8 --threads 1"
    result = CliRunner().invoke(script.app, f"{options} {small}".replace("OUT", str(tmp_path)))
    assert result.exit_code == 0, result.output
    assert result.output.count("zero-shot accuracy") == 2

    path = tmp_path / "open_clip_model.safetensors"
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["ucbench"])
    chosen = installed().resolve("dataset", "digits:validation=0.2,subset_seed=3")
    train = load_dataset(chosen.build(), chosen.params).train
    assert facts["fingerprint"] == train.fingerprint
    protected = installed().resolve("dataset", facts["kept_out"])
    assert protected.params.train_per_class == 70
    kept = train.subset(np.array(facts["kept_out_indices"]))
    assert load_dataset(protected.build(), protected.params).train.fingerprint == kept.fingerprint

    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    surrogate = installed().resolve("surrogate", f"openclip:checkpoint='{path}'").build()
    assert surrogate.features(images).shape == (2, 128)
    victim = installed().resolve("victim", f"openclip-probe:checkpoint='{path}'").build()
    assert victim.build(10, (8, 8))(images).shape == (2, 10)
    for labeling in ("zero-shot", "coarse-by-name"):
        component = installed().resolve("labeling", f"{labeling}:checkpoint='{path}'").build()
        labelled, _ = component.apply(kept, kept, kept, make_run(stage="labeling"))
        assert len(labelled) == 700
    open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")


def test_split_partitions_images_into_learned_and_kept_out(script):
    images = sample_images(30)
    learned, kept = script.split(images, 4, 0)
    assert len(kept) == 12
    np.testing.assert_array_equal(np.sort(np.concatenate([learned, kept])), np.arange(30))
    with pytest.raises(UsageError, match=r"Keeping 10 images a class out of sample leaves 0"):
        script.split(images, 10, 0)


def fit(script, epochs, images):
    settings = script.Settings(epochs=epochs, batch=30, lr=5e-3, weight_decay=0.1, size=32, width=8, seed=0)
    config = script.configuration(settings)
    return script.fit(config, images, settings, torch.device("cpu"), Silent()), config


def test_fit_learns_to_separate_classes_and_so_do_its_victims(script, tmp_path):
    model, config = fit(script, 15, sample_images(60, (16, 16)))
    path = script.save(model, config, {}, tmp_path)
    engine = Engine(Numerics("cpu", "float32", threads=1))
    test = sample_images(30, (16, 16), seed=1)
    assert script.zero_shot_accuracy(path, test, engine, Silent()) > 80
    for preset in ("", "@fine-tune"):
        victim = installed().resolve("victim", f"openclip-probe{preset}:checkpoint='{path}',crop=0,batch=10").build()
        with seeded(0):
            model = victim.build(3, (16, 16))
        trained = engine.fit(model, sample_images(60, (16, 16)), victim.recipe, seed=0).model
        assert (engine.predict(trained, test) == test.known_labels).mean() > 0.8, preset


def test_fit_repeats_exactly(script):
    first, second = (fit(script, 1, sample_images(60, (16, 16)))[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_dataset_that_is_already_a_subset_is_refused(script, tmp_path):
    result = CliRunner().invoke(script.app, ["digits:train_per_class=5", str(tmp_path)])
    assert result.exit_code == 1
    assert "Leave train_per_class and subset_seed to --keep-out" in result.output
