"""Components on a device without float64, such as Apple's mps: the device ``meta`` stands for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ucbench import nearest_centre, numerics
from ucbench.plugins.registry import installed
from ucbench.testing import TinySurrogate, make_run, sample_images

META = torch.device("meta")


class NoFloat64(TorchDispatchMode):
    """Refuses float64 on the device ``meta``. Tensors there hold no numbers: copies to the CPU are ones."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        source = args[0] if args and isinstance(args[0], Tensor) and args[0].device == META else None
        if source is not None and func is torch.ops.aten._local_scalar_dense.default:
            return torch.ones((), dtype=source.dtype).item()
        if source is not None and func is torch.ops.aten._to_copy.default and kwargs.get("device", META) != META:
            return torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        made = func(*args, **kwargs)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.device == META and tensor.dtype == torch.float64:
                raise TypeError(f"{func} makes float64 on a device that has none")
        return made


def there(*shape: int) -> Tensor:
    return torch.rand(shape, device=META)


def run_there(stage: Any, **options: Any) -> Any:
    run = make_run(stage=stage, **options)
    run.device = META
    return run


def defense(reference: str) -> Any:
    return installed().resolve("defense", reference).build()


def airbench(folder: Path) -> None:
    from ucbench_airbench.network import AirbenchNet

    AirbenchNet(0.25, 3).to(META).initialize_from(there(4, 3, 9, 9))


def adv_poison(folder: Path) -> None:
    surrogate = TinySurrogate()
    surrogate.to(META, torch.float32)
    poisoner = installed().resolve("poisoner", "adv-poison:steps=1,augment=false").build()
    poisoner.craft(sample_images(6), run_there("craft", surrogate=surrogate))


def bridge(folder: Path) -> Tensor:
    from ucbench_bridge.schedule import bridged

    return bridged(there(2, 3, 4, 4), there(2, 3, 4, 4), there(2), there(2, 3, 4, 4))


def mixup_of_kornia(folder: Path) -> Tensor:
    pytest.importorskip("kornia", reason="needs kornia: pip install 'ucbench[kornia]'")
    mixed, targets = defense("kornia:RandomMixUpV2:p=1").mix(
        there(4, 3, 8, 8), there(4, 3), run_there("train"), torch.Generator().manual_seed(0)
    )
    assert mixed.device == META
    return targets


def mean_filter(folder: Path) -> Tensor:
    return defense("mean:at_test=true").at_test(there(2, 3, 8, 8))


def nearest(folder: Path) -> Tensor:
    return nearest_centre(there(5, 4), there(3, 4))


def ntga(folder: Path) -> None:
    poisoner = installed().resolve("poisoner", "ntga:block=4,steps=1").build()
    poisoner.craft(sample_images(8), run_there("craft"))


def purify(folder: Path) -> None:
    pytest.importorskip("diffusers", reason="needs diffusers: pip install 'ucbench[purify]'")
    from tiny_denoiser import save_denoiser

    denoiser = save_denoiser(folder / "denoiser")
    defense(f'diffusion-purify:denoiser="{denoiser}",time=2,steps=2,eta=1').prepare(
        sample_images(4, (16, 16)), run_there("prepare")
    )


def simclr(folder: Path) -> None:
    pytest.importorskip("timm", reason="needs timm: pip install 'ucbench[timm]'")
    from ucbench_simclr.pretraining import alignment, uniformity

    alignment(there(4, 5), there(4, 5))
    uniformity(there(4, 5))


COMPONENTS = [adv_poison, airbench, bridge, mean_filter, mixup_of_kornia, nearest, ntga, purify, simclr]


@pytest.mark.parametrize("component", COMPONENTS)
def test_component_computes_on_a_device_without_float64(
    component: Callable[[Path], Tensor | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with NoFloat64():
        with pytest.raises(TypeError, match="float64"):
            component(tmp_path / "with")  # the guard sees what the component does elsewhere
        monkeypatch.setattr(numerics, "_WITHOUT_FLOAT64", frozenset({"meta"}))
        result = component(tmp_path / "without")
    assert result is None or result.device == META
