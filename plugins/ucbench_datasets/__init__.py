"""Data sets: embedded photographs and digits, those of torchvision, and any images in files of common formats."""

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
    yield ucbench.DatasetSpec(
        name="hf",
        summary="images of the Hugging Face hub, OWNER/NAME, or in a folder that its library saved",
        load="ucbench_datasets.huggingface:HuggingFace",
        params="ucbench_datasets.params:HuggingFaceParams",
    )
    yield ucbench.DatasetSpec(
        name="webdataset",
        summary="images in tar archives as the library WebDataset writes them",
        load="ucbench_datasets.webdataset:WebDataset",
        params="ucbench_datasets.params:WebDatasetParams",
    )
    yield ucbench.DatasetSpec(
        name="csv",
        summary="images that a table lists: columns path and label, optionally split",
        load="ucbench_datasets.table:Csv",
        params="ucbench_datasets.params:CsvParams",
    )
    yield from _torchvision()


def _torchvision() -> Iterator[ucbench.DatasetSpec]:
    """Data sets that torchvision downloads and compares with its checksums."""
    for name, load, side, params, summary, paper in (
        ("svhn", "Svhn", 32, "DownloadParams", "99,289 house numbers of 10 digits at 32x32 px",
         "Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng: Reading Digits in Natural Images with "
         "Unsupervised Feature Learning. NIPS Workshop on Deep Learning and Unsupervised Feature Learning 2011. "
         "https://ufldl.stanford.edu/housenumbers/nips2011_housenumbers.pdf"),
        ("stl10", "Stl10", 96, "DownloadParams", "13,000 photographs of 10 classes at 96x96 px",
         "A. Coates, H. Lee, A. Y. Ng: An Analysis of Single-Layer Networks in Unsupervised Feature Learning. AISTATS "
         "2011. https://proceedings.mlr.press/v15/coates11a.html"),
        ("pets", "Pets", None, "PetsParams", "7,349 photographs of 37 breeds of cats and dogs",
         "O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar: Cats and Dogs. CVPR 2012. "
         "doi 10.1109/CVPR.2012.6248092"),
        ("flowers102", "Flowers102", None, "DownloadParams", "7,169 photographs of 102 kinds of flowers, 1,020 train",
         "M.-E. Nilsback, A. Zisserman: Automated Flower Classification over a Large Number of Classes. ICVGIP 2008. "
         "doi 10.1109/ICVGIP.2008.47"),
        ("eurosat", "EuroSat", 64, "DownloadParams", "27,000 satellite images of 10 kinds of land at 64x64 px",
         "P. Helber, B. Bischke, A. Dengel, D. Borth: EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land "
         "Use and Land Cover Classification. IEEE J-STARS 2019. doi 10.1109/JSTARS.2019.2918242"),
        ("gtsrb", "Gtsrb", None, "DownloadParams", "39,270 photographs of 43 kinds of traffic signs",
         "J. Stallkamp, M. Schlipsing, J. Salmen, C. Igel: Man vs. computer: Benchmarking machine learning algorithms "
         "for traffic sign recognition. Neural Networks 2012. doi 10.1016/j.neunet.2012.02.016"),
        ("imagenette", "Imagenette", None, "ImagenetteParams", "13,394 photographs of 10 classes of ImageNet",
         "J. Howard: Imagenette. 2019. https://github.com/fastai/imagenette"),
    ):  # fmt: skip
        yield ucbench.DatasetSpec(
            name=name,
            summary=f"{summary}, from torchvision's files or download",
            side=side,
            load=f"ucbench_datasets.torchvision_sets:{load}",
            params=f"ucbench_datasets.params:{params}",
            paper=paper,
        )
