"""Vertex AI against a local stand-in of its REST interface and of the bucket: what is sent, and what is left there."""

from __future__ import annotations

import csv
import gc
import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from stub_service import Call, serving

import ucbench_cloud.vertex as vertex
from ucbench import UcbenchError, UsageError, VictimSpec, installed
from ucbench.testing import sample_images
from ucbench.testing.samples import make_run
from ucbench_cloud import service

PARENT = "projects/p/locations/here"


class Account:
    """A stand-in that predicts, for every image, the label of the training image with the nearest mean colour."""

    def __init__(self) -> None:
        self.bucket: dict[str, bytes] = {}
        self.diary: list[str] = []
        self.tokens = 0
        self.made: set[str] = set()
        self.labels: dict[str, str] = {}
        self.pipeline: dict = {}
        self.lost = 0
        self.cut_off = 0
        self.stuck = ""
        self.state = "PIPELINE_STATE_SUCCEEDED"

    def answer(self, call: Call) -> tuple[int, bytes]:
        if call.parts[0] == "token":
            assert b"grant_type=refresh_token" in call.body
            assert b"refresh_token=r" in call.body
            assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
            self.tokens += 1
            return 200, json.dumps({"access_token": f"t{self.tokens}", "expires_in": 3600}).encode()
        if call.headers.get("Authorization") != f"Bearer t{self.tokens}":
            return 401, b"who are you"
        if call.method == "DELETE" and self.stuck and call.path.endswith(self.stuck):
            return 403, b"in use"
        said = self.stored(call) if "storage" in call.parts[:2] else self.served(call)
        return 200, said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()

    def stored(self, call: Call):
        if call.method == "POST":
            assert call.parts == ["upload", "storage", "v1", "b", "mine", "o"]
            self.bucket[call.query["name"]] = call.body
            return {}
        if call.method == "DELETE":
            return self.bucket.pop(call.parts[-1]) and None
        if call.query.get("alt") == "media":
            return self.bucket[call.parts[-1]]
        # One name a page.
        names = sorted(name for name in self.bucket if name.startswith(call.query["prefix"]))
        place = int(call.query.get("pageToken", 0))
        more = {"nextPageToken": str(place + 1)} if place + 1 < len(names) else {}
        return {"items": [{"name": name} for name in names[place : place + 1]]} | more

    def served(self, call: Call):
        path = call.path.removeprefix("/v1/")
        self.diary.append(f"{call.method} {path}")
        body = json.loads(call.body) if call.body else {}
        match call.method, path:
            case "POST", "projects/p/locations/here/datasets":
                self.made.add(f"{PARENT}/datasets/7")
                return {"name": f"{PARENT}/operations/1"}
            case "GET", "projects/p/locations/here/operations/1":
                return {"name": f"{PARENT}/operations/1", "done": True, "response": {"name": f"{PARENT}/datasets/7"}}
            case "POST", "projects/p/locations/here/datasets/7:import":
                (source,) = body["importConfigs"]
                content = self.file(source["gcsSource"]["uris"][0]).decode()
                self.labels = dict(csv.reader(io.StringIO(content)))
                return {"name": f"{PARENT}/operations/2", "done": True, "response": {}}
            case "POST", "projects/p/locations/here/trainingPipelines":
                self.pipeline = body
                return {"name": f"{PARENT}/trainingPipelines/3", "state": "PIPELINE_STATE_PENDING"}
            case "GET", "projects/p/locations/here/trainingPipelines/3":
                self.made.add(f"{PARENT}/models/4")
                return {
                    "state": self.state,
                    "modelToUpload": {"name": f"{PARENT}/models/4"},
                    "error": {"message": "sad"},
                }
            case "POST", "projects/p/locations/here/batchPredictionJobs":
                assert body["model"] == f"{PARENT}/models/4"
                return {"name": f"{PARENT}/batchPredictionJobs/{self.predict(body)}"}
            case "GET", _ if "/batchPredictionJobs/" in path:
                return {
                    "state": "JOB_STATE_SUCCEEDED",
                    "outputInfo": {"gcsOutputDirectory": f"gs://mine/out/{path.rpartition('/')[2]}"},
                }
            case "POST", "projects/p/locations/here/trainingPipelines/3:cancel":
                return {}
            case "DELETE", _:
                self.made.remove(path)
                return {"done": True}
        raise AssertionError(f"{call.method} {call.path}")

    def file(self, address: str) -> bytes:
        return self.bucket[address.removeprefix("gs://mine/")]

    def predict(self, body) -> int:
        def colour(address: str) -> np.ndarray:
            return np.asarray(Image.open(io.BytesIO(self.file(address)))).mean((0, 1))

        known = {name: colour(name) for name in self.labels}
        lines = []
        for line in self.file(body["inputConfig"]["gcsSource"]["uris"][0]).decode().splitlines()[self.lost :]:
            instance = json.loads(line)
            own = colour(instance["content"])
            nearest = min(known, key=lambda name: float(((known[name] - own) ** 2).sum()))
            names = sorted(set(self.labels.values()))
            scores = [0.9 if name == self.labels[nearest] else 0.1 for name in names]
            prediction = {"displayNames": names, "confidences": scores}
            lines.append(json.dumps({"instance": instance, "prediction": prediction}))
        number = sum(name.startswith("out/") for name in self.bucket) + 10
        half = len(lines) // 2  # a job writes several files, in any order, and one of errors
        self.bucket[f"out/{number}/predictions_2.jsonl"] = "\n".join(lines[:half]).encode()
        self.bucket[f"out/{number}/predictions_1.jsonl"] = "\n".join(lines[half:]).encode()
        self.bucket[f"out/{number}/errors_1.jsonl"] = b"not json"
        return number


