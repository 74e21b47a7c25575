"""Shallow victims: a linear classifier, networks of two and three layers, LeNet-5. Deeper ones are in other plugins."""

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="linear",
        summary="A linear classifier on pixels",
        load="ucbench_depth.networks:Linear",
        params="ucbench_depth.params:LinearParams",
        fidelity="MI-UE compares depths with such a classifier; the default recipe is the suite's, MI-UE's is the "
        "preset `mi-ue`",
    )
    yield VictimSpec(
        name="mlp",
        summary="A network of fully connected layers on pixels, two by default",
        load="ucbench_depth.networks:MLP",
        params="ucbench_depth.params:MLPParams",
        fidelity="MI-UE compares depths with two and three layers; what we had of it states no width, so this one is "
        "the suite's; the default recipe is the suite's too, MI-UE's is the preset `mi-ue`",
    )
    yield VictimSpec(
        name="lenet5",
        summary="LeNet-5: two convolutions and three fully connected layers, with ReLU and max-pooling",
        load="ucbench_depth.networks:LeNet5",
        params="ucbench_depth.params:LeNet5Params",
        smallest=2,
        paper="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document Recognition. "
        "Proceedings of the IEEE 1998. doi 10.1109/5.726791",
        aliases=("lenet",),
        fidelity="the common modern form: ReLU for tanh, max-pooling for subsampling, and a second convolution that "
        "sees all channels; for sides other than 32 the last maps are averaged to 5x5, and below 14 pixels the "
        "convolutions are padded; the default recipe is the suite's, MI-UE's is the preset `mi-ue`",
    )
