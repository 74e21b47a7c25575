"""Victims with pretrained weights: what is frozen stays to the bit, and the network sees what its surrogate sees."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from imports import imported_by
from torch import nn

from ucbench.errors import DataError, UsageError
from ucbench.numerics import Numerics
from ucbench.plugins.specs import VictimSpec
from ucbench.store.keys import sha256_of
from ucbench.testing import check_victim, sample_images
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.normalized import normalized
from ucbench.training.recipe import PAPER_RECIPES, Recipe
from ucbench_timm import ucbench_victims
from ucbench_timm.params import (
    EfficientNetLite0Params,
    FineTuneParams,
    LinearProbeParams,
    TimmSurrogateParams,
    efficientnet_lite0_file,
)
from ucbench_timm.pretrained_victims import FineTune, LinearProbe, PretrainedClassifier
from ucbench_timm.surrogates import EfficientNetLite0, TimmSurrogate

MODEL = "test_efficientnet"  # timm's own miniature of six stages, the stem among them
STAGES = ["conv_stem|bn1", *(f"blocks.{number}" for number in range(5))]
HARSH = {"epochs": 1, "batch": 5, "weight_decay": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Checkpoints of the miniature, with a classifier of 7 and without one, and of a transformer."""
    home = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = timm.create_model(MODEL, num_classes=7)
    with torch.no_grad():  # statistics as if it had been trained: neither 0 nor 1
        for _ in range(3):
            network.train()(torch.randn(8, 3, 32, 32))
    torch.save(network.state_dict(), home / "seven.pt")
    network.reset_classifier(0)
    torch.save(network.state_dict(), home / "headless.pt")
    torch.save(timm.create_model("test_vit", num_classes=4, img_size=32).state_dict(), home / "vit.pt")
    return home


@pytest.fixture
def small(folder) -> dict[str, object]:
    return {"backbone": f"timm:{MODEL}", "checkpoint": folder / "seven.pt", "size": 32}


def build(victim: FineTune | LinearProbe, classes: int = 3) -> PretrainedClassifier:
    with seeded(0):
        return victim.build(classes, (10, 14))


def fine_tune(small, **options) -> FineTune:
    return FineTune(FineTuneParams(**{**small, **HARSH, **options}))


def linear_probe(small, **options) -> LinearProbe:
    return LinearProbe(LinearProbeParams(**{**small, **HARSH, **options}))


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def changed_by_an_epoch(victim: FineTune | LinearProbe) -> dict[str, bool]:
    """By name of weight or statistic, in the network's own names and ``head.*``: whether an epoch changed a bit."""
    model = build(victim)
    before = copied(model)
    Engine(Numerics("cpu", "float32", 1)).fit(model, sample_images(), victim.recipe, seed=0)
    names = {name: name.removeprefix("pretrained.network.") for name in before}
    return {names[name]: not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items()}


def stage_of(name: str) -> int:
    """Number of the stage of a weight of the miniature; what follows the blocks belongs to the last."""
    for number, starts in enumerate(STAGES):
        if any(name.startswith(f"{start}.") for start in starts.split("|")):
            return number
    return len(STAGES) - 1


# What is frozen


def test_linear_probe_changes_no_weight_or_statistic_of_its_backbone(small):
    changed = changed_by_an_epoch(linear_probe(small))
    assert {name for name, changes in changed.items() if changes} == {"head.weight", "head.bias"}
    assert any(name.endswith("running_var") for name in changed)


@pytest.mark.parametrize(("options", "frozen"), [({"stages": 1}, 1), ({}, 3), ({"stages": 5}, 5)])
def test_fine_tune_shallow_freezes_first_stages_and_trains_the_others(small, options, frozen):
    changed = changed_by_an_epoch(fine_tune(small, frozen="shallow", lr=0.1, warmup=0, **options))
    assert changed.pop("head.weight")
    assert changed.pop("head.bias")
    changed = {name: changes for name, changes in changed.items() if name not in ("pretrained.mean", "pretrained.std")}
    assert changed == {name: stage_of(name) >= frozen for name in changed}


def test_fine_tune_trains_everything_without_frozen_stages(small):
    changed = changed_by_an_epoch(fine_tune(small, lr=0.1, warmup=0))
    assert {name for name, changes in changed.items() if not changes} == {"pretrained.mean", "pretrained.std"}


def test_linear_probe_backbone_stays_in_eval_mode(small):
    model = build(linear_probe(small))
    engine = Engine(Numerics("cpu", "float32", 1))
    for call in (model.train, lambda: model.eval().train(), lambda: engine.predict(model.train(), sample_images())):
        call()
        assert model.training
        assert model.head.training
        assert not any(module.training for module in model.pretrained.modules())
    assert not any(module.training for module in model.eval().modules())


