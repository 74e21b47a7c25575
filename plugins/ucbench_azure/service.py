"""Requests to Custom Vision: its REST interface by urllib, with patience where the service asks for it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from ucbench import UcbenchError

#: How often a request is repeated that the service is too busy for.
_TRIES = 8
_BUSY = (429, 500, 502, 503, 504)


class Service:
    """One endpoint with its key.

    Args:
        root: address up to the version, without a slash at its end.
        header: name and value of the header that carries the key.
    """

    def __init__(self, root: str, header: tuple[str, str]) -> None:
        self._root, self._header = root, header

    def call(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """Send a request; ``body`` is bytes, or sent as JSON. Returns the JSON of the answer, or None if it is empty.

        Waits and repeats where the service limits the rate or is unavailable.

        Raises:
            UcbenchError: if the service refuses or does not answer; the text is its own.
        """
        address = f"{self._root}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        sent = dict([self._header, ("Content-Type", kind)])
        request = urllib.request.Request(address, data if method == "POST" else None, sent, method=method)
        for attempt in range(1, _TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code not in _BUSY or attempt == _TRIES:
                    said = error.read().decode(errors="replace")[:300]
                    raise UcbenchError(
                        f"{method} {path} was refused with {error.code}: {said or error.reason}"
                    ) from error
                time.sleep(float(error.headers.get("Retry-After") or 2 ** (attempt - 1)))
            except OSError as error:
                raise UcbenchError(f"{self._root} does not answer: {error}.") from error
        return None