@pytest.fixture
def account(monkeypatch, tmp_path):
    found = Account()
    user = tmp_path / "user.json"
    user.write_text(json.dumps({"client_id": "c", "client_secret": "s", "refresh_token": "r"}))

    def answer(call: Call) -> tuple[int, bytes | None]:
        code, content = found.answer(call)
        if call.parts[0] not in ("token", "upload") or not found.cut_off:
            return code, content
        found.cut_off -= 1
        return code, None

    with serving(answer) as address:
        monkeypatch.setattr(vertex, "PLATFORM", address)
        monkeypatch.setattr(vertex, "STORAGE", address)
        monkeypatch.setattr(vertex, "TOKENS", f"{address}/token")
        monkeypatch.setattr(vertex, "POLL", 0.0)
        for name, value in zip(vertex.VARIABLES, ("p", "here", "mine", str(user)), strict=True):
            monkeypatch.setenv(name, value)
        yield found


def coloured(count: int = 12):
    labels = np.arange(count) * 2 % 3
    levels = np.broadcast_to((labels * 90)[:, None, None, None], (count, 3, 6, 8)).astype(np.uint8)
    noisy = levels + np.random.default_rng(0).integers(0, 9, levels.shape, dtype=np.uint8)
    train = sample_images(count, (6, 8), 3).with_images(noisy)
    return train.with_labels(labels, ("a,b", 'c"', "a,b "))  # names that a CSV file or the service would not take


def victim(options: str = ":confirm=yes"):
    return installed().resolve(VictimSpec, f"vertex-ai{options}").build()


def test_images_go_up_with_their_labels_and_classes_come_back(account):
    train, trainer = coloured(), victim()
    trainer.fit(train, None, make_run(stage="train"))
    assert (trainer.predict(train.with_labels(None)) == train.known_labels).all()
    assert (trainer.predict(train.subset(np.array([2, 0])).with_labels(None)) == train.known_labels[[2, 0]]).all()
    assert len(account.labels) == 12
    assert account.pipeline["inputDataConfig"] == {"datasetId": "7"}
    assert account.pipeline["trainingTaskInputs"]["budgetMilliNodeHours"] == 8000
    assert account.tokens == 1


