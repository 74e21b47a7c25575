"""Data sets: embedded photographs and digits, CIFAR-10 and CIFAR-100, any images in folders or parquet files."""

from __future__ import annotations

from collections.abc import Iterator

import ucbench

_DIGITS = (
    "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository 1998. "
    "doi 10.24432/C50P49"
)
_CIFAR = (
    "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto "
    "2009. https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf"
)
_CALTECH = (
    "F.-F. Li, M. Andreeto, M. Ranzato, P. Perona: Caltech 101. CaltechDATA 2022. doi 10.22002/D1.20086 (CC BY 4.0)"
)


@ucbench.hookimpl
def ucbench_datasets() -> Iterator[ucbench.DatasetSpec]:
    yield ucbench.DatasetSpec(
        name="photos",
        summary="2,132 photographs of Caltech-101 at 32x32 px, embedded: 9 coarse or 41 fine classes, 492 for testing",
        epsilon=8,
        side=32,
        load="ucbench_datasets.photos:Photos",
        params="ucbench_datasets.params:PhotosParams",
        paper=_CALTECH,
    )
    yield ucbench.DatasetSpec(
        name="digits",
        summary="1,797 scanned handwritten digits at 8x8 px, embedded: 1,297 train, 500 test",
        epsilon=48,
        side=8,
        load="ucbench_datasets.digits:Digits",
        params="ucbench_datasets.params:DigitsParams",
        paper=_DIGITS,
    )
    yield ucbench.DatasetSpec(
        name="cifar10",
        summary="60,000 photographs of 10 classes at 32x32 px, from parquet files or torchvision's download",
        side=32,
        load="ucbench_datasets.cifar:Cifar10",
        params="ucbench_datasets.params:Cifar10Params",
        paper=_CIFAR,
    )
    yield ucbench.DatasetSpec(
        name="cifar100",
        summary="60,000 photographs of 100 fine and 20 coarse classes at 32x32 px",
        side=32,
        load="ucbench_datasets.cifar:Cifar100",
        params="ucbench_datasets.params:Cifar100Params",
        paper=_CIFAR,
    )
    yield ucbench.DatasetSpec(
        name="imagefolder",
        summary="images in PATH/train/CLASS and PATH/test/CLASS, or in PATH/CLASS with holdout=",
        load="ucbench_datasets.imagefolder:ImageFolder",
        version=2,
        params="ucbench_datasets.params:ImageFolderParams",
    )
    yield ucbench.DatasetSpec(
        name="parquet",
        summary="images in parquet files as the Hugging Face hub lays them out",
        load="ucbench_datasets.parquet:Parquet",
        params="ucbench_datasets.params:ParquetParams",
    )
