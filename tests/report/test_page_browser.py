"""Pages in a real browser: no error, nothing fetched, accessible, readable without scripts, steps by the arrow keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import checking
import pytest
from test_page import hostile

from reviewbot.bench.demo import examine_case
from reviewbot.commands.demo import TITLES
from reviewbot.report.page import page

CASES = [
    *TITLES,
    "lock-order/user-copy-under-lock",
    "missing-unlock/return-when-full",
    "recursive-lock/reset-under-lock",
    "reserve-size/pages-without-the-lock",
    "wq-flush/a-queue-for-each",
]
CHANNELS = "line => getComputedStyle(line).backgroundColor.match(/[0-9]+/g).slice(0, 3)"
"""Red, green and blue of what is behind a line."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name in CASES:
        review = examine_case(checking.case(name))
        (folder / f"{name.replace('/', '-')}.html").write_text(page([review]))
    (folder / "hostile.html").write_text(page([hostile()]))
    return folder


def address(pages: Path, name: str) -> str:
    return (pages / f"{name.replace('/', '-')}.html").as_uri()


@pytest.mark.parametrize("name", [*CASES, "hostile"])
def test_it_opens_without_an_error_and_fetches_nothing(browser: Any, pages: Path, name: str) -> None:
    with browsing.opened(browser, address(pages, name)) as shown:
        assert shown.page.title()
        assert shown.errors == []
        assert shown.asked == [address(pages, name)]


@pytest.mark.parametrize("name", [*CASES, "hostile"])
@pytest.mark.parametrize(("scheme", "wide"), [("light", 1180), ("dark", 390)])
def test_axe_finds_nothing(browser: Any, pages: Path, name: str, scheme: str, wide: int) -> None:
    with browsing.opened(browser, address(pages, name), scheme, wide) as shown:
        assert browsing.faults(shown.page) == []
        shown.page.keyboard.press("ArrowRight")
        assert browsing.faults(shown.page) == []


@pytest.mark.parametrize("name", CASES)
def test_the_page_is_no_wider_than_a_phone_and_shows_one_picture(browser: Any, pages: Path, name: str) -> None:
    for wide, here, there in ((390, "narrow", "wide"), (1180, "wide", "narrow")):
        with browsing.opened(browser, address(pages, name), wide=wide) as shown:
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= wide
            assert shown.page.locator(f".schedule svg.{here}").is_visible()
            assert not shown.page.locator(f".schedule svg.{there}").is_visible()


@pytest.mark.parametrize("name", CASES)
def test_no_text_of_the_picture_leaves_it(browser: Any, pages: Path, name: str) -> None:
    """With the fonts that this browser has."""
    outside = """svg => [...svg.querySelectorAll('text')].filter(text => {
        const box = text.getBBox(), all = svg.viewBox.baseVal;
        return box.x < -1 || box.x + box.width > all.width + 1 || box.y + box.height > all.height + 1;
    }).map(text => text.textContent)"""
    for wide, which in ((390, "narrow"), (1180, "wide")):
        with browsing.opened(browser, address(pages, name), wide=wide) as shown:
            for picture in shown.page.locator(f"svg.{which}").all():
                assert picture.evaluate(outside) == []


def test_the_arrow_keys_go_through_the_schedule(browser: Any, pages: Path) -> None:
    with browsing.opened(browser, address(pages, "wait-under-lock/throttle-under-lock")) as shown:
        page = shown.page
        rows = int(page.locator("figure.schedule").get_attribute("data-rows"))
        assert page.locator("svg.wide g.later").count() == 0
        seen = []
        for row in range(rows):
            page.keyboard.press("ArrowRight")
            assert page.locator("figure.schedule svg.wide g.now").get_attribute("data-row") == str(row)
            assert page.locator("li[aria-current]").get_attribute("data-row") == str(row)
            assert page.locator("figure.schedule svg.wide g.later").count() == rows - row
            seen.append(page.locator(".row.now .text").inner_text().strip())
            assert f"{row + 1} of {rows}" in page.locator(".stepper .now").inner_text()
        assert seen == [
            "down_read(&copiers_lock);",
            "wait_event(c->wait, c->in_progress <= COPIER_MOST);",
            "down_write(&copiers_lock);",
            "down_read(&copiers_lock);",
        ]
        page.keyboard.press("ArrowRight")
        assert page.locator("svg.wide g.later").count() == 0
        assert "deadlock" in page.locator(".stepper .now").inner_text()
        page.keyboard.press("ArrowLeft")
        assert page.locator("figure.schedule svg.wide g.now").get_attribute("data-row") == str(rows - 1)
        page.get_by_role("button", name="Show all").click()
        assert page.locator("svg g.now, svg g.later, .row.now").count() == 0


def test_the_buttons_are_reached_by_the_keyboard(browser: Any, pages: Path) -> None:
    with browsing.opened(browser, address(pages, "shrinker-io/gate-on-gfp-io")) as shown:
        page = shown.page
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "on":
                break
        page.keyboard.press("Enter")
        assert page.locator("li[aria-current]").get_attribute("data-row") == "0"


@pytest.mark.parametrize("name", CASES)
def test_without_scripts_all_of_it_is_there(browser: Any, pages: Path, name: str) -> None:
    with browsing.opened(browser, address(pages, name), scripts=False) as shown:
        assert not shown.page.locator(".stepper").first.is_visible()
        assert shown.page.locator(".schedule svg.wide").first.is_visible()
        assert shown.page.locator("p.circle").first.is_visible()
        place = shown.page.locator(".steps a").first
        if place.count():
            place.click()
            assert shown.page.locator(".row:target").is_visible()


def test_hostile_text_is_shown_and_does_nothing(browser: Any, pages: Path) -> None:
    with browsing.opened(browser, address(pages, "hostile")) as shown:
        assert shown.page.locator("h1").inner_text().startswith("</style></script><script>alert(1)")
        assert shown.page.locator("script").count() == 1
        assert shown.dialogs == []


def test_words_of_a_picture_are_no_larger_than_those_of_the_page(browser: Any, pages: Path) -> None:
    for name in CASES:
        with browsing.opened(browser, address(pages, name)) as shown:
            scales = shown.page.locator("svg.wide").evaluate_all(
                "all => all.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"
            )
            assert scales
            assert all(0.95 <= scale <= 1.05 for scale in scales), (name, scales)


def test_all_of_a_changed_event_is_seen_on_a_phone(browser: Any, pages: Path) -> None:
    with browsing.opened(browser, address(pages, "shared-reserve/pool-of-all-devices"), wide=390) as shown:
        outside = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length"
        assert shown.page.locator(".events, .events .row").count() > 2
        assert shown.page.locator(".events, .events .row").evaluate_all(outside) == 0


def test_it_prints(browser: Any, pages: Path) -> None:
    with browsing.opened(browser, address(pages, "wq-mem-reclaim/lost-flag"), "dark", 390) as shown:
        shown.page.emulate_media(media="print")
        assert shown.page.locator(".schedule svg.wide").is_visible()
        assert not shown.page.locator(".stepper").is_visible()
        paper = shown.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        for line in shown.page.locator(".diff .row.add, .diff .row.del").all():
            assert min(map(int, line.evaluate(CHANNELS))) > 200, "dark lines on white paper"
