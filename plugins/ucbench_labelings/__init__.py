"""How an exploiter labels the published images."""

from collections.abc import Iterator

from ucbench import LabelingSpec, hookimpl

_MODEL = "efficientnet-lite0@auto"


@hookimpl
def ucbench_labelings() -> Iterator[LabelingSpec]:
    yield LabelingSpec(
        name="original",
        summary="The data set's own labels",
        load="ucbench_labelings.semantic:Original",
        source="semantic",
        fidelity="as in the released code of UC, whose victim learns the original classes of images that were "
        "clustered without them",
    )
    yield LabelingSpec(
        name="coarse",
        summary="Another label set of the data set, such as its coarse classes; or a map: coarse:FILE.toml",
        aliases=("label-set",),
        load="ucbench_labelings.semantic:Coarse",
        params="ucbench_labelings.params:CoarseParams",
        sample="parity",
        source="semantic",
        fidelity="no publication: whatever label set the data set or the file has",
    )
    yield LabelingSpec(
        name="fine",
        summary="More classes: every class split by k-means of its clean images' features",
        load="ucbench_labelings.semantic:Fine",
        params="ucbench_labelings.params:FineParams",
        source="semantic",
        surrogate=_MODEL,
        fidelity="no publication: this suite's",
    )
    yield LabelingSpec(
        name="merge",
        summary="Fewer classes without regard to meaning: classes merged into groups at random",
        load="ucbench_labelings.semantic:Merge",
        params="ucbench_labelings.params:MergeParams",
        source="semantic",
        fidelity="no publication: this suite's",
    )
    yield LabelingSpec(
        name="noisy",
        summary="Symmetric label noise: a share of the training images under a wrong class, the test set under its own",
        load="ucbench_labelings.semantic:Noisy",
        params="ucbench_labelings.params:NoisyParams",
        paper="B. van Rooyen, A. K. Menon, R. C. Williamson: Learning with Symmetric Label Noise: The Importance of "
        "Being Unhinged. NIPS 2015. arXiv 1505.07634",
        source="semantic",
        fidelity="wrong labels are drawn from the other K - 1 classes, where a part of the literature draws from all "
        "K, so that fewer are wrong than the rate says; the number of wrong labels is exact; draws of one map_seed are "
        "nested",
    )
    yield LabelingSpec(
        name="predicted",
        summary="What a pretrained classifier sees in the published images",
        load="ucbench_labelings.machine:Predicted",
        params="ucbench_labelings.params:PredictedParams",
        source="machine",
        surrogate=_MODEL,
        fidelity="no publication: this suite's; UC (its section 3.2) uses predicted ImageNet classes on the "
        "protector's side, which is `--craft-labels predicted`",
    )
    yield LabelingSpec(
        name="kmeans",
        summary="k-means clusters of the published images' features in a pretrained model",
        load="ucbench_labelings.machine:KMeans",
        params="ucbench_labelings.params:KMeansParams",
        source="machine",
        surrogate=_MODEL,
        fidelity="no publication: this suite's",
    )
