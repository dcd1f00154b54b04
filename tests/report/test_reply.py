"""What an author reads: threading headers, the quote, the schedule, and nothing that the verdict does not say."""

from __future__ import annotations

import re

import msgspec
import pytest

from reviewbot.report import reply
from reviewbot.report.schedule import schedule
from reviewbot.types import (
    Address,
    Change,
    Decision,
    FileChange,
    Finding,
    Hunk,
    KnotEdge,
    Line,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    Series,
    Side,
    Step,
    Trace,
    Verdict,
    Words,
)

ME = Address(name="A Maintainer", email="me@example.org")


def mail(**changes: object) -> Mail:
    values: dict[str, object] = {
        "message_id": "1@example.org",
        "subject": "[PATCH] dm sieve: drop the flag",
        "author": Address(name="An Author", email="author@example.org"),
        "date": "Tue, 3 Nov 2026 10:12:00 +0000",
        "to": (Address(name="", email="list@example.org"), ME),
        "cc": (Address(name="Somebody", email="some@example.org"), Address(name="", email="LIST@example.org")),
        "references": ("0@example.org",),
    }
    return Mail(**{**values, **changes})  # type: ignore[arg-type]


def change() -> FileChange:
    texts = ["\tint r;", "-\ta();", "-\tflag = 1;", "+\tflag = 0;", "+\tb();", "+\tc();", "+\td();", " \treturn r;"]
    lines, before, after = [], 9, 9
    for text in texts:
        sign, body = (text[0], text[1:]) if text[0] in "+- " else (" ", text)
        before += sign != "+"
        after += sign != "-"
        lines.append(Line(sign, body, before if sign != "+" else 0, after if sign != "-" else 0))
    early = Hunk((Line("+", "static int flag;", 0, 3),))
    return FileChange(path="a.c", old_path="a.c", hunks=(early, Hunk(tuple(lines))))


