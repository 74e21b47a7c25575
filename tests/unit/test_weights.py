"""Reading weights: nested and prefixed ones are found, nothing else is accepted, and errors are ours."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ucbench.errors import DataError
from ucbench.training.weights import ENTRIES, PREFIXES, load_weights, read_weights

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "weights.pt")
    return folder / "weights.pt"


def assert_is_state(tensors) -> None:
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in STATE.items())


def test_read_weights_of_plain_files_have_no_note(tmp_path):
    save_file(STATE, tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.safetensors", saved(STATE, tmp_path)):
        tensors, note = read_weights(path)
        assert_is_state(tensors)
        assert note == ""


@settings(max_examples=40)
@given(st.lists(st.sampled_from(ENTRIES), max_size=3), st.lists(st.sampled_from(PREFIXES), max_size=3))
def test_read_weights_removes_entries_and_prefixes_and_says_so(tmp_path_factory, entries, prefixes):
    content = {f"{''.join(prefixes)}{name}": tensor for name, tensor in STATE.items()}
    for entry in entries:
        content = {"epoch": 3, "optimizer": {"lr": 0.1}, entry: content}
    tensors, note = read_weights(saved(content, tmp_path_factory.mktemp("weights")))
    assert_is_state(tensors)
    assert [step.rsplit(" ", 1)[1] for step in note.split(", ") if step] == [*reversed(entries), *prefixes]


def test_read_weights_prefers_weights_to_their_average_and_names_both(tmp_path, caplog):
    other = {name: tensor + 1 for name, tensor in STATE.items()}
    with caplog.at_level(logging.INFO, logger="ucbench"):
        tensors, note = read_weights(saved({"ema": other, "model": STATE}, tmp_path))
    assert_is_state(tensors)
    assert note == "read from the entry model (not ema)"
    assert note in caplog.text


def test_read_weights_of_an_averaged_model_omit_its_counter(tmp_path):
    network = nn.Linear(3, 2)
    tensors, note = read_weights(saved(AveragedModel(network).state_dict(), tmp_path))
    load_weights(network, tensors, "the file")
    assert note == "without the prefix module."


def test_read_weights_keeps_a_prefix_that_not_all_names_share(tmp_path):
    tensors, note = read_weights(saved({**STATE, "module.extra": torch.zeros(1)}, tmp_path))
    assert tensors.keys() == {*STATE, "module.extra"}
    assert note == ""


class Malicious:
    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize(
    "content",
    [
        Malicious(),
        {**STATE, "more": Malicious()},
        [torch.zeros(1)],
        {"weight": "text"},
        {1: torch.zeros(1)},
        {},
        {"model": {}},
        {"epoch": 3},
    ],
)
def test_read_weights_refuses_files_with_more_or_less_than_tensors(content, tmp_path):
    with pytest.raises(DataError, match=r"weights\.pt.*Give a \.safetensors file") as error:
        read_weights(saved(content, tmp_path))
    assert str(error.value).isprintable()


def test_read_weights_follows_no_endless_nesting(tmp_path):
    content: dict[str, object] = {}
    content["model"] = content
    with pytest.raises(DataError, match="does not map names to tensors"):
        read_weights(saved(content, tmp_path))


@settings(max_examples=60)
@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda noise: b"PK\x03\x04" + noise),
    st.sampled_from(["weights.pt", "weights.safetensors"]),
)
def test_read_weights_reports_any_noise_in_one_printable_line(tmp_path_factory, noise, name):
    path = tmp_path_factory.mktemp("noise") / name
    path.write_bytes(noise)
    with pytest.raises(DataError, match=re.escape(name)) as error:
        read_weights(path)
    assert str(error.value).isprintable()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_read_weights_names_missing_files_and_torchscript(tmp_path):
    for name in ("missing.pt", "missing.safetensors"):
        with pytest.raises(DataError, match=rf"{name}: there is no such file"):
            read_weights(tmp_path / name)
    torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)).save(tmp_path / "script.pt")
    with pytest.raises(DataError, match=r"script\.pt: it is a TorchScript archive, which holds code"):
        read_weights(tmp_path / "script.pt")


def test_load_weights_lists_what_does_not_fit():
    tensors = {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}
    with pytest.raises(DataError) as error:
        load_weights(nn.Linear(3, 2), tensors, "weights.pt")
    assert str(error.value) == (
        "weights.pt does not fit: of the tensors, 1 missing (bias); 1 left over (extra); 1 of another shape (weight is"
        " [2, 4], not [2, 3])."
    )
