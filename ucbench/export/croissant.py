"""A published release described in Croissant 1.0, the MLCommons vocabulary for data sets (JSON-LD on schema.org).

Croissant has no hashes for the files of a folder. It has one for ``labels.csv``, which holds those of the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ucbench.data.budget import Budget

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
#: The names of the specification, as its JSON-LD context binds them.
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class About:
    """What only the publisher knows. Values that are None are left out, which a validator reports.

    Attributes:
        license: URL of the terms, which must respect those of the source data.
        creator: a person or an organisation.
        url: the page of the published set.
        date: of publication, ``2026-01-31``.
    """

    license: str | None = None
    creator: str | None = None
    url: str | None = None
    date: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the values that are None."""
        return tuple(name for name, value in vars(self).items() if value is None)


def croissant(
    description: Mapping[str, Any],
    classes: Sequence[str],
    hashes: Mapping[str, str],
    about: About,
    cite: Sequence[str] = (),
) -> dict[str, Any]:
    """The description as JSON-LD.

    Args:
        description: the content of ``release.json``.
        classes: names by label.
        hashes: SHA-256 by file.
        cite: BibTeX entries of the poisoner and the source data.
    """
    request = description["request"]
    poisoner = request["poisoner"].partition(":")[0]
    folders = sorted({name.partition("/")[0] for name in hashes if name.endswith(".png")})
    patterns = [f"{folder}/*/*.png" for folder in folders]
    known = {
        "license": about.license,
        "creator": None if about.creator is None else {"@type": "Organization", "name": about.creator},
        "url": about.url,
        "datePublished": about.date,
    }
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{poisoner}-{request['dataset'].partition(':')[0]}-{description['release'][:12]}",
        "description": summary(description),
        **({"citeAs": "\n".join(cite)} if cite else {}),
        **{name: value for name, value in known.items() if value is not None},
        "version": "1.0.0",
        "keywords": ["unlearnable examples", "availability poisoning"],
        "isLiveDataset": False,
        "distribution": [
            _file("labels.csv", "text/csv", hashes["labels.csv"], "One row per image, with its SHA-256."),
            _file("release.json", "application/json", hashes["release.json"], "What was crafted, and how."),
            {
                "@type": "cr:FileSet",
                "@id": "image-files",
                "name": "image-files",
                "description": "The training set as published, one folder per class.",
                "encodingFormat": "image/png",
                "includes": patterns[0] if len(patterns) == 1 else patterns,
            },
        ],
        "recordSet": [_classes(classes), _labels(), _images(folders == ["images"])],
    }


def summary(description: Mapping[str, Any]) -> str:
    """What the release is, in two sentences, from the content of ``release.json``."""
    request = description["request"]
    return (
        f"{description['images']} images of {request['dataset']}, of which a share of {request['mixture']:g} was"
        f" made unlearnable by {request['poisoner']} within the budget {Budget(request['norm'], request['epsilon'])}"
        f" (release {description['release']}). The perturbation is small; models trained on these images should learn"
        " nothing useful."
    )


def _file(name: str, kind: str, sha256: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": sha256,
    }


def _classes(classes: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "Names of the labels.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [
            _field("classes/label", "The label.", "sc:Integer"),
            _field("classes/name", "Its name.", "sc:Text"),
        ],
        "data": [{"classes/label": label, "classes/name": name} for label, name in enumerate(classes)],
    }


def _labels() -> dict[str, Any]:
    columns = (
        ("file", "Path of the image file.", "sc:Text"),
        ("class", "The name of its label.", "sc:Text"),
        ("label", "Its label.", "sc:Integer"),
        ("index", "Its index in the training set, from 0.", "sc:Integer"),
        ("protected", "Whether it was perturbed: yes or no.", "sc:Text"),
        ("sha256", "Of the image file.", "sc:Text"),
        ("split", "train, or test for clean images to score on.", "sc:Text"),
    )
    fields = []
    for name, description, kind in columns:
        source = {"fileObject": {"@id": "labels.csv"}, "extract": {"column": name}}
        fields.append({**_field(f"labels/{name}", description, kind), "source": source})
    return {
        "@type": "cr:RecordSet",
        "@id": "labels",
        "name": "labels",
        "description": "The table of the images.",
        "key": {"@id": "labels/file"},
        "field": fields,
    }


def _images(numbered: bool) -> dict[str, Any]:
    """The images, with the label from a folder's name if it is in there, else with the name alone."""
    name, about, kind, pattern = (
        ("images/label", "Its label, a key of the record set classes.", "sc:Integer", r"0*(\d+)(?:-[^/]*)?")
        if numbered
        else ("images/folder", "The folder of its class; labels.csv has the label.", "sc:Text", r"([^/]+)")
    )
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "The images with their labels, which name the folders.",
        "field": [
            {
                **_field("images/image", "The image, 8-bit RGB.", "sc:ImageObject"),
                "source": {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": "content"}},
            },
            {
                **_field("images/filename", "The name of its file: its index in the training set.", "sc:Text"),
                "source": {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": "filename"}},
            },
            {
                **_field(name, about, kind),
                "source": {
                    "fileSet": {"@id": "image-files"},
                    "extract": {"fileProperty": "fullpath"},
                    "transform": {"regex": rf"^(?:.*/)?(?:images|train|test)/{pattern}/[^/]+\.png$"},
                },
            },
        ],
    }


def _field(name: str, description: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "name": name, "description": description, "dataType": kind}
