"""Polls of an inbox of our own mails, from the archive to the draft."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import checking
import msgspec
import pytest
import responses
from inbox import START, Inbox, mail, patch, posted
from responses.matchers import query_param_matcher
from servers import answering

from reviewbot.key import message_id
from reviewbot.types import ReviewError
from reviewbot.watch.config import Config, Drafts, MailingList, Patchwork, ReviewLimits, TreeRule
from reviewbot.watch.idle import Summary
from reviewbot.watch.ledger import DraftState, Judged, Ledger
from reviewbot.watch.lists import ListFolder
from reviewbot.watch.poll import all_done, follow, poll
from reviewbot.watch.schema import mail as mail_table
from reviewbot.watch.schema import series as series_table
from reviewbot.watch.store import Kind, SeriesState, Store

FINDER = "inbox:finder"


class Desk:
    """A maintainer's desk: an inbox, a configuration, a database."""

    def __init__(self, path: Path, **more: object) -> None:
        self.inbox = Inbox(path / "inbox")
        lists = (MailingList(name="dm", url=self.inbox.url, review=True, look_back_days=100_000),)
        values = {"lists": lists, "trees": (TreeRule(path="/nowhere"),), "state": str(path / "state"), **more}
        self.config = Config(**values)  # type: ignore[arg-type]
        self.store = Store.open(self.config.database_url())
        self.ledger = Ledger(self.store)

    def poll(self, reviewer: str = "", **more: object) -> Summary:
        """A poll whose reviewer finds what the mails say; with a reviewer of its own, in a process of its own."""
        with pytest.MonkeyPatch.context() as patch:
            if not reviewer:
                patch.setattr("reviewbot.watch.reviewer.Child", checking.Here)
            return poll(self.config, self.store, reviewer=reviewer or FINDER, **more)  # type: ignore[arg-type]

    def states(self) -> dict[str, tuple[SeriesState, str]]:
        return {s.lead.partition("@")[0]: (s.state, s.decision or s.reason) for s in self.store.series()}

    def files(self) -> list[str]:
        folder = self.config.folder() / "drafts"
        return sorted(p.name for p in folder.glob("*.eml")) if folder.exists() else []


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[MakeDesk]:
    made: list[Desk] = []

    def make(**more: object) -> Desk:
        made.append(Desk(tmp_path / str(len(made)), **more))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_a_series_becomes_a_draft_once(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("one", 2, 1, "lock"))
    first = d.poll()
    assert (first.mails, first.decisions, first.drafts, first.waiting, first.faults) == (3, {"nack": 1}, 1, 1, ())
    assert d.states() == {"one-v1-0": (SeriesState.DONE, "nack")}
    assert len(d.files()) == 1
    second = d.poll()
    assert (second.mails, second.decisions, second.drafts, second.waiting) == (0, {}, 0, 1)


