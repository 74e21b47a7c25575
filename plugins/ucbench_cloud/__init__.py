"""Paid services as exploiters, by their REST interfaces: Azure Custom Vision and Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="azure-custom-vision",
        summary="Azure Custom Vision: the images are uploaded to the paid service, which trains; needs confirm=yes",
        load="ucbench_cloud.azure:CustomVision",
        params="ucbench_cloud.params:CloudParams",
        opaque=True,
        platform="azure-custom-vision",
        paper="Microsoft: Custom Vision Training API 3.3. 2020. "
        "https://learn.microsoft.com/azure/ai-services/custom-vision-service",
        fidelity="calls follow the documentation and were tested against a local stand-in, never against the paid "
        "service; Microsoft has archived its own Python client, so requests are made directly; the project has the "
        "service's defaults: the general domain, one tag per image, quick training; the service chooses everything "
        "else, changes without notice and draws its own randomness, so that rows are not reproducible; it starts from "
        "weights of its own; images are sent as PNG at their own size; of several equal images it keeps one",
    )
    yield VictimSpec(
        name="vertex-ai",
        summary="Google Vertex AI AutoML: the images are uploaded to the paid service, which trains; needs confirm=yes",
        load="ucbench_cloud.vertex:VertexAI",
        params="ucbench_cloud.params:VertexParams",
        opaque=True,
        platform="vertex-ai",
        paper="Google: Vertex AI API 1. 2021. https://cloud.google.com/vertex-ai/docs/reference/rest",
        fidelity="calls follow the documentation and were tested against a local stand-in, never against the paid "
        "service; the training pipeline has the service's defaults: AutoML's single-label classification of images, a "
        "model for the cloud, early stopping, 80 % of the images for training and 10 % each for validation and its "
        "own test; the budget is its least, 8 node hours; the service chooses everything else, changes without notice "
        "and draws its own randomness, so that rows are not reproducible; images are sent as PNG at their own size; "
        "predictions are batch jobs",
    )
