"""Zero-shot annotation: the nearest class text, of the requested pixels, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import check_labeling, make_run
from ucbench.training.context import Run
from ucbench_openclip import labelings
from ucbench_openclip.surrogate import prompts

CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
MEAN, STD = 0.4, 0.25
CLASSES = ("cat", "sea_lion", "owl", "pickup truck")


pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(scope="module")
def model():
    """A random CLIP whose embeddings depend on the pixels and on the words, as an untrained one's hardly do."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG).eval().requires_grad_(False)
    model.token_embedding.weight.normal_()
    for dominating in (model.visual.class_embedding, model.visual.positional_embedding):
        dominating.zero_()
    return model


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    content = {"model_cfg": CONFIG, "preprocess_cfg": {"mean": [MEAN] * 3, "std": [STD] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(model.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def images(seed: int, count: int = 40, name: str = "some") -> ImageSet:
    """Images of the size of the model, each of another colour: a random model distinguishes them."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3, 1, 1)) * rng.random((count, 3, 16, 16))
    return ImageSet(pixels.astype(np.uint8), rng.permutation(np.arange(count) % 4), CLASSES, name=name)


CLEAN, PUBLISHED, TEST = images(0), images(1), images(2, 9, "test")


def apply(checkpoint: Path, options: str = "", published: ImageSet = PUBLISHED) -> tuple[ImageSet, ImageSet, Run]:
    run = make_run(stage="labeling")
    resolved = installed().resolve("labeling", f"zero-shot:checkpoint='{checkpoint}'{options}")
    train, scoring = resolved.build().apply(CLEAN, published, TEST, run)
    return train, scoring, run


@torch.no_grad()
def plain(model: Any, of: ImageSet, templates: list[Any]) -> NDArray[np.int64]:
    """The annotation by open_clip alone, one image and one text after the other."""
    texts = []
    for name in ("cat", "sea lion", "owl", "pickup truck"):
        tokens = [open_clip.tokenize([template(name)], context_length=20) for template in templates]
        texts.append(sum(F.normalize(model.encode_text(token)[0], dim=0) for token in tokens))
    found = []
    for image in of.images:
        embedded = model.encode_image((torch.from_numpy(image.copy())[None].float() / 255 - MEAN) / STD)[0]
        found.append(max(range(4), key=lambda k: float(F.cosine_similarity(embedded, texts[k], dim=0))))
    return np.array(found)


SIMPLE = [lambda name: f"a photo of a {name}."]


def test_zero_shot_labels_equal_the_nearest_class_texts(checkpoint, model, monkeypatch):
    monkeypatch.setattr(labelings, "BLOCK", 7)
    train, scoring, _ = apply(checkpoint)
    expected = plain(model, PUBLISHED, SIMPLE)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(train.known_labels, expected)
    np.testing.assert_array_equal(train.images, PUBLISHED.images)
    assert train.classes == scoring.classes == CLASSES
    assert scoring is TEST


def test_zero_shot_ensemble_averages_unit_embeddings(checkpoint, model):
    train, _, _ = apply(checkpoint, ",templates=ensemble")
    np.testing.assert_array_equal(
        train.known_labels, plain(model, PUBLISHED, list(open_clip.OPENAI_IMAGENET_TEMPLATES))
    )
    own, _, _ = apply(checkpoint, ",templates='the {class}/simple'")
    np.testing.assert_array_equal(own.known_labels, plain(model, PUBLISHED, [lambda name: f"the {name}", *SIMPLE]))


def test_zero_shot_annotates_clean_pixels_on_request(checkpoint, model):
    train, _, _ = apply(checkpoint, ",annotate=clean")
    expected = plain(model, CLEAN, SIMPLE)
    assert (expected != plain(model, PUBLISHED, SIMPLE)).any()
    np.testing.assert_array_equal(train.known_labels, expected)
    np.testing.assert_array_equal(train.images, PUBLISHED.images)


@pytest.mark.parametrize("pixels", ["clean", "published"])
def test_zero_shot_notes_hold_both_annotations(pixels, checkpoint, model):
    _, _, run = apply(checkpoint, f",annotate={pixels}")
    found = {"clean": plain(model, CLEAN, SIMPLE), "published": plain(model, PUBLISHED, SIMPLE)}
    true = {name: 100 * (labels == CLEAN.known_labels).mean() for name, labels in found.items()}
    assert run.notes == {
        "label_agreement": {"accuracy": pytest.approx(true[pixels])},
        "annotation_accuracy": {name: pytest.approx(share) for name, share in true.items()},
        "labels_kept": pytest.approx(100 * (found["clean"] == found["published"]).mean()),
        "classes_without_images": 4 - len(np.unique(found[pixels])),
    }


def test_zero_shot_annotates_unchanged_images_once(checkpoint, monkeypatch):
    annotated = []
    predict = labelings.predict_classes
    monkeypatch.setattr(labelings, "predict_classes", lambda *given: annotated.append(given[1]) or predict(*given))
    _, _, run = apply(checkpoint, published=CLEAN)
    assert sum(map(len, annotated)) == len(CLEAN)
    assert run.notes["labels_kept"] == 100


def test_zero_shot_keeps_the_contract(checkpoint):
    check_labeling(installed().resolve("labeling", f"zero-shot:checkpoint='{checkpoint}'"))


def test_prompts_are_one_per_template_and_80_for_the_ensemble():
    assert prompts("sea_lion", ("a {class}, no {thing}", "{class}")) == ["a sea lion, no {thing}", "sea lion"]
    texts = prompts("sea_lion", ("ensemble",))
    assert len(texts) == 80
    assert all("sea lion" in text for text in texts)


def identity(checkpoint: Path, options: str = "") -> dict[str, Any]:
    return installed().resolve("labeling", f"zero-shot:checkpoint='{checkpoint}'{options}").identity()


def test_zero_shot_key_depends_on_weights_prompts_and_pixels(checkpoint, tmp_path):
    keys = [identity(checkpoint, options) for options in ("", ",templates=ensemble", ",annotate=clean")]
    (tmp_path / "open_clip_config.json").write_bytes(checkpoint.with_name("open_clip_config.json").read_bytes())
    (tmp_path / "other.safetensors").write_bytes(checkpoint.read_bytes()[:-1] + b"x")
    keys.append(identity(tmp_path / "other.safetensors"))
    assert all(first != second for place, first in enumerate(keys) for second in keys[:place])
    assert identity(checkpoint, ",templates=simple") == keys[0]
    assert identity(checkpoint, ",templates='a photo of a {class}.'") == keys[0]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("zero-shot", r"no CLIP is named: write ARCH/TAG, as in RN50/openai, or give checkpoint=FILE"),
        ("zero-shot:RN50/openai:templates=hello", r"'hello' is neither 'simple' nor 'ensemble'.*\{class\}"),
        ("zero-shot:RN50/openai:templates=/", "templates"),
    ],
)
def test_zero_shot_refuses_missing_models_and_invalid_templates(reference, message):
    with pytest.raises(UsageError, match=message):
        installed().resolve("labeling", reference)


def test_zero_shot_model_is_given_as_argument_or_option():
    resolved = installed().resolve("labeling", "zero-shot@ensemble:clip=RN50/openai")
    assert resolved.params == installed().resolve("labeling", "zero-shot@ensemble:RN50/openai").params
    assert resolved.params.templates == ("ensemble",)
