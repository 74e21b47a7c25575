"""Parameters of the data sets; this module imports neither torch nor PyArrow."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ucbench import DatasetParams


class DigitsParams(DatasetParams):
    size: int | None = Field(None, ge=8, description="side in pixels, enlarged bilinearly; none: 8, as scanned")


class PhotosParams(DatasetParams):
    label: Literal["coarse", "fine"] = Field("coarse", description="which labels to learn: 9 coarse or 41 fine classes")


class ParquetParams(DatasetParams):
    argument: ClassVar[str] = "path"
    locations: ClassVar[frozenset[str]] = frozenset({"path"})

    path: Path = Field(description="folder of train-*.parquet and test-*.parquet, or one file for training")
    label: str | None = Field(None, description="label column; none: `label`, `fine_label` or the only named one")
    image: str | None = Field(None, description="column of the encoded images; none: the only one")
    flip: bool = Field(True, description="whether a mirrored image keeps its label")


class WebDatasetParams(DatasetParams):
    argument: ClassVar[str] = "path"
    locations: ClassVar[frozenset[str]] = frozenset({"path"})

    path: Path = Field(description="folder of train-*.tar and test-*.tar, or one file for training")
    label: str | None = Field(None, description="extension of the member with the label; none: cls, else json")
    key: str = Field("label", description="entry with the label of members that are JSON")
    image: str | None = Field(None, description="extension of the image; none: the only one of an image")
    flip: bool = Field(True, description="whether a mirrored image keeps its label")


class CsvParams(DatasetParams):
    argument: ClassVar[str] = "path"
    locations: ClassVar[frozenset[str]] = frozenset({"path", "root"})

    path: Path = Field(description="file with a header and a row per image")
    image: str | None = Field(None, description="column of paths; none: path, file, filename, file_name or image")
    label: str | None = Field(None, description="column of labels; none: label, class, target or category")
    split: str | None = Field(None, description="column of train, test or validation; none: split, if there is one")
    root: Path | None = Field(None, description="folder that paths are relative to; none: that of the file")
    flip: bool = Field(True, description="whether a mirrored image keeps its label")


class HuggingFaceParams(DatasetParams):
    argument: ClassVar[str] = "path"
    locations: ClassVar[frozenset[str]] = frozenset({"path", "config", "revision"})

    path: str = Field(description="OWNER/NAME on the hub, or a folder of save_to_disk or of parquet files")
    config: str | None = Field(None, description="configuration on the hub; none: the only or default one")
    revision: str | None = Field(None, description="branch, tag or commit on the hub; none: main")
    label: str | None = Field(None, description="label column; none: `label`, `fine_label` or the only named one")
    image: str | None = Field(None, description="column of the encoded images; none: the only one")
    flip: bool = Field(True, description="whether a mirrored image keeps its label")


class ImageFolderParams(DatasetParams):
    argument: ClassVar[str] = "path"
    locations: ClassVar[frozenset[str]] = frozenset({"path"})

    path: Path = Field(description="folder with train/CLASS and test/CLASS (or val/CLASS), or with CLASS folders")
    holdout: float | None = Field(
        None, gt=0, lt=1, description="share of every class that is the test split of a folder without train/"
    )
    flip: bool = Field(True, description="whether a mirrored image keeps its label")


class DownloadParams(DatasetParams):
    locations: ClassVar[frozenset[str]] = frozenset({"root", "download"})

    root: Path | None = Field(None, description="folder of torchvision's files; none: $UCBENCH_DATA or a cache")
    download: bool = Field(True, description="let torchvision download missing files into the root")


class PetsParams(DownloadParams):
    label: Literal["breed", "species"] = Field("breed", description="which labels to learn: 37 breeds, or cat and dog")


class ImagenetteParams(DownloadParams):
    edition: Literal["160px", "320px", "full"] = Field("160px", description="short side of the images to download")


class Cifar10Params(DatasetParams):
    locations: ClassVar[frozenset[str]] = frozenset({"root", "download"})

    root: Path | None = Field(
        None, description="folder of cifar10/*.parquet or torchvision's files; none: $UCBENCH_DATA or a cache"
    )
    download: bool = Field(True, description="let torchvision download missing files into the root")


class Cifar100Params(Cifar10Params):
    label: Literal["fine", "coarse"] = Field("fine", description="which labels to learn: 100 fine or 20 coarse classes")
