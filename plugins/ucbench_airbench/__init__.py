"""airbench: a small convolutional network and a recipe that learn CIFAR-10 in seconds on a GPU, minutes on a laptop."""

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="airbench",
        summary="The fast victim: a whitened network of seven convolutions and a short recipe",
        load="ucbench_airbench.network:Airbench",
        params="ucbench_airbench.params:AirbenchParams",
        smallest=9,
        paper="K. Jordan: 94% on CIFAR-10 in 3.29 Seconds on a Single GPU. 2024. arXiv 2404.00498",
    )
