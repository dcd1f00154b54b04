"""The dashboard: what stands in it, that only what changed is made anew, and that hostile text is text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from xml.etree import ElementTree

import pytest
from site_series import HOSTILE, add, fill, nack

from reviewbot.cli import run
from reviewbot.site import build as building
from reviewbot.site import ruled
from reviewbot.site.build import STATE, build, list_file
from reviewbot.types import ReviewError
from reviewbot.watch.ledger import Judged, Ledger
from reviewbot.watch.store import SeriesState, Store

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/state/state.sqlite") as opened:
        yield opened


def page(folder: Path, key: str) -> str:
    return (folder / "series" / f"{key}.html").read_text()


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file, and what changes when it is written."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STATE)
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_the_front_page_counts_by_list_and_verdict_and_says_why_not(store: Store, tmp_path: Path) -> None:
    fill(store)
    built = build(store, tmp_path / "site")
    assert (built.series, built.made) == (6, 6)
    text = (tmp_path / "site/index.html").read_text()
    assert 'aria-label="1 nack on dm-devel"' in text
    assert 'aria-label="2 ack on all"' in text
    assert 'aria-label="6 all on all"' in text
    assert "<li>1 does not apply</li>" in text
    assert "<li>1 patches are missing</li>" in text
    for target in re.findall(r'href="([^"#]+)"', text):
        assert (tmp_path / "site" / target).is_file(), target


def test_a_series_has_its_schedule_its_versions_and_its_draft(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    text = page(tmp_path, found["nack"].key)
    for said in (
        'class="picture wide"',
        "deadlock.",
        "This can deadlock.",
        "since v1: 1 new finding",
        "The code of the steps",
    ):
        assert said in text
    assert "mutex_lock(&amp;d-&gt;lock)" in text
    first = page(tmp_path, found["ack"].key)
    assert f'href="{found["nack"].key}.html">v2</a>' in first


LOADED = """
import sys
from pathlib import Path
from reviewbot.site.build import build
from reviewbot.watch.store import Store

with Store.open(sys.argv[1]) as store:
    build(store, Path(sys.argv[2]))
