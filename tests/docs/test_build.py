"""The site is built, offline and without a warning, and holds what is generated into it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import doc_pages
import pytest
from doc_pages import DOCS, ROOT, results

from ucbench.plugins import hookspecs

NEEDED = [name for name in ("sphinx", "myst_parser", "furo") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}; pip install -e '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", "-b", "html"]
    # Whatever would reach for the network finds a proxy that is not there.
    environment = os.environ | dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), "docs", str(folder / "html")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


def html(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_build_contains_every_page(site):
    made = [*DOCS.glob("*.md"), *doc_pages.generated()]
    missing = [path for path in made if not (site / path.relative_to(DOCS).with_suffix(".html")).exists()]
    assert missing == []


def test_build_replaces_every_generation_mark(site):
    text = html(site, "cli.html") + html(site, "api.html") + html(site, "methods.html")
    assert 'id="ucbench-run"' in text
    assert 'href="methods/poisoner-uc.html"' in text
    for name, hook in vars(hookspecs).items():
        if name.startswith("ucbench_"):
            written = f"{name}({', '.join(inspect.signature(hook).parameters)})"
            assert written in re.sub(r"<[^>]+>", "", text)


def test_build_turns_links_to_boards_into_links_to_pages(site):
    page = html(site, "published.html")
    assert all(f'href="{board.page.removesuffix(".md")}.html"' in page for board in results.boards())
    assert "README.md" not in page


@pytest.mark.parametrize(
    ("page", "drawing"), [("index", "flow"), ("concepts", "threat-model"), ("architecture", "rooms")]
)
def test_build_describes_every_drawing(site, page, drawing):
    images = re.findall(r"<img[^>]+>", html(site, f"{page}.html"))
    (described,) = (re.search(r'alt="([^"]+)"', image)[1] for image in images if f"{drawing}.svg" in image)
    assert "poisoner" in described
    assert "exploiter" in described.lower()


def test_build_shows_formulas_as_mathml(site):
    page = html(site, "methods/poisoner-uc.html")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == 1
    assert "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_build_loads_nothing_from_elsewhere(site):
    outside = re.compile(
        r"""<(?:script|img|source|link(?![^>]*canonical))\b[^>]*\b(?:src|href)=["']?(?:https?:)?//"""
        r"""|@import|url\(["']?(?:https?:)?//"""
    )
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert [path for path in files if outside.search(path.read_text(encoding="utf-8"))] == []
