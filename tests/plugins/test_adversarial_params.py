"""Parameters of adversarial training and of robust accuracy: presets, radii by norm, keys."""

from __future__ import annotations

import pytest

from ucbench import UsageError
from ucbench.plugins.registry import installed
from ucbench_adversarial.params import AdversarialTrainingParams

ATTACKS = [("defense", "adv-train"), ("metric", "robust-accuracy")]


class TestParameters:
    @pytest.mark.parametrize(
        ("written", "units"),
        [
            ("adv-train", (8, 10, 2.0)),
            ("adv-train:4", (4, 10, 1.0)),
            ("adv-train:epsilon=4,steps=5", (4, 5, 1.0)),
            ("at@mi-ue-2", (2, 10, 2.0)),
            ("at@mi-ue-4", (4, 10, 2.0)),
            ("at@mi-ue-6", (6, 10, 2.0)),
            ("at@mi-ue-8", (8, 10, 2.0)),
            ("at@rem", (4, 10, 0.8)),
            ("at@rem:through=true", (4, 10, 0.8)),
            ("at@fast", (8, 1, 10.0)),
            ("at@trades", (8, 10, 8 * 0.226)),
        ],
    )
    def test_presets_set_radius_steps_and_step_length(self, written, units):
        params = installed().resolve("defense", written).params
        assert params.norm == "linf"
        assert (params.epsilon, params.steps, params.step * params.epsilon) == pytest.approx(units)

    @pytest.mark.parametrize(("kind", "name"), ATTACKS)
    def test_params_default_radius_follows_the_norm(self, kind, name):
        def epsilon(text):
            return installed().resolve(kind, f"{name}{text}").params.identity()["epsilon"]

        assert epsilon(":norm=l2") == epsilon("@quick:norm=l2") == 0.5
        assert epsilon(":norm=l2,epsilon=1.5") == epsilon(":1.5:norm=l2") == 1.5
        assert epsilon("") == epsilon(":norm=linf") == 8

    @pytest.mark.parametrize("written", ["adv-train@rem:norm=l2", "adv-train@l2-0.5:norm=linf"])
    def test_params_refuse_a_preset_radius_for_another_norm(self, written):
        with pytest.raises(UsageError, match="epsilon"):
            installed().resolve("defense", written)
        assert installed().resolve("defense", f"{written},epsilon=1").params.epsilon == 1

    @pytest.mark.parametrize("radius", [0.25, 0.5, 0.75])
    def test_presets_of_l2_set_norm_and_radius(self, radius):
        params = installed().resolve("defense", f"adv-train@l2-{radius}").params
        assert (params.norm, params.epsilon, params.steps, params.step) == ("l2", radius, 10, 0.25)

    def test_identity_names_through_only_where_it_is_true(self):
        plain, through = (AdversarialTrainingParams(through=value).identity() for value in (False, True))
        assert "through" not in plain
        assert through == {**plain, "through": True}

    @pytest.mark.parametrize(("kind", "name"), ATTACKS)
    def test_params_refuse_a_linf_radius_on_the_unit_scale(self, kind, name):
        with pytest.raises(UsageError, match="8-bit units"):
            installed().resolve(kind, f"{name}:epsilon=0.031")

    def test_spec_states_tier_t2_without_oracle(self):
        record = installed().resolve("defense", "adv-train").spec
        assert (record.tier, record.oracle) == ("T2", False)
