"""The surrogate of ucbench_openclip: open_clip's own embeddings, gradients to the images and to nothing else."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from imports import imported_by
from PIL import Image
from safetensors.torch import save_file
from tiny_clips import TOWERS, config, random_clip, saved
from torch import Tensor, nn

from ucbench.errors import DataError, UsageError
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import installed
from ucbench.testing import check_surrogate
from ucbench.training.surrogate import Surrogate
from ucbench_openclip.surrogate import OpenClip

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("clips")
    return {tower: saved(home / tower, tower) for tower in TOWERS}


@pytest.fixture
def tiny(monkeypatch, tmp_path) -> str:
    """An architecture ``tiny`` that open_clip knows, with one tag of QuickGELU and a normalisation of its own."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config("transformer"))
    tag = {"url": "", "hf_hub": "someone/tiny/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"own": tag})
    torch.save(random_clip("transformer").state_dict(), tmp_path / "tiny.pt")
    return str(tmp_path / "tiny.pt")


def surrogate(reference: str, **options: Any) -> Any:
    ref = parse(reference)
    options = {**dict(ref.options), **options}
    record = installed().find("surrogate", ref.name)
    params = installed().params_class(record).resolve("surrogate", ref.preset, ref.argument, options)
    return OpenClip(params)


def random_images(side: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def unit(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float() / 255


@pytest.mark.parametrize("tower", TOWERS)
def test_features_equal_those_of_open_clip(tower, checkpoints):
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{checkpoints[tower].parent}")
    model.eval()
    images = random_images(TOWERS[tower]["image_size"])
    files = torch.stack([preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in images])
    found = surrogate("openclip", checkpoint=checkpoints[tower])
    assert isinstance(found, Surrogate)
    with torch.no_grad():
        torch.testing.assert_close(found.features(unit(images)), model.encode_image(files), rtol=1e-4, atol=1e-5)
        enlarged = torch.stack([preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in random_images(24)])
        # PIL rounds the enlarged image to 8 bits.
        similarity = torch.cosine_similarity(found.features(unit(random_images(24))), model.encode_image(enlarged))
    assert similarity.min() > 0.995


@pytest.mark.parametrize("tower", TOWERS)
def test_openclip_keeps_the_contract(tower, checkpoints):
    check_surrogate(installed().resolve("surrogate", f"openclip:checkpoint='{checkpoints[tower]}'"))


@pytest.mark.parametrize("tower", TOWERS)
def test_gradients_reach_every_image_and_no_weight(tower, checkpoints):
    found = surrogate("openclip", checkpoint=checkpoints[tower], classes="cat/dog")
    for output in (found.features, found.logits):
        x = unit(random_images(20)).requires_grad_()
        output(x).square().sum().backward()
        assert (x.grad.abs().amax((1, 2, 3)) > 0).all()
    assert all(not weight.requires_grad and weight.grad is None for weight in found.module().parameters())


def test_features_have_unit_length_only_on_request(checkpoints):
    plain = surrogate("openclip", checkpoint=checkpoints["residual"]).features(unit(random_images(64)))
    scaled = surrogate("openclip", checkpoint=checkpoints["residual"], normalize="true").features(
        unit(random_images(64))
    )
    torch.testing.assert_close(scaled, plain / plain.norm(dim=1, keepdim=True))
    assert (plain.norm(dim=1) - 1).abs().max() > 1e-3


def test_logits_equal_those_of_open_clip_for_the_prompts(checkpoints):
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{checkpoints['transformer'].parent}")
    files = torch.stack([preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in random_images(32)])
    tokens = open_clip.tokenize(["a photo of a cat.", "a photo of a sea lion."], context_length=16)
    found = surrogate("openclip", checkpoint=checkpoints["transformer"], classes="cat/sea_lion")
    with torch.no_grad():
        expected, _ = model.eval().get_logits(files, tokens)
        torch.testing.assert_close(found.logits(unit(random_images(32))), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.module(0)(unit(random_images(32))), expected, rtol=1e-4, atol=1e-4)


def test_logits_raise_without_class_names(checkpoints):
    with pytest.raises(UsageError, match=r"scores only for named classes.*classes=cat/dog"):
        surrogate("openclip", checkpoint=checkpoints["transformer"]).logits(unit(random_images(32)))


def test_bfloat16_affects_only_the_layers(checkpoints):
    found = surrogate("openclip", checkpoint=checkpoints["residual"], classes="cat/dog")
    x = unit(random_images(64))
    exact, scores = found.features(x), found.logits(x)
    found.to(torch.device("cpu"), torch.bfloat16)
    coarse = found.features(x)
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, exact)
    assert all(weight.dtype == torch.float32 for weight in found.module().parameters())
    found.to(torch.device("cpu"), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found.features(x), exact)
        assert torch.equal(found.logits(x), scores)


# Size


@pytest.mark.parametrize(("tower", "size"), [("transformer", 48), ("residual", 96), ("residual", 32), ("timm", 64)])
def test_size_option_sets_the_input_size(tower, size, checkpoints):
    found = surrogate("openclip", checkpoint=checkpoints[tower], size=size)
    enlarged = torch.nn.functional.interpolate(unit(random_images(20)), (size, size), mode="bicubic", antialias=True)
    with torch.no_grad():
        features = found.features(enlarged)
        torch.testing.assert_close(found.features(unit(random_images(20))), features, rtol=1e-3, atol=1e-4)
    other = surrogate("openclip", checkpoint=checkpoints[tower]).features(unit(random_images(20)))
    assert not torch.allclose(features, other, rtol=1e-3, atol=1e-4)


def test_size_option_interpolates_positions_of_the_attention_pool(tmp_path):
    model = random_clip("residual")
    slope = torch.linspace(-1, 1, 2).repeat(2).view(4, 1)  # rises from left to right, the same in both rows
    positions = torch.cat([torch.full((1, 256), 7.0), slope.expand(4, 256)])
    model.visual.attnpool.positional_embedding = nn.Parameter(positions)
    path = saved(tmp_path, "residual")
    save_file(model.state_dict(), path)
    pool = surrogate("openclip", checkpoint=path, size=128).module().network.visual.attnpool
    assert (pool.positional_embedding[0] == 7).all()
    grid = pool.positional_embedding[1:].view(4, 4, 256)
    torch.testing.assert_close(grid, grid[:1].expand_as(grid))
    assert (grid[:, 1:] > grid[:, :-1]).all()


def test_size_option_refuses_sizes_the_residual_tower_cannot_have(checkpoints):
    with pytest.raises(UsageError, match=r"size=90: .*multiples of 32"):
        surrogate("openclip", checkpoint=checkpoints["residual"], size=90)


# Names


def test_tag_sets_activation_and_normalisation(tiny):
    x = unit(random_images(32))
    with torch.no_grad():
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)))
        quick = random_clip("transformer", quick_gelu=True).encode_image((x - mean) / std)
        torch.testing.assert_close(surrogate("openclip:tiny/own", checkpoint=tiny).features(x), quick)
        defaults = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in defaults)
        expected = random_clip("transformer").encode_image((x - mean) / std)
        torch.testing.assert_close(surrogate("openclip:tiny", checkpoint=tiny).features(x), expected)


