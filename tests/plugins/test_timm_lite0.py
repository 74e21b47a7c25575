"""EfficientNet-Lite0: its packaged weights in the right place and scale, with gradients to the images alone."""

from __future__ import annotations

import hashlib
import re

import pytest
import timm
import torch

from ucbench.errors import DataError
from ucbench.training.surrogate import Surrogate
from ucbench.training.weights import read_weights
from ucbench_timm import surrogates
from ucbench_timm.params import EfficientNetLite0Params, efficientnet_lite0_file
from ucbench_timm.surrogates import EfficientNetLite0, load_by_position


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    return EfficientNetLite0(EfficientNetLite0Params())


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0))


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


@pytest.mark.parametrize(("side", "same"), [(8, "levels"), (15, "levels"), (16, "penultimate"), (32, "penultimate")])
def test_lite0_features_auto_uses_two_levels_below_16_pixels(side, same):
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = {name: EfficientNetLite0(EfficientNetLite0Params(features=name)).features(x) for name in ("auto", same)}
    assert torch.equal(found["auto"], found[same])


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


def test_load_by_position_fits_every_tensor_or_raises():
    network = timm.create_model("test_efficientnet")
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


def test_lite0_identity_holds_the_hash_of_the_packaged_weights():
    assert EfficientNetLite0Params().identity() == {
        "size": None,
        "features": "penultimate",
        "weights": hashlib.sha256(efficientnet_lite0_file().read_bytes()).hexdigest(),
    }
