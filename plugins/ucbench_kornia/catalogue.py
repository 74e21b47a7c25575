"""The augmentations of the installed kornia and their parameters, read from its source. Imports neither it nor torch.

Planning needs each parameter's type and default, and importing kornia imports torch. Its source files hold both, for
whichever version is installed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ucbench import UsageError, did_you_mean, versions

#: Augmentations that combine several images of a batch, and hence their targets.
MIXING = frozenset({"PatchMix", "RandomCutMixV2", "RandomMixUpV2", "RandomMosaic"})

_RESIZING = "it only changes the size of images, which training keeps"
_RESCALING = "its values leave [0, 1], and models normalize by themselves"
#: Classes that cannot be a defense, and why.
_LEFT_OUT = {
    **dict.fromkeys(("CenterCrop", "LongestMaxSize", "PadTo", "Resize", "SmallestMaxSize"), _RESIZING),
    **dict.fromkeys(("Denormalize", "Normalize"), _RESCALING),
    "RandomDissolving": "it downloads a diffusion model; the defense diffusion-purify reads one from a folder",
    "RandomTransplantation": "it needs segmentation masks",
}

#: Parameters that the plugin sets: choices are made per image, and shapes stay.
_SET_HERE = frozenset({"self", "data_keys", "keepdim", "p_batch", "same_on_batch", "transformation_matrix_mode"})
_SET_HERE_OF = {
    "RandAugment": {"policy"},
    "RandomCutMixV2": {"use_correct_lambda"},
    # Only a sliced crop of the images' own size copies whole pixels, which targets are counted from.
    "RandomMosaic": {"align_corners", "cropping_mode", "min_bbox_size", "output_size", "padding_mode", "resample"},
    "TrivialAugment": {"policy"},
}


class _Several:
    """``List[int]`` and ``Sequence[int]`` are written as tuples are."""

    def __class_getitem__(cls, kind: Any) -> Any:
        return tuple[kind, ...]


#: Tensors are written as numbers.
_TENSOR = tuple[float, ...]
#: What the names in kornia's annotations stand for. Members of an enum are given by name.
_TYPES: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (bool, float, int, str, tuple)},
    **{name: getattr(typing, name) for name in ("Optional", "Tuple", "Union")},
    **dict.fromkeys(("List", "Sequence", "list"), _Several),
    **dict.fromkeys(("BorderType", "Resample", "SamplePadding", "SUBPOLICY_CONFIG"), str),
    "Tensor": _TENSOR,
    "torch": SimpleNamespace(Tensor=_TENSOR),
}


@dataclass(frozen=True)
class Option:
    """A parameter of an augmentation's constructor.

    Attributes:
        type: what its values are converted to: numbers, text, and tuples of them.
        default: kornia's, or ``...`` where a value is required.
        container: what kornia takes several values as: ``tuple``, ``list`` or ``tensor``.
    """

    type: Any
    default: Any
    container: str


def augmentations() -> tuple[str, ...]:
    """Names of the classes that can be a defense, sorted; raises as :func:`options_of` does."""
    # Not by parsing: shells list them while someone waits.
    public = {
        name
        for path, text in _sources().items()
        if not path.endswith("base.py")
        for name in re.findall(r"^class ([A-Za-z]\w*)", text, re.MULTILINE)
    }
    return tuple(sorted(public - _LEFT_OUT.keys()))


@functools.cache
def options_of(name: str) -> Mapping[str, Option]:
    """The options of an augmentation by name, in the order of its constructor.

    Raises:
        UsageError: for an unknown class (with the nearest names) or one that cannot be a defense (with the reason).
    """
    if name in _LEFT_OUT:
        raise UsageError(f"kornia's {name} cannot be a defense: {_LEFT_OUT[name]}.")
    if name not in augmentations():
        raise UsageError(
            f"kornia {versions()['kornia']} has no augmentation {name!r}.{did_you_mean(name, augmentations())}"
            f" All {len(augmentations())}: {', '.join(augmentations())}."
        )
    arguments = _constructor(name).args
    required = [None] * (len(arguments.args) - len(arguments.defaults))
    set_here = _SET_HERE | _SET_HERE_OF.get(name, set())
    return {
        argument.arg: _option(argument.annotation, default)
        for argument, default in zip(arguments.args, [*required, *arguments.defaults], strict=True)
        if argument.arg not in set_here and argument.annotation is not None
    }


def _option(annotation: ast.expr, default: ast.expr | None) -> Option:
    text = ast.unparse(annotation).lower()
    container = next((name for name in ("tuple", "list", "tensor") if name in text), "tuple")
    return Option(_evaluated(annotation, _TYPES), ... if default is None else _default(default), container)


def _default(node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and node.attr == "name" and isinstance(node.value, ast.Attribute):
        return node.value.attr  # Resample.BILINEAR.name
    return _evaluated(node, {})


def _evaluated(node: ast.expr, names: Mapping[str, Any]) -> Any:
    # Of the installed package, which would run the same when imported.
    return eval(ast.unparse(node), {"__builtins__": {}}, dict(names))


def _constructor(name: str) -> ast.FunctionDef:
    definition = _classes()[name]
    for member in definition.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return member
    return _constructor(ast.unparse(definition.bases[0]))


@functools.cache
def _classes() -> Mapping[str, ast.ClassDef]:
    """kornia's two-dimensional augmentations and policies, and their bases, by name; takes about 0.2 s."""
    nodes = (node for text in _sources().values() for node in ast.parse(text).body)
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


@functools.cache
def _sources() -> Mapping[str, str]:
    """The source files of the augmentations, by path below ``kornia/augmentation``."""
    spec = importlib.util.find_spec("kornia")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "augmentation"
    patterns = ("base.py", "_2d/*.py", "_2d/*/*.py", "auto/*/*augment.py")
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
