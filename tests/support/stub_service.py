"""A local HTTP server in place of a paid service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


class Call(NamedTuple):
    """A request: its parts are decoded, but for the path's, which may hold slashes."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def parts(self) -> list[str]:
        return [unquote(part) for part in self.path.strip("/").split("/")]


@contextmanager
def serving(answer: Callable[[Call], tuple[int, bytes | None]]) -> Iterator[str]:
    """Serve ``answer``, which returns status and content, or None for content that is lost; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            code, content = answer(Call(self.command, url.path, query, dict(self.headers), body))
            self.send_response(code)
            self.send_header("Content-Length", str(1 if content is None else len(content)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content or b"")

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
