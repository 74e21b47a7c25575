"""Uploading an exported release to the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ucbench.errors import UcbenchError, UsageError

_SUMS, _CARD, _RELEASE = "SHA256SUMS", "README.md", "release.json"


def push_to_hub(folder: Path, repository: str, *, public: bool = False) -> str:
    """Upload the folder of a release in the hub's layout as one commit; returns the address of the data set.

    The address of the hub and the token are those of the library ``huggingface_hub``: ``HF_ENDPOINT``, ``HF_TOKEN``.

    Args:
        folder: what ``ucbench export --for hf`` wrote, unchanged.
        repository: ``OWNER/NAME``, created if it does not exist.
        public: whether a new repository can be seen by all; one that exists stays as it is.

    Raises:
        UsageError: if the folder is no such release, was changed or holds other files; for a name of another form, or
            without a token.
        UcbenchError: if the hub refuses, or cannot be reached.
    """
    names = _checked(folder)
    key = json.loads((folder / _RELEASE).read_bytes())["release"]
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    if repository.count("/") != 1:
        raise UsageError(f"{repository!r} is no data set of the hub. Write OWNER/NAME.")
    if huggingface_hub.get_token() is None:
        raise UsageError("The hub needs a token that may write. Set HF_TOKEN, or log in with `hf auth login`.")
    api = huggingface_hub.HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository, repo_type="dataset", folder_path=folder, allow_patterns=names,
            delete_patterns=["data/*.parquet"],  # shards of an earlier release would be read with these
            commit_message=f"Add release {key[:12]}",
        )  # fmt: skip
    except HFValidationError as error:
        raise UsageError(f"{repository!r} is no name that the hub takes: {_line(error)}") from error
    except Exception as error:  # of the client, its transport, the network
        raise UcbenchError(
            f"{repository}: the hub at {api.endpoint} did not take the release: {_line(error)}"
        ) from error
    return f"{api.endpoint}/datasets/{repository}"


def _checked(folder: Path) -> list[str]:
    """The files of the folder, each compared with its hash."""
    advice = "Export it again with --for hf, and push the folder as it is."
    try:
        sums = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
        listed = {name: digest for digest, _, name in (line.partition("  ") for line in sums)}
        present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        if not {_CARD, _RELEASE} <= listed.keys():
            raise UsageError(f"{folder} is no release in the layout of the hub. {advice}")
        if others := sorted(present - listed.keys() - {_SUMS}):
            raise UsageError(f"{folder} holds {others[0]}, which is no part of the release. {advice}")
        for name, digest in listed.items():
            file = folder / name
            if file.is_symlink() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                raise UsageError(f"{file} is not what {_SUMS} says. {advice}")
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is no release in the layout of the hub: {_line(error)}. {advice}") from error
    return [*listed, _SUMS]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
