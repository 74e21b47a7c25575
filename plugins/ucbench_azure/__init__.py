"""Azure Custom Vision as an exploiter: upload, train, predict, by its REST interface."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="azure-custom-vision",
        summary="Azure Custom Vision: the images are uploaded to the paid service, which trains; needs confirm=yes",
        load="ucbench_azure.victim:CustomVision",
        params="ucbench_azure.params:CustomVisionParams",
        opaque=True,
        platform="azure-custom-vision",
        paper="Microsoft: Custom Vision Training API, version 3.3. "
        "https://learn.microsoft.com/azure/ai-services/custom-vision-service",
        fidelity="calls follow the documentation and were tested against a local stand-in, never against the paid "
        "service; Microsoft has archived its own Python client, so requests are made directly; the project has the "
        "service's defaults: the general domain, one tag per image, quick training; the service chooses everything "
        "else, changes without notice and draws its own randomness, so that rows are not reproducible; it starts from "
        "weights of its own; images are sent as PNG at their own size; of several equal images it keeps one",
    )