def test_unavailable_weights_raise_usage_error(tiny, monkeypatch):
    def offline(tag):
        assert tag["hf_hub"] == "someone/tiny/"
        raise OSError("no route to the hub")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    with pytest.raises(UsageError, match=r"'own' of tiny .*huggingface\.co/someone/tiny \(OSError: no route") as error:
        surrogate("openclip:tiny/own")
    assert str(error.value).endswith("tiny/own:checkpoint=FILE")


def test_tag_weights_are_those_open_clip_downloads(tiny, monkeypatch):
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: tiny)
    x = unit(random_images(32))
    torch.testing.assert_close(
        surrogate("openclip:tiny/own").features(x), surrogate("openclip:tiny/own", checkpoint=tiny).features(x)
    )


def test_features_work_without_a_tokenizer(checkpoints, monkeypatch):
    def offline(place):
        raise OSError("no route to the hub")

    monkeypatch.setattr(open_clip, "get_tokenizer", offline)
    surrogate("openclip", checkpoint=checkpoints["transformer"]).features(unit(random_images(32)))
    with pytest.raises(UsageError, match=r"tokenizer of local-dir:.* is not available \(OSError: no route"):
        surrogate("openclip", checkpoint=checkpoints["transformer"], classes="cat/dog")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("openclip:RN5/openai", r"no architecture 'RN5'.*'RN50'"),
        ("openclip:RN50/opnai", r"no weights 'opnai' of RN50.*Did you mean 'openai'"),
        ("openclip:RN50", r"'RN50' leaves open which weights: write ARCH/TAG"),
        ("openclip", r"no CLIP is named: write ARCH/TAG"),
        ("openclip:RN50//openai", r"'RN50//openai' is not of the form ARCH/TAG"),
    ],
)
def test_wrong_names_are_refused_with_suggestions(reference, message):
    with pytest.raises(UsageError, match=message):
        surrogate(reference)
    with pytest.raises(UsageError, match=message):  # before anything is built
        installed().resolve("surrogate", reference).params.check_names()


