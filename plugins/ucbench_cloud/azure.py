"""Custom Vision behind the interface of opaque trainers."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import time
import weakref
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, UcbenchError, UsageError
from ucbench_cloud.params import CloudParams
from ucbench_cloud.service import Service, png

if TYPE_CHECKING:
    from ucbench import DefenseRun

#: Names of Microsoft's own examples.
VARIABLES = (
    "VISION_TRAINING_ENDPOINT",
    "VISION_TRAINING_KEY",
    "VISION_PREDICTION_ENDPOINT",
    "VISION_PREDICTION_KEY",
    "VISION_PREDICTION_RESOURCE_ID",
)
#: Images of an upload; its tags, of which 20 are allowed, follow from them.
BATCH, TAGS = 64, 20
#: Prices of the tier S0 in US dollars: an hour of training, 1,000 predictions, 1,000 images stored for a month. Not
#: compared with the service's page.
HOUR, PREDICTIONS, STORAGE = 10.0, 2.0, 0.7
#: Seconds between questions whether training is done.
POLL = 10.0
_PUBLISHED = "ucbench"
_log = logging.getLogger("ucbench")


class CustomVision:
    """A project of the account: tags are classes, an iteration is a training.

    The project is deleted together with this object, unless ``keep`` says otherwise, so that nothing costs on.

    Raises:
        UsageError: if an environment variable of :data:`VARIABLES` is missing.
    """

    def __init__(self, params: CloudParams) -> None:
        if missing := [name for name in VARIABLES if not os.environ.get(name)]:
            raise UsageError(f"azure-custom-vision needs an account. Set {', '.join(missing)}.")
        endpoint, key, predict, predict_key, self._resource = (os.environ[name] for name in VARIABLES)
        self.params = params
        self._training = Service(f"{endpoint.rstrip('/')}/customvision/v3.3/training", lambda: ("Training-Key", key))
        self._prediction = Service(
            f"{predict.rstrip('/')}/customvision/v3.1/prediction", lambda: ("Prediction-Key", predict_key)
        )
        self._project = ""
        self._classes: dict[str, int] = {}

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: DefenseRun) -> None:
        """Upload all images with their labels, train, and publish the iteration.

        Raises:
            UsageError: without ``confirm=yes``; the text says what would be sent and what it costs. Nothing is sent.
            UcbenchError: if the service refuses something, or its training fails.
        """
        if self.params.confirm != "yes":
            raise UsageError(f"{cost(len(train))} Nothing was sent. To do so and pay, add the option confirm=yes.")
        _log.warning(cost(len(train)))
        call = self._training.call
        self._project = call(
            "POST", "/projects", {"name": f"ucbench {time.time():.0f}", "classificationType": "Multiclass"}
        )["id"]
        if not self.params.keep:
            weakref.finalize(self, _delete, self._training, self._project)
        tags = [
            call("POST", self._path("/tags"), {"name": f"class {place}"})["id"] for place in range(len(train.classes))
        ]
        self._classes = {tag: place for place, tag in enumerate(tags)}
        self._upload(train, tags, run)
        iteration = call("POST", self._path("/train"))["id"]
        self._wait(iteration)
        call(
            "POST",
            self._path(f"/iterations/{iteration}/publish"),
            {"publishName": _PUBLISHED, "predictionId": self._resource},
        )
        # Not by what the service says: to it, the images of a repeated upload are duplicates too.
        duplicates = len(train) - len({hashlib.sha256(image.tobytes()).digest() for image in train.images})
        run.note("custom_vision", {"trained": time.strftime("%Y-%m-%d", time.gmtime()), "duplicates": duplicates})

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        """The most probable class of every image, int64 ``[N]``; a request each.

        Raises:
            UcbenchError: if the service refuses.
        """
        path = f"/{self._project}/classify/iterations/{_PUBLISHED}/image"
        answers = (self._prediction.call("POST", path, body=png(image), repeatable=True) for image in images.images)
        best = (max(answer["predictions"], key=lambda each: each["probability"]) for answer in answers)
        return np.array([self._classes[each["tagId"]] for each in best], np.int64)

    def _path(self, rest: str) -> str:
        return f"/projects/{self._project}{rest}"

    def _upload(self, train: ImageSet, tags: list[str], run: DefenseRun) -> None:
        """Send the images, class by class, so that a batch has few tags."""
        order, labels = np.argsort(train.known_labels, kind="stable"), train.known_labels
        advance = run.progress("uploading", len(train))
        for batch in batches(labels[order].tolist()):
            entries = [
                {
                    "name": str(place),
                    "contents": base64.b64encode(png(train.images[place])).decode(),
                    "tagIds": [tags[labels[place]]],
                }
                for place in order[batch].tolist()
            ]
            answer = self._training.call("POST", self._path("/images/files"), body={"images": entries}, repeatable=True)
            statuses = [each["status"] for each in answer["images"]]
            if failed := [status for status in statuses if status not in ("OK", "OKDuplicate")]:
                raise UcbenchError(f"Custom Vision did not take {len(failed)} of {len(entries)} images: {failed[0]}.")
            advance(len(entries))

    def _wait(self, iteration: str) -> None:
        while (status := self._training.call("GET", self._path(f"/iterations/{iteration}"))["status"]) != "Completed":
            if status == "Failed":
                raise UcbenchError("Custom Vision says that its training failed.")
            time.sleep(POLL)


def cost(images: int) -> str:
    """What a training on so many images costs, as a sentence."""
    return (
        f"azure-custom-vision uploads {images:,} images to the paid service and trains there: perhaps"
        f" {HOUR:g} USD per hour of training, {PREDICTIONS * images / 1000:.2f} USD for predicting the training images"
        f" and {PREDICTIONS:g} USD per 1,000 of each test set, {STORAGE * images / 1000:.2f} USD per month of"
        " storage. See the service's own prices first."
    )


def batches(labels: list[int]) -> list[slice]:
    """Slices of sorted labels, each of at most :data:`BATCH` images with at most :data:`TAGS` labels."""
    slices, start = [], 0
    for place in range(1, len(labels) + 1):
        part = labels[start : place + 1]
        if place == len(labels) or len(part) > BATCH or len(set(part)) > TAGS:
            slices.append(slice(start, place))
            start = place
    return slices


def _delete(training: Service, project: str) -> None:
    try:
        for iteration in training.call("GET", f"/projects/{project}/iterations"):
            if iteration.get("publishName"):  # a published one keeps its project from being deleted
                training.call("DELETE", f"/projects/{project}/iterations/{iteration['id']}/publish")
        training.call("DELETE", f"/projects/{project}")
    except UcbenchError as error:
        _log.warning("The project %s is still in the account and may cost money: %s", project, error)
