"""``ucbench push`` as a process, against a small server that speaks the hub's protocol."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_components as tiny

from ucbench.cli.app import main
from ucbench.export.croissant import About
from ucbench.export.layouts import Target
from ucbench.export.release import export_release
from ucbench.matrix.matrix import Request, expand


class Hub(http.server.BaseHTTPRequestHandler):
    """Takes repositories and commits of small files, which come in the commit itself."""

    created: dict[str, object]
    files: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        assert self.headers["Authorization"] == "Bearer hf_secret"
        if self.path == "/api/repos/create":
            self.created.update(json.loads(body))
            if self.created["name"] == "taken":
                return self.answer({"error": "You don't have the rights to create a dataset here."}, 403)
            return self.answer({"url": "x/datasets/group/set", "name": "group/set", "id": "group/set"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            return self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        assert self.path == "/api/datasets/group/set/commit/main"
        for line in map(json.loads, body.decode().splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "deletedFile":
                del self.files[line["value"]["path"]]
        return self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": "x/datasets/group/set/commit/0"})

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            tree = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in self.files.items()]
            return self.answer(tree)
        return self.answer({"id": "group/set", "sha": "0" * 40, "siblings": []})

    def answer(self, value: object, code: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    handler = type("Handler", (Hub,), {"created": {}, "files": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    session = tiny.session(tmp_path_factory.mktemp("store"))
    axes = Request(datasets=["spots"], victims=["tiny"], labelings=["original"], poisoners=["badge"], seeds=[(0, 0)])
    out = tmp_path_factory.mktemp("out") / "release"
    export_release(expand(axes, tiny.registry())[-1], session, out, About(), target=Target("hf"))
    return out


def push(endpoint: str, home: Path, *words: str, token: str = "hf_secret") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    command = [sys.executable, "-m", "ucbench", "push", "hf", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def is_private(created: dict[str, object]) -> bool:
    return created.get("private") is True or created.get("visibility") == "private"  # by version of the client


def test_push_uploads_every_file_into_a_private_repository(hub, release, tmp_path):
    endpoint, handler = hub
    done = push(endpoint, tmp_path, "group/set", str(release))
    assert (done.returncode, done.stdout) == (0, f"{endpoint}/datasets/group/set\n"), done.stderr
    assert is_private(handler.created)
    assert handler.files == {
        path.relative_to(release).as_posix(): path.read_bytes() for path in release.rglob("*") if path.is_file()
    }


def test_push_again_leaves_no_shard_of_the_release_before(hub, release, tmp_path):
    endpoint, handler = hub
    old = "data/train-00001-of-00002.parquet"
    handler.files |= {old: b"old", "notes.txt": b"theirs"}
    done = push(endpoint, tmp_path, "group/set", str(release))
    assert done.returncode == 0, done.stderr
    assert old not in handler.files
    assert handler.files["notes.txt"] == b"theirs"
    assert any(name.startswith("data/train-") for name in handler.files)


def test_push_makes_a_repository_public_only_on_request(hub, release, tmp_path):
    endpoint, handler = hub
    assert push(endpoint, tmp_path, "group/set", str(release), "--public").returncode == 0
    assert not is_private(handler.created)


def test_push_without_rights_is_one_line(hub, release, tmp_path):
    endpoint, handler = hub
    done = push(endpoint, tmp_path, "group/taken", str(release))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert "did not take the release" in done.stderr
    assert handler.files == {}


@pytest.mark.parametrize(
    ("change", "repository", "token", "text"),
    [
        ("README.md", "group/set", "hf_secret", "README.md is not what SHA256SUMS says"),
        ("original.png", "group/set", "hf_secret", "holds original.png, which is no part of the release"),
        ("SHA256SUMS", "group/set", "hf_secret", "is no release in the layout of the hub"),
        (None, "set", "hf_secret", "Write OWNER/NAME"),
        (None, "group/set..", "hf_secret", "no name that the hub takes"),
        (None, "group/set", "", "Set HF_TOKEN"),
    ],
)
def test_push_of_what_cannot_be_pushed_is_refused_before_the_hub_is_asked(
    release, tmp_path, monkeypatch, capsys, change, repository, token, text
):
    folder = tmp_path / "release"
    shutil.copytree(release, folder)
    if change:
        (folder / change).write_text("other")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token or None)
    assert main(["push", "hf", repository, str(folder)]) == 2
    assert text in capsys.readouterr().err


def test_push_to_a_hub_that_is_not_there_is_one_line(release, tmp_path):
    done = push("http://127.0.0.1:9", tmp_path, "group/set", str(release))
    assert done.returncode == 1
    assert "the hub at http://127.0.0.1:9 did not take the release" in done.stderr
    assert "Traceback" not in done.stderr
