"""How an exploiter labels what was published."""

from collections.abc import Iterator

from ucbench import LabelingRecord, hookimpl


@hookimpl
def ucbench_labelings() -> Iterator[LabelingRecord]:
    yield LabelingRecord(
        name="original",
        summary="The data set's own labels",
        load="ucbench_labelings.semantic:Original",
        source="semantic",
    )
    yield LabelingRecord(
        name="label-set",
        summary="Another naming the data set brings: label-set:coarse, label-set:parity",
        load="ucbench_labelings.semantic:OtherLabelSet",
        params="ucbench_labelings.params:LabelSetParams",
        source="semantic",
    )
