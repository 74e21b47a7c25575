"""Every registered component keeps the contract of its kind."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from listed_files import write_tar
from PIL import Image
from tiny_clips import saved

from ucbench.plugins.grammar import ComponentRef
from ucbench.plugins.registry import installed, missing_modules
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.testing import CHECKS, check_victim, sample_images


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Images in files of all kinds, a checkpoint and a release, by the name of their component."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import timm
    from safetensors.torch import save_file

    home = tmp_path_factory.mktemp("files")
    table = ["path,label,split"]
    for split, seed in (("train", 0), ("test", 1)):
        rows, members = [], []
        images = sample_images(seed=seed)
        for number, (pixels, label) in enumerate(zip(images.images, images.known_labels, strict=True)):
            path = home / "imagefolder" / split / images.classes[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
            rows.append({"image": {"bytes": path.read_bytes(), "path": None}, "label": int(label)})
            table.append(f"{path.relative_to(home)},{label},{split}")
            members += [(f"{number}.png", path.read_bytes()), (f"{number}.cls", str(label).encode())]
        write_tar(home / "webdataset" / f"{split}.tar", members)
        (home / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), home / "parquet" / f"{split}-0.parquet")
    (home / "csv").write_text("\n".join(table))
    (home / "hf").symlink_to(home / "parquet")
    save_file(timm.create_model("test_efficientnet", num_classes=7).state_dict(), home / "timm.safetensors")
    saved(home / "openclip", "transformer")
    if importlib.util.find_spec("diffusers"):
        _save_denoiser(home / "denoiser")
    # Within half the native budget, which the check also tries.
    changes = np.random.default_rng(0).integers(-4, 5, sample_images().images.shape, dtype=np.int8)
    np.save(home / "release.npy", changes)
    return home


def _save_denoiser(folder: Path) -> None:
    """A random diffusion model in the format of diffusers."""
    import diffusers

    unet = diffusers.UNet2DModel(
        sample_size=14,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        add_attention=False,
    )
    diffusers.DDPMPipeline(unet=unet, scheduler=diffusers.DDPMScheduler()).save_pretrained(folder)


@pytest.fixture
def reference(request, files) -> ComponentRef:
    """The reference by which the registered component ``(kind, name)`` of this test is checked."""
    kind, name = request.param
    if (kind, name) == ("poisoner", "release"):
        return ComponentRef(name, argument=str(files / "release.npy"))
    if (kind, name) == ("poisoner", "shuffled"):
        pytest.skip("the core makes it from another poisoner's release; tests/unit/test_stages.py tests it")
    if name in ("azure-custom-vision", "vertex-ai"):
        pytest.skip("it needs a paid account; tests/plugins/test_cloud_*.py have stand-ins")
    if name in ("openclip", "openclip-probe", "zero-shot", "coarse-by-name", "one-for-all"):
        small = (("epochs", "2"), ("width", "2"), ("blocks", "1")) if name == "one-for-all" else ()
        checkpoint = str(files / "openclip" / "open_clip_model.safetensors")
        return ComponentRef(name, options=(("checkpoint", checkpoint), *small))
    if kind == "defense" and name in ("diffusion-purify", "eclipse"):
        if not (files / "denoiser").exists():
            pytest.skip(f"{kind} {name} needs diffusers")
        return ComponentRef(name, argument=str(files / "denoiser"), options=(("steps", "2"),))
    if kind == "dataset" and name in ("imagefolder", "parquet", "hf", "webdataset", "csv"):
        return ComponentRef(name, argument=str(files / name))
    if kind == "dataset" and "torchvision_sets" in installed().find(kind, name).load:
        pytest.skip("it would be downloaded; tests/plugins/test_torchvision_sets.py reads small files in its layout")
    if kind == "dataset" and name.startswith("cifar"):
        root = os.environ.get("UCBENCH_TEST_DATA")
        if not root:
            pytest.skip(f"UCBENCH_TEST_DATA does not name a folder that holds {name}")
        return ComponentRef(name, options=(("root", root), ("train_per_class", "5")))
    if (kind, name) == ("surrogate", "timm"):
        checkpoint = str(files / "timm.safetensors")
        return ComponentRef(name, argument="test_efficientnet", options=(("checkpoint", checkpoint), ("size", "32")))
    return installed().sample(kind, name).ref


def registered() -> list[tuple[str, str]]:
    return [(kind, name) for kind in SPEC_KINDS for name in installed().names(kind)]


def test_every_kind_has_a_check():
    assert set(CHECKS) == set(SPEC_KINDS)


@pytest.mark.parametrize("reference", registered(), indirect=True, ids="-".join)
def test_component_keeps_its_contract(request, reference):
    kind, name = request.node.callspec.params["reference"]
    missing = missing_modules(installed().find(kind, name))
    if missing:
        pytest.skip(f"{kind} {name} needs {', '.join(missing)}")
    component = installed().resolve(kind, reference)
    if kind == "victim":
        check_victim(component, sizes=[(20, 28)])
    else:
        CHECKS[kind](component)
