"""Images that a table lists: read as it says, or refused with one error that names the line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import levels
from listed_files import listed, write_table

from ucbench.errors import DataError, UnmetRequestError
from ucbench_datasets.params import CsvParams
from ucbench_datasets.table import Csv
from ucbench_datasets.text_labels import Naming

SPLIT = ("path,label,split", "1.png,cat,train", "2.png,dog,train", "11.png,cat,test", "12.png,dog,test")


def test_table_with_splits_reads_as_it_says(tmp_path):
    loaded = listed(write_table(tmp_path / "set.csv", *SPLIT))
    assert (levels(loaded.train), levels(loaded.test)) == ([1, 2], [11, 12])
    assert (loaded.train.classes, loaded.test.labels.tolist()) == (("cat", "dog"), [0, 1])
    assert loaded.inventory.train.served == ("set.csv",)


@pytest.mark.parametrize(
    ("name", "lines", "options"),
    [
        ("a.tsv", ("file\tclass\tfold", "1.png\tb\ttrain", "2.png\ta\ttrain", "3.png\ta\ttest"), {"split": "fold"}),
        ("a.csv", ("\ufeffimage , target,split", '"1.png",b,Train', "2.png , a,train", "", "3.png,a,val"), {}),
        ("a.csv", ("p,breed,path,split", "1.png,b,x,train", "2.png,a,x,train", "3.png,a,x,test"),
         {"image": "p", "label": "breed"}),
    ],
)  # fmt: skip
def test_columns_have_usual_names_or_those_asked_for(tmp_path, name, lines, options):
    loaded = listed(write_table(tmp_path / name, *lines), **options)
    assert (levels(loaded.train), loaded.train.labels.tolist(), levels(loaded.test)) == ([1, 2], [1, 0], [3])


def test_numbers_take_the_names_of_the_column_class(tmp_path):
    table = write_table(tmp_path / "a.csv", "file,class,label", "1.png,zebra,0", "2.png,ant,1", "3.png,zebra,0",
                        "4.png,ant,1")  # fmt: skip
    assert listed(table, validation=0.5).train.classes == ("zebra", "ant")


def test_numbers_without_names_are_the_classes(tmp_path):
    lines = ("path,label", "1.png,2", "2.png,10", "3.png,2", "4.png,10")
    split = Csv(CsvParams(path=write_table(tmp_path / "a.csv", *lines))).find("train")
    assert (split.classes, split.labels.tolist()) == (tuple(map(str, range(11))), [2, 10, 2, 10])


def test_validation_rows_serve_without_test_rows_and_are_passed_over_beside_them(tmp_path):
    table = write_table(tmp_path / "a.csv", *SPLIT, "13.png,cat,val")
    assert list(Csv(CsvParams(path=table)).find("train").sources.passed_over) == ["validation rows beside test rows"]
    table = write_table(tmp_path / "a.csv", *SPLIT[:3], "13.png,cat,val")
    assert levels(listed(table).test) == [13]


def test_paths_are_relative_to_the_root_asked_for(tmp_path):
    write_table(tmp_path / "a.csv", "x")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("\n".join(SPLIT))
    assert levels(listed(tmp_path / "tables" / "a.csv", root=tmp_path).train) == [1, 2]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("path,label", "1.png,a,b"), "line 2 has 3 values for 2 columns"),
        (("path,label", "1.png"), "line 2 has 1 values for 2 columns"),
        (("picture,label", "1.png,a"), "has no column path, file, filename, file_name, image; name one with image="),
        (("path,kind", "1.png,a"), "has no column label, class, target, category; name one with label="),
        (("path,path,label", "1.png,1.png,a"), "several columns 'path'"),
        (("path,label,split", "1.png,a,dev"), "line 2: 'dev' is no split"),
        (("path,label", ",a"), "line 2 names no image"),
        (("path,label", "1.png,"), "line 2: there is no label"),
        (("path,label", "/etc/passwd,a"), "line 2: '/etc/passwd' leads out of"),
        (("path,label", "../1.png,a"), "line 2: '../1.png' leads out of"),
        (("path,label", "out/1.png,a"), "line 2: 'out/1.png' leads out of"),
        (("path,label,class", "1.png,0,a", "2.png,0,b"), "label 0 has two names, 'a' and 'b'"),
        (("path,label,class", "1.png,0,a", "2.png,1,a"), "several labels have the name 'a'"),
        (("path,label", '"1.png,a'), "cannot be read"),
        (("",), "has no column path"),
        (SPLIT[:3], "has no test rows. Add a column split .* or ask for validation=0.2"),
        ((*SPLIT[:3], "11.png,ox,test"), "label 'ox' is none of the training split's classes"),
    ],
)
def test_table_that_contradicts_itself_is_refused_with_its_line(tmp_path, lines, text):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "out").symlink_to(tmp_path)
    with pytest.raises(DataError, match=text):
        listed(write_table(tmp_path / "set" / "a.csv", *lines))


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"path,label\n1.\0png,a\n", b"path,label\n" + b"x" * 200_000])
def test_file_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"csv: .*a\.csv"):
        listed(tmp_path / "a.csv")


def test_missing_file_and_missing_image_are_named(tmp_path):
    with pytest.raises(UnmetRequestError, match=r"csv: .*gone\.csv is not a file"):
        listed(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"gone\.png: there is no such file\. Repair or remove it\.$"):
        listed(write_table(tmp_path / "a.csv", *SPLIT, "gone.png,cat,train"))


@given(st.lists(st.tuples(st.sampled_from(["train", "test"]), st.text(max_size=8).map(str.strip)), max_size=8))
def test_any_labels_are_read_as_written_or_refused(tmp_path_factory, rows):
    stream = io.StringIO()
    csv.writer(stream).writerows([("path", "label", "split"), *(("1.png", label, split) for split, label in rows)])
    file = tmp_path_factory.mktemp("set") / "a.csv"
    file.write_text(stream.getvalue(), encoding="utf-8", newline="")
    try:
        split = Csv(CsvParams(path=file)).find("train")
    except DataError:
        return
    assert len(split.labels) == sum(name == "train" for name, _ in rows)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=12))
def test_naming_is_inverted_by_its_classes(labels):
    places = [f"row {row}" for row in range(len(labels))]
    try:
        naming = Naming.of(labels, places)
    except DataError:
        return
    import unicodedata

    named = [naming.classes[number] for number in naming.numbers(labels, places)]
    expected = [str(int(label)) if naming.numbered else unicodedata.normalize("NFC", label) for label in labels]
    assert named == expected
