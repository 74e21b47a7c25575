"""A release as a data set of the Hugging Face hub: parquet shards, and a card that says what they are.

    data/train-00000-of-00001.parquet   image, label, index, protected; class names and types in the metadata
    README.md                           the card, whose front matter names licence, files and columns

Layout and front matter: https://huggingface.co/docs/datasets/repository_structure and
https://huggingface.co/docs/hub/datasets-cards.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ucbench.data.budget import Budget
from ucbench.export.croissant import About, summary
from ucbench.export.layouts import PublishedSplit, Splits
from ucbench.export.sheet import budget_text

#: Bytes of pixels in a shard, which as PNG are fewer; the hub recommends files below 500 MB.
_SHARD = 400_000_000
#: Rows that a reader loads at once, as the library ``datasets`` writes images.
_ROW_GROUP = 100
#: The hub's names of licences, by how their addresses go on after ``//`` and ``www.``.
_LICENSES = {
    "creativecommons.org/publicdomain/zero/1.0": "cc0-1.0",
    **{
        f"creativecommons.org/licenses/{kind}/{version}": f"cc-{kind}-{version}"
        for kind, versions in (
            ("by", "2.0 2.5 3.0 4.0"),
            ("by-sa", "3.0 4.0"),
            ("by-nc", "2.0 3.0 4.0"),
            ("by-nd", "4.0"),
            ("by-nc-sa", "2.0 3.0 4.0"),
            ("by-nc-nd", "3.0 4.0"),
        )
        for version in versions.split()
    },
    "opensource.org/licenses/MIT": "mit",
    "opensource.org/license/mit": "mit",
    "apache.org/licenses/LICENSE-2.0": "apache-2.0",
}


def png(split: PublishedSplit, row: int) -> bytes:
    """One image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(split.images.images[row].transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def shards(split: PublishedSplit, shard_bytes: int = _SHARD) -> Iterator[tuple[str, bytes, int]]:
    """Name, content and number of rows of every shard of a split."""
    count = len(split.images)
    each = max(1, shard_bytes // (3 * split.images.size[0] * split.images.size[1]))
    starts = range(0, count, each)
    for number, start in enumerate(starts):
        rows = range(start, min(start + each, count))
        buffer = io.BytesIO()
        pq.write_table(_table(split, rows), buffer, row_group_size=_ROW_GROUP)
        yield f"data/{split.name}-{number:05}-of-{len(starts):05}.parquet", buffer.getvalue(), len(rows)


def _table(split: PublishedSplit, rows: range) -> pa.Table:
    labels = split.images.known_labels
    digits = len(str(len(split.images) - 1))
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": png(split, row), "path": f"{row:0{digits}d}.png"} for row in rows], image),
        "label": pa.array(labels[rows.start : rows.stop], pa.int64()),
        "index": pa.array(rows, pa.int64()),
        "protected": pa.array(split.protected[rows.start : rows.stop], pa.bool_()),
    }
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(split.images.classes)},
        "index": {"_type": "Value", "dtype": "int64"},
        "protected": {"_type": "Value", "dtype": "bool"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(metadata)


def card(description: Mapping[str, Any], splits: Splits, command: str | None, cite: Sequence[str], about: About) -> str:
    """``README.md``: front matter in YAML, then what the release is, how it was made and how to read it.

    Args:
        description: the content of ``release.json``.
        command: that makes the release again, if there is one.
        cite: BibTeX entries.
    """
    measured, request = description["measured"], description["request"]
    fingerprints = {"release": description["release"], "source images": description["source"]}
    rows = [
        ("budget", budget_text(Budget(request["norm"], request["epsilon"])).removeprefix("Budget ")),
        ("largest change", f"{measured['linf_max']:g} of 255 levels"),
        ("PSNR, SSIM", f"{measured['psnr']:.1f} dB, {measured['ssim']:.3f} (means over the images)"),
        *((name, f"`{value}`") for name, value in fingerprints.items()),
    ]
    parts = [
        f"---\n{_front_matter(description, splits, about)}---",
        f"# {title(description)}",
        summary(description),
        "Models trained on these images without permission should learn little. That is a property to be measured, no"
        " promise: defenses undo much of it. The column `protected` says which images were perturbed; `index` is their"
        " place in the training set.",
        "## Perturbation",
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]),
        "Everything else is in `release.json`, and the hashes of the files are in `SHA256SUMS`.",
        *([] if command is None else ["Made with ucbench, by:", _block("sh", command)]),
        "## Use",
        _block(
            "python",
            "from datasets import load_dataset\n\n# PATH: this folder, or the data set as OWNER/NAME\n"
            'train = load_dataset("PATH", split="train")',
        ),
        *(["## Citation", _block("bibtex", "\n".join(cite))] if cite else []),
    ]
    return "\n\n".join(parts) + "\n"


def title(description: Mapping[str, Any]) -> str:
    """``uc on cifar10 (linf 8)``, without the options of either."""
    request = description["request"]
    names = [request[axis].partition(":")[0] for axis in ("poisoner", "dataset")]
    radius = "" if request["epsilon"] is None else f" {request['epsilon']:g}"
    return f"{names[0]} on {names[1]} ({request['norm']}{radius})"


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _front_matter(description: Mapping[str, Any], splits: Splits, about: About) -> str:
    """YAML."""
    count = sum(len(split.images) for split in splits)
    classes = splits[0].images.classes
    lines = [
        *_license(about.license),
        f"pretty_name: {_quoted(title(description))}",
        "task_categories:\n- image-classification",
        "tags:\n- unlearnable-examples\n- availability-poisoning\n- ucbench",
        f"size_categories:\n- {_size(count)}",
        "configs:\n- config_name: default\n  data_files:",
        *(f"  - split: {split.name}\n    path: data/{split.name}-*.parquet" for split in splits),
        "dataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n"
        "      class_label:\n        names:",
        *(f"          '{label}': {_quoted(name)}" for label, name in enumerate(classes)),
        "  - name: index\n    dtype: int64\n  - name: protected\n    dtype: bool\n  splits:",
        *(f"  - name: {split.name}\n    num_examples: {len(split.images)}" for split in splits),
    ]
    return "\n".join(lines) + "\n"


def _license(address: str | None) -> list[str]:
    if address is None:
        return ["license: unknown"]
    place = address.partition("//")[2].removeprefix("www.").removesuffix("/")
    known = _LICENSES.get(place.removesuffix("/deed.en").removesuffix(".html").removesuffix(".txt"))
    if known is not None:
        return [f"license: {known}"]
    return ["license: other", "license_name: see-link", f"license_link: {_quoted(address)}"]


def _quoted(text: str) -> str:
    """A double-quoted scalar of YAML. Escapes of JSON are not the same beyond the first plane of Unicode."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(plain)}"'


def _size(count: int) -> str:
    """The hub's categories: ``n<1K``, ``1K<n<10K``, ..."""
    if count < 1000:
        return "n<1K"
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    place = min(len(str(count)) - 4, len(bounds) - 2)
    return f"{bounds[place]}<n<{bounds[place + 1]}"