def finding(**changes: object) -> Finding:
    values: dict[str, object] = {
        "rule": "wq-mem-reclaim",
        "at": Place("a.c", 11, "f"),
        "message": "check_wq loses its rescuer",
        "related": (Place("a.c", 3),),
        "words": Words(claim="Claim one.", setting="As in this example:", contrast="As it is now, no."),
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


TRACE = Trace(
    steps=(
        Step("writeback", "writes to the snapshot"),
        Step("writeback", "waits for the read"),
        Step("kworker", "kworker waits for free memory"),
    ),
    knot=(
        KnotEdge(
            "writeback", "the read", "the queued work", "writeback waits for the queued work to complete the read"
        ),
        KnotEdge("the queued work", "a thread", "kworker", "the work waits for kworker to run it"),
        KnotEdge("kworker", "free memory", "writeback", "kworker waits for writeback to free memory"),
    ),
)


def review(decision: Decision, *verdicts: Verdict, patches: int = 1) -> Review:
    series = Series(
        patches=tuple(
            Patch(mail=mail(message_id=f"{n}@example.org"), diff=b"", number=n) for n in range(1, patches + 1)
        )
    )
    changed = Change(base="0123456789abcdef" * 2, how="given", files=(change(),), patches=((change(),),) * patches)
    return Review(
        series=series, decision=decision, change=changed, verdicts=verdicts, checked=("workqueues on the I/O path",)
    )


def confirmed(**changes: object) -> Verdict:
    return Verdict(finding=finding(**changes), outcome=Outcome.CONFIRMED, trace=TRACE, remedy="Keep the flag.")


def test_headers_thread_and_address() -> None:
    headers = dict(reply.headers(mail(), ME))
    assert headers["In-Reply-To"] == "<1@example.org>"
    assert headers["References"] == "<0@example.org> <1@example.org>"
    assert headers["To"] == "An Author <author@example.org>"
    assert headers["Cc"] == "list@example.org, Somebody <some@example.org>"
    assert headers["Subject"] == "Re: [PATCH] dm sieve: drop the flag"
    assert headers["X-Patchwork-Hint"] == "ignore"


def test_headers_of_strangers_do_no_harm() -> None:
    evil = mail(
        subject="[PATCH] a\x1b[2J\u202eb", author=Address(name="Boss <boss@example.org>", email="author@example.org")
    )
    headers = dict(reply.headers(evil, None))
    assert headers["To"] == "author@example.org"
    assert "From" not in headers
    assert all(c.isprintable() for value in headers.values() for c in value)


def test_subject_is_answered_once() -> None:
    assert dict(reply.headers(mail(subject="Re: [PATCH] x"), None))["Subject"] == "Re: [PATCH] x"


def test_long_chains_and_crowds_are_cut() -> None:
    crowd = tuple(Address(name="", email=f"p{n}@example.org") for n in range(200))
    chain = tuple(f"r{n}@example.org" for n in range(200))
    headers = dict(reply.headers(mail(cc=crowd, references=chain), None))
    assert headers["Cc"].count("@") == reply.MOST_CC
    references = headers["References"].split()
    assert len(references) == reply.MOST_REFERENCES
    assert (references[0], references[-1]) == ("<r0@example.org>", "<1@example.org>")


def test_quote_ends_at_the_guilty_line_and_cuts_the_rest() -> None:
    text = reply.quote([change()], finding())
    assert text.split("\n") == [
        "> +++ b/a.c",
        "> +static int flag;",
        "> @@ ... @@ f()",
        "> -\ta();",
        "> -\tflag = 1;",
        "> +\tflag = 0;",
    ]


def test_quote_says_in_which_function_the_lines_are() -> None:
    first, last = change().hunks
    named = msgspec.structs.replace(last, section="int f(int flags)")
    files = [msgspec.structs.replace(change(), hunks=(msgspec.structs.replace(first, section="struct x {"), named))]
    heads = [line for line in reply.quote(files, finding()).split("\n") if line.startswith("> @@")]
    assert heads == ["> @@ ... @@ struct x {", "> @@ ... @@ int f(int flags)"]
    other = [msgspec.structs.replace(change(), hunks=(msgspec.structs.replace(last, section="int before(void)"),))]
    assert "> @@ ... @@ f()" in reply.quote(other, finding()).split("\n")


def test_quote_of_two_files_names_both() -> None:
    other = FileChange(path="b.h", old_path="b.h", hunks=(Hunk((Line("+", "int g;", 0, 7),)),))
    text = reply.quote([other, change()], finding(related=(Place("b.h", 7),)))
    assert text.split("\n")[:4] == ["> +++ b/b.h", "> +int g;", "[ ... ]", "> +++ b/a.c"]


def test_quote_of_a_removed_line() -> None:
    text = reply.quote([change()], finding(at=Place("a.c", 12, "f"), side=Side.BEFORE, related=()))
    assert text.split("\n")[-2:] == ["> -\tflag = 1;", "> +\tflag = 0;"]


def test_quote_of_a_line_outside_the_patch_is_empty() -> None:
    assert reply.quote([change()], finding(at=Place("b.c", 1))) == ""


def test_schedule_joins_the_steps_of_a_task_and_names_it_once() -> None:
    assert schedule(TRACE).split("\n") == [
        "1. writeback writes to the snapshot and waits for the read",
        "2. kworker waits for free memory",
    ]


def test_nack_says_what_the_verdict_says() -> None:
    (draft,) = reply.draft(review(Decision.NACK, confirmed()), ME)
    body = draft.body
    order = [
        "wrote:",
        "> +\tflag = 0;",
        "Claim one.",
        "As in this example:",
        "1. writeback",
        "kworker waits for writeback to free memory",
        "Keep the flag.",
    ]
    assert "As it is now" not in body
    assert [body.index(x) for x in order] == sorted(body.index(x) for x in order)
    assert re.search(r"^Replay the schedule: reviewbot explain [0-9a-f]{8}$", body, re.MULTILINE)
    assert "\n\n\n" not in body


def test_without_a_remedy_the_reply_says_what_would_be_safe() -> None:
    verdict = msgspec.structs.replace(confirmed(), remedy="")
    (draft,) = reply.draft(review(Decision.NACK, verdict), ME)
    assert "As it is now" in draft.body


@pytest.mark.parametrize("trailer", ["Reviewed-by", "Acked-by", "Nacked-by", "Tested-by", "Signed-off-by"])
def test_no_trailers(trailer: str) -> None:
    fixed = Verdict(finding=finding(gives=True), outcome=Outcome.FIXED, trace=TRACE)
    for result in (review(Decision.NACK, confirmed()), review(Decision.ACK, fixed), review(Decision.ACK)):
        assert all(trailer not in draft.body for draft in reply.draft(result, ME))


def test_lines_are_short() -> None:
    long = Words(claim="word " * 60, setting="For example, " + "x" * 90 + ":")
    (draft,) = reply.draft(review(Decision.NACK, confirmed(words=long)), ME)
    assert all(len(x) <= reply.WIDTH or " " not in x for x in draft.body.split("\n"))


def test_each_guilty_patch_is_answered() -> None:
    drafts = reply.draft(review(Decision.NACK, confirmed(), confirmed(patch=2, message="other"), patches=3), ME)
    assert [d.header("In-Reply-To") for d in drafts] == ["<1@example.org>", "<2@example.org>"]
    assert len({d.header("Message-ID") for d in drafts}) == 2


def test_ack_says_what_was_checked_and_no_more() -> None:
    (draft,) = reply.draft(review(Decision.ACK), ME)
    said = " ".join(draft.body.split())
    assert "Checked: workqueues on the I/O path in a.c, in the tree at 0123456789ab with the patch applied." in said
    assert len(draft.body.split("-- \n")[0].strip().split("\n")) <= 6
    assert "explain" not in draft.body


def test_ack_of_what_no_rule_looks_at_says_so() -> None:
    (draft,) = reply.draft(msgspec.structs.replace(review(Decision.ACK), checked=()), ME)
    assert "Nothing in it takes a lock, sleeps, allocates, queues work or submits I/O" in " ".join(draft.body.split())


def test_ack_of_a_fix_tells_the_deadlock_that_ends() -> None:
    fixed = Verdict(finding=finding(gives=True), outcome=Outcome.FIXED, trace=TRACE)
    (draft,) = reply.draft(review(Decision.ACK, fixed), ME)
    assert "1. writeback" in draft.body
    assert "deadlock" in draft.body


@pytest.mark.parametrize("decision", [Decision.COMMENT, Decision.UNREVIEWED])
def test_nothing_unproven_is_mailed(decision: Decision) -> None:
    assert reply.draft(review(decision), ME) == ()


def test_replay_id_is_stable_and_eight_hex_digits() -> None:
    one = reply.replay_id("a@b", finding())
    assert re.fullmatch(r"[0-9a-f]{8}", one)
    assert one == reply.replay_id("a@b", finding())
    assert one != reply.replay_id("a@b", finding(message="else"))
