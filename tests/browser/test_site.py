"""The site in a browser: sorting, filtering, pages by keyboard, charts, and nothing from outside its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import site_records as made

from ucbench.leaderboard.site import build_site

pytest.importorskip("plotly", reason="the site is made with plotly: pip install 'ucbench[site]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on PATH", allow_module_level=True)

#: Milliseconds until a page counts as stuck; plotly.js alone takes seconds on a busy machine.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A board with a failed cell, a poisoner of a hostile name, and more cells than one page of a table holds."""
    records = [
        *made.board(),
        made.failed("uc", defense="cutout"),
        *(made.record(made.HOSTILE, seed=seed, accuracy=66.0) for seed in range(4)),
    ]
    folder = made.write(tmp_path_factory.mktemp("board"), records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ucbench.leaderboard.site.pages.FIRST_ROWS", 20)
        patched.setattr("ucbench.leaderboard.site.pages.LONGEST_SHORT", 40)
        build_site(folder, folder / "site", title="trial v1", ranked=("none", "jpeg"))
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        # Containers let nobody but root run, and root runs Chromium only without its sandbox.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser, site, request) -> Iterator[sync_api.Page]:
    """A page that fails the test for messages on its console, errors, and whatever it asks for beyond the site.

    Charts are drawn only for tests marked by the fixture ``charts``: the library is large, and slow to read.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    if "charts" not in request.fixturenames:
        context.route("**/plotly.min.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    opened = context.new_page()
    problems: list[str] = []

    def requested(request: sync_api.Request) -> None:
        if not request.url.startswith((site.as_uri(), "data:", "blob:")):
            problems.append(f"asked for {request.url}")

    def failed(request: sync_api.Request) -> None:
        # Whoever leaves a page while it loads gives up what is not there yet.
        if "ERR_ABORTED" not in (request.failure or ""):
            problems.append(f"failed: {request.url}")

    opened.on("request", requested)
    opened.on("requestfailed", failed)
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert problems == []


@pytest.fixture
def charts() -> None:
    """Lets pages load the charting library."""


def column(page: sync_api.Page, table: str, key: str) -> list[str]:
    """The texts of a column, links' hidden words and badges left out."""
    return page.evaluate(
        """([table, key]) => {
            const heads = [...document.querySelectorAll(`#${table} thead th`)];
            const place = heads.findIndex((head) => head.dataset.key === key);
            return [...document.querySelectorAll(`#${table} tbody tr`)].map((row) => {
                const copy = row.cells[place].cloneNode(true);
                copy.querySelectorAll(".hidden, .badge, small").forEach((each) => each.remove());
                return copy.textContent.trim();
            });
        }""",
        [table, key],
    )


def follow(page: sync_api.Page, link: sync_api.Locator, to: str) -> None:
    """Click the link and wait for the page it leads to."""
    link.click()
    page.wait_for_url(to)


def focused(page: sync_api.Page) -> str:
    return page.evaluate("document.activeElement.textContent.trim()")


def tab_to(page: sync_api.Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never reached {selector}")


def test_column_sorts_up_down_and_back_with_missing_values_last(page, site):
    page.goto((site / "index.html").as_uri())
    head = page.locator("#board-2 thead th[data-key=worst]")
    before = column(page, "board-2", "worst")
    assert before == ["76.5 ± 2.1", "21.5 ± 2.1", "", ""]  # lsp, and the references
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, "board-2", "worst") == ["21.5 ± 2.1", "76.5 ± 2.1", "", ""]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "board-2", "worst") == ["76.5 ± 2.1", "21.5 ± 2.1", "", ""]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, "board-2", "worst") == before


def test_filters_select_rows_of_all_tables_and_are_kept_in_the_address(page, site):
    page.goto((site / "index.html").as_uri())
    page.get_by_label("poisoner", exact=True).select_option("lsp")
    assert page.locator("tbody tr:visible").count() == 1
    assert not page.locator("#board-1").is_visible()
    page.reload()
    assert page.get_by_label("poisoner", exact=True).input_value() == "lsp"
    assert page.locator("tbody tr:visible").count() == 1
    page.get_by_role("button", name="Clear").click()
    page.locator("#board-1").wait_for(state="visible")
    page.get_by_label("search", exact=True).fill("lsp")
    assert page.locator("tbody tr:visible").count() == 1
    page.get_by_label("search", exact=True).fill("nothing like it")
    assert page.get_by_text("No row matches the filters.").is_visible()


