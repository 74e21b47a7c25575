"""Chromium for tests of pages, which are skipped without it, and pages that fail their test for what goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on PATH", allow_module_level=True)

#: Milliseconds until a page counts as stuck, on a busy machine.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        # Containers let nobody but root run, and root runs Chromium only without its sandbox.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def opened(browser: sync_api.Browser, **settings: object) -> Iterator[sync_api.Page]:
    """A page in a context with these settings."""
    context = browser.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@contextmanager
def quiet_page(browser: sync_api.Browser, *allowed: str, width: int, height: int) -> Iterator[sync_api.Page]:
    """A page that fails the test for messages on its console, errors, and requests but of addresses that begin so."""
    problems: list[str] = []

    def requested(request: sync_api.Request) -> None:
        if not request.url.startswith(allowed):
            problems.append(f"asked for {request.url}")

    def failed(request: sync_api.Request) -> None:
        # Whoever leaves a page while it loads gives up what is not there yet.
        if "ERR_ABORTED" not in (request.failure or ""):
            problems.append(f"failed: {request.url}")

    with opened(browser, viewport={"width": width, "height": height}) as page:
        page.on("request", requested)
        page.on("requestfailed", failed)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
    assert problems == []
