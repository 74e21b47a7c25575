"""A search for nonlinear transformations under which a network learns from the release."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="nonlinear",
        summary="Search for transformations that raise a small network's accuracy on clean images, and apply them",
        title="Nonlinear transformations",
        load="ucbench_nonlinear.search:NonlinearSearch",
        params="ucbench_nonlinear.params:SearchParams",
        paper="T. Hapuarachchi, J. Lin, K. Xiong, M. Rahouti, G. Ost: Nonlinear Transformations Against Unlearnable "
        "Datasets. 2024. arXiv 2406.02883",
        tier="T3",
        static=True,
        needs_trusted=True,
        sample="epochs=1",
        fidelity="the paper's loop: a transformation is tried on the set, and kept if the validation accuracy rises, "
        "ours only by `gain` points and two standard errors; its operations are dilation, Gaussian blur, binary "
        "thresholds, changes of pixels and geometric ones, whose amounts and order could not be read, so ours are in "
        "`AMOUNTS`, and there is no preset `paper`; validation images are the clean `--trusted N`, where the paper's "
        "may be of the release; a small convolutional network trained anew on at most `images` images judges, where "
        "the paper fine-tunes VGG or ResNet-152; kept transformations replace the images, where the paper adds "
        "transformed copies, since a defense returns as many images as it gets; test images are not changed",
    )