def test_poisoner_links_to_its_cells_and_each_cell_to_its_page(page, site):
    page.goto((site / "index.html").as_uri())
    follow(page, page.locator("#board-2 a", has_text="lsp"), "**/cells.html#*")
    assert set(column(page, "cells", "poisoner")) == {"lsp"}
    assert len(column(page, "cells", "poisoner")) == 8
    follow(page, page.locator("#cells tbody a").first, "**/cells/*.html")
    assert page.locator("h1").inner_text() == "lsp on digits"
    assert page.locator("#command").inner_text().startswith("ucbench run --dataset digits --poisoner lsp")


def test_failed_cells_link_to_their_error(page, site):
    page.goto((site / "index.html").as_uri())
    follow(page, page.get_by_role("link", name="which, and why"), "**/cells.html#*")
    assert column(page, "cells", "status") == ["failed"]
    follow(page, page.locator("#cells tbody a"), "**/cells/*.html")
    assert "the <optimiser> gave up" in page.locator("pre").first.inner_text()


def test_long_table_is_paged_and_sorts_as_a_whole(page, site):
    page.goto((site / "cells.html").as_uri())
    assert page.locator("#cells tbody tr").count() == 20
    assert page.get_by_role("button", name="Previous rows").is_disabled()
    page.get_by_role("button", name="Next rows").click()
    page.get_by_role("button", name="Next rows").click()
    assert page.locator("#cells tbody tr").count() == 5
    assert page.locator("#cells-count").inner_text() == "Rows 41 to 45 of 45"
    page.locator("#cells thead th[data-key=test_accuracy] button").click()
    assert column(page, "cells", "test_accuracy")[:2] == ["12.0", "13.0"]
    page.locator("#cells thead th[data-key=test_accuracy] button").click()
    assert column(page, "cells", "test_accuracy")[:2] == ["93.0", "92.0"]


def test_site_is_usable_by_keyboard_alone(page, site):
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    tab_to(page, "#board-1 thead button")
    assert focused(page) == "rank"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("#board-1 thead th").first.get_attribute("aria-sort") == "ascending"
    assert focused(page) == "rank"
    tab_to(page, "#board-1 tbody a")
    name = focused(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/cells.html#*")
    assert set(column(page, "cells", "poisoner")) == {name}
    tab_to(page, "select[name=defense]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#cells tbody a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cells/*.html")
    assert page.locator("h1").inner_text() == f"{name} on digits"


def test_charts_are_drawn_with_their_numbers_in_a_table(charts, page, site):
    page.goto(next((site / "settings").iterdir()).as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 4")
    assert page.locator(".chart[role=img][aria-labelledby][aria-describedby]").count() == 4
    assert page.locator("#heat-map .heatmaplayer image, #heat-map .heatmaplayer path").count() > 0
    assert "86" in page.locator("#heat-map .annotation-text").all_text_contents()
    assert page.locator("#accuracies .errorbar").count() > 5
    assert column(page, "heat", "defense-0")[0] == "86 ± 2"
    assert page.get_by_text("The table below has the numbers").first.is_visible()


def test_hostile_name_is_shown_as_text(charts, page, site):
    page.goto((site / "cells.html").as_uri())
    page.get_by_label("poisoner", exact=True).select_option(made.HOSTILE)
    assert set(column(page, "cells", "poisoner")) == {made.HOSTILE}
    follow(page, page.locator("#cells tbody a").first, "**/cells/*.html")
    assert page.locator("h1").inner_text() == f"{made.HOSTILE} on digits"
    page.goto(next((site / "settings").iterdir()).as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 4")
    assert page.locator("img").count() == 0
    assert "trial v1" in page.title()


def test_page_fits_a_narrow_screen_and_follows_its_dark_mode(browser, site):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for path in (site / "index.html", site / "cells.html", next((site / "settings").iterdir())):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
        red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert max(red, green, blue) < 64
    context.close()


def test_leaderboard_is_shown_without_javascript(browser, site):
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator("#board-1 tbody tr").count() == 4
    assert not page.locator("form.filters").first.is_visible()
    assert page.locator("thead button").count() == 0
    context.close()