@responses.activate
def test_patchwork_gets_a_check_of_each_patch_when_it_is_configured(
    desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEWBOT_PATCHWORK_TOKEN", "5ecre7")
    d = desk(patchwork=Patchwork(url="https://patchwork.example.org"))
    d.inbox.deliver(*posted("one", 2, 1, "lock"))
    api = "https://patchwork.example.org/api/patches/"
    responses.get(api, status=503)
    summary = d.poll()
    assert (summary.decisions, summary.drafts) == ({"nack": 1}, 1)
    assert [f.partition(": ")[2] for f in summary.faults] == ["Patchwork at patchwork.example.org answers 503"]
    assert all_done(d.config, d.store, summary)[0] == 0.0
    responses.reset()
    for number in (1, 2):
        name = f"one-v1-{number}@dev.example"
        query = [query_param_matcher({"msgid": name})]
        responses.get(api, json=[{"id": number, "msgid": f"<{name}>"}], match=query)
        responses.post(f"{api}{number}/checks/", json={}, status=201)
    assert d.poll().faults == ()
    made = [json.loads(c.request.body or "")["state"] for c in responses.calls if c.request.method == "POST"]
    assert made == ["success", "fail"]
    assert d.poll().faults == ()
    assert len(responses.calls) == 4


def test_a_series_without_fault_gets_no_draft(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(patch("good@dev.example"))
    assert d.poll().decisions == {"ack": 1}
    assert d.files() == []


def test_a_late_patch_completes_its_series(desk: MakeDesk) -> None:
    d = desk()
    cover, one, two = posted("late", 2, 1, "lock")
    d.inbox.deliver(two)
    assert d.poll().decisions == {}
    d.inbox.deliver(cover)
    assert d.poll().decisions == {}
    assert d.states()["late-v1-0"] == (SeriesState.WAITING, "1 of 2 patches are there")
    d.inbox.deliver(one)
    assert d.poll().decisions == {"nack": 1}


def test_a_cover_letter_is_waited_for_and_not_for_ever(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    d = desk()
    _, one, two = posted("bare", 2, 1, "lock")
    d.inbox.deliver(one, two)
    assert d.poll().decisions == {}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 4000)
    assert d.poll().decisions == {"nack": 1}


def test_a_series_that_came_in_part_is_fetched_whole(
    desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cover, one, two = posted("part", 2, 1, "lock")
    mbox = b"".join(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + m + b"\n" for m in (cover, one, two))
    now = time.time()
    with answering(gzip.compress(mbox)) as url:
        d = desk(archive=url)
        d.inbox.deliver(cover, one)
        assert d.poll().decisions == {}
        monkeypatch.setattr(time, "time", lambda: now + 4000)
        assert d.poll().decisions == {"nack": 1}


def test_what_the_archive_does_not_have_either_is_reviewed_when_it_comes(
    desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cover, one, two = posted("part", 2, 1, "lock")
    now = time.time()
    d = desk(archive="http://127.0.0.1:1/all")
    d.inbox.deliver(cover, one)
    d.poll()
    monkeypatch.setattr(time, "time", lambda: now + 4000)
    summary = d.poll()
    assert summary.decisions == {"not fetched": 1}
    assert "cannot be reached" in summary.faults[0]
    assert d.states()["part-v1-0"][0] is SeriesState.READY
    with answering(b"", 404) as url:
        d.config = Config(lists=d.config.lists, trees=d.config.trees, state=d.config.state, archive=url)
        assert d.poll().decisions == {"skipped": 1}
        assert d.poll().decisions == {}
        d.inbox.deliver(two)
        assert d.poll().decisions == {"nack": 1}


def test_a_clock_set_back_costs_one_wait_more_and_nothing_else(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    d = desk()
    _, one, two = posted("bare", 2, 1, "lock")
    d.inbox.deliver(one, two)
    d.poll()
    back = time.time() - 1e8
    monkeypatch.setattr(time, "time", lambda: back)
    d.inbox.deliver(patch("other@dev.example", "dm y: other", "lock"))
    assert d.poll().decisions == {"nack": 1}
    monkeypatch.setattr(time, "time", lambda: back + 3601)
    assert d.poll().decisions == {"nack": 1}
    assert len(d.files()) == 2


def test_of_two_versions_only_the_newer_is_reviewed(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock"), *posted("roll", 2, 2, "lock", parent="roll-v1-0@dev.example"))
    assert d.poll().decisions == {"nack": 1}
    assert d.states() == {
        "roll-v1-0": (SeriesState.SUPERSEDED, "v2 is there"),
        "roll-v2-0": (SeriesState.DONE, "nack"),
    }


def test_a_new_version_is_compared_with_the_one_before(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock", "pool"))
    d.poll()
    (old,) = d.ledger.drafts()
    d.inbox.deliver(*posted("roll", 2, 2, "pool", "queue"))
    d.poll()
    (new,) = d.store.series(series_table.c.version == 2)
    assert '"since":"since v1: 1 answered, 1 remain, 1 new"' in new.result
    assert d.ledger.find(old.name).state is DraftState.SUPERSEDED


def test_what_the_author_refuted_is_not_raised_again(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock"))
    d.poll()
    (draft,) = d.ledger.drafts()
    sent, no = draft.message_id.strip("<>"), "That lock is never taken twice, see x_ctr.\n"
    d.inbox.deliver(
        mail(sent, "Re: [PATCH 2/2] dm roll: part 2", "This deadlocks.\n", author="m@maint.example"),
        mail("no@dev.example", "Re: [PATCH 2/2] dm roll: part 2", f"> This deadlocks.\n\n{no}", parent=sent),
    )
    d.poll()
    assert d.ledger.find(draft.name).state is DraftState.SENT
    d.inbox.deliver(*posted("roll", 2, 2, "lock"))
    assert d.poll().decisions == {"comment": 1}
    (new,) = d.store.series(series_table.c.version == 2)
    assert "not raised again, refuted by ann@dev.example (no@dev.example)" in new.result
    assert d.files() == []
    (tally,) = d.ledger.tally()
    assert (tally.rule, tally.drafted, tally.wrong, tally.right) == ("bad-lock", 1, 1, 0)


def test_what_the_author_agreed_to_is_raised_again(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock"))
    d.poll()
    (draft,) = d.ledger.drafts()
    d.inbox.deliver(mail("yes@dev.example", "Re: x", "Good catch, will fix.\n", parent=draft.message_id.strip("<>")))
    d.poll()
    assert [j.kind for j in d.ledger.judgements(draft.lineage)] == [Judged.AGREED]
    d.inbox.deliver(*posted("roll", 2, 2, "lock"))
    assert d.poll().decisions == {"nack": 1}
    assert d.ledger.tally()[0].right == 1


def test_what_a_stranger_says_refutes_nothing(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock"))
    d.poll()
    (draft,) = d.ledger.drafts()
    d.inbox.deliver(mail("so@x.example", "Re: x", "No.\n", parent=draft.message_id.strip("<>"), author="s@x.example"))
    d.poll()
    assert d.ledger.judgements(draft.lineage) == []


def test_a_fixed_version_counts_for_the_rule(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("roll", 2, 1, "lock"))
    d.poll()
    (draft,) = d.ledger.drafts()
    d.inbox.deliver(mail(draft.message_id.strip("<>"), "Re: x", "This deadlocks.\n", author="m@maint.example"))
    d.poll()
    d.inbox.deliver(*posted("roll", 2, 2))
    d.poll()
    assert [j.kind for j in d.ledger.judgements(draft.lineage)] == [Judged.FIXED]


@pytest.mark.parametrize(
    ("author", "headers"),
    [
        ("kernel test robot <lkp@intel.com>", ()),
        ("syzbot <syzbot+0123@syzkaller.example>", ()),
        ("Someone <some-bot@ci.example>", ()),
        ("Ann Author <ann@dev.example>", (("Auto-Submitted", "auto-generated"),)),
    ],
)
def test_a_program_is_not_answered(desk: MakeDesk, author: str, headers: tuple[tuple[str, str], ...]) -> None:
    d = desk()
    d.inbox.deliver(patch("bot@dev.example", "dm x: fix", "lock", author=author, headers=headers))
    assert d.poll().decisions == {}
    assert d.states()["bot"][0] is SeriesState.SKIPPED


@pytest.mark.parametrize("author", ["Abe Talbot <talbot@dev.example>", "R. Obot <robert@bots.example>"])
def test_a_person_with_such_a_name_is(desk: MakeDesk, author: str) -> None:
    d = desk()
    d.inbox.deliver(patch("person@dev.example", "dm x: fix", "lock", author=author))
    assert d.poll().decisions == {"nack": 1}


def test_a_list_that_did_not_ask_is_only_read(desk: MakeDesk) -> None:
    d = desk()
    quiet = MailingList(name="dm", url=d.inbox.url, look_back_days=100_000)
    d.config = Config(lists=(quiet,), trees=d.config.trees, state=d.config.state)
    d.inbox.deliver(*posted("one", 2, 1, "lock"))
    assert d.poll().decisions == {}
    assert d.states()["one-v1-0"][0] is SeriesState.SKIPPED


def test_a_patch_on_two_lists_is_reviewed_for_the_one_that_asked(desk: MakeDesk, tmp_path: Path) -> None:
    d = desk()
    other = Inbox(tmp_path / "other")
    lists = (
        MailingList(name="all", url=other.url, look_back_days=100_000),
        MailingList(name="dm", url=d.inbox.url, look_back_days=100_000, review=True),
    )
    d.config = Config(lists=lists, trees=d.config.trees, state=d.config.state)
    mails = posted("one", 2, 1, "lock")
    other.deliver(*mails)
    d.inbox.deliver(mail("first@dev.example", "Hello", "Hi.\n"))
    assert d.poll().decisions == {}
    d.inbox.deliver(*mails)
    assert d.poll().decisions == {"nack": 1}
    assert len(d.files()) == 1


def test_who_asked_not_to_be_answered_is_not(desk: MakeDesk) -> None:
    d = desk(drafts=Drafts(never=("ann@*",)))
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    assert d.poll().decisions == {}


def test_no_tree_for_a_file_is_no_review(desk: MakeDesk) -> None:
    d = desk(trees=(TreeRule(path="/nowhere", files=("fs/*",)),))
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    assert d.poll().decisions == {"skipped": 1}
    assert d.states()["p"] == (SeriesState.SKIPPED, "no [[tree]] for drivers/md/dm-x.c")


@pytest.mark.parametrize(
    ("reviewer", "reason"),
    [
        ("inbox:crasher", "Segmentation fault"),
        ("inbox:raiser", "ZeroDivisionError: a fault of the rules"),
        ("inbox:sleeper", "not reviewed within 1 s"),
        ("inbox:eater", "needs more than 256 MB"),
    ],
)
def test_a_series_that_ends_the_reviewer_is_set_aside_after_three_tries(
    desk: MakeDesk, reviewer: str, reason: str
) -> None:
    d = desk(limits=ReviewLimits(review_seconds=1 if "sleeper" in reviewer else 600, review_megabytes=256))
    d.inbox.deliver(patch("bad@dev.example", "dm x: fix", "lock"))
    assert [d.poll(reviewer).decisions for _ in range(4)] == [{"failed": 1}, {"failed": 1}, {"set aside": 1}, {}]
    assert d.states()["bad"][0] is SeriesState.SET_ASIDE
    assert reason in d.states()["bad"][1]
    d.config = msgspec.structs.replace(d.config, limits=ReviewLimits())
    d.inbox.deliver(patch("next@dev.example", "dm y: fix", "lock"))
    assert d.poll().decisions == {"nack": 1}


def test_a_tree_that_is_not_there_costs_no_try(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    summary = d.poll("reviewbot.review:review")
    assert "git repository" in summary.faults[0]
    assert d.store.series()[0].tries == 0
    assert d.poll().decisions == {"nack": 1}


def test_one_list_that_is_gone_does_not_stop_the_others(desk: MakeDesk, tmp_path: Path) -> None:
    d = desk()
    lists = (MailingList(name="gone", url=f"file://{tmp_path}/gone", review=True), *d.config.lists)
    d.config = Config(lists=lists, trees=d.config.trees, state=d.config.state)
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    summary = d.poll()
    assert summary.decisions == {"nack": 1}
    assert [f.partition(":")[0] for f in summary.faults] == ["list gone"]


def test_two_runs_at_one_list_do_not_meet(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    with ListFolder(d.config.folder(), "dm").lock():
        summary = d.poll()
        assert (summary.mails, summary.faults) == (0, ())
    assert d.poll().decisions == {"nack": 1}


def test_an_epoch_that_was_rewritten_gives_nothing_twice(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(mail("spam@x.example", "Buy", "Now.\n"), *posted("one", 2, 1, "lock"))
    d.poll()
    d.inbox.purge(b"<spam@x.example>")
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    summary = d.poll()
    assert (summary.mails, summary.decisions, len(d.files())) == (1, {"nack": 1}, 2)


def test_a_new_epoch_goes_on_where_the_old_one_ended(desk: MakeDesk) -> None:
    d = desk()
    cover, one, two = posted("one", 2, 1, "lock")
    d.inbox.deliver(cover, one)
    d.poll()
    d.inbox.use(1)
    d.inbox.deliver(two)
    assert d.poll().decisions == {"nack": 1}


def test_the_first_poll_goes_no_further_back_than_asked(desk: MakeDesk) -> None:
    d = desk()
    now = time.time()
    d.inbox.deliver(patch("old@dev.example", "dm x: old", "lock"), at=now - 30 * 86400)
    d.inbox.use(1)
    d.inbox.deliver(patch("older@dev.example", "dm x: older", "lock"), at=now - 20 * 86400)
    d.inbox.deliver(patch("new@dev.example", "dm x: new", "lock"), at=now - 86400)
    near = MailingList(name="dm", url=d.inbox.url, review=True, look_back_days=7)
    d.config = Config(lists=(near,), trees=d.config.trees, state=d.config.state)
    assert d.poll().mails == 1
    assert not (d.config.folder() / "lists/dm/0.git").exists()
    d.inbox.purge(b"<nothing>")
    assert d.poll().mails == 0


def test_a_mail_that_cannot_be_read_is_set_aside_with_the_reason(desk: MakeDesk) -> None:
    d = desk(limits=ReviewLimits(mail_bytes=50_000))
    nothing = b"Subject: none\n\nNo id.\n"
    large = patch("large@dev.example", "dm x: large", *["lock" * 10] * 3000)
    d.inbox.deliver(nothing, large, patch("p@dev.example", "dm x: fix", "lock"))
    summary = d.poll()
    assert (summary.broken, summary.decisions) == (1, {"nack": 1, "unreviewed": 1})
    assert "MB large" in d.states()["large"][1] or "MB" in d.store.series(series_table.c.lead.like("large%"))[0].reason
    assert d.store.mails(mail_table.c.kind == Kind.BROKEN)[0].fault == "no message-id"


def test_an_embargo_holds_the_release_and_nothing_else(desk: MakeDesk) -> None:
    d = desk(drafts=Drafts(embargo_hours=48))
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"), at=START)
    d.poll()
    assert d.ledger.drafts()[0].not_before == START + 48 * 3600


def test_our_own_mail_on_the_list_is_no_series(desk: MakeDesk) -> None:
    d = desk()
    own = message_id("0" * 24, 1, "maint.example").strip("<>")
    d.inbox.deliver(patch(own, "dm x: fix", "lock"))
    assert d.poll().decisions == {}


def test_the_summary_is_one_line(desk: MakeDesk) -> None:
    d = desk()
    d.inbox.deliver(*posted("one", 2, 1, "lock"))
    line = d.poll().line()
    assert line.startswith("1 list, 3 new mails, 1 reviewed (1 nack), 1 new draft, 1 waiting for you; ")
    assert "\n" not in line


def test_following_pauses_longer_while_something_is_wrong() -> None:
    pauses: list[float] = []
    faults = iter([(), ("gone",), ("gone",), ("gone",), ("gone",), ("gone",), ()])

    def once() -> Summary:
        return Summary(0, 0, {}, 0, 0, 0, 0, 0, next(faults), 0.0)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(Config(), once, sleep)
    expected = [300, 600, 1200, 2400, 3600, 3600, 300]
    assert all(0.9 * e <= p <= 1.1 * e for p, e in zip(pauses, expected, strict=True))


def test_a_full_disk_stops_the_poll_with_one_line(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    d = desk()
    d.inbox.deliver(patch("p@dev.example", "dm x: fix", "lock"))
    real = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    summary = d.poll()
    assert any("No space left" in fault for fault in summary.faults)
    assert d.files() == []
    monkeypatch.setattr(os, "fsync", real)
    d.poll()
    assert len(d.files()) == 1


def test_a_database_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="does not work"):
        Store.open(f"sqlite:///{tmp_path}")