def test_lost_answer_to_a_file_or_for_a_token_costs_no_training(account, monkeypatch):
    monkeypatch.setattr(service, "_PAUSE", 0.0)
    account.cut_off = 3
    train, trainer = coloured(), victim()
    trainer.fit(train, None, make_run(stage="train"))
    account.cut_off = 1
    assert (trainer.predict(train.with_labels(None)) == train.known_labels).all()
    assert (account.cut_off, len(account.labels)) == (0, 12)


def test_without_confirmation_the_cost_is_shown_and_nothing_is_sent(account):
    with pytest.raises(UsageError, match=r"uploads 12 images .* 34\.65 USD for 10 node hours .*Nothing was sent\."):
        victim(":node_hours=10").fit(coloured(), None, make_run(stage="train"))
    assert (account.diary, account.bucket, account.tokens) == ([], {}, 0)


def test_only_the_budget_is_part_of_the_key():
    assert installed().resolve(VictimSpec, "vertex-ai:confirm=yes").params.identity() == {"node_hours": 8}


def test_token_is_renewed_before_it_expires(account, monkeypatch):
    trainer = victim()
    trainer.fit(coloured(), None, make_run(stage="train"))
    later = time.monotonic() + 3500
    monkeypatch.setattr(time, "monotonic", lambda: later)
    trainer.predict(coloured().with_labels(None))
    assert account.tokens == 2


def test_model_data_set_and_images_are_deleted_with_the_victim(account):
    account.bucket["theirs/1.png"] = b"another's"
    trainer = victim()
    trainer.fit(coloured(), None, make_run(stage="train"))
    assert account.made == {f"{PARENT}/datasets/7", f"{PARENT}/models/4"}
    del trainer
    gc.collect()
    assert account.made == set()
    assert list(account.bucket) == ["theirs/1.png"]


def test_failed_training_is_an_error_and_leaves_no_data_set(account):
    account.state = "PIPELINE_STATE_FAILED"
    trainer = victim()
    with pytest.raises(UcbenchError, match="PIPELINE_STATE_FAILED: sad"):
        trainer.fit(coloured(), None, make_run(stage="train"))
    del trainer
    gc.collect()
    assert account.made == set()


def test_interrupted_wait_cancels_the_training_and_deletes_what_it_made(account, monkeypatch):
    account.state = "PIPELINE_STATE_RUNNING"

    def interrupted(seconds):
        if account.pipeline:
            raise KeyboardInterrupt

    trainer = victim()
    monkeypatch.setattr(vertex.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(coloured(), None, make_run(stage="train"))
    del trainer
    gc.collect()
    assert f"POST {PARENT}/trainingPipelines/3:cancel" in account.diary
    assert (account.made, account.bucket) == (set(), {})


def test_what_cannot_be_deleted_keeps_nothing_else(account):
    trainer = victim()
    trainer.fit(coloured(), None, make_run(stage="train"))
    account.stuck = f"{PARENT}/models/4"
    del trainer
    gc.collect()
    assert (account.made, account.bucket) == ({f"{PARENT}/models/4"}, {})


def test_image_without_prediction_is_an_error(account):
    trainer = victim()
    trainer.fit(coloured(), None, make_run(stage="train"))
    account.lost = 2
    with pytest.raises(UcbenchError, match="no class for 2 of 12 images"):
        trainer.predict(coloured().with_labels(None))


def test_account_that_is_missing_or_no_users_is_refused_before_anything_is_crafted(account, monkeypatch, tmp_path):
    (tmp_path / "user.json").write_text('{"type": "service_account"}')
    with pytest.raises(UsageError, match=r"user\.json is no file of `gcloud auth application-default login`"):
        victim()
    monkeypatch.delenv("GOOGLE_CLOUD_BUCKET")
    with pytest.raises(UsageError, match=r"Set GOOGLE_CLOUD_BUCKET\."):
        victim()
