"""The report of protected photos in a browser: alone in its file, with keyboard, without JavaScript, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browsing
import protected_folder as made
import pytest

from ucbench.protection.report import write_report
from ucbench.protection.survival import Remainder, Survival

browser = browsing.browser
LONG = "a folder with a long name/" + "and_a_name_without_a_place_to_break" * 4 + ".png"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("protected")
    folder = made.make(root, ["one.png", "two.png", LONG], size=(400, 700), left=((LONG, "it is animated"),))
    path = root / "report.html"
    survival = [Survival("JPEG, quality 90", {"one.png": Remainder(0.5, 0.9)})]
    write_report(path, folder.manifest, folder.photos, folder.copies, survival)
    return path


@pytest.fixture
def page(browser, report) -> Iterator[browsing.sync_api.Page]:
    """The open report, which asks for nothing but itself."""
    with browsing.quiet_page(browser, report.as_uri(), "data:", width=390, height=844) as page:
        page.goto(report.as_uri())
        yield page


def test_report_fits_a_phone_and_a_desktop_and_all_images_load(page):
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


def test_slider_uncovers_the_original_by_keyboard(page):
    slider = page.locator(".compare input").first
    for _ in range(50):
        page.keyboard.press("Tab")
        if slider.evaluate("(element) => element === document.activeElement"):
            break
    clip = """() => getComputedStyle(document.querySelector(".compare .before img")).clipPath"""
    shown = [page.evaluate(clip)]
    for key in ("ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        shown.append(page.evaluate(clip))
    assert len(set(shown)) == 4
    assert shown[2] == "inset(0px 0% 0px 0px)"  # all of the original
    assert slider.get_attribute("aria-valuetext").startswith("original on the left 0 percent")


def test_original_lies_exactly_on_its_copy(page):
    before, after = (page.locator(f".compare {name} img").first.bounding_box() for name in (".before", ".after"))
    assert before == pytest.approx(after, abs=0.1)


def test_original_and_copy_stand_apart_without_javascript_and_in_print(browser, report):
    for settings, media in (({"java_script_enabled": False}, "screen"), ({}, "print")):
        with browsing.opened(browser, viewport={"width": 1280, "height": 900}, **settings) as page:
            page.emulate_media(media=media)
            page.goto(report.as_uri())
            before, after = (
                page.locator(f".compare {name} img").first.bounding_box() for name in (".before", ".after")
            )
            assert before["x"] + before["width"] <= after["x"]
            assert not page.locator(".compare input").filter(visible=True).count()
            assert page.get_by_text("Original", exact=True).first.is_visible()