print(sorted(sys.modules))
"""


def test_an_update_loads_no_rules_and_nothing_of_a_review(store: Store, tmp_path: Path) -> None:
    """That would take longer than all else of it."""
    fill(store)
    build(store, tmp_path / "site")
    before = (tmp_path / "site/rules.html").read_text()
    assert "nobody waits for himself" in before
    add(store, 77, nack())
    command = [sys.executable, "-c", LOADED, f"sqlite:///{tmp_path}/state/state.sqlite", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(re.findall(r"'([\w.]+)'", done.stdout))
    assert "reviewbot.site.build" in loaded
    assert (
        not {"heuristics.lock_order", "reviewbot.rules", "reviewbot.analysis", "reviewbot.review", "requests"} & loaded
    )
    after = (tmp_path / "site/rules.html").read_text()
    assert after != before
    assert "nobody waits for himself" in after


def test_rules_are_loaded_again_where_their_files_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ruled.known(ruled.KnownRules())
    assert found.guarantees["lock-order"]
    assert ruled.known(found) is found
    monkeypatch.setattr(ruled, "entry_points", lambda group: [EntryPoint("mine", "mine.rules", group)])
    other = ruled.known(ruled.KnownRules(found.of, {"gone": "no more"}))
    assert other.of != found.of
    assert other.guarantees == found.guarantees


def test_a_series_without_a_review_says_why(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    assert "does not apply: a.c has changed" in page(tmp_path, found["unreviewed"].key)
    assert "1 of 2 patches are there" in page(tmp_path, found["waiting"].key)
    assert "f() could not be read" in page(tmp_path, found["comment"].key)
    listed = (tmp_path / list_file("dm-devel", "unreviewed", 1)).read_text()
    assert "does not apply: a.c has changed" in listed


def test_rules_are_counted_and_what_people_said_of_them(store: Store, tmp_path: Path) -> None:
    fill(store)
    build(store, tmp_path)
    row = next(r for r in (tmp_path / "rules.html").read_text().split("<tr>") if ">lock-order</th>" in r)
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert cells[1:4] == ["1", "0", "right 1 of 1 (21% to 100%)"]
    assert cells[4] == "not measured"


def test_the_feed_is_atom(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    root = ElementTree.fromstring((tmp_path / "feed.xml").read_text())
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries][2] == "comment: [PATCH 0/2] change 3"
    assert len(entries) == 5
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 5
    links = [entry.find(f"{ATOM}link") for entry in entries]
    assert all(link is not None and (tmp_path / link.attrib["href"]).is_file() for link in links)
    assert f"series/{found['nack'].key}.html" in {link.attrib["href"] for link in links if link is not None}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", root.findtext(f"{ATOM}updated") or "")


def test_a_json_file_for_each_series(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    value = json.loads((tmp_path / f"series/{found['nack'].key}.json").read_text())
    assert value["schema"] == 1
    assert (value["verdict"], value["version"], value["message_id"]) == ("nack", 2, "2-0@x.example")
    assert value["findings"][0]["rule"] == "lock-order"
    assert value["findings"][0]["trace"][0]["holds"]
    assert [one["version"] for one in value["versions"]] == [1, 2]


def test_hostile_text_is_text(store: Store, tmp_path: Path) -> None:
    fill(store)
    build(store, tmp_path)
    for path in tmp_path.rglob("*.html"):
        text = path.read_text()
        assert "<script>alert" not in text, path
        assert "\u202e" not in text, path
    assert HOSTILE not in {path.name for path in tmp_path.rglob("*")}
    ElementTree.fromstring((tmp_path / "feed.xml").read_text())


# --- led on ----------------------------------------------------------------------------------------------------------


def test_nothing_new_is_nothing_written(store: Store, tmp_path: Path) -> None:
    fill(store)
    build(store, tmp_path / "site")
    before = written(tmp_path / "site")
    assert build(store, tmp_path / "site").made == 0
    assert changed(before, written(tmp_path / "site")) == set()


def test_one_new_series_makes_its_pages_and_those_that_name_it(store: Store, tmp_path: Path) -> None:
    fill(store)
    site = tmp_path / "site"
    build(store, site)
    before = written(site)
    row = add(store, 9, nack(), list="linux-block")
    assert build(store, site).made == 1
    assert changed(before, written(site)) == {
        f"series/{row.key}.html",
        f"series/{row.key}.json",
        "index.html",
        "feed.xml",
        "rules.html",
        "api/messages.json",
        *(list_file(place, verdict, 1) for place in ("all", "linux-block") for verdict in ("all", "nack")),
    }


def test_what_was_led_on_is_what_would_be_made(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path / "led")
    store.change_series(found["waiting"].key, state=SeriesState.SKIPPED, reason="no [[tree]] for a.c")
    add(store, 9, nack(), version=3, lineage=f"{1:024x}", previous=found["nack"].key)
    store.drop_series(found["hostile"].key)
    build(store, tmp_path / "led")
    build(store, tmp_path / "new")
    files = [
        {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != STATE}
        for folder in (tmp_path / "led", tmp_path / "new")
    ]
    assert files[0] == files[1]


def test_a_new_version_is_told_on_the_pages_of_the_others(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    row = add(store, 9, nack(), version=3, lineage=f"{1:024x}", previous=found["nack"].key)
    assert build(store, tmp_path).made == 3
    assert f"{row.key}.html" in page(tmp_path, found["ack"].key)


def test_a_draft_that_was_dropped_or_judged_is_seen(store: Store, tmp_path: Path) -> None:
    found = fill(store)
    build(store, tmp_path)
    ledger = Ledger(store)
    ledger.change("d1", state="dropped", why="not sure")
    assert build(store, tmp_path).made >= 1
    assert "dropped, not sure" in page(tmp_path, found["nack"].key)
    ledger.judge(ledger.find("d1"), Judged.FALSE_POSITIVE, by="maintainer", said_in="d1")
    build(store, tmp_path)
    assert "right 0 of 1" in (tmp_path / "rules.html").read_text()


def test_a_list_grows_by_pages_and_only_the_last_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "ON_A_PAGE", 2)
    for number in range(1, 6):
        add(store, number, nack())
    build(store, tmp_path)
    before = written(tmp_path)
    assert list_file("all", "nack", 3) in before
    add(store, 6, nack())
    build(store, tmp_path)
    lists = {name for name in changed(before, written(tmp_path)) if name.startswith("lists/")}
    assert lists == {list_file(p, v, 3) for p in ("all", "dm-devel") for v in ("all", "nack")}


def test_a_run_that_was_cut_off_is_done_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    whole, count = building.put, [0]

    def cut(path: Path, data: bytes) -> None:
        count[0] += 1
        if count[0] == 5:
            raise OSError(28, os.strerror(28))
        whole(path, data)

    monkeypatch.setattr(building, "put", cut)
    with pytest.raises(ReviewError, match="No space left"):
        build(store, tmp_path / "site")
    monkeypatch.setattr(building, "put", whole)
    assert build(store, tmp_path / "site").made == 6


def test_a_state_that_cannot_be_read_or_another_program_makes_all_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    build(store, tmp_path)
    (tmp_path / STATE).write_text("{")
    assert build(store, tmp_path).made == 6
    monkeypatch.setattr(building, "form", lambda: "another")
    assert build(store, tmp_path).made == 6


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\nsite = "{tmp_path / "site"}"\n')
    with Store.open(f"sqlite:///{tmp_path}/state/state.sqlite") as store:
        fill(store)
    assert run(["site", str(tmp_path / "out"), "--no-docs", "--config", str(config)]) == 0
    assert "6 series, 6 pages made, 0 removed" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert run(["site", str(tmp_path / "file" / "x"), "--no-docs", "--config", str(config)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["serve", str(tmp_path / "empty"), "--config", str(config)]) == 2
    assert "no site in" in capsys.readouterr().err


def test_a_poll_brings_the_site_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\nsite = "{tmp_path / "site"}"\n')
    assert run(["watch", "--config", str(config)]) == 0
    assert "No series yet" in (tmp_path / "site/index.html").read_text()
    capsys.readouterr()
