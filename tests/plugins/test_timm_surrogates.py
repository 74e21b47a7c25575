"""``timm:MODEL``: checkpoints of every format, networks by name, and the keys of both."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from imports import imported_by
from safetensors.torch import save_file
from torch import nn

from ucbench.errors import DataError, UsageError
from ucbench.store.keys import sha256_of
from ucbench_timm import ucbench_surrogates
from ucbench_timm.params import TimmSurrogateParams
from ucbench_timm.surrogates import TimmSurrogate

MODEL = "test_efficientnet"  # timm's own miniature, 160 px


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(MODEL, num_classes=7).eval()


def timm_surrogate(path: Path, model: str = MODEL, **options: int) -> TimmSurrogate:
    return TimmSurrogate(TimmSurrogateParams(model=model, checkpoint=path, **options))


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


def test_timm_identity_of_hub_weights_is_their_full_name():
    assert TimmSurrogateParams(model="resnet18.tv_in1k").identity() == {
        "model": "resnet18.tv_in1k",
        "size": None,
    }


def test_timm_identity_names_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"missing\.pt"):
        TimmSurrogateParams(model=MODEL, checkpoint=tmp_path / "missing.pt").identity()


def test_only_the_trained_surrogate_has_label_access():
    access = {record.name: record.label_access for record in ucbench_surrogates()}
    assert access == {"efficientnet-lite0": "none", "resnet18": "none", "timm": "none", "trained": "full"}


def test_listing_and_keys_import_no_torch():
    listing = imported_by("import ucbench_timm as it; [*it.ucbench_victims(), *it.ucbench_surrogates()]")
    assert listing & {"torch", "timm", "numpy", "pydantic"} == set()
    keys = imported_by(
        "from ucbench_timm.params import *; EfficientNetLite0Params().identity(); ViTParams().identity()"
    )
    assert keys & {"torch", "timm", "numpy"} == set()
