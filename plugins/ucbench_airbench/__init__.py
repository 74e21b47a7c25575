"""airbench: a small convolutional network and a recipe that learn CIFAR-10 in seconds on a GPU, minutes on a laptop."""

from collections.abc import Iterator

from ucbench import SurrogateSpec, VictimSpec, hookimpl

_PAPER = "K. Jordan: 94% on CIFAR-10 in 3.29 Seconds on a Single GPU. 2024. arXiv 2404.00498"


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="airbench",
        summary="The fast victim: a whitened network of seven convolutions and a short recipe",
        load="ucbench_airbench.network:Airbench",
        params="ucbench_airbench.params:AirbenchParams",
        smallest=9,
        paper=_PAPER,
        fidelity="written from the paper; the bias of the whitening is trained to the end (paper: three epochs); "
        "torch's epsilon in the norms (code: 1e-12); `full` has the paper's channels and rate, and 10 epochs in "
        "batches of 1,000, where the published code has 9.9 and 1,024; on CIFAR-10, the last five steps of `full` do "
        "not enter the averaged weights (code: the last one); `standard` and `small` are smaller, slower forms for "
        "fewer images, without the averaged weights (lookahead), the alternating flip and the six views at test time "
        "of `full`; `small` whitens less, and of its first 16 channels the last four carry on the filters of least "
        "variance, in the code's order those of largest; where patches of the images do not vary in all directions, as "
        "without colour, the whitening repeats the others (code: divides by the epsilon alone)",
    )


@hookimpl
def ucbench_surrogates() -> Iterator[SurrogateSpec]:
    yield SurrogateSpec(
        name="airbench",
        summary="The fast victim's network without weights, for poisoners that train it themselves",
        load="ucbench_airbench.surrogate:UntrainedAirbench",
        params="ucbench_airbench.params:UntrainedAirbenchParams",
        paper=_PAPER,
        untrained=True,
        fidelity="the network alone, a quarter as wide as published; the poisoner's own optimiser, rates and batches "
        "take the place of the recipe; the clean images set the whitening once, before anything is perturbed; images "
        "are normalised by their own mean and deviation",
    )