def test_fine_tune_frozen_stages_are_in_eval_mode_and_others_in_train_mode(small):
    network = build(fine_tune(small, frozen="shallow")).pretrained.network  # as built, before any call of train()
    modes = {name: module.training for name, module in network.named_modules()}
    assert not any(
        mode for name, mode in modes.items() if name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1"))
    )
    assert all(mode for name, mode in modes.items() if name.startswith(("blocks.2", "blocks.4", "conv_head", "bn2")))


def test_fine_tune_gradients_reach_images_and_only_unfrozen_weights(small):
    model = build(fine_tune(small, frozen="shallow")).train()
    x = torch.rand(3, 3, 10, 14, requires_grad=True)
    model(x).square().sum().backward()
    assert (x.grad.abs().amax((1, 2, 3)) > 0).all()
    for name, weight in model.pretrained.network.named_parameters():
        assert weight.requires_grad == (weight.grad is not None) == (stage_of(name) >= 3), name


def test_optimizer_keeps_no_momentum_of_frozen_weights(small):
    model = build(linear_probe(small))
    stepper = Engine(Numerics("cpu", "float32", 1)).stepper(model, lr=0.1, clip_norm=1.0)
    stepper.step(torch.rand(4, 3, 10, 14), torch.tensor([0, 1, 2, 0]))
    momenta = {name for name in stepper.state() if name.startswith("momentum.")}
    assert momenta == {"momentum.head.weight", "momentum.head.bias"}


def test_fine_tune_shallow_freezes_tokens_positions_and_first_blocks(folder):
    options = {"backbone": "timm:test_vit", "checkpoint": folder / "vit.pt", "size": 32, "frozen": "shallow"}
    model = build(FineTune(FineTuneParams(**options)))
    learning = {name for name, weight in model.pretrained.network.named_parameters() if weight.requires_grad}
    starts = {".".join(name.split(".")[:2]) for name in learning}
    assert starts == {"blocks.2", "blocks.3", "blocks.4", "blocks.5", "norm.weight", "norm.bias"}


# What the network sees


def test_default_backbone_features_equal_the_default_surrogate():
    surrogate = EfficientNetLite0(EfficientNetLite0Params())
    victim = LinearProbe(LinearProbeParams())
    model = build(victim).eval()
    x = torch.rand(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model.features(x), surrogate.features(x))
        whole = normalized(model, victim.recipe.normalize, sample_images()).eval()
        torch.testing.assert_close(whole(x), model.head(surrogate.features(x)))


@pytest.mark.parametrize("size", [(10, 14), (40, 32), (33, 7)])
@pytest.mark.parametrize("checkpoint", ["seven.pt", "headless.pt"])
def test_timm_backbone_features_equal_its_surrogate(small, folder, checkpoint, size):
    small["checkpoint"] = folder / checkpoint
    surrogate = TimmSurrogate(TimmSurrogateParams(model=MODEL, checkpoint=folder / checkpoint, size=32))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for victim in (linear_probe(small), fine_tune(small)):
            assert torch.equal(build(victim).eval().features(x), surrogate.features(x))


def test_preprocessing_is_applied_once(small, folder):
    network = timm.create_model(MODEL, num_classes=7).eval()
    network.load_state_dict(torch.load(folder / "seven.pt"))
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    x = torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    victim = fine_tune(small)
    model = build(victim)
    with torch.no_grad():
        larger = nn.functional.interpolate(x, (32, 32), mode=config["interpolation"], antialias=True)
        expected = network.forward_head(network.forward_features((larger - mean) / std), pre_logits=True)
        found = normalized(model, victim.recipe.normalize, sample_images()).eval()(x)
        torch.testing.assert_close(found, model.head(expected), rtol=1e-4, atol=1e-5)


def test_network_computes_in_the_precision_of_autocast(small):
    model = build(linear_probe(small))
    x = torch.rand(2, 3, 10, 14)
    assert model.features(x).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.features(x).dtype == torch.bfloat16


# Weights


def test_backbone_equals_the_checkpoint_without_its_classifier(small, folder):
    stored = torch.load(folder / "seven.pt")
    model = build(fine_tune(small), classes=5)
    loaded = model.pretrained.network.state_dict()
    assert set(stored) - set(loaded) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(tensor, stored[name]) for name, tensor in loaded.items())
    assert model.head.out_features == 5


def test_every_build_starts_from_the_pretrained_weights(small):
    victim = fine_tune(small, lr=0.1)
    first = build(victim)
    before = copied(first)
    Engine(Numerics("cpu", "float32", 1)).fit(first, sample_images(), victim.recipe, seed=0)
    again = copied(build(victim))
    assert all(torch.equal(before[name], again[name]) for name in before)


