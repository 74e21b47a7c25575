"""The victims of ucbench_timm: the literature's networks at small sizes, ImageNet's above."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ucbench.errors import UsageError
from ucbench.training.recipe import PAPER_RECIPES, Recipe
from ucbench_timm import ucbench_victims, victims
from ucbench_timm.params import ResNetParams, TimmVictimParams, VGGParams, VictimParams, ViTParams

SMALL_CNNS = {
    "resnet18": (victims.ResNet18, ResNetParams(width=16)),
    "resnet50": (victims.ResNet50, ResNetParams(width=16)),
    "densenet121": (victims.DenseNet121, VictimParams()),
    "mobilenetv2": (victims.MobileNetV2, VictimParams()),
    "vgg16": (victims.VGG16, VGGParams()),
}
ALL = {**SMALL_CNNS, "vit-small": (victims.ViTSmall, ViTParams(width=64, depth=2))}


def build(name: str, classes: int = 10, size: tuple[int, int] = (32, 32)) -> nn.Module:
    component, params = ALL[name]
    torch.manual_seed(0)
    return component(params).build(classes, size)


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def last_map(model: nn.Module, size: tuple[int, int]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(model.eval().forward_features(torch.zeros(1, 3, *size)).shape[2:])


def test_victim_specs_name_their_components_and_params():
    records = {record.name: record for record in ucbench_victims()}
    assert set(records) == {*ALL, "timm", "fine-tune", "linear-probe"}
    for name, (component, params) in ALL.items():
        assert records[name].load == f"{component.__module__}:{component.__name__}"
        assert records[name].params.endswith(f":{type(params).__name__}")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(32, 32), (8, 8), (20, 28)])
def test_victims_train_at_small_and_odd_sizes(name, size):
    model = build(name, classes=7, size=size).train()
    logits = model(torch.randn(4, 3, *size))
    assert logits.shape == (4, 7)
    logits.square().sum().backward()
    untouched = [key for key, weight in model.named_parameters() if weight.grad is None]
    assert not untouched


@pytest.mark.parametrize("name", SMALL_CNNS)
def test_victims_are_initialised_from_the_global_generator(name):
    states = [build(name).state_dict() for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
    torch.manual_seed(1)
    component, params = ALL[name]
    other = component(params).build(10, (32, 32)).state_dict()
    same = {key for key, value in other.items() if value.ndim > 1 and torch.equal(value, states[0][key])}
    assert not same


def test_resnet18_equals_the_small_image_network_of_the_literature():
    model = victims.ResNet18(ResNetParams()).build(10, (32, 32))
    assert weights(model) == 11_173_962
    assert last_map(model, (32, 32)) == (4, 4)
    assert model.conv1.kernel_size == (3, 3)
    assert model.conv1.stride == (1, 1)
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in model.modules())
    assert all((norm.weight == 1).all() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d))


def test_resnet50_has_the_published_number_of_weights():
    assert weights(victims.ResNet50(ResNetParams()).build(10, (32, 32))) == 23_520_842


@pytest.mark.parametrize(("component", "expansion"), [(victims.ResNet18, 1), (victims.ResNet50, 4)])
def test_resnet_width_scales_stem_and_stages(component, expansion):
    model = component(ResNetParams(width=16)).build(10, (32, 32))
    assert model.conv1.out_channels == 16
    assert model.fc.in_features == 8 * 16 * expansion
    # A basic block of the stem's width needs no projection; one would mean that the stem kept another width.
    assert (model.layer1[0].downsample is None) == (expansion == 1)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "mobilenetv2"])
def test_last_map_has_an_eighth_of_the_side_up_to_64_pixels(name):
    assert last_map(build(name), (32, 32)) == (4, 4)
    assert last_map(build(name, size=(64, 40)), (64, 40)) == (8, 5)


def test_vgg_pools_as_often_as_the_image_allows():
    assert last_map(build("vgg16"), (32, 32)) == (1, 1)
    assert last_map(build("vgg16", size=(8, 8)), (8, 8)) == (1, 1)
    assert last_map(build("vgg16", size=(64, 48)), (64, 48)) == (2, 1)
    # 13 convolutions, their norms and one linear layer: no hidden layers of 4,096.
    assert weights(build("vgg16")) == 14_728_266


@pytest.mark.parametrize("size", [(8, 8), (32, 32)])
def test_vgg_width_scales_every_layer(size):
    narrow, wide = victims.VGG16(VGGParams(width=16)).build(10, size), build("vgg16", size=size)
    assert [type(layer) for layer in narrow.features] == [type(layer) for layer in wide.features]
    for thin, thick in zip(narrow.features, wide.features, strict=True):
        if isinstance(thick, nn.Conv2d):
            assert 4 * thin.out_channels == thick.out_channels
    assert narrow.eval()(torch.rand(2, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "mobilenetv2"])
def test_victims_have_imagenet_layers_above_64_pixels(name):
    assert last_map(build(name, size=(96, 96)), (96, 96)) == (3, 3)
    assert last_map(build(name, size=(65, 40)), (64, 64)) == (2, 2)


def test_vgg_is_that_of_timm_above_64_pixels(monkeypatch):
    requested = []  # not built: its head has 120 million weights
    monkeypatch.setattr(victims.timm, "create_model", lambda *args, **options: requested.append((args, options)))
    build("vgg16", size=(65, 40))
    assert requested == [(("vgg16_bn",), {"num_classes": 10, "mlp_ratio": 1.0})]


def test_resnet18_equals_that_of_timm_above_64_pixels():
    import timm

    ours = victims.ResNet18(ResNetParams()).build(10, (96, 96))
    theirs = timm.create_model("resnet18", num_classes=10)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(
    ("size", "tokens"), [((32, 32), 64), ((64, 64), 256), ((96, 96), 36), ((30, 45), 8 * 12), ((65, 65), 25)]
)
def test_vit_patches_have_side_4_or_16_by_image_size(size, tokens):
    model = build("vit-small", size=size)
    positions = next(weight for key, weight in model.named_parameters() if key.endswith("pos_embed"))
    assert positions.shape[1] == tokens + 1
    with torch.no_grad():
        assert model(torch.randn(1, 3, *size)).shape == (1, 10)


def test_vit_small_has_the_published_number_of_weights():
    model = victims.ViTSmall(ViTParams()).build(10, (32, 32))
    assert weights(model) == 21_342_346
    assert model.blocks[0].attn.num_heads == 6


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_timm_victim_takes_the_size_of_the_images(name):
    model = victims.TimmVictim(TimmVictimParams(model=name)).build(5, (32, 48))
    with torch.no_grad():
        assert model.eval()(torch.randn(2, 3, 32, 48)).shape == (2, 5)


def test_timm_victim_resnet18_keeps_its_stem():
    model = victims.TimmVictim(TimmVictimParams(model="resnet18")).build(10, (32, 32))
    assert last_map(model, (32, 32)) == (1, 1)


def test_timm_victim_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"no model 'resnt18'.*Did you mean .*'resnet18'"):
        victims.TimmVictim(TimmVictimParams(model="resnt18"))


def test_timm_victim_refuses_sizes_of_other_architectures():
    with pytest.raises(UsageError, match="cannot build nest_tiny for images of 32x48"):
        victims.TimmVictim(TimmVictimParams(model="nest_tiny")).build(5, (32, 48))


def test_timm_victim_refuses_pretrained_weights():
    with pytest.raises(UsageError, match="write 'resnet18'"):
        TimmVictimParams.resolve("victim timm", argument="resnet18.a1_in1k")


def test_timm_victim_takes_the_model_as_argument():
    assert TimmVictimParams.resolve("victim timm", argument="resnet18").model == "resnet18"
    with pytest.raises(UsageError, match="model is required"):
        TimmVictimParams.resolve("victim timm")


@pytest.mark.parametrize("params", [VictimParams, ResNetParams, ViTParams])
@pytest.mark.parametrize("preset", PAPER_RECIPES)
def test_presets_equal_published_recipes(params, preset):
    ours = params.resolve("victim", preset=preset).model_dump()
    paper = Recipe(**PAPER_RECIPES[preset]).model_dump()
    assert {key: ours[key] for key in paper} == paper


def test_preset_quick_is_shorter_than_standard():
    assert ResNetParams.resolve("victim", preset="quick").epochs < ResNetParams.resolve("victim").epochs


@pytest.mark.parametrize("options", [{"width": "63"}, {"width": "8"}, {"depth": "2"}])
def test_resnet_params_out_of_range_are_refused(options):
    with pytest.raises(UsageError):
        ResNetParams.resolve("victim 'resnet18'", options=options)


def test_victim_recipe_is_its_params():
    params = ResNetParams(width=16, epochs=3)
    assert victims.ResNet18(params).recipe is params
