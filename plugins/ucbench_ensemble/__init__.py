"""Several surrogates as one."""

from collections.abc import Iterator

from ucbench import SurrogateSpec, hookimpl


@hookimpl
def ucbench_surrogates() -> Iterator[SurrogateSpec]:
    yield SurrogateSpec(
        name="ensemble",
        summary="ensemble:'A+B', the features of several label-free surrogates side by side (this suite's)",
        load="ucbench_ensemble.surrogate:Ensemble",
        params="ucbench_ensemble.params:EnsembleParams",
        sample="'efficientnet-lite0+simclr@quick'",
        label_access="none",
        fidelity="no publication: this suite's",
    )