def test_checkpoint_with_other_tensors_is_refused(small, tmp_path):
    state = torch.load(small["checkpoint"])
    del state["blocks.0.0.conv.weight"]
    state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"1 missing \(blocks.0.0.conv.weight\); 1 left over \(extra\)"):
        build(linear_probe({**small, "checkpoint": tmp_path / "other.pt"}))


# Contract, parameters, identity


@pytest.mark.parametrize("frozen", [None, "none", "shallow"], ids=["probe", "whole", "shallow"])
def test_pretrained_victims_keep_the_contract(small, frozen):
    victim = linear_probe(small) if frozen is None else fine_tune(small, frozen=frozen)
    check_victim(victim, spec=VictimSpec(name="pretrained", summary="", load=""))


def test_pretrained_victim_specs_name_components_and_tier():
    records = {record.name: record for record in ucbench_victims()}
    for name, component, params in (
        ("fine-tune", FineTune, FineTuneParams),
        ("linear-probe", LinearProbe, LinearProbeParams),
    ):
        record = records[name]
        assert record.load == f"{component.__module__}:{component.__name__}"
        assert record.params == f"{params.__module__}:{params.__name__}"
        assert record.summary.startswith("T4: ")
        assert not record.opaque


def test_recipes_are_gentle_for_pretrained_weights():
    standard = FineTuneParams.resolve("victim 'fine-tune'")
    assert standard.lr < Recipe().lr
    assert FineTuneParams.resolve("victim 'fine-tune'", preset="quick").epochs < standard.epochs
    vit = FineTuneParams.resolve("victim 'fine-tune'", preset="vit")
    assert (vit.weight_decay, vit.clip_norm, vit.lr) == (0, 1, standard.lr)
    assert LinearProbeParams().weight_decay == 0


@pytest.mark.parametrize("params", [FineTuneParams, LinearProbeParams])
def test_presets_exclude_recipes_from_scratch(params):
    assert not set(PAPER_RECIPES) & set(params.preset_names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frozen": "deep"}, "none or shallow"),
        ({"frozen": "shallow", "stages": "0"}, "at least 1"),
        ({"stages": "2"}, "frozen is none"),
        ({"normalize": "half"}, "normalize takes none; got 'half'"),
        ({"backbone": "resnet18"}, "efficientnet-lite0 or timm:NAME, not 'resnet18'"),
        ({"backbone": "timm:"}, "efficientnet-lite0 or timm:NAME, not 'timm:'"),
        ({"backbone": "timm:resnet18"}, "backbone 'timm:resnet18'.*leaves open which weights"),
        ({"checkpoint": "weights.pt"}, "comes with its weights"),
        ({"size": "16"}, "at least 32"),
    ],
)
def test_params_refuse_invalid_combinations(options, message):
    with pytest.raises(UsageError, match=message):
        FineTuneParams.resolve("victim 'fine-tune'", options=options)


@pytest.mark.parametrize("stages", [6, 7])
def test_fine_tune_refuses_to_freeze_every_stage(small, stages):
    with pytest.raises(UsageError, match=f"timm:{MODEL} has 6 stages, of which fine-tune can freeze 5, not {stages}"):
        build(fine_tune(small, frozen="shallow", stages=stages))


def test_fine_tune_of_an_undivided_network_requires_frozen_none(small, monkeypatch):
    monkeypatch.delattr(timm.models.EfficientNet, "group_matcher")
    with pytest.raises(UsageError, match=rf"divide timm:{MODEL} into stages\. Fine-tune it with frozen=none"):
        build(fine_tune(small, frozen="shallow"))
    build(fine_tune(small))


def test_identity_depends_on_content_of_weights_not_on_path(small, tmp_path):
    elsewhere = tmp_path / "copy.pt"
    elsewhere.write_bytes(Path(small["checkpoint"]).read_bytes())
    first = fine_tune(small).recipe.identity()
    assert first == fine_tune({**small, "checkpoint": elsewhere}).recipe.identity()
    assert first["weights"] == sha256_of(elsewhere)
    assert first["backbone"] == f"timm:{MODEL}"
    elsewhere.write_bytes(b"others")
    assert first != fine_tune({**small, "checkpoint": elsewhere}).recipe.identity()


def test_identity_of_the_default_holds_the_hash_of_the_packaged_weights():
    assert LinearProbeParams().identity()["weights"] == sha256_of(efficientnet_lite0_file())
    assert "weights" not in LinearProbeParams(backbone="timm:resnet18.tv_in1k").identity()


def test_keys_import_no_torch():
    found = imported_by(
        "from ucbench_timm.params import *; FineTuneParams().identity(); LinearProbeParams().identity()"
    )
    assert found & {"torch", "timm", "numpy"} == set()