@pytest.mark.parametrize("name", ["RN50/openai", "ViT-B-32-quickgelu/laion400m_e32", "ViT-L-14-336/openai"])
def test_names_parse_without_quotes(name):
    resolved = installed().resolve("surrogate", f"openclip:{name}")
    assert resolved.params.clip == name
    assert str(resolved) == f"openclip:{name}"
    assert (resolved.params.architecture, resolved.params.tag) == tuple(name.split("/"))


def test_preset_uc_is_the_residual_network_of_openai():
    assert installed().resolve("surrogate", "openclip@uc").params.clip == "RN50/openai"


def test_architecture_beside_a_configuration_file_is_ambiguous(checkpoints):
    with pytest.raises(UsageError, match=r"Both 'RN50' and .*open_clip_config\.json describe"):
        surrogate("openclip:RN50", checkpoint=checkpoints["residual"])


# Random weights


def test_random_weights_are_one_network_and_named_in_key_and_note(tiny, caplog):
    first, again = (surrogate("openclip:tiny", weights="random") for _ in range(2))
    x = unit(random_images(32))
    assert torch.equal(first.features(x), again.features(x))
    params = installed().resolve("surrogate", "openclip:tiny:weights=random").params
    assert params.identity()["weights"] == first.module().note == "random weights, for tests of the plumbing"
    assert "openclip:tiny has random weights" in caplog.text


@pytest.mark.parametrize("reference", ["openclip:weights=random", "openclip:RN50/openai:weights=random"])
def test_random_weights_are_refused_where_trained_ones_are_named(reference):
    with pytest.raises(UsageError, match="weights=random goes with ARCH alone"):
        installed().resolve("surrogate", reference)


# Checkpoints


class Malicious:
    def __reduce__(self):
        return (os.system, ("true",))


