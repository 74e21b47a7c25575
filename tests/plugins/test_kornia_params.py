"""Which of kornia's classes and options there are, and what of them is in a key."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from imports import imported_by

from ucbench import UsageError, versions
from ucbench.cli.app import main
from ucbench.plugins.registry import installed
from ucbench_kornia.catalogue import augmentations, options_of

kornia = pytest.importorskip("kornia", reason="needs kornia: pip install 'kornia>=0.9,<0.10'")


def built(reference: str):
    return installed().resolve("defense", f"kornia:{reference}").build()


def identity(reference: str) -> dict:
    return installed().resolve("defense", f"kornia:{reference}").params.identity()


class TestCatalogue:
    def test_kornia_every_two_dimensional_class_is_listed_or_refused_with_a_reason(self) -> None:
        exported = {
            name
            for name, member in vars(kornia.augmentation).items()
            if inspect.isclass(member)
            and member.__module__.startswith("kornia.augmentation._2d.")
            and not member.__module__.endswith(".base")
        }
        exported |= {"AutoAugment", "RandAugment", "TrivialAugment"}
        assert set(augmentations()) < exported
        assert len(exported) - len(augmentations()) == 9
        for name in exported - set(augmentations()):
            with pytest.raises(UsageError, match=f"{name} cannot be a defense: it"):
                options_of(name)

    @pytest.mark.parametrize("name", augmentations())
    def test_kornia_options_are_those_of_the_constructor_with_its_defaults(self, name: str) -> None:
        package = kornia.augmentation
        signature = inspect.signature(getattr(package, name, None) or getattr(package.auto, name))
        for key, option in options_of(name).items():
            default = signature.parameters[key].default
            assert option.default == (... if default is inspect.Parameter.empty else default)

    def test_kornia_unknown_class_suggests_the_nearest(self) -> None:
        with pytest.raises(UsageError, match=r"no augmentation 'RandomPerspektive'\. Did you mean 'RandomPerspective'"):
            built("RandomPerspektive")

    def test_kornia_unknown_option_suggests_the_nearest_of_its_class(self) -> None:
        with pytest.raises(
            UsageError, match=r"RandomPerspective has no parameter 'distorsion'\. Did you mean 'distort"
        ):
            built("RandomPerspective:distorsion=0.3")

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("RandomAffine", "degrees is required"),
            ("RandomHue:hue=0.1", "hue takes 2 numbers separated by slashes"),
            (
                "RandomPerspective:distortion_scale=much",
                "distortion_scale takes numbers separated by slashes or a number; got 'much'",
            ),
            ("RandomErasing:p=1.5", "p takes a number, at least 0 and at most 1; got '1.5'"),
            ("RandomErasing:same_on_batch=true", "no parameter 'same_on_batch'"),
        ],
    )
    def test_kornia_wrong_options_are_refused_while_planning(self, reference: str, problem: str) -> None:
        with pytest.raises(UsageError, match=problem):
            identity(reference)

    def test_kornia_without_a_class_says_what_to_write(self) -> None:
        with pytest.raises(UsageError, match="needs the name of an augmentation: kornia:RandomPerspective"):
            installed().resolve("defense", "kornia")

    def test_kornia_show_lists_classes_and_the_options_of_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        def shown(reference: str) -> dict:
            assert main(["show", "defense", reference, "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        assert shown("kornia")["arguments"] == list(augmentations())
        options = {row["name"]: row for row in shown("kornia:RandomAffine")["parameters"]}
        assert options["degrees"]["required"]
        assert options["p"]["default"] == 0.5
        (degrees,) = (row for row in shown("kornia:RandomAffine:degrees=5")["parameters"] if row["name"] == "degrees")
        assert degrees["value"] == 5

    def test_kornia_planning_imports_neither_torch_nor_kornia(self) -> None:
        found = imported_by(
            "from ucbench.plugins.registry import installed;"
            "from ucbench_kornia.catalogue import augmentations; assert 'RandomAffine' in augmentations();"
            "installed().resolve('defense', 'kornia:RandomAffine:degrees=10').key_text"
        )
        assert found & {"torch", "kornia"} == set()


class TestIdentity:
    def test_kornia_identity_has_options_defaults_and_the_installed_version(self) -> None:
        assert identity("RandomPerspective:distortion_scale=0.3") == {
            "augmentation": "RandomPerspective",
            "distortion_scale": 0.3,
            "resample": "BILINEAR",
            "align_corners": False,
            "p": 0.5,
            "sampling_method": "basic",
            "kornia": kornia.__version__,
        }

    def test_kornia_identity_differs_for_another_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = identity("RandomHue")
        monkeypatch.setitem(versions(), "kornia", "0.8.3")
        assert identity("RandomHue") == {**here, "kornia": "0.8.3"}

    def test_kornia_identity_is_the_same_for_a_default_that_is_written_out(self) -> None:
        assert identity("RandomErasing:scale=0.02/0.33,p=0.5") == identity("RandomErasing")

    def test_kornia_identity_names_the_gate_only_where_it_is_the_batch(self) -> None:
        assert "gate" not in identity("RandomCutMixV2:gate=image")
        assert identity("RandomCutMixV2:gate=batch") == {**identity("RandomCutMixV2"), "gate": "batch"}
        with pytest.raises(UsageError, match="no parameter 'gate'"):
            identity("RandomAffine:degrees=10,gate=batch")

    def test_kornia_values_are_converted_by_annotation(self) -> None:
        affine = (
            installed().resolve("defense", "kornia:RandomAffine:degrees=-10/20,translate=0.1/0.2,shear=none").params
        )
        assert affine.options == {"degrees": (-10.0, 20.0), "translate": (0.1, 0.2), "shear": None}
        crop = installed().resolve("defense", "kornia:RandomCrop:padding=4,pad_if_needed=true,fill=0.5").params
        assert crop.options == {"padding": 4, "pad_if_needed": True, "fill": 0.5}

    @pytest.mark.parametrize(
        ("reference", "probe"),
        [
            ("RandomPlanckianJitter:select_from=0/3/5", lambda module: len(module.pl) == 3),
            ("ColorJitter:brightness=0.2,order=1/0", lambda module: module._fixed_order == (1, 0)),
            ("RandomGrayscale:rgb_weights=0.2/0.3/0.5", lambda module: module.rgb_weights.tolist()[2] == 0.5),
            ("AutoAugment:policy=cifar10", lambda module: len(module) == 25),
            ("RandomAffine:degrees=5,resample=nearest", lambda module: module.flags["resample"].name == "NEAREST"),
        ],
    )
    def test_kornia_takes_lists_tensors_and_enums(self, reference: str, probe: Callable[[Any], bool]) -> None:
        assert probe(built(reference)._module((8, 8)))
