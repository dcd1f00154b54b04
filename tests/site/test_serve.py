"""The site on loopback: files, the answer that b4 reads, and what is refused."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
from site_series import fill

from reviewbot.site.build import STATE, build
from reviewbot.site.serve import server
from reviewbot.types import ReviewError
from reviewbot.watch.store import SeriesRow, Store


class Running:
    """A site that is served."""

    def __init__(self, port: int, rows: dict[str, SeriesRow]) -> None:
        self.port, self.rows = port, rows
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str, host: str = "") -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    with Store.open(f"sqlite:///{folder}/state.sqlite") as store:
        rows = fill(store)
        build(store, folder / "site")
    with server(folder / "site", 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield Running(running.server_address[1], rows)
        running.shutdown()


def test_files_are_served_and_nothing_else(site: Running) -> None:
    status, body, headers = site.get("/")
    assert status == 200
    assert b"Series reviewed" in body
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert site.get("/feed.xml")[0] == 200
    for path in (
        "/series/",
        f"/{STATE}",
        "/../state.sqlite",
        "/%2e%2e/state.sqlite",
        "/series/%2e%2e/.%2e/state.sqlite",
    ):
        assert site.get(path)[0] in (400, 404), path


def test_it_answers_only_to_loopback_names(site: Running) -> None:
    assert site.get("/", "localhost:8421")[0] == 200
    assert site.get("/", "attacker.example")[0] == 421
    assert site.get("/api/patchset?id=2-0@x.example", "attacker.example:80")[0] == 421


def test_a_patchset_by_any_of_its_mails(site: Running) -> None:
    answers = [json.loads(site.get(f"/api/patchset?id=2-{n}%40x.example")[1]) for n in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["status"] == "Reviewed"
    assert site.get("/api/patchset?id=gone%40x.example")[0] == 404
    assert site.get("/api/patchset")[0] == 404


@pytest.mark.parametrize(
    ("mail", "status", "summary"),
    [
        ("2-0", "fail", "1 high"),
        ("2-1", "fail", "1 high"),
        ("2-2", "pass", "No findings"),
        ("1-1", "pass", "No findings"),
        ("3-0", "warn", "1 medium"),
        ("4-1", "pass", "does not apply: a.c has changed"),
        ("5-0", "warn", "Series incomplete"),
    ],
)
def test_b4_reads_it(site: Running, mail: str, status: str, summary: str) -> None:
    """With b4's own functions, as `b4 review` calls them."""
    from email.message import EmailMessage

    from b4.review import checks

    checks.clear_sashiko_cache()
    message = EmailMessage()
    message["Message-ID"] = f"<{mail}@x.example>"
    (result,) = checks._run_builtin_sashiko(message, site.address)
    assert (result["status"], result["summary"]) == (status, summary)


def test_b4_finds_the_draft_and_the_lines(site: Running) -> None:
    from b4.review import checks

    checks.clear_sashiko_cache()
    patchset = checks._fetch_sashiko_patchset("2-0@x.example", site.address)
    assert patchset
    review = next(one for one in patchset["reviews"] if one["patch_id"] == 1)
    assert "This can deadlock." in review["inline_review"]
    findings = json.loads(review["output"])["findings"]
    assert findings[0]["locations"][0]["file"].endswith("dm-depot.c")


def test_a_port_that_is_taken_is_one_line(site: Running, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    with pytest.raises(ReviewError, match="choose another --port"):
        server(tmp_path, site.port)


PAGES = ("/", "/rules.html", "/lists/all.all.1.html", *(f"/series/{number:024x}.html" for number in range(1, 7)))


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("scheme", "wide"), [("light", 1180), ("dark", 390)])
def test_it_opens_in_a_browser_fetches_nothing_and_axe_finds_nothing(
    browser: Any, site: Running, path: str, scheme: str, wide: int
) -> None:
    with browsing.opened(browser, site.address + path, scheme, wide) as shown:
        assert [error for error in shown.errors if "favicon" not in error] == []
        assert {address for address in shown.asked if "favicon" not in address} == {site.address + path}
        assert browsing.faults(shown.page) == []
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= wide
        assert shown.dialogs == []


def test_the_links_lead_somewhere(browser: Any, site: Running) -> None:
    with browsing.opened(browser, site.address + "/") as shown:
        for link in shown.page.locator("a").all():
            target = link.get_attribute("href")
            if target and not target.startswith("#"):
                assert site.get(f"/{target}")[0] == 200, target


@pytest.mark.parametrize("path", ["/", "/rules.html"])
def test_on_a_phone_no_word_of_a_table_is_broken(browser: Any, site: Running, path: str) -> None:
    broken = """table => [...table.querySelectorAll('th, td:not(:last-child)')].filter(cell => {
        const range = document.createRange(), text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (text.nextNode()) for (const word of text.currentNode.data.matchAll(/[A-Za-z0-9]+/g)) {
            range.setStart(text.currentNode, word.index);
            range.setEnd(text.currentNode, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) return true;
        }
        return false;
    }).map(cell => cell.textContent)"""
    with browsing.opened(browser, site.address + path, wide=390) as shown:
        assert shown.page.locator("table").count()
        for table in shown.page.locator("table").all():
            assert table.evaluate(broken) == []
