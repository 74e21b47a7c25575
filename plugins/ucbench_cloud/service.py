"""Requests to services: their REST interfaces by urllib, with patience where a service asks for it."""

from __future__ import annotations

import http.client
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

#: How often a request is tried that the service is too busy for.
_TRIES = 8
#: Seconds before the first repeat, where the service names none.
_PAUSE = 1.0
#: Answers after which every request is repeated, and others after which repeatable ones are: another may have begun a
#: paid training before its answer was lost.
_BUSY, _UNCLEAR = (429, 503), (500, 502, 504)


class Service:
    """One endpoint with its key.

    Args:
        root: address up to the version, without a slash at its end.
        key: returns name and value of the header that carries the key; asked for every request, since keys expire.
    """

    def __init__(self, root: str, key: Callable[[], tuple[str, str]]) -> None:
        self._root, self._key = root, key

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        raw: bool = False,
        repeatable: bool | None = None,
    ) -> Any:
        """Send a request; ``body`` is bytes, or sent as JSON. Returns the JSON of the answer, or None if it is empty.

        Waits and repeats where the service limits the rate or is unavailable; repeatable requests also where its answer
        was lost.

        Args:
            raw: return the answer as bytes.
            repeatable: whether a second request does no more than the first; None: all but POST.

        Raises:
            UcbenchError: if the service refuses or does not answer; the text is its own.
        """
        address = f"{self._root}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        repeatable = method != "POST" if repeatable is None else repeatable
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for attempt in range(1, _TRIES + 1):
            sent = dict([("Content-Type", kind), self._key()])
            request = urllib.request.Request(address, data if method == "POST" else None, sent, method=method)
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    content = answer.read()
                return content if raw else json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                repeats = error.code in _BUSY or (repeatable and error.code in _UNCLEAR)
                if not repeats or attempt == _TRIES:
                    said = error.read().decode(errors="replace")[:300]
                    raise UcbenchError(
                        f"{method} {self._root}{path} was refused with {error.code}: {said or error.reason}"
                    ) from error
                time.sleep(_seconds(error.headers.get("Retry-After"), attempt))
            except (OSError, http.client.HTTPException) as error:
                if not repeatable or attempt == _TRIES:
                    raise UcbenchError(f"{self._root} does not answer: {error}.") from error
                time.sleep(_seconds(None, attempt))
        raise AssertionError("the last attempt returns or raises")


def _seconds(stated: str | None, attempt: int) -> float:
    """What a service asks to wait, unless that is a date; else twice as long after every attempt."""
    try:
        return min(float(stated or ""), 120.0)
    except ValueError:
        return float(_PAUSE * 2 ** (attempt - 1))


def png(image: NDArray[np.uint8]) -> bytes:
    """An image ``[3, H, W]`` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file, "PNG")
    return file.getvalue()
