"""Requests to services: their REST interfaces by urllib, with patience where a service asks for it."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ucbench import UcbenchError

#: How often a request is repeated that the service is too busy for.
_TRIES = 8
_BUSY = (429, 500, 502, 503, 504)


class Service:
    """One endpoint with its key.

    Args:
        root: address up to the version, without a slash at its end.
        key: returns name and value of the header that carries the key; asked for every request, since keys expire.
    """

    def __init__(self, root: str, key: Callable[[], tuple[str, str]]) -> None:
        self._root, self._key = root, key

    def call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, *, raw: bool = False
    ) -> Any:
        """Send a request; ``body`` is bytes, or sent as JSON. Returns the JSON of the answer, or None if it is empty.

        Waits and repeats where the service limits the rate or is unavailable.

        Args:
            raw: return the answer as bytes.

        Raises:
            UcbenchError: if the service refuses or does not answer; the text is its own.
        """
        address = f"{self._root}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for attempt in range(1, _TRIES + 1):
            sent = dict([("Content-Type", kind), self._key()])
            request = urllib.request.Request(address, data if method == "POST" else None, sent, method=method)
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    content = answer.read()
                return content if raw else json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                if error.code not in _BUSY or attempt == _TRIES:
                    said = error.read().decode(errors="replace")[:300]
                    raise UcbenchError(
                        f"{method} {path} was refused with {error.code}: {said or error.reason}"
                    ) from error
                time.sleep(float(error.headers.get("Retry-After") or 2 ** (attempt - 1)))
            except OSError as error:
                raise UcbenchError(f"{self._root} does not answer: {error}.") from error
        raise AssertionError("the last attempt returns or raises")


def png(image: NDArray[np.uint8]) -> bytes:
    """An image ``[3, H, W]`` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file, "PNG")
    return file.getvalue()
