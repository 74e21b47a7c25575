"""Names of timm's models in a request: checked when cells are planned, wherever a component carries one."""

from __future__ import annotations

import socket

import pytest
import timm

from ucbench import api
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed

REQUEST = {"dataset": "digits:train_per_class=4", "poisoner": "sham", "victim": "resnet18:width=16"}


@pytest.fixture(autouse=True)
def no_weights_and_no_network(tmp_path, monkeypatch):
    def refused(*arguments, **options):
        pytest.fail("a model was built, or the network used")

    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(timm, "create_model", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.mark.parametrize("act", [api.plan, api.run])
@pytest.mark.parametrize(
    ("request_of", "text"),
    [
        ({"victim": "timm:resnt18"}, r"Victim timm:resnt18: timm .* no model 'resnt18'\. Did you mean .*'resnet18'"),
        ({"victim": "fine-tune:backbone='timm:resnt18.a1_in1k'"}, r"Victim fine-tune:.*no model 'resnt18'"),
        (
            {"poisoner": "uc", "surrogate": "timm:resnet18.a1_in1"},
            r"Surrogate timm:resnet18\.a1_in1: timm .* no weights .*\. Did you mean 'resnet18\.a1_in1k'",
        ),
        ({"poisoner": "uc", "surrogate": "ensemble:'efficientnet-lite0+timm:resnt18.a'"}, r"no model 'resnt18'"),
        ({"poisoner": "uc:student='timm:resnt18'"}, r"Poisoner uc:.*no model 'resnt18'"),
        ({"poisoner": "shuffled:'uc:student=\"timm:resnt18\"'"}, r"Poisoner uc:.*no model 'resnt18'"),
        ({"labeling": "predicted:model='timm:resnt18.a1_in1k'"}, r"Surrogate timm:resnt18.*no model 'resnt18'"),
        (
            {"poisoner": "rand-class", "craft_labels": "predicted:model='timm:resnt18.a1_in1k'"},
            r"Surrogate timm:resnt18.*no model 'resnt18'",
        ),
    ],
)
def test_unknown_model_of_timm_is_refused_before_anything_runs(request_of, text, act):
    with pytest.raises(UsageError, match=text):
        act(**REQUEST | request_of)


def test_known_models_of_timm_are_planned_without_their_weights():
    known = {"victim": "timm:test_efficientnet", "poisoner": "uc", "surrogate": "timm:resnet18.a1_in1k"}
    assert len(api.plan(**REQUEST | known | {"dataset": "digits"})) == 3


def test_records_that_name_a_model_which_timm_lost_are_still_read():
    assert str(installed().resolve("victim", "timm:resnt18")) == "timm:resnt18"
