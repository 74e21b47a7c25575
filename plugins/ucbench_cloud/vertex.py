"""Vertex AI's AutoML for images behind the interface of opaque trainers."""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.parse
import uuid
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, UcbenchError, UsageError
from ucbench_cloud.params import VertexParams
from ucbench_cloud.service import Service, png

if TYPE_CHECKING:
    from ucbench import DefenseRun

#: Project, region and bucket; and the file that `gcloud auth application-default login` writes.
VARIABLES = (
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_BUCKET",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
PLATFORM, STORAGE = "https://{location}-aiplatform.googleapis.com", "https://storage.googleapis.com"
TOKENS = "https://oauth2.googleapis.com/token"
#: Prices in US dollars of a node hour of training, and of prediction; not compared with the service's page.
TRAINING_HOUR, PREDICTION_HOUR = 3.465, 2.222
#: Seconds between questions whether a job is done.
POLL = 30.0
_SCHEMA = "gs://google-cloud-aiplatform/schema"
_DONE, _FAILED = ("SUCCEEDED",), ("FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
_log = logging.getLogger("ucbench")


class Credentials:
    """Access tokens, which last an hour, from the refresh token in a user's file of application-default credentials."""

    def __init__(self, path: Path) -> None:
        try:
            self._user = json.loads(path.read_text(encoding="utf-8"))
            self._grant = {name: self._user[name] for name in ("client_id", "client_secret", "refresh_token")}
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(
                f"{path} is no file of `gcloud auth application-default login` ({type(error).__name__}: {error})."
            ) from error
        self._token, self._until = "", 0.0

    def header(self) -> tuple[str, str]:
        """The header with a token that is still valid."""
        if time.monotonic() >= self._until:
            query = urllib.parse.urlencode({**self._grant, "grant_type": "refresh_token"})
            form = ("Content-Type", "application/x-www-form-urlencoded")
            answer = Service(TOKENS, lambda: form).call("POST", "", body=query.encode(), repeatable=True)
            self._token, self._until = answer["access_token"], time.monotonic() + float(answer["expires_in"]) - 120
        return "Authorization", f"Bearer {self._token}"


class VertexAI:
    """A data set and an AutoML model of the account, and a folder of its bucket.

    They are deleted together with this object, and jobs that still run are cancelled, unless ``keep`` says otherwise.

    Raises:
        UsageError: if an environment variable of :data:`VARIABLES` is missing, or the credentials are not a user's.
    """

    def __init__(self, params: VertexParams) -> None:
        if missing := [name for name in VARIABLES if not os.environ.get(name)]:
            raise UsageError(f"vertex-ai needs an account. Set {', '.join(missing)}.")
        project, location, self._bucket, credentials = (os.environ[name] for name in VARIABLES)
        key = Credentials(Path(credentials)).header
        self.params = params
        self._api = Service(f"{PLATFORM.format(location=location)}/v1", key)
        self._storage = Service(STORAGE, key)
        self._parent = f"/projects/{project}/locations/{location}"
        self._folder = f"ucbench-{uuid.uuid4().hex[:12]}"
        self._model = ""
        #: Names of what was begun, in order.
        self._made: list[str] = []
        self._classes: dict[str, int] = {}

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: DefenseRun) -> None:
        """Upload all images with their labels to the bucket, import them as a data set, and train.

        Raises:
            UsageError: without ``confirm=yes``; the text says what would be sent and what it costs. Nothing is sent.
            UcbenchError: if the service refuses something, or its training fails.
        """
        text = cost(len(train), self.params.node_hours)
        if self.params.confirm != "yes":
            raise UsageError(f"{text} Nothing was sent. To do so and pay, add the option confirm=yes.")
        _log.warning(text)
        made = self._made
        if not self.params.keep:
            weakref.finalize(self, _delete, self._api, self._storage, self._bucket, self._folder, made)
        # Names as numbers, since those of classes may repeat or hold characters that the service refuses.
        self._classes = {f"class_{place}": place for place in range(len(train.classes))}
        names = self._upload("train", train, run)
        lines = (f"{name},class_{label}\n" for name, label in zip(names, train.known_labels.tolist(), strict=True))
        table = self._put("train.csv", "".join(lines).encode())
        data = self._finished(
            self._api.call(
                "POST",
                f"{self._parent}/datasets",
                body={
                    "displayName": self._folder,
                    "metadataSchemaUri": f"{_SCHEMA}/dataset/metadata/image_1.0.0.yaml",
                },
            )
        )["name"]
        made.append(data)
        source = {"gcsSource": {"uris": [table]}, "importSchemaUri": _SCHEMA + _IMPORT}
        self._finished(self._api.call("POST", f"/{data}:import", body={"importConfigs": [source]}))
        pipeline = self._api.call(
            "POST", f"{self._parent}/trainingPipelines", body=_pipeline(self._folder, data, self.params.node_hours)
        )
        made.append(pipeline["name"])
        self._model = self._awaited(pipeline["name"])["modelToUpload"]["name"]
        run.note("vertex_ai", {"trained": time.strftime("%Y-%m-%d", time.gmtime())})

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        """The most probable class of every image, int64 ``[N]``, by a batch job.

        Raises:
            UcbenchError: if the service refuses, its job fails, or it leaves images without a prediction.
        """
        part = f"test-{uuid.uuid4().hex[:8]}"
        names = self._upload(part, images, None)
        instances = (json.dumps({"content": name, "mimeType": "image/png"}) for name in names)
        source = self._put(f"{part}.jsonl", "\n".join(instances).encode())
        job = self._api.call(
            "POST",
            f"{self._parent}/batchPredictionJobs",
            body={
                "displayName": f"{self._folder}-{part}",
                "model": self._model,
                "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
                "outputConfig": {
                    "predictionsFormat": "jsonl",
                    "gcsDestination": {"outputUriPrefix": f"gs://{self._bucket}/{self._folder}/{part}-out"},
                },
            },
        )
        self._made.append(job["name"])
        folder = self._awaited(job["name"])["outputInfo"]["gcsOutputDirectory"]
        classes = self._predictions(folder.removeprefix(f"gs://{self._bucket}/"))
        if lost := [name for name in names if name not in classes]:
            raise UcbenchError(f"Vertex AI predicted no class for {len(lost)} of {len(names)} images.")
        return np.array([classes[name] for name in names], np.int64)

    def _predictions(self, folder: str) -> dict[str, int]:
        """The class of every image by its name in the bucket."""
        classes = {}
        for name in _listed(self._storage, self._bucket, f"{folder}/"):
            if not name.rpartition("/")[2].startswith("predictions"):
                continue
            path = f"/storage/v1/b/{self._bucket}/o/{urllib.parse.quote(name, safe='')}"
            content = self._storage.call("GET", path, {"alt": "media"}, raw=True)
            for line in map(json.loads, filter(None, content.decode().splitlines())):
                if scores := line.get("prediction", {}).get("confidences"):
                    best = line["prediction"]["displayNames"][int(np.argmax(scores))]
                    classes[line["instance"]["content"]] = self._classes[best]
        return classes

    def _upload(self, part: str, images: ImageSet, run: DefenseRun | None) -> list[str]:
        advance = run.progress("uploading", len(images)) if run else None
        names = []
        for place, image in enumerate(images.images):
            names.append(self._put(f"{part}/{place}.png", png(image)))
            if advance:
                advance(1)
        return names

    def _put(self, name: str, content: bytes) -> str:
        """Store a file in the bucket; returns its address."""
        query = {"uploadType": "media", "name": f"{self._folder}/{name}"}
        self._storage.call("POST", f"/upload/storage/v1/b/{self._bucket}/o", query, content, repeatable=True)
        return f"gs://{self._bucket}/{self._folder}/{name}"

    def _finished(self, operation: dict[str, Any]) -> Any:
        """What a long-running operation yields."""
        while not operation.get("done"):
            time.sleep(POLL)
            operation = self._api.call("GET", f"/{operation['name']}")
        if "error" in operation:
            raise UcbenchError(f"Vertex AI failed: {operation['error'].get('message', operation['error'])}")
        return operation.get("response")

    def _awaited(self, name: str) -> Any:
        """A pipeline or job, once it succeeded."""
        while not (job := self._api.call("GET", f"/{name}"))["state"].endswith(_DONE):
            if job["state"].endswith(_FAILED):
                raise UcbenchError(f"Vertex AI says {job['state']}: {job.get('error', {}).get('message', 'no reason')}")
            time.sleep(POLL)
        return job


_IMPORT = "/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml"


def _pipeline(name: str, data: str, node_hours: int) -> dict[str, Any]:
    return {
        "displayName": name,
        "inputDataConfig": {"datasetId": data.rpartition("/")[2]},
        "modelToUpload": {"displayName": name},
        "trainingTaskDefinition": f"{_SCHEMA}/trainingjob/definition/automl_image_classification_1.0.0.yaml",
        "trainingTaskInputs": {"multiLabel": False, "modelType": "CLOUD", "budgetMilliNodeHours": 1000 * node_hours},
    }


def cost(images: int, node_hours: int) -> str:
    """What a training on so many images costs, as a sentence."""
    return (
        f"vertex-ai uploads {images:,} images to the paid service and trains there: perhaps"
        f" {TRAINING_HOUR * node_hours:.2f} USD for {node_hours} node hours of training, and {PREDICTION_HOUR:g} USD"
        " per node hour of predicting the training images and each test set. See the service's own prices first."
    )


def _listed(storage: Service, bucket: str, prefix: str) -> list[str]:
    names: list[str] = []
    query = {"prefix": prefix}
    while True:
        page = storage.call("GET", f"/storage/v1/b/{bucket}/o", query)
        names += [item["name"] for item in page.get("items", ())]
        if "nextPageToken" not in page:
            return names
        query["pageToken"] = page["nextPageToken"]


def _delete(api: Service, storage: Service, bucket: str, folder: str, made: Sequence[str]) -> None:
    def attempt(call: Callable[..., Any], *parts: Any) -> Any:
        try:
            return call(*parts)
        except UcbenchError as error:
            _log.warning("Some of %s is still in the account and may cost money: %s", folder, error)

    for name in reversed(made):
        if "/datasets/" in name:
            attempt(api.call, "DELETE", f"/{name}")
        elif job := attempt(api.call, "GET", f"/{name}"):
            if not job["state"].endswith((*_DONE, *_FAILED)):
                attempt(api.call, "POST", f"/{name}:cancel")
            if model := job.get("modelToUpload", {}).get("name"):
                attempt(api.call, "DELETE", f"/{model}")
    for name in attempt(_listed, storage, bucket, f"{folder}/") or ():
        attempt(storage.call, "DELETE", f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}")
