"""``check_dataset`` of bare instances: splits that disagree, and data that is not there."""

from __future__ import annotations

import pytest

from ucbench import ContractError, DataError
from ucbench.testing import check_dataset, sample_images


class Good:
    def load(self, split):
        return sample_images(seed=["train", "test"].index(split), name=split)


def refused(dataset, text):
    with pytest.raises(ContractError, match=text):
        check_dataset(dataset)


def test_conforming_component_passes():
    check_dataset(Good())


def test_disagreeing_splits_are_found():
    class Other(Good):
        def load(self, split):
            return sample_images(classes=3 if split == "train" else 2)

    refused(Other(), "disagree about the classes")


def test_data_error_of_a_load_is_passed_on():
    class Absent:
        def load(self, split):
            raise DataError("No such folder.")

    with pytest.raises(DataError, match="No such folder"):
        check_dataset(Absent())
