"""Squeezing as a defense: discard detail, and with it the perturbation."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl

#: Image shortcut squeezing, the paper that made compression a defense against unlearnable examples.
ISS = (
    "Z. Liu, Z. Zhao, M. Larson: Image Shortcut Squeezing: Countering Perturbative Availability Poisons with "
    "Compression. ICML 2023. arXiv 2301.13838"
)


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="jpeg",
        summary="Re-encode the images as JPEG of low quality, once; or of random quality, anew in every batch",
        title="JPEG compression (ISS)",
        load="ucbench_squeeze.jpeg:JPEGCompression",
        params="ucbench_squeeze.params:JPEGParams",
        paper=ISS,
        tier="T1",
        fidelity="Pillow's encoder at quality 10, chroma 4:2:0, of training images alone, before the crop, as in ISS "
        "and APBench; `random` has the range of APBench's UEraser, drawn for every image instead of once a batch; "
        "`kornia` is this suite's, see its parameters",
    )
    yield DefenseSpec(
        name="grayscale",
        summary="Take the colours out of the images",
        title="Grayscale (ISS)",
        load="ucbench_squeeze.pixelwise:Grayscale",
        params="ucbench_squeeze.params:GrayscaleParams",
        paper=ISS,
        aliases=("gray",),
        tier="T1",
        fidelity="the luma of ITU-R BT.601 in all channels of training images alone, as in ISS and APBench; `random` "
        "is the grayscale of ECLIPSE alone, without its purification and noise",
    )
    yield DefenseSpec(
        name="iss",
        summary="Take the colours out of the images and re-encode them as JPEG of low quality, once",
        title="Image shortcut squeezing with grayscale and JPEG (ISS)",
        load="ucbench_squeeze.jpeg:ImageShortcutSqueezing",
        params="ucbench_squeeze.params:ISSParams",
        paper=ISS,
        fidelity="the paper's two squeezings one after the other, at their published strength and of training images "
        "alone; it reports each by itself, as `grayscale` and `jpeg` do, and grayscale comes first, as in its code "
        "(bit depth, grayscale, JPEG)",
        tier="T1",
        static=True,
    )
    yield DefenseSpec(
        name="bit-depth",
        summary="Keep few bits of every value, once; or a random number of them, anew in every batch",
        title="Bit depth reduction (BDR)",
        load="ucbench_squeeze.pixelwise:BitDepthReduction",
        params="ucbench_squeeze.params:BitDepthParams",
        paper=f"{ISS}; W. Xu, D. Evans, Y. Qi: Feature Squeezing: Detecting Adversarial Examples in Deep Neural "
        "Networks. NDSS 2018. arXiv 1704.01155 (rounding=nearest)",
        aliases=("bdr",),
        tier="T1",
        fidelity="the low six bits of training images are cleared, as in ISS and APBench; `rounding=nearest` is "
        "feature squeezing; `random` has the range in which TrivialAugment posterises, drawn for every image",
    )
    yield DefenseSpec(
        name="median",
        summary="Replace every pixel by the median of its neighbourhood",
        load="ucbench_squeeze.filters:MedianFilter",
        params="ucbench_squeeze.params:FilterParams",
        paper=ISS,
        tier="T1",
        fidelity="as ISS intends: its code hands arrays with the channels first to a filter that takes them last; "
        "borders are reflected without repeating their own pixels, where OpenCV's median repeats them; of training "
        "images alone, before the crop, where the code filters after crop and flip",
    )
    yield DefenseSpec(
        name="mean",
        summary="Replace every pixel by the mean of its neighbourhood: a box filter",
        load="ucbench_squeeze.filters:MeanFilter",
        params="ucbench_squeeze.params:FilterParams",
        paper=ISS,
        tier="T1",
        fidelity="as ISS intends: its code hands arrays with the channels first to a filter that takes them last; of "
        "training images alone, before the crop, where the code filters after crop and flip",
    )
    yield DefenseSpec(
        name="resize-down-up",
        summary="Shrink the images and enlarge them to their size again",
        load="ucbench_squeeze.filters:DownUpResizing",
        params="ucbench_squeeze.params:ResizingParams",
        tier="T1",
        fidelity="no publication: not among the squeezings of ISS, a plain form of its low-pass filters",
    )
