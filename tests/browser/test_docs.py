"""The copy button of the documentation in a browser."""

from __future__ import annotations

from pathlib import Path

import browsing

browser = browsing.browser
SCRIPT = Path(__file__).parents[2] / "docs" / "_static" / "copy.js"
BLOCKS = {
    "$ ucbench list\nname\n$ ucbench run \\\n": "ucbench list\nucbench run \\",
    ">>> for x in y:\n...     x\n1\n": "for x in y:\n    x",
    "cost = 3\n$ = 4\n\n": "cost = 3\n$ = 4",
}


def test_copy_button_leaves_out_prompts_and_the_output_after_them(browser, tmp_path):
    page = tmp_path / "page.html"
    blocks = "".join(f"<div class=highlight><pre><span></span>{text}</pre></div>" for text in BLOCKS)
    page.write_text(f"<!doctype html><article>{blocks}</article><script defer src={SCRIPT.as_uri()}></script>")
    with browsing.opened(browser, permissions=["clipboard-read", "clipboard-write"]) as opened:
        opened.goto(page.as_uri())
        copied = []
        for button in opened.locator("button.copy").all():
            button.click()
            copied.append(opened.evaluate("navigator.clipboard.readText()"))
    assert copied == list(BLOCKS.values())
