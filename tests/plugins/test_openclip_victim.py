"""The victim of ucbench_openclip: the surrogate's embeddings under a new classifier, and what of it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from tiny_clips import TOWERS, config, saved

import ucbench
from ucbench.errors import UsageError
from ucbench.numerics import Numerics
from ucbench.plugins.registry import installed
from ucbench.results.records import records_in
from ucbench.testing import check_victim, sample_images
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine

RANDOM = "random weights, for tests of the plumbing"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("clips")
    return {tower: saved(home / tower, tower) for tower in TOWERS}


@pytest.fixture
def tiny(monkeypatch) -> None:
    """An architecture ``tiny`` that open_clip knows, and a tag whose weights cannot be fetched."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config("transformer"))
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"own": {"url": "", "hf_hub": "someone/tiny/"}})

    def offline(tag):
        raise OSError("no route to the hub")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)


def reference(checkpoint: Path, preset: str = "", options: str = "") -> str:
    return f"openclip-probe{preset}:checkpoint='{checkpoint}',epochs=1,batch=5{options}"


def build(written: str) -> tuple[Any, Any]:
    victim = installed().resolve("victim", written).build()
    with seeded(0):
        return victim.build(3, (10, 14)), victim


@pytest.mark.parametrize("preset", ["", "@fine-tune"])
@pytest.mark.parametrize("tower", TOWERS)
def test_openclip_probe_keeps_the_contract(tower, preset, checkpoints):
    check_victim(installed().resolve("victim", reference(checkpoints[tower], preset)), sizes=[(20, 28)])


@pytest.mark.parametrize("tower", TOWERS)
def test_openclip_probe_sees_embeddings_of_the_surrogate_at_one_length(tower, checkpoints):
    model, _ = build(reference(checkpoints[tower]))
    surrogate = installed().resolve("surrogate", f"openclip:normalize=true,checkpoint='{checkpoints[tower]}'").build()
    x = torch.rand(3, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.eval().features(x), surrogate.features(x) * 12**0.5)


@pytest.mark.parametrize("preset", ["", "@fine-tune"])
@pytest.mark.parametrize("tower", TOWERS)
def test_openclip_probe_trains_the_classifier_and_by_fine_tune_the_tower(tower, preset, checkpoints):
    model, victim = build(reference(checkpoints[tower], preset, ",lr=0.1,warmup=0"))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert not any(name.startswith(("pretrained.network.text", "pretrained.network.visual")) for name in before)
    Engine(Numerics("cpu", "float32", 1)).fit(model, sample_images(), victim.recipe, seed=0)
    changed = {name for name, weight in model.named_parameters() if not torch.equal(before[name], weight)}
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == (before.keys() if preset else {"head.weight", "head.bias"})
    assert changed <= learning
    assert len(changed) > 0.9 * len(learning)  # one step may be too short for the last bit of a weight of 1


def run(home: Path, monkeypatch, **axes: str) -> list[dict[str, Any]]:
    """Records of a tiny run of UC on digits, those of its references excluded."""
    monkeypatch.setenv("UCBENCH_HOME", str(home / "store"))
    digits = "digits:train_per_class=3,test_per_class=3"
    ucbench.run(dataset=digits, poisoner="uc:steps=1,clusters=2,width=4", out=home, device="cpu", **axes)
    return [record for record in records_in(home) if record["request"]["poisoner"].startswith("uc")]


def releases(home: Path) -> list[Path]:
    return list((home / "store" / "objects" / "release").glob("*/*"))


def test_openclip_probe_without_its_weights_fails_before_crafting(tiny, tmp_path, monkeypatch):
    (record,) = run(tmp_path, monkeypatch, victim="openclip-probe:tiny/own")
    assert record["error"]["text"].startswith("The weights 'own' of tiny are not in open_clip's cache")
    assert releases(tmp_path) == []


def test_random_weights_are_named_in_records_of_surrogate_and_victim(tiny, tmp_path, monkeypatch):
    random = {"surrogate": "openclip:tiny:weights=random", "victim": "openclip-probe:tiny:weights=random,epochs=1"}
    (record,) = run(tmp_path, monkeypatch, **random)
    assert releases(tmp_path)
    assert record["components"]["surrogate"]["params"]["weights"] == RANDOM
    assert record["components"]["victim"]["params"]["weights"] == RANDOM
    assert record["crafting"]["notes"]["surrogate_weights"] == RANDOM
    assert record["notes"]["victim_weights"] == RANDOM


def test_openclip_probe_refuses_a_normalisation_of_the_recipe(checkpoints):
    with pytest.raises(UsageError, match="normalize takes none; got 'half'"):
        installed().resolve("victim", reference(checkpoints["residual"], options=",normalize=half"))