def test_training_checkpoints_of_open_clip_are_unwrapped(tiny, tmp_path):
    state = {f"module.{name}": tensor for name, tensor in torch.load(tiny, weights_only=True).items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": state}, tmp_path / "epoch_3.pt")
    x = unit(random_images(32))
    nested = surrogate("openclip:tiny", checkpoint=tmp_path / "epoch_3.pt")
    assert torch.equal(nested.features(x), surrogate("openclip:tiny", checkpoint=tiny).features(x))
    assert nested.module().note == "read from the entry state_dict, without the prefix module."


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: {**state, "extra": torch.zeros(1)}, r"\(tiny\) does not fit: .*1 left over \(extra\)"),
        (lambda state: {k: v for k, v in state.items() if k != "ln_final.bias"}, r"1 missing \(ln_final\.bias\)"),
        (lambda state: {**state, "ln_final.bias": torch.zeros(3)}, r"another shape \(ln_final\.bias is \[3\]"),
        (lambda state: {**state, "logit_scale": torch.zeros(3)}, r"\(tiny\) do not fit \(RuntimeError"),
        (lambda state: {**state, "ln_final.bias": Malicious()}, "holds more than tensors"),
        (lambda state: [1, 2], "does not map names to tensors"),
    ],
)
def test_wrong_checkpoint_raises_data_error(damage, message, tiny, tmp_path):
    torch.save(damage(torch.load(tiny, weights_only=True)), tmp_path / "wrong.pt")
    with pytest.raises(DataError, match=rf"wrong\.pt.*{message}") as error:
        surrogate("openclip:tiny", checkpoint=tmp_path / "wrong.pt")
    assert str(error.value).isprintable()


def test_unreadable_files_are_named(tiny, tmp_path):
    (tmp_path / "noise.safetensors").write_bytes(b"no weights in here")
    with pytest.raises(DataError, match=r"noise\.safetensors"):
        surrogate("openclip:tiny", checkpoint=tmp_path / "noise.safetensors")
    with pytest.raises(DataError, match=r"missing\.pt: there is no such file"):
        surrogate("openclip:tiny", checkpoint=tmp_path / "missing.pt")
    with pytest.raises(DataError, match=r"open_clip_config\.json cannot be read.*Name the architecture"):
        surrogate("openclip", checkpoint=tiny)
    (tmp_path / "open_clip_config.json").write_text('{"embed_dim": 3}')
    with pytest.raises(DataError, match=r"open_clip_config\.json is not a configuration of open_clip"):
        surrogate("openclip", checkpoint=tiny)
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"embed_dim": 3}}')
    with pytest.raises(DataError, match=r"cannot build the model of .*tiny\.pt"):
        surrogate("openclip", checkpoint=tiny)


# Identity


def identity(path: Path, reference: str = "openclip") -> dict[str, Any]:
    return installed().resolve("surrogate", f"{reference}:checkpoint='{path}'").identity()


def test_key_depends_on_weights_and_configuration_not_on_paths(checkpoints, tmp_path):
    original = identity(checkpoints["transformer"])
    path = saved(tmp_path / "elsewhere", "transformer")
    assert identity(path) == original
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    changed = identity(path)
    assert changed["params"]["weights"] != original["params"]["weights"]
    described = path.with_name("open_clip_config.json")
    described.write_text(described.read_text().replace("0.25", "0.26"))
    assert identity(path)["params"]["config"] != changed["params"]["config"]
    assert str(tmp_path) not in json.dumps(identity(path))


def test_key_depends_on_the_tag_given_with_a_checkpoint(tiny):
    assert identity(Path(tiny), "openclip:tiny/own") != identity(Path(tiny), "openclip:tiny")


def test_key_of_a_missing_checkpoint_raises(tmp_path):
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "gone.pt"))):
        identity(tmp_path / "gone.pt", "openclip:RN50/openai")


def test_registration_and_params_import_neither_torch_nor_open_clip():
    found = imported_by(
        "import ucbench_openclip as plugin, ucbench_openclip.params as params;"
        "list(plugin.ucbench_surrogates()), list(plugin.ucbench_labelings());"
        "params.OpenClipParams(clip='RN50/openai').identity()"
    )
    assert found & {"torch", "open_clip", "numpy"} == set()


def test_loading_leaves_loggers_and_generators_unchanged(checkpoints, capfd):
    import logging

    state, handlers = torch.get_rng_state(), list(logging.root.handlers)
    surrogate("openclip", checkpoint=checkpoints["transformer"])
    assert torch.equal(torch.get_rng_state(), state)
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == 0
    assert capfd.readouterr().err == ""
