"""Exploiters with clean images of their own, and those that train by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_components as tiny
import torch

from ucbench.errors import UsageError
from ucbench.leaderboard.earlier import earlier_versions
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins.specs import MetricSpec
from ucbench.results.records import current
from ucbench.running.runner import run_cells
from ucbench.running.tasks import facts, task_of

pytestmark = pytest.mark.usefixtures("tiny_log")


def cells(**changes):
    request = {"datasets": ["spots"], "poisoners": ["stripes"], "victims": ["tiny"], "labelings": ["original"]}
    return expand(Request(**{**request, **changes}), tiny.registry())


def run(home, **changes) -> list[dict]:
    return run_cells(cells(**changes), tiny.session(home, tiny.registry()))


def test_trusted_images_are_neither_perturbed_nor_published(tmp_path):
    session = tiny.session(tmp_path)
    chosen = cells(trusted=[9])[-1]
    data, whole = session.data(chosen), session.dataset(chosen.dataset)
    assert (len(data.train), len(data.trusted), len(whole.train)) == (27, 9, 36)
    assert session.protected(chosen).images.fingerprint == data.train.fingerprint
    both = np.concatenate([data.train.images, data.trusted.images]).reshape(36, -1)
    assert len(np.unique(both, axis=0)) == 36
    assert session.data(cells()[-1]) is whole


def test_row_states_trusted_count_and_uses_matching_references(tmp_path):
    records = run(tmp_path, trusted=[0, 9])
    assert [record["request"]["trusted"] for record in records] == [0] * 3 + [9] * 3
    assert [record["data"]["train_images"] for record in records] == [36] * 3 + [27] * 3
    assert len({record["cell"] for record in records}) == 6


@pytest.mark.parametrize(
    ("changes", "read"),
    [({"victims": ["nearest"]}, True), ({"defenses": ["best"]}, True), ({}, False)],
    ids=["trainer", "defense", "network-alone"],
)
def test_key_has_the_trusted_images_where_something_can_read_them(tmp_path, monkeypatch, changes, read):
    cell = cells(trusted=[9], **changes)[-1]
    session = tiny.session(tmp_path)
    before, data = task_of(cell, session), session.data(cell)
    load = tiny.Spots.load

    def altered(self, split):
        images = load(self, split)
        pixels = images.images.copy()
        if split == "train":
            pixels[data.trusted.part.rows[0]] ^= 1
        return images.with_images(pixels)

    monkeypatch.setattr(tiny.Spots, "load", altered)
    other = tiny.session(tmp_path)
    after = task_of(cell, other)
    assert other.data(cell).train.fingerprint == data.train.fingerprint
    assert other.data(cell).trusted.fingerprint != data.trusted.fingerprint
    assert (after.key != before.key) == read
    assert facts(before, session)["data"].get("trusted") == (data.trusted.fingerprint if read else None)


def test_record_whose_key_has_the_number_of_trusted_images_alone_is_an_earlier_one(tmp_path):
    cell = cells(victims=["nearest"], trusted=[9])[-1]
    record = run(tmp_path, victims=["nearest"], trusted=[9])[-1]
    data = record["data"]
    key = cell.key(record["release"], data["train"], data["test"], tiny.CPU)
    older = {**record, "cell": key, "data": {name: data[name] for name in data if name != "trusted"}}
    assert key != record["cell"]
    assert earlier_versions(older, cell, tiny.CPU) == ["trusted images by number alone"]
    assert earlier_versions(record, cell, tiny.CPU) == []
    assert current([older, record]) == [record]


def test_trainer_predicts_classes_of_the_exploiter_labels(tmp_path):
    records = run(tmp_path, victims=["nearest"], trusted=[9], labelings=["original", "shifted"])
    assert {record["status"] for record in records} == {"ok"}, records[0].get("error")
    assert tiny.work_done()["fit nearest 27 9"] == 6
    for record in records:
        assert record["metrics"]["test_accuracy"] > 60
        assert record["metrics"]["cosine_gap"] is None
        assert (record["history"], record["epochs"]) == ([], None)


def test_trainer_that_modifies_trusted_images_fails_its_cell(tmp_path, monkeypatch):
    def fit(self, train, trusted, run):
        torch.from_numpy(trusted.images)[0] = 0

    monkeypatch.setattr(tiny.exploiter.Nearest, "fit", fit)
    (clean, *_) = run(tmp_path, victims=["nearest"], trusted=[9])
    assert clean["error"]["type"] == "ContractError"
    assert "modified its input images" in clean["error"]["text"]


def test_record_has_the_versions_of_a_trainer_outside_this_process(tmp_path):
    outside, inside = (run(tmp_path, victims=[victim], trusted=[9])[0]["environment"] for victim in ("nearest", "tiny"))
    assert outside.pop("trainers") == {"nearest": {"python": "3.99.0"}}
    assert outside == inside


def test_trainer_predicting_invalid_classes_fails_its_cell(tmp_path):
    (clean, *_) = run(tmp_path, victims=["wild"], trusted=[9])
    assert "predict() must return classes 0 to 2; got 7 to 7" in clean["error"]["text"]


def test_metric_of_a_network_trains_no_finished_cell_again_without_a_network(tmp_path):
    planned = cells(victims=["nearest"], trusted=[9])
    session = tiny.session(tmp_path, tiny.registry())
    run_cells(planned, session)
    trained = tiny.work_done()["fit nearest 27 9"]
    metric = session.registry.resolve(MetricSpec, "sharpness")
    (clean, *_) = run_cells([replace(cell, metrics=(metric,)) for cell in planned], session)
    assert "Metric sharpness reads the victim's network, which nearest does not show" in clean["error"]["text"]
    assert tiny.work_done()["fit nearest 27 9"] == trained


def test_trainer_receives_prepared_images(tmp_path):
    assert {record["status"] for record in run(tmp_path, victims=["nearest"], trusted=[9], defenses=["fog"])} == {"ok"}


def test_epoch_is_selected_on_the_trusted_set(tmp_path):
    record = run(tmp_path, defenses=["best"], trusted=[9])[-1]
    assert record["notes"]["selected_epoch"] in (1, 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"victims": ["nearest"]}, "Victim nearest learns its labels from clean images: add --trusted"),
        ({"defenses": ["best"]}, "Defense best uses clean images of the exploiter: add --trusted"),
        ({"victims": ["wild"], "defenses": ["fog+dim"]}, "Victim wild trains by itself, so it cannot use defense dim"),
        (
            {"victims": ["tiny", "nearest"], "trusted": [9], "metrics": ["change", "sharpness"]},
            "Metric sharpness reads the victim's network, which nearest does not show",
        ),
        ({"trusted": [-1]}, "--trusted takes a whole number, 0 or more; got -1"),
    ],
)
def test_incompatible_components_raise_before_the_run(changes, text):
    with pytest.raises(UsageError, match=text):
        cells(**changes)
