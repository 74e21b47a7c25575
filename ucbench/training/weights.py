"""Reading the weights of a network, strictly: every tensor has a place, and every place gets one."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ucbench.errors import DataError

_log = logging.getLogger(__name__)

#: Entries under which training scripts save weights; of several, the first here is read.
ENTRIES = ("state_dict", "model", "model_state_dict", "network", "ema", "model_ema", "state_dict_ema", "ema_state_dict")
#: What DataParallel, DistributedDataParallel, AveragedModel and torch.compile put before every name.
PREFIXES = ("module.", "_orig_mod.")

#: Entries within entries that are followed.
_DEPTH = 3

_ADVICE = "Give a .safetensors file, or what torch.save(model.state_dict(), FILE) writes."


class Weights(NamedTuple):
    """Tensors by name, and how they were found in their file.

    Attributes:
        tensors: by the name of their place in the network.
        note: the entry that was read and the prefixes that were removed; empty for a file of plain weights.
    """

    tensors: Mapping[str, Tensor]
    note: str = ""


def read_weights(path: Path) -> Weights:
    """Read a ``.safetensors`` file, or one of ``torch.save``; no code in the file is run.

    From a training checkpoint the weights alone are taken: those under the first of :data:`ENTRIES` that it has. Then
    :data:`PREFIXES` that all names share are removed. The note says so, as does a line in the log.

    Raises:
        DataError: naming the file if it cannot be read or holds something else.
    """
    content = _content(path)
    steps: list[str] = []
    while isinstance(content, Mapping) and not _is_plain(content) and len(steps) < _DEPTH:
        entries = [entry for entry in ENTRIES if isinstance(content.get(entry), Mapping)]
        if not entries:
            break
        others = f" (not {', '.join(entries[1:])})" if entries[1:] else ""
        steps.append(f"read from the entry {entries[0]}{others}")
        content = content[entries[0]]
    if not isinstance(content, Mapping) or not _is_plain(content):
        raise DataError(f"The file {path} does not map names to tensors, nor does an entry such as model. {_ADVICE}")
    tensors = dict(content)
    # AveragedModel counts its updates beside the network.
    if len(tensors) > 1 and all(name == "n_averaged" or name.startswith("module.") for name in tensors):
        tensors.pop("n_averaged", None)
    while shared := [prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)]:
        tensors = {name.removeprefix(shared[0]): tensor for name, tensor in tensors.items()}
        steps.append(f"without the prefix {shared[0]}")
    note = ", ".join(steps)
    if note:
        _log.info("Weights %s: %s.", path, note)
    return Weights(tensors, note)


def _content(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of TorchScript, which is refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch raise nearly anything
        # Not torch's own text, which advises to run the file's code.
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        elif isinstance(error, OSError):
            reason = error.strerror or "it is damaged"
        elif isinstance(error, SafetensorError):
            reason = "it is not in this format, or damaged"
        elif isinstance(error, pickle.UnpicklingError):
            reason = "it is not a file of weights, or holds more than tensors"
        elif "TorchScript" in str(error):
            reason = "it is a TorchScript archive, which holds code"
        else:
            reason = "it is not a file of weights, or damaged"
        raise DataError(f"Cannot read the weights {path}: {reason}. {_ADVICE}") from error


def _is_plain(content: Mapping[object, object]) -> bool:
    return bool(content) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load tensors by name; ``source`` says in messages where they come from.

    Raises:
        DataError: if names are missing or left over, or shapes differ; the text gives the first of them.
    """
    places = network.state_dict()
    problems = {
        "missing": [name for name in places if name not in tensors],
        "left over": [name for name in tensors if name not in places],
        "of another shape": [
            f"{name} is {list(tensors[name].shape)}, not {list(place.shape)}"
            for name, place in places.items()
            if name in tensors and tensors[name].shape != place.shape
        ],
    }
    texts = [f"{len(names)} {kind} ({', '.join(names[:2])})" for kind, names in problems.items() if names]
    if texts:
        raise DataError(f"{source} does not fit: of the tensors, {'; '.join(texts)}.")
    network.load_state_dict(tensors)
