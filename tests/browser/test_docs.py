"""The copy button of the documentation in a browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on PATH", allow_module_level=True)

SCRIPT = Path(__file__).parents[2] / "docs" / "_static" / "copy.js"
BLOCKS = {
    "$ ucbench list\nname\n$ ucbench run \\\n": "ucbench list\nucbench run \\",
    ">>> for x in y:\n...     x\n1\n": "for x in y:\n    x",
    "cost = 3\n$ = 4\n\n": "cost = 3\n$ = 4",
}


def test_copy_button_leaves_out_prompts_and_the_output_after_them(tmp_path):
    page = tmp_path / "page.html"
    blocks = "".join(f"<div class=highlight><pre><span></span>{text}</pre></div>" for text in BLOCKS)
    page.write_text(f"<!doctype html><article>{blocks}</article><script defer src={SCRIPT.as_uri()}></script>")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        opened = context.new_page()
        opened.goto(page.as_uri())
        copied = []
        for button in opened.locator("button.copy").all():
            button.click()
            copied.append(opened.evaluate("navigator.clipboard.readText()"))
        browser.close()
    assert copied == list(BLOCKS.values())
