"""Names of rows: one form of a poisoner with its preset, and craft labels only where they say something."""

from __future__ import annotations

import pytest

from ucbench.matrix.axes import AXIS
from ucbench.matrix.names import distinguished, entry_text, poisoner_text


def row(
    poisoner: str = "uc", preset: str = "standard", surrogate: str = "none", labels: str = "none"
) -> dict[str, str]:
    return {"poisoner": poisoner, "preset": preset, "surrogate": surrogate, "craft_labels": labels}


def test_poisoner_has_a_preset_other_than_the_default():
    assert poisoner_text(row("uc:clusters=5")) == "uc:clusters=5"
    assert poisoner_text(row("uc:clusters=5", "quick")) == "uc:clusters=5 @quick"


@pytest.mark.parametrize("labels", ["none", "names", "original", "exploiter"])
def test_craft_labels_that_go_without_saying_are_in_no_name(labels):
    assert labels in AXIS["craft_labels"].unremarkable
    assert entry_text(row(labels=labels)) == "uc"
    assert distinguished([row(labels=labels), row("lsp", labels="clusters:k=5")])[0] == "uc"


def test_entry_has_surrogate_labels_and_what_else_is_given_in_brackets():
    full = row("lsp", "quick", "resnet18", "clusters:k=5,model=a")
    assert entry_text(full, "linf 8") == "lsp @quick (resnet18, labels clusters:k=5,model=a, linf 8)"
    assert entry_text(full, stating=["surrogate"]) == "lsp @quick (resnet18)"


def test_surrogates_are_named_where_a_poisoner_has_several():
    rows = [row(surrogate="a"), row(surrogate="b"), row("eminn", surrogate="a")]
    assert distinguished(rows) == ["uc, a", "uc, b", "eminn"]


def test_usual_craft_labels_are_named_beside_others_of_the_same_poisoner():
    rows = [row("lsp", labels="original"), row("lsp", labels="clusters:k=5,model=a"), row("sep", labels="original")]
    assert distinguished(rows) == ["lsp, original", "lsp, clusters:k=5", "sep"]


def test_model_of_craft_labels_is_named_where_rows_differ_only_in_it():
    rows = [row("lsp", labels=f"clusters:k=5,model={model}") for model in "ab"]
    assert distinguished(rows) == ["lsp, clusters:k=5,model=a", "lsp, clusters:k=5,model=b"]


def test_further_columns_are_named_where_they_tell_rows_apart():
    rows = [{**row(), "numerics": "float32"}, {**row(), "numerics": "float16"}, {**row("lsp"), "numerics": "float32"}]
    assert distinguished(rows, ["numerics"]) == ["uc, float32", "uc, float16", "lsp"]
