"""The surrogates of ucbench_timm: weights in the right place, gradients to the images and to nothing else."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ucbench.crafting.surrogate import FittedSurrogate, Surrogate
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.numerics import Numerics
from ucbench.store.keys import sha256_of
from ucbench.testing import sample_images
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.weights import read_weights
from ucbench_timm import surrogates, ucbench_surrogates
from ucbench_timm.params import (
    EfficientNetLite0Params,
    TimmSurrogateParams,
    TrainedParams,
    UntrainedParams,
    efficientnet_lite0_file,
)
from ucbench_timm.surrogates import (
    EfficientNetLite0,
    TimmSurrogate,
    TrainedSurrogate,
    UntrainedResNet18,
    load_by_position,
)
from ucbench_timm.victims import ResNet18

MODEL = "test_efficientnet"  # timm's own miniature, 160 px


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    return EfficientNetLite0(EfficientNetLite0Params())


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(MODEL, num_classes=7).eval()


def timm_surrogate(path: Path, model: str = MODEL, **options: int) -> TimmSurrogate:
    return TimmSurrogate(TimmSurrogateParams(model=model, checkpoint=path, **options))


# EfficientNet-Lite0


def test_lite0_returns_1280_features_and_1000_scores(lite0, images):
    assert isinstance(lite0, Surrogate)
    features, logits = lite0.features(images), lite0.logits(images)
    assert (features.shape, features.dtype) == ((3, 1280), torch.float32)
    assert (logits.shape, logits.dtype) == ((3, 1000), torch.float32)


def test_lite0_levels_are_two_unit_vectors_the_second_penultimate(lite0, images):
    levels = EfficientNetLite0(EfficientNetLite0Params(features="levels")).features(images)
    assert levels.shape == (len(images), 320 + 1280)
    torch.testing.assert_close(levels[:, :320].norm(dim=1), torch.ones(len(images)))
    torch.testing.assert_close(levels[:, 320:], torch.nn.functional.normalize(lite0.features(images), dim=1))


@pytest.mark.parametrize(("side", "expected"), [(8, 32), (16, 48), (32, 96), (96, 96), (97, 224), (300, 224)])
def test_lite0_input_size_is_proportional_to_the_image_by_default(lite0, side, expected):
    assert lite0.module(0).input_size(torch.zeros(1, 3, side, 5)) == (expected, expected)


def test_lite0_logits_equal_the_classifier_of_its_features(lite0, images):
    network = lite0.module(0)
    expected = network.network.classifier(lite0.features(images))
    torch.testing.assert_close(lite0.logits(images), expected)
    torch.testing.assert_close(network(images), expected)


def test_lite0_preprocessing_is_bicubic_and_centred_at_one_half(lite0):
    # At the input's own size nothing is resized: what is left is timm's network on normalised pixels.
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    network = timm.create_model("tf_efficientnet_lite0").eval()
    state = read_weights(efficientnet_lite0_file()).tensors
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(lite0.logits(x), network(2 * x - 1), rtol=1e-4, atol=1e-4)
        small = torch.nn.functional.interpolate(x, (32, 32), mode="bicubic", antialias=True)
        again = torch.nn.functional.interpolate(small, (96, 96), mode="bicubic", antialias=True)
        torch.testing.assert_close(lite0.logits(small), network(2 * again - 1), rtol=1e-3, atol=1e-3)


def test_lite0_gradients_reach_the_images_and_no_weight(lite0, images):
    x = images.clone().requires_grad_()
    lite0.features(x).square().sum().backward()
    assert (x.grad.abs().amax((1, 2, 3)) > 0).all()
    assert all(not weight.requires_grad and weight.grad is None for weight in lite0.module(0).parameters())


def test_lite0_features_repeat_and_are_independent_of_the_batch(lite0, images):
    with torch.no_grad():
        features = lite0.features(images)
        assert torch.equal(features, lite0.features(images))
        torch.testing.assert_close(lite0.features(images[1:2]), features[1:2], rtol=1e-4, atol=1e-5)


def test_lite0_bfloat16_affects_only_the_layers(images):
    surrogate = EfficientNetLite0(EfficientNetLite0Params())
    exact = surrogate.features(images)
    surrogate.to(torch.device("cpu"), torch.bfloat16)
    coarse = surrogate.features(images)
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, exact)
    assert torch.cosine_similarity(coarse, exact).min() > 0.98
    assert all(weight.dtype == torch.float32 for weight in surrogate.module(0).parameters())
    surrogate.to(torch.device("cpu"), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(surrogate.features(images), exact)


def test_load_by_position_fits_every_tensor_or_raises(network):
    state = {f"other.{name}": tensor + 1 for name, tensor in network.state_dict().items()}
    load_by_position(network, state, "weights.pt")
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), state.values(), strict=True))

    short = dict(list(state.items())[:-1])
    with pytest.raises(DataError, match=rf"weights.pt does not fit: it holds {len(short)} tensors"):
        load_by_position(network, short, "weights.pt")

    first, second, *rest = state.items()
    with pytest.raises(DataError, match=rf"does not fit: {re.escape(second[0])} is"):
        load_by_position(network, dict([second, first, *rest]), "weights.pt")


def test_lite0_damaged_weights_raise_data_error(monkeypatch, tmp_path):
    path = tmp_path / "lite0.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    monkeypatch.setattr(surrogates, "efficientnet_lite0_file", lambda: path)
    with pytest.raises(DataError, match="holds 1 tensors"):
        EfficientNetLite0(EfficientNetLite0Params())


# timm:MODEL


@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested"])
def test_timm_surrogate_loads_checkpoints_of_every_format(kind, network, tmp_path, images):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    state = network.state_dict()
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if kind == "nested" else state, path)
    surrogate = timm_surrogate(path, size=64)
    config = network.pretrained_cfg
    x = torch.nn.functional.interpolate(images, (64, 64), mode=config["interpolation"], antialias=True)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = network((x - mean) / std)
        torch.testing.assert_close(surrogate.logits(images), expected, rtol=1e-4, atol=1e-5)
    assert surrogate.logits(images).shape == (3, 7)


def test_timm_surrogate_defaults_to_the_input_size_of_the_model(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    assert timm_surrogate(tmp_path / "weights.pt").module(0).size == (160, 160)


def test_timm_surrogate_builds_a_fixed_size_model_for_the_given_size(tmp_path, images):
    torch.save(timm.create_model("test_vit", num_classes=4, img_size=32).state_dict(), tmp_path / "vit.pt")
    assert timm_surrogate(tmp_path / "vit.pt", "test_vit", size=32).features(images).ndim == 2
    with pytest.raises(DataError, match=r"test_vit at 64x64 pixels.* 1 of another shape \(pos_embed"):
        timm_surrogate(tmp_path / "vit.pt", "test_vit", size=64)


def test_timm_surrogate_without_a_classifier_has_only_features(tmp_path, images):
    torch.save(timm.create_model(MODEL, num_classes=0).state_dict(), tmp_path / "headless.pt")
    surrogate = timm_surrogate(tmp_path / "headless.pt", size=32)
    assert surrogate.features(images).ndim == 2
    with pytest.raises(UsageError, match=f"timm:{MODEL} have no classifier"):
        surrogate.logits(images)


def test_timm_surrogate_refuses_a_checkpoint_of_another_model(network, tmp_path):
    state = network.state_dict()
    state["extra.weight"] = torch.zeros(1)
    del state["conv_stem.weight"]
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(DataError, match=r"1 missing \(conv_stem.weight\); 1 left over \(extra.weight\)"):
        timm_surrogate(tmp_path / "weights.pt")


def test_timm_surrogate_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(UsageError, match=r"no model 'resnt18'.*'resnet18'"):
        timm_surrogate(tmp_path / "weights.pt", "resnt18")
    with pytest.raises(UsageError, match=r"no weights 'resnet18\.tv_in1'.*Did you mean 'resnet18\.tv_in1k'"):
        TimmSurrogate(TimmSurrogateParams(model="resnet18.tv_in1"))


def test_timm_surrogate_raises_on_unavailable_weights(monkeypatch):
    def offline(*args, **options):
        assert options["pretrained"]
        raise OSError("no route to the hub\nand more lines")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DataError, match=r"resnet18\.tv_in1k \(OSError: no route to the hub\)") as error:
        TimmSurrogate(TimmSurrogateParams(model="resnet18.tv_in1k"))
    assert str(error.value).endswith("timm:resnet18.tv_in1k:checkpoint=PATH")


def test_timm_params_require_a_weight_tag_or_checkpoint():
    with pytest.raises(UsageError, match=r"'resnet18' leaves open which weights.*checkpoint=PATH"):
        TimmSurrogateParams.resolve("surrogate 'timm'", argument="resnet18")


@pytest.mark.parametrize("options", [{"checkpoint": "weights.pt"}, {"model": "resnet18.tv_in1k"}])
def test_timm_params_refuse_random_weights_with_trained_ones(options):
    with pytest.raises(UsageError, match="weights=random goes with a name without tag or checkpoint"):
        TimmSurrogateParams.resolve("surrogate 'timm'", options={"model": "resnet18", "weights": "random", **options})


def test_timm_surrogate_random_weights_are_one_network_and_named(images):
    params = TimmSurrogateParams(model=MODEL, weights="random", size=32)
    first, again = TimmSurrogate(params), TimmSurrogate(params)
    assert torch.equal(first.features(images), again.features(images))
    assert first.module().note == params.identity()["weights"] == "random weights, for tests of the plumbing"


# Identity


def test_timm_identity_depends_on_content_not_on_path(tmp_path):
    first, second = tmp_path / "a" / "weights.pt", tmp_path / "b" / "other.pt"
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"same")

    def identity(path: Path) -> dict[str, object]:
        return TimmSurrogateParams(model=MODEL, checkpoint=path, size=64).identity()

    assert identity(first) == identity(second)
    assert identity(first) == {"model": MODEL, "size": 64, "weights": sha256_of(first)}
    assert str(tmp_path) not in str(identity(first))
    before = identity(first)
    first.write_bytes(b"others")
    assert identity(first) != before


def test_lite0_identity_holds_the_hash_of_the_packaged_weights():
    assert EfficientNetLite0Params().identity() == {
        "size": None,
        "features": "penultimate",
        "weights": hashlib.sha256(efficientnet_lite0_file().read_bytes()).hexdigest(),
    }


def test_timm_identity_of_hub_weights_is_their_full_name():
    assert TimmSurrogateParams(model="resnet18.tv_in1k").identity() == {
        "model": "resnet18.tv_in1k",
        "size": None,
    }


def test_timm_identity_names_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"missing\.pt"):
        TimmSurrogateParams(model=MODEL, checkpoint=tmp_path / "missing.pt").identity()


def test_listing_and_keys_import_no_torch():
    code = (
        "import sys, ucbench_timm;"
        "records = [*ucbench_timm.ucbench_victims(), *ucbench_timm.ucbench_surrogates()];"
        "assert not {'torch', 'timm', 'numpy', 'pydantic'} & set(sys.modules), 'listing';"
        "from ucbench_timm.params import *;"
        "EfficientNetLite0Params().identity(); ViTParams().identity();"
        "assert not {'torch', 'timm', 'numpy'} & set(sys.modules), 'keys'"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


# trained


@pytest.fixture
def train() -> ImageSet:
    """Sixty noisy 8-pixel images, dark and bright: learnable in a few steps."""
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 2
    pixels = draw.integers(0, 100, (60, 3, 8, 8)) + 120 * labels[:, None, None, None]
    return ImageSet(pixels.astype(np.uint8), labels.astype(np.int64), ("dark", "bright"), name="shades")


@pytest.fixture
def run() -> SimpleNamespace:
    steps: list[int] = []
    return SimpleNamespace(
        device=torch.device("cpu"),
        engine=Engine(Numerics("cpu", "float32", 1)),
        seed=lambda stream: {"surrogate": 5}[stream],
        progress=lambda text, total: steps.append(-total) or steps.append,
        steps=steps,
    )


PARAMS = TrainedParams(width=16, epochs=1, batch=20)


def unit(train: ImageSet) -> torch.Tensor:
    return torch.from_numpy(train.images.copy()).float() / 255


def test_trained_surrogate_learns_the_clean_labels(train, run):
    surrogate = TrainedSurrogate(TrainedParams(width=16, epochs=8, batch=12, lr=0.02, crop=0))
    assert isinstance(surrogate, FittedSurrogate)
    surrogate.fit(train, run)
    x = unit(train)
    assert surrogate.features(x).shape == (60, 128)
    assert (surrogate.logits(x).argmax(1).numpy() == train.labels).mean() > 0.9


@pytest.mark.parametrize("batch", [1, 20])
def test_trained_surrogate_takes_as_many_steps_as_it_announces(train, run, batch):
    TrainedSurrogate(TrainedParams(width=16, epochs=1, batch=batch)).fit(train, run)
    assert sum(run.steps) == 0


def test_trained_surrogate_equals_a_model_of_the_engine(train, run):
    surrogate = TrainedSurrogate(PARAMS)
    surrogate.fit(train, run)
    with seeded(5):
        network = ResNet18(PARAMS).build(2, (8, 8))
    model = run.engine.fit(network, train, PARAMS, seed=5).model
    with torch.no_grad():
        torch.testing.assert_close(surrogate.logits(unit(train)), model(unit(train)))


def test_trained_surrogate_restored_equals_the_fitted_one(train, run):
    fitted, restored = TrainedSurrogate(PARAMS), TrainedSurrogate(PARAMS)
    state = fitted.fit(train, run)
    assert all(isinstance(array, np.ndarray) and array.flags.c_contiguous for array in state.values())
    restored.restore({name: np.array(array) for name, array in state.items()}, train, run)
    x = unit(train)[:5].requires_grad_()
    assert torch.equal(fitted.features(x), restored.features(x))
    restored.logits(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(weight.grad is None and not weight.requires_grad for weight in restored.module(0).parameters())


def test_trained_surrogate_leaves_the_global_generator_unchanged(train, run):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    state = TrainedSurrogate(PARAMS).fit(train, run)
    TrainedSurrogate(PARAMS).restore(state, train, run)
    assert torch.equal(torch.rand(4), expected)


def test_trained_surrogate_raises_before_fitting(images):
    with pytest.raises(UsageError, match=r"fit\(\) or restore\(\)"):
        TrainedSurrogate(PARAMS).features(images)


def test_trained_surrogate_keeps_a_precision_set_before_fitting(train, run):
    surrogate = TrainedSurrogate(PARAMS)
    surrogate.to(torch.device("cpu"), torch.bfloat16)
    surrogate.fit(train, run)
    coarse = surrogate.features(unit(train))
    surrogate.to(torch.device("cpu"), torch.float32)
    assert not torch.equal(surrogate.features(unit(train)), coarse)


@pytest.mark.parametrize("record", list(ucbench_surrogates()), ids=lambda record: record.name)
def test_spec_paths_name_existing_classes(record):
    for path in (record.load, record.params):
        module, _, name = path.partition(":")
        assert isinstance(getattr(importlib.import_module(module), name), type)


def test_only_the_trained_surrogate_has_label_access():
    access = {record.name: record.label_access for record in ucbench_surrogates()}
    assert access == {"efficientnet-lite0": "none", "resnet18": "none", "timm": "none", "trained": "full"}


class TestUntrained:
    def surrogate(self, **options):
        return UntrainedResNet18(UntrainedParams(width=16, **options))

    def test_untrained_normalizes_inside_with_statistics_of_the_data_on_request(self):
        train = sample_images(size=(20, 28))
        network = self.surrogate(normalize="data").module(0, train)
        pixels = train.images.astype(np.float64) / 255
        np.testing.assert_allclose(network.mean.flatten(), pixels.mean((0, 2, 3)), atol=1e-5)
        plain = self.surrogate().module(0, train)
        assert not plain.mean.any()
        assert (plain.std == 1).all()

    def test_untrained_scores_equal_the_classifier_of_its_features(self):
        train = sample_images(size=(20, 28))
        network = self.surrogate(normalize="imagenet").module(0, train).eval()
        x = torch.rand(4, 3, 20, 28)
        torch.testing.assert_close(network.model.fc(network.features(x)), network(x))

    def test_untrained_depends_on_the_seed_and_requires_a_training_set(self):
        train = sample_images(size=(20, 28))
        first, second = (self.surrogate().module(seed, train).model.conv1.weight for seed in (0, 1))
        assert not torch.equal(first, second)
        with pytest.raises(UsageError, match="built for a training set"):
            self.surrogate().module(0)


def test_trained_preset_adv_poison_equals_the_published_recipe():
    params = TrainedParams.resolve("surrogate 'trained'", preset="adv-poison")
    assert (params.epochs, params.batch, params.lr, params.nesterov) == (40, 128, 0.1, True)
    assert (params.schedule, params.milestones, params.gamma) == ("step", (14, 24, 35), 0.1)


@pytest.mark.parametrize(("side", "same"), [(8, "levels"), (15, "levels"), (16, "penultimate"), (32, "penultimate")])
def test_lite0_features_auto_uses_two_levels_below_16_pixels(side, same):
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = {name: EfficientNetLite0(EfficientNetLite0Params(features=name)).features(x) for name in ("auto", same)}
    assert torch.equal(found["auto"], found[same])
