"""Releases crafted elsewhere, taken in from a file or a folder and then measured like any other."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="release",
        summary="release:PATH, perturbations or images crafted elsewhere: .npy, .npz, .safetensors, .pt or a folder",
        load="ucbench_imported.poisoner:ImportedRelease",
        params="ucbench_imported.params:ReleaseParams",
        aliases=("imported",),
        # Whether its maker used labels is unknown, so the most is assumed.
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        fidelity="imported: crafted elsewhere",
    )
