"""Exploiters with clean images of their own, and those that train by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_components as tiny

from ucbench.errors import UsageError
from ucbench.matrix.matrix import Axes, expand
from ucbench.running.runner import run_cells


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))


def cells(**changes):
    request = {"datasets": ["spots"], "poisoners": ["stripes"], "victims": ["tiny"], "labelings": ["original"]}
    return expand(Axes(**{**request, **changes}), tiny.registry())


def run(home, **changes) -> list[dict]:
    return run_cells(cells(**changes), tiny.session(home, tiny.registry()))


def test_trusted_images_are_nobodys_to_perturb_or_to_publish(tmp_path):
    session = tiny.session(tmp_path)
    chosen = cells(trusted=[9])[-1]
    data, whole = session.data(chosen), session.dataset(chosen.dataset)
    assert (len(data.train), len(data.trusted), len(whole.train)) == (27, 9, 36)
    assert session.protected(chosen).images.fingerprint == data.train.fingerprint
    both = np.concatenate([data.train.images, data.trusted.images]).reshape(36, -1)
    assert len(np.unique(both, axis=0)) == 36
    assert session.data(cells()[-1]) is whole


def test_every_row_says_how_many_and_meets_references_that_lack_them_too(tmp_path):
    records = run(tmp_path, trusted=[0, 9])
    assert [record["request"]["trusted"] for record in records] == [0] * 3 + [9] * 3
    assert [record["data"]["train_images"] for record in records] == [36] * 3 + [27] * 3
    assert len({record["cell"] for record in records}) == 6


def test_a_trainer_is_asked_for_classes_under_the_exploiters_labels(tmp_path):
    records = run(tmp_path, victims=["nearest"], trusted=[9], labelings=["original", "shifted"])
    assert {record["status"] for record in records} == {"ok"}, records[0].get("error")
    assert tiny.work_done()["fit nearest 27 9"] == 6
    for record in records:
        assert record["metrics"]["test_accuracy"] > 60
        assert record["metrics"]["cosine_gap"] is None
        assert (record["history"], record["epochs"]) == ([], None)


def test_a_trainer_that_predicts_no_class_fails_its_cell(tmp_path):
    (clean, *_) = run(tmp_path, victims=["wild"], trusted=[9])
    assert "predict() must return classes 0 to 2; got 7 to 7" in clean["error"]["text"]


def test_a_metric_that_looks_into_a_network_says_where_there_is_none(tmp_path):
    (clean, *_) = run(tmp_path, victims=["nearest"], trusted=[9], metrics=["sharpness"])
    assert "Metric sharpness reads the victim's network, and nearest shows none" in clean["error"]["text"]


def test_a_trainer_trains_on_what_was_prepared(tmp_path):
    assert {record["status"] for record in run(tmp_path, victims=["nearest"], trusted=[9], defenses=["fog"])} == {"ok"}


def test_the_epoch_is_selected_by_the_trusted_set(tmp_path):
    record = run(tmp_path, defenses=["best"], trusted=[9])[-1]
    assert record["notes"]["selected_epoch"] in (1, 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"victims": ["nearest"]}, "Victim nearest learns its labels from clean images: grant some by --trusted"),
        ({"defenses": ["best"]}, "Defense best works with clean images that the exploiter has: grant some"),
        ({"victims": ["wild"], "defenses": ["fog+dim"]}, "Victim wild trains by itself, so dim"),
        ({"trusted": [-1]}, "--trusted takes a whole number, 0 or more; got -1"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_runs(changes, text):
    with pytest.raises(UsageError, match=text):
        cells(**changes)
