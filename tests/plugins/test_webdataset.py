"""Images in tar archives: read as they were written, or refused with one error, whatever the archive says."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import levels, plain
from listed_files import archives, samples, write_shards, write_tar

from ucbench.errors import DataError, UcbenchError
from ucbench_datasets.tar_shards import read_shard


def test_archives_read_as_they_were_written(tmp_path):
    loaded = archives(write_shards(tmp_path))
    assert (levels(loaded.train), levels(loaded.test)) == ([1, 2], [11, 12])
    assert (loaded.train.classes, loaded.train.labels.tolist()) == (("0", "1"), [0, 1])
    assert loaded.inventory.train.served == ("train-000000.tar",)


@pytest.mark.parametrize(
    ("labels", "extension", "options", "classes"),
    [
        (["cat", "dog"], "cls", {}, ("cat", "dog")),
        (['{"label": 1}', '{"label": 0}'], "json", {}, ("0", "1")),
        (['{"breed": "pug"}', '{"breed": "chow"}'], "json", {"key": "breed"}, ("chow", "pug")),
        (["b", "a"], "txt", {"label": "txt"}, ("a", "b")),
        (["007", "0\n"], "CLS", {}, tuple("01234567")),
    ],
)
def test_labels_are_numbers_or_names_in_the_member_asked_for(tmp_path, labels, extension, options, classes):
    train = write_tar(tmp_path / "train.tar", samples([1, 2], labels, extension))
    from ucbench_datasets.params import WebDatasetParams
    from ucbench_datasets.webdataset import WebDataset

    split = WebDataset(WebDatasetParams(path=train, **options)).find("train")
    assert split.classes == classes


@pytest.mark.parametrize("place", [".", ".."])
def test_class_names_lie_beside_the_archives_or_above(tmp_path, place):
    folder = write_shards(tmp_path / "wds")
    (folder / place / "classnames.txt").write_text("ant\nbee\n", encoding="utf-8")
    assert archives(folder).train.classes == ("ant", "bee")
    (folder / place / "classnames.txt").write_text("ant\nant\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"classnames\.txt has empty or repeated lines: 'ant'"):
        archives(folder)


def test_folders_within_an_archive_are_part_of_the_key(tmp_path):
    members = [(f"{folder}/1.{name}", content) for folder, value in (("a", 1), ("b", 2))
               for name, content in (("png", plain(value)), ("cls", b"%d" % (value - 1)))]  # fmt: skip
    write_tar(tmp_path / "train.tar", members)
    write_tar(tmp_path / "test.tar", members)
    assert levels(archives(tmp_path).train) == [1, 2]


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def test_links_devices_and_hidden_members_are_passed_over_by_name(tmp_path):
    hostile = [
        special("0000.json", tarfile.SYMTYPE, "/etc/passwd"),
        special("0001.json", tarfile.LNKTYPE, "../../secret"),
        special("0002.cls", tarfile.CHRTYPE),
        special("folder", tarfile.DIRTYPE),
        (".hidden.png", plain(9)),
        ("README", b"text"),
    ]
    write_shards(tmp_path)
    write_tar(tmp_path / "train-000000.tar", [*samples([1, 2], [0, 1]), *hostile])
    loaded = archives(tmp_path)
    assert levels(loaded.train) == [1, 2]
    from ucbench_datasets.params import WebDatasetParams
    from ucbench_datasets.webdataset import WebDataset

    passed_over = WebDataset(WebDatasetParams(path=tmp_path)).find("train").sources.passed_over
    assert {reason: list(names) for reason, names in passed_over.items()} == {
        "links, devices and sparse files": [f"train-000000.tar/{name}" for name in
                                            ("0000.json", "0001.json", "0002.cls")],
        "hidden": ["train-000000.tar/.hidden.png"],
        "members without an extension": ["train-000000.tar/README"],
    }  # fmt: skip


def test_names_that_lead_out_of_the_folder_are_only_names(tmp_path):
    members = [("../../0000.png", plain(1)), ("../../0000.cls", b"0"), ("/etc/1.png", plain(2)), ("/etc/1.cls", b"1")]
    write_tar(tmp_path / "set" / "train.tar", members)
    write_tar(tmp_path / "set" / "test.tar", members)
    before = sorted(tmp_path.rglob("*"))
    assert levels(archives(tmp_path / "set").train) == [1, 2]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([("0.png", plain(1))], r"0: has \.png, but no \.cls with its label"),
        ([("0.cls", b"0")], r"has \.cls; expected one image"),
        ([("0.png", plain(1)), ("0.jpg", plain(1)), ("0.cls", b"0")], "expected one image; choose it with image="),
        ([("0.png", plain(1)), ("0.PNG", plain(1))], r"has \.PNG twice"),
        ([("0.png", plain(1)), ("1.png", plain(2)), ("0.cls", b"0")], "do not follow each other"),
        ([("0.png", plain(1)), ("0.cls", b"")], "there is no label"),
        ([("0.png", plain(1)), ("0.cls", b"99999")], "too large to number a class"),
        ([("0.png", plain(1)), ("0.cls", b"\xff")], "holds no label"),
        ([("0.png", plain(1)), ("0.json", b"[" * 100_000)], "holds no label"),
        ([("0.png", plain(1)), ("0.json", b'{"label": true}')], "is no number or text; choose another with key="),
        ([("0.png", plain(1)), ("0.json", b"[1]")], "no JSON object"),
        ([], "holds no samples"),
    ],
)
def test_archive_that_contradicts_itself_is_refused_with_its_sample(tmp_path, members, text):
    with pytest.raises(DataError, match=text):
        archives(write_tar(tmp_path / "train.tar", members), validation=0.5)


def test_test_label_without_training_images_is_named(tmp_path):
    write_shards(tmp_path)
    write_tar(tmp_path / "test-000000.tar", samples([11], [2]))
    with pytest.raises(DataError, match="label '2' is none of the training split's classes"):
        archives(tmp_path)


def test_image_option_chooses_among_several(tmp_path):
    members = [("0.png", plain(1)), ("0.seg.png", plain(9)), ("0.cls", b"0"),
               ("1.png", plain(2)), ("1.seg.png", plain(9)), ("1.cls", b"1")]  # fmt: skip
    for split in ("train", "test"):
        write_tar(tmp_path / f"{split}.tar", members)
    assert levels(archives(tmp_path, image="png").train) == [1, 2]


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"x" * 1000, mtime=0)], ids=["empty", "text", "gzip"])
def test_file_that_is_no_plain_archive_is_refused(tmp_path, content):
    (tmp_path / "train.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.tar: cannot be read as an uncompressed tar archive"):
        archives(tmp_path / "train.tar", validation=0.5)


def test_size_beyond_the_file_is_refused_without_reading_it(tmp_path):
    archive = bytearray(write_tar(tmp_path / "train.tar", samples([1], [0])).read_bytes())
    header = bytearray(archive[:512])
    header[124:136] = b"77777777777\0"  # eight gigabytes
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / "train.tar").write_bytes(bytes(header) + bytes(archive[512:]))
    with pytest.raises(DataError, match="cannot be read as an uncompressed tar archive"):
        read_shard(tmp_path / "train.tar")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_damaged_archive_is_read_or_refused_but_raises_nothing_else(tmp_path, data):
    file = write_tar(tmp_path / "train.tar", [*samples([1, 2], [0, 1]), ("x.json", json.dumps({"label": 1}).encode())])
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 2600))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        shard = read_shard(file)
    except UcbenchError:
        return
    assert all(len(member) <= len(content) for sample in shard.samples for member in sample.members.values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.text("ab/.é", min_size=1, max_size=9), st.binary(max_size=9)), max_size=8))
def test_members_of_an_archive_are_in_samples_or_passed_over(tmp_path, members):
    file = write_tar(tmp_path / "train.tar", members)
    try:
        shard = read_shard(file)
    except DataError:
        return
    count = sum(len(sample.members) for sample in shard.samples) + sum(map(len, shard.passed_over.values()))
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as archive:
        assert count == sum(not member.isdir() for member in archive)


@pytest.mark.parametrize("how", ["byte", "boundary", "header"])
def test_archive_that_is_damaged_behind_its_first_member_loses_no_sample_silently(tmp_path, how):
    file = write_tar(tmp_path / "train.tar", samples([1, 2, 3, 4, 5], list("01234"), "cls"))
    content = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        start = archive.getmembers()[4].offset
    if how == "byte":
        content[start + 1] ^= 1
    file.write_bytes(content if how == "byte" else content[: start + (100 if how == "header" else 0)])
    with pytest.raises(DataError, match="neither a member nor an end"):
        read_shard(file)
