"""The site in a browser: each type of page, with and without JavaScript, and nothing from outside its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browsing
import pytest
import site_records as made

from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.site import BoardRules, build_site

browser, sync_api = browsing.browser, browsing.sync_api
BOARD = "boards/small-v1"
#: One of each type of page; of a board, also with all settings at once.
PAGES = (
    "index.html", "compare.html", "submit.html", "poisoners/uc.html", "defenses/jpeg.html", f"{BOARD}/index.html",
    f"{BOARD}/index.html#q=", f"{BOARD}/results.html", f"{BOARD}/cells.html", "a cell",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Two boards. One has two victims, a failed cell, a hostile name, and more cells than one page of a table."""
    records = [
        *made.board(),
        *(
            made.record(name, seed=seed, accuracy=a + seed, victim=LONG)
            for name, a in OTHER.items()
            for seed in range(4)
        ),
        made.failed("uc", defense="cutout"),
        *(made.record(made.HOSTILE, seed=seed, accuracy=66.0) for seed in range(4)),
    ]
    root = tmp_path_factory.mktemp("boards")
    made.write(root / "small" / "v1", records)
    made.write(root / "open" / "v1", [one for one in made.board(seeds=1) if one["request"]["poisoner"] != "positive"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ucbench.leaderboard.site.render.FIRST_ROWS", 20)
        patched.setattr("ucbench.leaderboard.site.render.LONGEST_SHORT", 40)
        build_site(root, root / "site", rules_of=lambda folder: BoardRules("trial v1", ("none", "jpeg"), RULES))
    return root / "site"


#: As long as names of victims get, without a place to break.
LONG = "vgg16:crop=0.125,epochs=60,flip=true,label_smoothing=0.1,lr=0.05,momentum=0.9,width=16"
OTHER = {"clean": 88.0, "sham": 87.0, "positive": 12.0, made.SECOND: 11.0, "uc": 45.0}


@pytest.fixture
def page(browser, site) -> Iterator[sync_api.Page]:
    """A page that asks for nothing beyond the site."""
    with browsing.quiet_page(browser, site.as_uri(), "data:", "blob:", width=1280, height=900) as page:
        yield page


def address(site: Path, name: str) -> str:
    file, mark, part = name.partition("#")
    path = site / file if name != "a cell" else next((site / BOARD / "cells").iterdir())
    return path.as_uri() + mark + part


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


def downloaded(page: sync_api.Page, button: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_quietly_and_fits_both_widths(page, site, name):
    """The fixture checks console and requests."""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address(site, name))
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_tables_and_drawings_without_javascript(browser, site, name):
    with browsing.opened(browser, java_script_enabled=False, color_scheme="dark") as page:
        page.goto(address(site, name))
        for table in page.locator("table").all():
            assert table.is_visible()
            assert table.locator("tbody tr").count() > 0
        for drawing in page.locator("svg.plane, td svg.track").all():
            assert drawing.is_visible()
        assert not page.locator("form.filters, .tools, button").filter(visible=True).count()
        red, green, blue = map(
            int, page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor.match(/\\d+/g)")
        )
        assert max(red, green, blue) < 64


def test_home_shows_every_board_with_its_finding_and_searches(page, site):
    page.goto((site / "index.html").as_uri())
    assert page.locator(".card").count() == 2
    assert "uc is the only poisoner" in page.locator(".card.passed").inner_text()
    assert page.locator(".card.passed .small svg.track").count() > 2
    assert "Inconclusive" in page.locator(".card.not-judged").inner_text()
    assert page.locator(".card.not-judged svg.track").count() == 0
    page.get_by_label("search boards, poisoners and defenses").fill("inconclusive")
    assert page.locator(".card:visible").count() == 1
    page.get_by_label("search boards, poisoners and defenses").fill("nothing like it")
    assert page.get_by_text("Nothing matches the search.").is_visible()


def test_board_selector_shows_one_setting_and_is_kept_in_the_address(page, site):
    page.goto(address(site, f"{BOARD}/index.html"))
    assert page.locator("section.setting:visible .forest").count() == 1
    page.locator("#filter-victim").select_option(LONG)
    assert LONG in page.locator("section.setting:visible h3").inner_text()
    assert set(column(page, "poisoners", "victim")) == {LONG}
    page.reload()
    assert page.locator("#filter-victim").input_value() == LONG
    page.locator("#filter-label_access").select_option("none")
    assert page.locator("section.setting:visible .forest tbody[data-access=full]:visible").count() == 0
    # References stand beside poisoners of any label access.
    assert sorted(column(page, "poisoners", "poisoner")) == ["clean", "positive", "sham", "uc"]
    page.get_by_role("button", name="Clear").click()
    page.locator("section.setting .forest").nth(1).wait_for(state="visible")


def test_table_sorts_up_down_and_back_with_missing_values_last(page, site):
    page.goto(address(site, f"{BOARD}/index.html") + "#victim=resnet18%3Awidth%3D16")
    head = page.locator("#poisoners thead th[data-key=worst]")
    before = column(page, "poisoners", "worst")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    ascending = [text for text in column(page, "poisoners", "worst") if "±" in text]
    assert ascending == sorted(ascending, key=lambda text: float(text.split()[0]))
    assert column(page, "poisoners", "worst")[-1] == ""
    head.get_by_role("button").click()
    assert [text for text in column(page, "poisoners", "worst") if "±" in text] == ascending[::-1]
    assert column(page, "poisoners", "worst")[-1] == ""
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, "poisoners", "worst") == before


def test_table_downloads_the_rows_and_columns_that_are_shown(page, site):
    page.goto(address(site, f"{BOARD}/index.html"))
    page.locator("form.filters input[type=search]").fill("uc")
    assert page.locator("#poisoners thead th[data-key=psnr]").is_hidden()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("PSNR dB").check()
    page.get_by_label("rank", exact=True).uncheck()
    assert page.locator("#poisoners tbody tr td[data-value='33.2']").count() == 1
    head, row = downloaded(page, "CSV").splitlines()
    assert head.startswith("poisoner,worst case %,")
    assert head.endswith("PSNR dB")
    assert row.startswith("uc,61.5 ± 2.1 n = 4,")
    assert len(head.split(",")) == len(row.split(","))
    latex = downloaded(page, "LaTeX")
    assert "poisoner & worst case \\% &" in latex
    assert "uc & 61.5 $\\pm$ 2.1 n = 4 &" in latex
    bibtex = downloaded(page, "BibTeX")
    assert "= {2301.01217}," in bibtex
    assert "2111.00898" not in bibtex


def test_download_writes_hostile_text_inertly(page, site):
    page.goto(address(site, f"{BOARD}/index.html"))
    page.locator("form.filters input[type=search]").fill("onerror")
    text = downloaded(page, "CSV")
    assert made.HOSTILE.replace('"', '""') in text
    assert page.locator("img[src=x]").count() == 0
    assert "trial v1" in page.title()


def test_long_table_is_paged_and_sorts_as_a_whole(page, site):
    page.goto(address(site, f"{BOARD}/cells.html"))
    count = len(list((site / BOARD / "cells").iterdir()))
    assert page.locator("#cells tbody tr").count() == 20
    assert page.get_by_role("button", name="Previous rows").is_disabled()
    page.get_by_role("button", name="Next rows").click()
    assert page.locator("#cells-count").inner_text() == f"Rows 21 to 40 of {count}"
    page.locator("#cells thead th[data-key=test_accuracy] button").click()
    assert column(page, "cells", "test_accuracy")[0] == "11.0"
    page.locator("#cells thead th[data-key=test_accuracy] button").click()
    assert column(page, "cells", "test_accuracy")[0] == "93.0"


def test_failed_cells_link_to_their_error(page, site):
    page.goto(address(site, f"{BOARD}/index.html"))
    follow(page, page.get_by_role("link", name="which, and why"), "**/cells.html#*")
    assert column(page, "cells", "status") == ["failed"]
    follow(page, page.locator("#cells tbody a"), "**/cells/*.html")
    assert "the <optimiser> gave up" in page.locator("pre").first.inner_text()


def test_method_page_lists_all_boards_and_links_to_the_setting(page, site):
    page.goto((site / "poisoners/uc.html").as_uri())
    assert set(column(page, "results", "board")) == {"small/v1", "open/v1"}
    assert page.locator("svg.plane").count() == 1
    assert page.locator(".scroll:has(#results)").evaluate("box => box.scrollWidth <= box.clientWidth")
    frame, plane = page.locator("figure:has(svg.plane)").bounding_box(), page.locator("svg.plane").bounding_box()
    assert plane["x"] + plane["width"] < frame["x"] + frame["width"]
    page.locator("#filter-victim").select_option(LONG)
    follow(page, page.locator("#results tbody a").first, "**/boards/small-v1/index.html#*")
    assert page.locator("#filter-victim").input_value() == LONG


def test_two_poisoners_are_compared_craft_by_craft(page, site):
    page.goto((site / "compare.html").as_uri())
    page.get_by_label("one poisoner", exact=True).select_option("lsp")
    page.get_by_label("the other", exact=True).select_option("uc")
    summary = page.locator("#comparison p").inner_text()
    assert summary.startswith("In 2 shared places")
    rows = page.locator("#comparison tbody tr")
    # Without defense lsp has 20 to 23 and uc 40 to 43, craft by craft 20 lower; with jpeg 15 higher.
    assert rows.filter(has_text="none").locator("td.number").first.inner_text() == "-20.0 ± 0.0 (n = 4)"
    assert rows.filter(has_text="jpeg").locator("td.number").first.inner_text() == "15.0 ± 0.0 (n = 4)"
    page.reload()
    assert page.get_by_label("one poisoner", exact=True).input_value() == "lsp"


def test_site_is_usable_by_keyboard_alone(page, site):
    page.goto(address(site, f"{BOARD}/index.html"))
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    tab_to(page, "#poisoners thead button")
    assert focused(page) == "rank"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("#poisoners thead th").first.get_attribute("aria-sort") == "ascending"
    tab_to(page, "#poisoners tbody a")
    name = focused(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/cells.html#*")
    assert set(column(page, "cells", "poisoner")) == {name}
    tab_to(page, "#cells tbody a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cells/*.html")
    assert page.locator("h1").inner_text() == f"{name} on digits"


def test_printed_page_is_light_and_without_controls(page, site):
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(address(site, f"{BOARD}/index.html"))
    assert not page.locator("form.filters:visible, .tools:visible").count()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", PAGES)
def test_printed_page_is_narrow_enough_for_paper(browser, site, name):
    paper = 718  # A4 in CSS pixels, less a centimetre on either side
    right = "[...document.querySelectorAll('table, img, svg')].map((one) => one.getBoundingClientRect().right)"
    with browsing.opened(browser, viewport={"width": paper, "height": 1040}) as page:
        page.emulate_media(media="print")
        page.goto(address(site, name))
        widest = page.evaluate(f"Math.max(...{right})")
    # Browsers shrink a page that is wider than the paper: to two thirds it can still be read.
    assert widest <= 1.5 * paper
