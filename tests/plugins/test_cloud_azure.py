"""Custom Vision against a local stand-in of its REST interface: what is sent, in which order, and what never is."""

from __future__ import annotations

import base64
import gc
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stub_service import Call, serving

import ucbench_cloud.azure as azure
from ucbench import UcbenchError, UsageError, VictimSpec, installed
from ucbench.testing import sample_images
from ucbench.testing.samples import make_run
from ucbench_cloud import service


class Account:
    """A stand-in that classifies by the nearest mean colour of the uploaded images, and keeps a diary of requests."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.tags: dict[str, str] = {}
        self.images: dict[bytes, str] = {}
        self.polls = 0
        self.refuse: dict[str, list[int]] = {}
        self.lose: set[str] = set()
        self.status = "Completed"

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes):
        self.diary.append(f"{method} {path}")
        match method, path.strip("/").split("/"):
            case "POST", ["customvision", "v3.3", "training", "projects"]:
                assert query["classificationType"] == "Multiclass"
                return {"id": "p1"}
            case "POST", [*_, "p1", "tags"]:
                self.tags[f"t{len(self.tags)}"] = query["name"]
                return {"id": f"t{len(self.tags) - 1}"}
            case "POST", [*_, "p1", "images", "files"]:
                sent = json.loads(body)["images"]
                assert len(sent) <= 64
                assert len({entry["tagIds"][0] for entry in sent}) <= 20
                return {"images": [{"status": self.take(entry)} for entry in sent]}
            case "POST", [*_, "p1", "train"]:
                return {"id": "i1", "status": "Training"}
            case "GET", [*_, "iterations", "i1"]:
                self.polls += 1
                return {"status": self.status if self.polls > 2 else "Training"}
            case "POST", [*_, "iterations", "i1", "publish"]:
                assert query["predictionId"] == "/subscriptions/resource"
                return True
            case "GET", [*_, "iterations"]:
                return [{"id": "i1", "publishName": "ucbench"}, {"id": "i0", "publishName": None}]
            case "DELETE", _:
                return None
            case "POST", ["customvision", "v3.1", "prediction", "p1", "classify", "iterations", "ucbench", "image"]:
                return {"predictions": self.classify(body)}
        raise AssertionError(f"{method} {path}")

    def take(self, entry) -> str:
        image = base64.b64decode(entry["contents"])
        if image in self.images:
            return "OKDuplicate"
        self.images[image] = entry["tagIds"][0]
        return "OK"

    def classify(self, body: bytes):
        def colour(file: bytes) -> np.ndarray:
            return np.asarray(Image.open(io.BytesIO(file))).mean((0, 1))

        means = {
            tag: np.mean([colour(image) for image, own in self.images.items() if own == tag], axis=0)
            for tag in set(self.images.values())
        }
        distance = {tag: float(((colour(body) - mean) ** 2).sum()) for tag, mean in means.items()}
        # In no particular order, as the service's documentation promises none.
        return [{"tagId": tag, "probability": 1 / (1 + value)} for tag, value in sorted(distance.items())]


@pytest.fixture
def account(monkeypatch):
    found = Account()

    def answer(call: Call) -> tuple[int, bytes | None]:
        predicts = "/prediction/" in call.path
        key = call.headers.get("Prediction-Key" if predicts else "Training-Key")
        refused = found.refuse.get(call.parts[-1])
        code = refused.pop(0) if refused else 200 if key == ("pk" if predicts else "tk") else 401
        said = found.answer(call.method, call.path, call.query, call.body) if code == 200 else {"message": "no"}
        if call.parts[-1] in found.lose:
            found.lose.remove(call.parts[-1])
            return code, None
        return code, b"" if said is None else json.dumps(said).encode()

    with serving(answer) as address:
        for name, value in zip(azure.VARIABLES, (address, "tk", address, "pk", "/subscriptions/resource"), strict=True):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(azure, "POLL", 0.0)
        yield found


def coloured(count: int, classes: int):
    """Images of one colour and a little noise per class, in mixed order."""
    labels = np.arange(count) * 7 % classes
    noise = np.random.default_rng(0).integers(0, 9, (count, 3, 6, 8))
    levels = (labels[:, None] * np.array([200, 90, 130]) // classes)[:, :, None, None]
    images = (levels + noise).astype(np.uint8)
    names = tuple(f"c{place}" for place in range(classes))
    return sample_images(count, (6, 8), classes).with_images(images).with_labels(labels, names)


def victim(options: str = ":confirm=yes"):
    return installed().resolve(VictimSpec, f"azure-custom-vision{options}").build()


def test_images_go_up_with_their_labels_and_classes_come_back(account):
    train, trainer = coloured(150, 23), victim()
    run = make_run(stage="train")
    trainer.fit(train, None, run)
    assert (trainer.predict(train.with_labels(None)) == train.known_labels).all()
    assert len(account.images) == 150
    steps = [step.rpartition("/")[2] for step in account.diary if "classify" not in step]
    assert list(dict.fromkeys(steps)) == ["projects", "tags", "files", "train", "i1", "publish"]
    assert account.polls == 3
    assert run.notes["custom_vision"]["duplicates"] == 0


def test_without_confirmation_the_cost_is_shown_and_nothing_is_sent(account):
    with pytest.raises(UsageError, match=r"uploads 1,500 images .* USD .* Nothing was sent\..*confirm=yes"):
        victim("").fit(coloured(1500, 3), None, make_run(stage="train"))
    assert account.diary == []


def test_confirmation_is_no_part_of_the_key():
    assert installed().resolve(VictimSpec, "azure-custom-vision:confirm=yes").params.identity() == {}


def test_missing_account_is_refused_before_anything_is_crafted(monkeypatch):
    for name in azure.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"Set VISION_TRAINING_ENDPOINT, VISION_TRAINING_KEY, "):
        victim()


def test_project_is_unpublished_and_deleted_with_the_victim(account):
    trainer = victim()
    trainer.fit(coloured(6, 2), None, make_run(stage="train"))
    del trainer
    gc.collect()
    root = "/customvision/v3.3/training/projects/p1"
    assert account.diary[-2:] == [f"DELETE {root}/iterations/i1/publish", f"DELETE {root}"]


def test_kept_project_is_not_deleted(account):
    trainer = victim(":confirm=yes,keep=true")
    trainer.fit(coloured(6, 2), None, make_run(stage="train"))
    del trainer
    gc.collect()
    assert not any(step.startswith("DELETE") for step in account.diary)


def test_equal_images_are_counted_in_the_record(account):
    train = coloured(6, 2)
    images = train.images.copy()
    images[2] = images[0]
    run = make_run(stage="train")
    victim().fit(train.with_images(images), None, run)
    assert run.notes["custom_vision"]["duplicates"] == 1


def test_busy_service_is_asked_again_and_a_refusal_is_its_own_words(account):
    account.refuse = {"files": [429, 503]}
    victim().fit(coloured(6, 2), None, make_run(stage="train"))
    account.refuse = {"train": [400]}
    with pytest.raises(UcbenchError, match=r"POST .*/projects/p1/train was refused with 400: .*no"):
        victim().fit(coloured(6, 2), None, make_run(stage="train"))


@pytest.mark.parametrize(
    ("method", "repeatable", "asked"),
    [("POST", None, 1), ("POST", True, 3), ("GET", None, 3), ("GET", False, 1), ("DELETE", None, 3)],
)
@pytest.mark.parametrize("lost", [(500, b"{}"), (200, None)], ids=["failed", "cut off"])
def test_request_that_may_have_created_something_is_not_repeated(method, repeatable, asked, lost, monkeypatch):
    answers = [lost, lost, (200, b"{}")]
    monkeypatch.setattr(service, "_PAUSE", 0.0)
    with serving(lambda call: answers.pop(0)) as address:
        client = service.Service(address, lambda: ("Key", "k"))
        if asked == 1:
            with pytest.raises(UcbenchError, match=r"refused with 500|does not answer: IncompleteRead"):
                client.call(method, "/jobs", repeatable=repeatable)
        else:
            assert client.call(method, "/jobs", repeatable=repeatable) == {}
    assert len(answers) == 3 - asked


def test_lost_answer_to_images_or_a_prediction_costs_no_training(account, monkeypatch):
    monkeypatch.setattr(service, "_PAUSE", 0.0)
    train, trainer, run = coloured(6, 2), victim(), make_run(stage="train")
    account.lose = {"files", "image"}
    trainer.fit(train, None, run)
    assert (trainer.predict(train.with_labels(None)) == train.known_labels).all()
    assert (account.lose, len(account.images)) == (set(), 6)
    assert run.notes["custom_vision"]["duplicates"] == 0
    steps = [step.rpartition("/")[2] for step in account.diary]
    assert (steps.count("files"), steps.count("image"), steps.count("train")) == (2, 7, 1)


def test_lost_answer_to_a_training_is_an_error_and_begins_no_second_one(account):
    account.lose = {"train"}
    with pytest.raises(UcbenchError, match="does not answer: IncompleteRead"):
        victim().fit(coloured(6, 2), None, make_run(stage="train"))
    assert sum(step.endswith("/train") for step in account.diary) == 1


def test_waiting_time_that_is_a_date_is_not_read_as_seconds():
    assert service._seconds("Wed, 21 Oct 2026 07:28:00 GMT", 3) == 4.0
    assert service._seconds("7", 3) == 7.0


def test_failed_training_is_an_error(account):
    account.status = "Failed"
    with pytest.raises(UcbenchError, match="training failed"):
        victim().fit(coloured(6, 2), None, make_run(stage="train"))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=400))
def test_batches_hold_every_image_once_within_the_services_limits(labels):
    labels.sort()
    parts = azure.batches(labels)
    assert [label for part in parts for label in labels[part]] == labels
    assert all(0 < len(labels[part]) <= 64 and len(set(labels[part])) <= 20 for part in parts)
