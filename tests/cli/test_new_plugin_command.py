"""``ucbench new-plugin``: what it prints, and what it refuses."""

from __future__ import annotations

import pytest

from ucbench.cli.app import main


@pytest.mark.parametrize("kind", ["poisoner", "Poisoners"])
def test_new_plugin_prints_the_folder_and_next_steps(capsys, tmp_path, kind):
    assert main(["new-plugin", "my-noise", "--kind", kind, "--out", str(tmp_path)]) == 0
    folder = tmp_path / "ucbench-my-noise"
    text = capsys.readouterr().out
    assert f"pip install -e {folder}" in text
    assert (folder / "src" / "ucbench_my_noise" / "poisoner.py").exists()


def test_new_plugin_of_a_taken_name_is_rejected_with_its_owner_without_writing(capsys, tmp_path):
    assert main(["new-plugin", "uc", "--kind", "poisoner", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "The poisoner name 'uc' is taken: ucbench_uc (ucbench " in error
    assert "'my-uc'" in error
    assert list(tmp_path.iterdir()) == []


def test_new_plugin_requires_a_known_kind(capsys, tmp_path):
    assert main(["new-plugin", "x", "--out", str(tmp_path)]) == 2
    assert main(["new-plugin", "x", "--kind", "poisner", "--out", str(tmp_path)]) == 2
    assert "'poisner'" in capsys.readouterr().err
