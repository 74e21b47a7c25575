"""Reading weights, strictly: every tensor has a place, and every place gets one."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ucbench import DataError

State = Mapping[str, Tensor]


def read_state(path: Path) -> State:
    """The named tensors of a ``.safetensors`` file, or of one written by ``torch.save`` (no code is run).

    A mapping that holds the weights under ``state_dict`` or ``model`` is unwrapped.

    Raises:
        DataError: naming the file if it cannot be read or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"Cannot read the weights {path} ({type(error).__name__}: {reason})."
            " Give a .safetensors file, or what torch.save(model.state_dict(), PATH) writes."
        ) from error
    state = _unwrapped(content)
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise DataError(f"{path} holds no mapping of names to tensors. Save model.state_dict().")
    return state


def _unwrapped(content: object) -> object:
    if isinstance(content, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(content.get(key), Mapping):
                return content[key]
    return content


def load_by_name(network: nn.Module, state: State, source: str) -> None:
    """Load ``state``; ``source`` says in messages where it comes from.

    Raises:
        DataError: if names are missing or left over, or shapes differ; the text gives the first of them.
    """
    places = network.state_dict()
    problems = {
        "missing": [name for name in places if name not in state],
        "left over": [name for name in state if name not in places],
        "of another shape": [
            f"{name} is {list(state[name].shape)}, not {list(place.shape)}"
            for name, place in places.items()
            if name in state and state[name].shape != place.shape
        ],
    }
    found = [f"{len(names)} {kind} ({', '.join(names[:2])})" for kind, names in problems.items() if names]
    if found:
        raise DataError(f"{source} does not fit: of the tensors, {'; '.join(found)}.")
    network.load_state_dict(state)


def load_by_position(network: nn.Module, state: State, source: str) -> None:
    """Load a ``state`` whose tensors stand in the network's order under other names.

    Raises:
        DataError: if their number differs, or any shape.
    """
    places = network.state_dict()
    if len(state) != len(places):
        raise DataError(f"{source} does not fit: it holds {len(state)} tensors, the network {len(places)}.")
    for (place, old), (name, new) in zip(places.items(), state.items(), strict=True):
        if old.shape != new.shape:
            raise DataError(f"{source} does not fit: {name} is {list(new.shape)}, but {place} is {list(old.shape)}.")
    network.load_state_dict(dict(zip(places, state.values(), strict=True)))
