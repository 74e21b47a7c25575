"""Images in tar archives, as the library WebDataset writes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ucbench import DataError, FramedDataset, LazyImage, Split, SplitName, UnmetRequestError
from ucbench_datasets.listing import some
from ucbench_datasets.params import WebDatasetParams
from ucbench_datasets.parquet_layout import split_files
from ucbench_datasets.tar_shards import Sample, read_shard
from ucbench_datasets.text_labels import Naming

_IMAGES = frozenset({"avif", "bmp", "gif", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp"})
#: Names of the classes by number, one in a line, beside the shards or one folder above them.
_NAMES = "classnames.txt"
#: Most bytes of a member that holds a label.
_LONGEST = 1 << 20


class WebDataset(FramedDataset):
    """``PATH/train-*.tar`` and ``PATH/test-*.tar``; see :func:`ucbench_datasets.parquet_layout.split_files`.

    The image of a sample is its only member with an image's extension. The label is its member ``cls``, a number or a
    name, or an entry of its member ``json``.
    """

    name = "webdataset"
    params: WebDatasetParams

    def __init__(self, params: WebDatasetParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()

    def find(self, split: SplitName) -> Split:
        files, sources = split_files(self._path, "train", self.name)
        samples, passed_over = _read(files)
        labels = self._labels(samples)
        naming = Naming.of(labels, [sample.where for sample in samples], _class_names(files[0]))
        if split != "train":
            files, sources = split_files(self._path, split, self.name)
            samples, passed_over = _read(files)
            labels = self._labels(samples)
        return Split(
            [self._image(sample) for sample in samples],
            naming.numbers(labels, [sample.where for sample in samples]),
            naming.classes,
            sources=replace(sources, passed_over={**sources.passed_over, **passed_over}),
        )

    def _labels(self, samples: Sequence[Sample]) -> list[str]:
        if not samples:
            raise DataError(f"webdataset: {self._path} holds no samples.")
        usual = next((name for name in ("cls", "json") if name in samples[0].members), "cls")
        return [self._label(sample, (self.params.label or usual).lower()) for sample in samples]

    def _label(self, sample: Sample, member: str) -> str:
        content = sample.members.get(member)
        if content is None:
            raise UnmetRequestError(
                f"{sample.where}: has {_there(sample)}, but no .{member} with its label. Name it with label=."
            )
        try:
            if len(content) > _LONGEST:
                raise ValueError(f"it has {len(content)} bytes")
            text = bytes(content).decode()
            return _entry(json.loads(text), self.params.key) if member.endswith("json") else text.strip()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{sample.where}.{member}: holds no label: {error}.") from error

    def _image(self, sample: Sample) -> LazyImage:
        wanted = (self.params.image or "").lower()
        images = [name for name in sample.members if (name == wanted if wanted else name.rpartition(".")[2] in _IMAGES)]
        if len(images) != 1:
            expected = f".{wanted}" if wanted else "one image; choose it with image=EXTENSION"
            raise UnmetRequestError(f"{sample.where}: has {_there(sample)}; expected {expected}.")
        return LazyImage(sample.members[images[0]], f"{sample.where}.{images[0]}")


def _there(sample: Sample) -> str:
    return some([f".{name}" for name in sample.members])


def _read(files: Sequence[Path]) -> tuple[list[Sample], dict[str, list[str]]]:
    """The samples of all files, and what was passed over in them."""
    samples: list[Sample] = []
    passed_over: dict[str, list[str]] = {}
    for shard in map(read_shard, files):
        samples += shard.samples
        for reason, names in shard.passed_over.items():
            passed_over.setdefault(reason, []).extend(names)
    return samples, passed_over


def _entry(value: object, key: str) -> str:
    if not isinstance(value, Mapping):
        raise ValueError("it is no JSON object")
    label = value.get(key)
    if isinstance(label, bool) or not isinstance(label, (int, str)):
        raise ValueError(f"its entry {key!r} is no number or text; choose another with key=")
    return str(label).strip()


def _class_names(shard: Path) -> list[str]:
    places = (folder / _NAMES for folder in (shard.parent, shard.parent.parent))
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return []
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"webdataset: {file} cannot be read: {error}.") from error
    if wrong := [repr(name) for name, count in Counter(names).items() if count > 1 or not name]:
        raise DataError(f"webdataset: {file} has empty or repeated lines: {some(wrong, 3)}.")
    return names
