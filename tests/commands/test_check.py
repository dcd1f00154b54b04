"""`reviewbot check` from end to end: mails and trees of our own, the founding patch on a real tree, and bad input."""

from __future__ import annotations

import http.server
import json
import re
import stat
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Literal

import checking
import msgspec
import pytest
from checking import CODE, FILE, diff, innocent, listing, mail

from reviewbot import cli
from reviewbot.types import Review, Series

Capture = pytest.CaptureFixture[str]

# --- the contract of --json ------------------------------------------------------------------------------------------


class SeriesOf(msgspec.Struct):
    message_id: str
    subject: str
    version: int
    author: str
    patches: int
    missing: list[int]


class BaseOf(msgspec.Struct):
    commit: str
    how: str


class StepOf(msgspec.Struct):
    task: str
    step: str
    file: str
    line: int


class WaitOf(msgspec.Struct):
    task: str
    waits_for: str
    held_by: str


class FindingOf(msgspec.Struct):
    rule: str
    outcome: Literal["confirmed", "pre-existing", "fixed", "refuted", "inconclusive"]
    patch: int
    file: str
    line: int
    function: str
    message: str
    facts: list[str]
    trace: list[StepOf]
    knot: list[WaitOf]
    states: int
    remedy: str | None


class UnreadOf(msgspec.Struct):
    file: str
    function: str


class TimingOf(msgspec.Struct):
    fetch: float
    apply: float
    facts: float
    rules: float
    simulate: float
    reply: float
    total: float


class Answer(msgspec.Struct):
    """What `check --json` promises: each of these keys, of these types; more may come."""

    schema: Literal[1]
    series: SeriesOf
    base: BaseOf | None
    verdict: Literal["nack", "ack", "comment", "unreviewed"]
    reason: str | None
    findings: list[FindingOf]
    unread: list[UnreadOf]
    timing: TimingOf


EXIT = {"ack": 0, "nack": 1, "comment": 3, "unreviewed": 4}


# --- a sandbox -------------------------------------------------------------------------------------------------------


class Sandbox:
    """A home, a folder to stand in with mails, and a small tree; says what changed in them."""

    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.folder, self.capsys = folder, capsys
        self.home, self.here, self.temporary = folder / "home", folder / "here", folder / "tmp"
        for path in (self.home, self.here, self.temporary):
            path.mkdir()
        self.tree = checking.repository(folder / "tree", {FILE: CODE})
        self._seen = self.files()

    def files(self) -> dict[str, str]:
        """Every file of the sandbox with what is in it, but for the cache."""
        cache = str(self.home / "cache")
        return {name: text for name, text in listing(self.folder).items() if not name.startswith(cache)}

    def write(self, name: str, text: str | bytes) -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self._seen = self.files()
        return str(path)

    def check(self, *argv: str, tree: Path | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of `reviewbot check ARGV`."""
        self._seen = self.files()
        code = cli.run(["check", *argv, "--tree", str(tree or self.tree)])
        out, err = self.capsys.readouterr()
        return code, out, err

    def answer(self, *argv: str, tree: Path | None = None) -> Answer:
        """What --json says, with nothing else on stdout, and a code that fits."""
        code, out, err = self.check(*argv, "--json", tree=tree)
        assert err == ""
        assert out.count("\n") == 1
        found = msgspec.json.decode(out, type=Answer, strict=True)
        assert code == EXIT[found.verdict]
        return found

    def changed(self) -> set[str]:
        """Names of files that are new or different since the last command began."""
        now = self.files()
        names = {name for name in {*now, *self._seen} if now.get(name) != self._seen.get(name)}
        return {str(Path(name).relative_to(self.folder)) for name in names}


@pytest.fixture
def box(tmp_path: Path, common_cache: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    made = Sandbox(tmp_path, capsys)
    (made.home / "cache").symlink_to(common_cache)  # what one test read the next one need not
    monkeypatch.setenv("HOME", str(made.home))
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(made.home / name.lower()))
    monkeypatch.setattr("tempfile.tempdir", str(made.temporary))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(made.here)
    monkeypatch.setattr("reviewbot.watch.reviewer.Child", checking.Here)
    return made


def line_of(err: str) -> str:
    assert err.startswith("reviewbot: ")
    assert err.count("\n") == 1, err
    text = err.removeprefix("reviewbot: ").rstrip("\n")
    assert text.isprintable(), text
    return text


# --- cases of the corpus as mails and trees --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A tree in which a queue on the I/O path has a rescuer, and the mail that takes it away."""
    case = checking.case("wq-mem-reclaim/lost-flag")
    return checking.case_repository(tmp_path_factory.mktemp("lost") / "tree", case), case.patch


def test_a_nack_as_json(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    answer = box.answer(box.write("one.eml", patch), tree=tree)
    assert (answer.verdict, answer.reason) == ("nack", None)
    assert answer.base == BaseOf(commit=checking.git(tree, "rev-parse", "HEAD").strip(), how="branch")
    assert answer.series.message_id == "wq-mem-reclaim.lost-flag@example.org"
    assert answer.series.author == "A Developer <developer@example.org>"
    assert answer.series.patches == answer.series.version == 1
    [finding] = [f for f in answer.findings if f.outcome == "confirmed"]
    text = (tree / finding.file).read_text().splitlines()
    assert "alloc_workqueue" in text[finding.line - 1]
    assert finding.function in "\n".join(text)
    assert finding.facts
    assert finding.states > 0
    assert finding.remedy
    assert len(finding.trace) > 2
    assert len(finding.knot) > 1
    seconds = msgspec.structs.asdict(answer.timing)
    assert all(value >= 0 for value in seconds.values())
    assert seconds["total"] >= max(seconds[stage] for stage in seconds if stage != "total")


def test_a_nack_as_text(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    code, out, err = box.check(box.write("one.eml", patch), "--from", "Ann Maintainer <ann@example.org>", tree=tree)
    assert (code, err) == (1, "")
    first, _, rest = out.partition("\n")
    assert first.startswith("nack: [PATCH] dm sieve")
    assert "confirmed: drivers/md/dm-sieve.c:83: " in rest
    assert "From: Ann Maintainer <ann@example.org>\n" in rest
    assert "In-Reply-To: <wq-mem-reclaim.lost-flag@example.org>\n" in rest
    assert "\x1b" not in out
    [kept] = box.changed()  # the schedule, for `reviewbot explain`
    shown = re.search(r"reviewbot explain (\w+)", out)
    assert shown
    assert kept == f"home/state/reviewbot/runs/{shown[1]}.json"


def test_a_fix_is_acked_and_told(box: Sandbox, tmp_path: Path) -> None:
    case = checking.case("wq-mem-reclaim/restored-flag")
    tree = checking.case_repository(tmp_path / "fixed", case)
    code, out, _ = box.check(box.write("one.eml", case.patch), tree=tree)
    assert code == 0
    assert "This ends a deadlock that the tree has today." in out
    assert "I have no objection." in out


def test_an_ack_of_nothing_says_what_was_checked(box: Sandbox) -> None:
    answer = box.answer(box.write("one.eml", mail(innocent())))
    assert (answer.verdict, answer.findings) == ("ack", [])
    code, out, err = box.check("one.eml")
    assert (code, err) == (0, "")
    assert "; checked in the tree at " in " ".join(out.split())
    assert "No deadlock found" in out


def test_a_queue_beside_the_io_path_may_lose_its_rescuer(box: Sandbox, tmp_path: Path) -> None:
    case = checking.case("wq-mem-reclaim/queue-beside-the-io-path")
    answer = box.answer(box.write("one.eml", case.patch), tree=checking.case_repository(tmp_path / "beside", case))
    assert answer.verdict == "ack"


# --- lines and logs for other programs -------------------------------------------------------------------------------


def test_terse(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    code, out, err = box.check(box.write("one.eml", patch), "--terse", tree=tree)
    assert (code, err) == (1, "")
    assert re.fullmatch(r"drivers/md/dm-sieve\.c:83: nack: \S.* \[wq-mem-reclaim\]\n", out)
    assert box.check(box.write("two.eml", mail(innocent())), "--terse") == (0, "", "")
    code, out, err = box.check(box.write("three.eml", "From: a@example.org\n\nno patch\n"), "--terse")
    assert (code, out) == (4, "")
    assert line_of(err)


def test_sarif_beside_each_kind_of_output(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    name = box.write("one.eml", patch)
    for options in ((), ("--json",), ("--terse",)):
        code, out, _ = box.check(name, "--sarif", "out.sarif", *options, tree=tree)
        [run] = json.loads((box.here / "out.sarif").read_text())["runs"]
        assert (code, len(run["results"])) == (1, 1)
        assert "drivers/md/dm-sieve.c" in out
    for text in ("From: a@example.org\n\nno patch\n", mail("diff --git a/x.txt b/x.txt\n--- a/x.txt\n+++ b/x.txt\n")):
        assert box.check(box.write("bad.eml", text), "--sarif", "out.sarif")[0] == 4
        [run] = json.loads((box.here / "out.sarif").read_text())["runs"]
        assert (run["results"], run["invocations"][0]["executionSuccessful"]) == ([], False)


# --- ways to name a series -------------------------------------------------------------------------------------------


def test_standard_input(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    done = checking.process("check", "-", "--json", "--tree", tree, cwd=box.here, stdin=patch.encode())
    assert (done.returncode, done.stderr) == (1, b"")
    assert msgspec.json.decode(done.stdout, type=Answer).series.patches == 1
    done = checking.process("check", "-", "--tree", tree, cwd=box.here)
    assert done.returncode == 2
    assert done.stderr == b"reviewbot: standard input is empty: pipe a mail, an mbox or a diff into it\n"


def test_a_maildir_and_a_folder_of_patches(box: Sandbox) -> None:
    second = CODE.replace("return 3;", "return 3 + 0;")
    one = mail(innocent(3), id="a", subject="[PATCH 1/2] dm mill: turn")
    two = mail(diff(second, second.replace("return 5;", "return 5 + 0;")), id="b", subject="[PATCH 2/2] dm mill: again")
    for folder, names in (("mails/cur", ("1:2,S", "2:2,S")), ("patches", ("0001-a.patch", "0002-b.patch"))):
        for name, text in zip(names, (one, two), strict=True):
            box.write(f"{folder}/{name}", text)
    for name in ("mails", "patches"):
        answer = box.answer(name)
        assert (answer.verdict, answer.series.patches) == ("ack", 2)


def test_a_bare_diff(box: Sandbox) -> None:
    assert box.answer(box.write("x.diff", innocent())).verdict == "ack"


def test_a_range_of_the_tree(box: Sandbox, tmp_path: Path) -> None:
    case = checking.case("wq-mem-reclaim/lost-flag")
    tree = checking.case_repository(tmp_path / "range", case)
    checking.git(tree, "am", "-q", data=case.patch)
    (tree / "notes.txt").write_text("none\n")
    checking.git(tree, "add", "-A")
    checking.git(tree, "commit", "-q", "-m", "notes: none")
    before = listing(tree)
    answer = box.answer("--range", "HEAD~2..HEAD", tree=tree)
    assert (answer.verdict, answer.series.patches) == ("nack", 2)
    assert answer.base
    assert answer.base.commit == checking.git(tree, "rev-parse", "HEAD~2").strip()
    assert [f.patch for f in answer.findings] == [1]
    code, _, err = box.check("--range", "HEAD..HEAD", tree=tree)
    assert (code, line_of(err)) == (2, "there is no commit in HEAD..HEAD, or only merges: write OLDER..NEWER")
    code, _, err = box.check("--range", "nowhere..HEAD", tree=tree)
    assert (code, line_of(err)) == (2, f"there is no commit `nowhere` in {tree}: fetch it, or name another")
    assert listing(tree) == before


def test_a_later_patch_does_not_move_the_quote(box: Sandbox, lost: tuple[Path, str], tmp_path: Path) -> None:
    source, patch = lost
    tree = checking.patched(tmp_path / "series", source, patch)
    file = "drivers/md/dm-sieve.c"
    text = checking.git(tree, "show", f"HEAD:{file}")
    above = text.replace("#include <linux/bio.h>\n", "#include <linux/bio.h>\n#include <linux/list.h>\n" * 3)
    second = mail(diff(text, above, file), id="above", subject="[PATCH 2/2] dm sieve: lists")
    first = patch.replace("[PATCH]", "[PATCH 1/2]")
    mbox = "".join(f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{one}\n" for one in (first, second))
    code, out, _ = box.check(box.write("two.mbox", mbox), tree=source)
    assert code == 1
    assert "In-Reply-To: <wq-mem-reclaim.lost-flag@example.org>\n" in out
    assert '\n> +\ts->check_wq = alloc_workqueue("ksieved", WQ_HIGHPRI, 0);\n\nThis can deadlock.' in out


def test_the_tree_is_the_repository_that_one_stands_in(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    box.write("x.diff", innocent())
    monkeypatch.chdir(box.tree / "drivers")
    assert cli.run(["check", str(box.here / "x.diff"), "--json"]) == 0


def test_a_base(box: Sandbox) -> None:
    old = checking.git(box.tree, "rev-parse", "HEAD").strip()
    (box.tree / FILE).write_text(CODE.replace("return 3;", "return 33;"))
    checking.git(box.tree, "commit", "-q", "-a", "-m", "other")
    name = box.write("x.diff", innocent())
    assert box.answer(name).verdict == "unreviewed"
    answer = box.answer(name, "--base", "HEAD~1")
    assert (answer.verdict, answer.base) == ("ack", BaseOf(commit=old, how="given"))


# --- what of it was seen ---------------------------------------------------------------------------------------------


def mbox(*mails: str) -> str:
    return "".join(f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{one}\n" for one in mails)


def test_a_patch_without_the_others_of_its_series(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    lone = box.write("lone.eml", patch.replace("[PATCH]", "[PATCH 2/2]"))
    answer = box.answer(lone, tree=tree)
    assert (answer.verdict, answer.series.missing, answer.findings[0].patch) == ("nack", [1], 2)
    code, out, _ = box.check(lone, tree=tree)
    assert code == 1
    assert "\n  not seen: patch 1 of 2 is missing\n" in out
    assert "I have not seen all of it: patch 1 of 2 is missing." in " ".join(out.split())
    fine = box.write("fine.eml", mail(innocent(), subject="[PATCH 2/3] dm mill: turn"))
    answer = box.answer(fine)
    assert (answer.verdict, answer.series.missing) == ("comment", [1, 3])
    code, out, err = box.check(fine, "--draft", "reply.eml")
    assert code == 3
    assert "patches 1, 3 of 3 are missing" in out
    assert err == "no draft for a comment: what was not replayed is not claimed\n"


def test_the_right_patch_is_answered_where_one_before_it_is_missing(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    file = "drivers/md/dm-sieve.c"
    text = checking.git(tree, "show", f"HEAD:{file}")
    first = mail(diff(text, f"/* Sieve. */\n{text}", file), id="above", subject="[PATCH 2/3] dm sieve: say it")
    box.write("two.mbox", mbox(first, patch.replace("[PATCH]", "[PATCH 3/3]")))
    code, out, _ = box.check("two.mbox", tree=tree)
    assert code == 1
    assert "In-Reply-To: <wq-mem-reclaim.lost-flag@example.org>\n" in out


def test_a_function_that_cannot_be_read_is_in_a_nack_and_forbids_an_ack(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    file = "drivers/md/dm-sieve.c"
    text = checking.git(tree, "show", f"HEAD:{file}")
    torn = text + "\nstatic void sieve_torn(struct sieve *s)\n{\n\tmutex_lock(&s->lock) @@ $ here;\n}\n"
    second = mail(diff(text, torn, file), id="torn", subject="[PATCH 2/2] dm sieve: more")
    both = box.write("two.mbox", mbox(patch.replace("[PATCH]", "[PATCH 1/2]"), second))
    answer = box.answer(both, tree=tree)
    assert (answer.verdict, answer.unread) == ("nack", [UnreadOf(file, "sieve_torn")])
    _, out, _ = box.check(both, tree=tree)
    assert f"sieve_torn() in {file} could not be read" in " ".join(out.split())
    assert "I have not seen all of it: sieve_torn() in" in " ".join(out.split())
    alone = box.write("torn.eml", second.replace("[PATCH 2/2]", "[PATCH]"))
    answer = box.answer(alone, tree=tree)
    assert (answer.verdict, answer.unread) == ("comment", [UnreadOf(file, "sieve_torn")])


def test_a_nul_does_not_turn_a_nack_into_an_ack(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    hidden = patch.replace(
        'alloc_workqueue("ksieved", WQ_HIGHPRI, 0);\n', 'alloc_workqueue("ksieved", WQ_HIGHPRI, 0); \0\n'
    )
    assert "\0" in hidden
    answer = box.answer(box.write("nul.eml", hidden), tree=tree)
    assert (answer.verdict, answer.unread) == ("comment", [UnreadOf("drivers/md/dm-sieve.c", "")])


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_versions_the_newer_one_is_reviewed(turned: bool, box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    file = "drivers/md/dm-sieve.c"
    text = checking.git(tree, "show", f"HEAD:{file}")
    newer = mail(diff(text, f"/* Sieve. */\n{text}", file), id="v2", subject="[PATCH v2] dm sieve: say it")
    newer = newer.replace("Message-ID: <v2", "In-Reply-To: <wq-mem-reclaim.lost-flag@example.org>\nMessage-ID: <v2")
    mails = [patch, newer.replace("3 Nov", "4 Nov")]
    code, out, _ = box.check(box.write("two.mbox", mbox(*mails[:: -1 if turned else 1])), tree=tree)
    assert code == 0
    assert "\n  reviewed: v2, the newest complete one of v1 and v2\n" in out


def test_two_series_in_one_mbox_are_told_apart(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    other = mail("diff --git a/notes b/notes\nnew file mode 100644\n--- /dev/null\n+++ b/notes\n@@ -0,0 +1 @@\n+x\n")
    absurd = mail(innocent(), id="absurd", subject="[PATCH 999999999/1000000000] dm mill: turn")
    file = box.write("three.mbox", mbox(patch, other, absurd))
    code, out, err = box.check(file, "--draft", "Drafts", tree=tree)
    assert code == 1
    heads = [line.partition(":")[0] for line in out.splitlines() if re.match(r"(nack|ack|comment|unreviewed): ", line)]
    assert sorted(heads) == ["nack", "unreviewed", "unreviewed"]
    assert "no series has more than 9999 patches" in out
    assert err.count("draft: ") == len(list((box.here / "Drafts/cur").iterdir())) == 1
    code, out, err = box.check(file, "--json", tree=tree)
    assert (code, err) == (1, "")
    found = [msgspec.json.decode(line, type=Answer, strict=True) for line in out.splitlines()]
    assert sorted(one.verdict for one in found) == ["nack", "unreviewed", "unreviewed"]
    two = box.write("two.mbox", mbox(mail(innocent(3), id="a"), mail(innocent(5), id="b", subject="[PATCH] other")))
    code, out, _ = box.check(two, "--draft", "Both")
    assert (code, len(re.findall("(?m)^ack: ", out))) == (0, 2)
    assert len(list((box.here / "Both/cur").iterdir())) == 2


def test_a_fault_in_one_of_several_series_leaves_the_others(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from reviewbot import review

    whole = review.review

    def faulty(series: Series, *rest: object, **more: object) -> Review:
        if series.lead.message_id.startswith("a@"):
            raise ZeroDivisionError("a fault")
        return whole(series, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(review, "review", faulty)
    file = box.write("two.mbox", mbox(mail(innocent(3), id="a"), mail(innocent(5), id="b", subject="[PATCH] other")))
    code, out, err = box.check(file)
    assert (code, out.startswith("ack: [PATCH] other")) == (5, True)
    assert line_of(err).startswith("a fault of reviewbot itself: ZeroDivisionError: a fault")


def test_drafts_of_patches_without_an_id_are_different_mails(box: Sandbox) -> None:
    ids = []
    for number in (3, 5, 3):
        box.write("x.diff", innocent(number))
        box.check("x.diff", "--draft", "reply.eml")
        ids.append(message_from_bytes((box.here / "reply.eml").read_bytes())["Message-ID"])
        (box.here / "reply.eml").unlink()
    assert ids[0] == ids[2] != ids[1]
    (box.tree / FILE).write_text(CODE.replace("return 3;", "return 33;"))
    checking.git(box.tree, "commit", "-q", "-a", "-m", "one")
    (box.tree / FILE).write_text(CODE.replace("return 3;", "return 333;"))
    checking.git(box.tree, "commit", "-q", "-a", "-m", "two")
    for range_ in ("HEAD~2..HEAD~1", "HEAD~1..HEAD"):
        box.check("--range", range_, "--draft", "reply.eml")
        ids.append(message_from_bytes((box.here / "reply.eml").read_bytes())["Message-ID"])
        (box.here / "reply.eml").unlink()
    assert len(set(ids)) == 4


# --- drafts ----------------------------------------------------------------------------------------------------------


def test_drafts(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    name = box.write("one.eml", patch)
    code, _, err = box.check(name, "--draft", "reply.eml", "--from", "Ann <ann@example.org>", tree=tree)
    assert (code, err) == (1, "draft: reply.eml\n")
    file = box.here / "reply.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    message = message_from_bytes(file.read_bytes())
    assert (message["From"], message["To"]) == ("Ann <ann@example.org>", "A Developer <developer@example.org>")
    assert message["In-Reply-To"] == "<wq-mem-reclaim.lost-flag@example.org>"
    assert "This can deadlock." in str(message.get_payload())

    box.check(name, "--draft", "Drafts", tree=tree)
    code, _, err = box.check(name, "--draft", "Drafts", tree=tree)  # twice is once
    [copy] = (box.here / "Drafts/cur").iterdir()
    assert copy.name.endswith(":2,DS")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [p for p in (box.here / "Drafts").rglob("*") if p.is_file()] == [copy]
    assert err == f"draft: Drafts/cur/{copy.name}\n"
    assert box.changed() == set()

    done = checking.process("check", name, "--tree", tree, "--draft", "-", cwd=box.here)
    assert done.returncode == 1
    alone = message_from_bytes(done.stdout)
    assert alone["In-Reply-To"] == message["In-Reply-To"]
    assert alone.get_payload() == message.get_payload()
    assert done.stderr.startswith(b"nack: ")


def test_json_and_a_draft(box: Sandbox, lost: tuple[Path, str]) -> None:
    tree, patch = lost
    code, out, err = box.check(box.write("one.eml", patch), "--json", "--draft", "reply.eml", tree=tree)
    assert code == 1
    assert json.loads(out)["verdict"] == "nack"
    assert err == "draft: reply.eml\n"


@pytest.mark.parametrize("place", ["missing", "file", "folder"])
def test_a_draft_that_cannot_be_put_there(place: str, box: Sandbox) -> None:
    name = box.write("x.diff", innocent())
    box.write("taken/other.txt", "mine")
    dest = {"missing": "/proc/none/reply.eml", "file": name, "folder": "taken"}[place]
    code, _, err = box.check(name, "--draft", dest)
    assert code == 2
    assert dest in line_of(err)
    assert box.changed() == set()


@pytest.mark.parametrize("dest", ["reply.txt", "out/reply.mbox", "reply.patch"])
def test_a_file_that_is_no_eml_does_not_become_a_maildir(dest: str, box: Sandbox) -> None:
    code, _, err = box.check(box.write("x.diff", innocent()), "--draft", dest)
    assert (code, line_of(err)) == (
        2, f"{dest} does not end in .eml; name FILE.eml, or make the folder that is to be a Maildir"
    )  # fmt: skip
    assert box.changed() == set()
    (box.here / dest).mkdir(parents=True)  # a Maildir may be called anything
    assert box.check("x.diff", "--draft", dest)[0] == 0
    assert (box.here / dest / "cur").is_dir()


@pytest.mark.parametrize("subject", ["", "Re:", "RE: re: "])
def test_an_answer_to_no_subject_has_one(subject: str, box: Sandbox) -> None:
    text = mail(innocent(), subject=subject) if subject else innocent()
    code, out, _ = box.check(box.write("x.diff", text))
    assert code in (0, 4)
    assert code == 4 or "\nSubject: Re: your patch\n" in out


def test_no_draft_for_what_is_not_reviewed(box: Sandbox) -> None:
    code, out, err = box.check(box.write("x.diff", diff("a\n", "b\n", "notes.txt")), "--draft", "reply.eml")
    assert (code, out) == (4, "")
    assert line_of(err)
    assert not (box.here / "reply.eml").exists()


@pytest.mark.parametrize("sender", ["nobody", "A <a@b@c>", "a b@c.example", "A\nBcc: x@y.example <a@b.example>"])
def test_a_sender_that_is_no_address(sender: str, box: Sandbox) -> None:
    code, out, err = box.check(box.write("x.diff", innocent()), "--from", sender)
    if code == 0:  # a name that hides a header is one line of text in the draft
        assert "\nBcc:" not in out
    else:
        assert (code, "no mail address" in line_of(err)) == (2, True)


# --- bad input: the message ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An archive that knows no message, but has a web page where /web is asked; its URL and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            found = self.path.startswith("/web/")
            body = b"<html><title>Making sure you are not a bot</title></html>" if found else b"not found"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("inbox", "says"),
    [
        ("all", r"^<no@such\.example> is not known at 127\.0\.0\.1:\d+/all: check the id"),
        ("web", r"^127\.0\.0\.1:\d+/web answers with something else than mails \(a web page\?\): try again later"),
        ("down", r"^127\.0\.0\.1:1/all cannot be reached \(connection refused\): try again later"),
    ],
)
def test_what_an_archive_may_answer(inbox: str, says: str, server: tuple[str, list[str]], box: Sandbox) -> None:
    url = "http://127.0.0.1:1/all" if inbox == "down" else f"{server[0]}/{inbox}"
    code, out, err = box.check("no@such.example", "--inbox", url)
    assert (code, out) == (4, "")
    assert re.search(says, line_of(err))
    assert box.changed() == set()
    answer = box.answer("<no@such.example>", "--inbox", url)
    assert (answer.verdict, answer.base, answer.findings) == ("unreviewed", None, [])
    assert re.search(says, str(answer.reason))
    assert answer.series.message_id == "no@such.example"


def test_a_link_does_not_choose_the_server(server: tuple[str, list[str]], box: Sandbox) -> None:
    code, _, err = box.check("http://127.0.0.1:1/evil/no@such.example/T/#u", "--inbox", f"{server[0]}/all")
    assert (code, "is not known at" in line_of(err)) == (4, True)
    assert all(path.startswith("/all/") for path in server[1])
    assert server[1]


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("nothing", 2, "`nothing` is no file and no message-id"),
        ("a b@c.example", 2, "is no file and no message-id"),
        ("https://lore.example/all/", 2, "has no message-id in it"),
        ("\x1b[2J@x\u202e", 2, "is no file and no message-id"),
        ("x" * 5000 + "@y.example", 2, "is no file and no message-id"),
        ("-x", 2, "No such option"),
    ],
)
def test_no_message_id(what: str, code: int, says: str, box: Sandbox) -> None:
    got, out, err = box.check(what)
    assert (got, out) == (code, "")
    assert says in line_of(err)
    assert box.changed() == set()


# --- bad input: the mail ---------------------------------------------------------------------------------------------

LARGE = 20 << 20
ELSEWHERE = diff(CODE, CODE.replace("return 3;", "return 4;"), "../../outside.c")


def symlink(box: Sandbox) -> str:
    """A tree with a link out of it, and a patch to the file behind the link."""
    (box.tree / "drivers/md/link.c").symlink_to(box.folder / "outside.c")
    (box.folder / "outside.c").write_text(CODE)
    checking.git(box.tree, "add", "-A")
    checking.git(box.tree, "commit", "-q", "-m", "a link")
    return mail(diff(CODE, CODE.replace("return 3;", "return 4;"), "drivers/md/link.c"))


def behind_a_symlink(box: Sandbox) -> str:
    """A patch that makes a link and then writes through it."""
    link = "diff --git a/drivers/md/way b/drivers/md/way\nnew file mode 120000\n--- /dev/null\n+++ b/drivers/md/way\n"
    link += f"@@ -0,0 +1 @@\n+{box.folder}\n\\ No newline at end of file\n"
    through = "diff --git a/drivers/md/way/out.c b/drivers/md/way/out.c\nnew file mode 100644\n--- /dev/null\n"
    through += "+++ b/drivers/md/way/out.c\n@@ -0,0 +1 @@\n+int out;\n"
    return mail(link + through)


BINARY = """\
diff --git a/firmware/mill.bin b/firmware/mill.bin
new file mode 100644
index 0000000000000000000000000000000000000000..f76dd238ade08917e6712764a16a22005a50573d
GIT binary patch
literal 1
IcmZPo000310RR91

literal 0
HcmV?d00001

"""

Make = Callable[[Sandbox], str | bytes]
MAILS: dict[str, tuple[Make, str]] = {
    "does not apply": (
        lambda _: mail(diff(CODE.replace("return 5;", "return 55;"), CODE.replace("return 5;", "return 6;"))),
        r"^does not apply to \w{12} \(branch\): drivers/md/dm-mill\.c, hunk at line 20: ",
    ),
    "of a file that is not there": (
        lambda _: mail(diff(CODE, CODE + "\n", "drivers/md/dm-gone.c")),
        r"drivers/md/dm-gone\.c",
    ),
    "binary": (lambda _: mail(BINARY), r"^out of scope: the series changes no C code \(firmware/mill\.bin\)$"),
    "no C": (
        lambda _: mail(
            "diff --git a/notes.txt b/notes.txt\nnew file mode 100644\n--- /dev/null\n+++ b/notes.txt\n"
            "@@ -0,0 +1 @@\n+none\n"
        ),
        r"^out of scope: the series changes no C code \(notes\.txt\)$",
    ),
    "20 MB": (lambda _: mail(innocent()) + "x" * 79 + "\n" * LARGE, r"large|MB"),
    "20 MB of one line": (lambda _: mail(innocent(), text="x" * LARGE), r"large|MB"),
    "20 MB of diff": (lambda _: mail(innocent() + "+int x;\n" * (LARGE // 8)), r"large|MB"),
    "70 MB": (lambda _: b"From x\n" + b"y" * (70 << 20), r"is larger than 64 MB: nothing of that size is reviewed$"),
    "../": (lambda _: mail(ELSEWHERE), r"outside\.c"),
    "absolute path": (
        lambda b: mail(ELSEWHERE.replace("a/../../", f"{b.folder}/").replace("b/../../", f"{b.folder}/")),
        r".",
    ),
    ".git": (
        lambda _: mail(
            "diff --git a/.git/hooks/x.c b/.git/hooks/x.c\nnew file mode 100755\n--- /dev/null\n"
            "+++ b/.git/hooks/x.c\n@@ -0,0 +1 @@\n+int x;\n"
        ),
        r"\.git",
    ),
    "to a symlink": (symlink, r"drivers/md/link\.c"),
    "behind a symlink": (behind_a_symlink, r"drivers/md/way"),
    "no patch": (lambda _: mail("").replace("---\n", ""), r"holds no patch"),
    "half a hunk": (lambda _: mail(innocent()[:-40]), r"."),
    "nothing but NUL": (lambda _: b"\0" * 4096, r"."),
    "a picture": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, r"."),
}


@pytest.mark.parametrize("name", MAILS)
def test_a_bad_mail_is_one_line_and_4(name: str, box: Sandbox) -> None:
    make, says = MAILS[name]
    file = box.write("bad.eml", make(box))
    code, out, err = box.check(file, "--draft", "reply.eml")
    assert (code, out) == (4, ""), (out, err)
    assert re.search(says, line_of(err)), err
    assert box.changed() == set()
    answer = box.answer(file)
    assert answer.verdict == "unreviewed"
    assert re.search(says, str(answer.reason))
    assert box.changed() == set()


def test_what_does_not_apply_says_which_file_and_hunk(box: Sandbox) -> None:
    other = CODE.replace("return 1;", "return 1 + 0;").replace("return 7;", "return 7 + 0;")
    wrong = diff(CODE, other).replace("-\treturn 7;", "-\treturn 77;")
    reason = str(box.answer(box.write("x.eml", mail(wrong))).reason)
    assert "drivers/md/dm-mill.c, hunk at line 30: context not found" in reason


def test_hostile_headers_are_shown_and_not_obeyed(box: Sandbox) -> None:
    text = mail(
        innocent(),
        subject="=?utf-8?q?=5BPATCH=5D_dm=1B[31m_mill=E2=80=AE_turn=0D=0ABcc=3A_x=40y.example?=",
        author="=?utf-8?q?Evil=0D=0ABcc=3A_v=40x.example?= <evil@example.org>",
    )
    file = box.write("x.eml", text)
    answer = box.answer(file)
    assert (answer.verdict, answer.series.subject.isprintable()) == ("ack", True)
    assert "<U+001B>" in answer.series.subject
    assert "<U+202E>" in answer.series.subject
    code, out, _ = box.check(file, "--draft", "reply.eml")
    assert code == 0
    assert all(c.isprintable() or c in "\n\t" for c in out)
    message = message_from_bytes((box.here / "reply.eml").read_bytes())
    assert message["Bcc"] is None
    assert message["To"].count("@") == 1
    assert "evil@example.org" in message["To"]


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda b: b.write("empty.eml", ""), 2, r"empty\.eml is empty"),
        (lambda b: str(b.home), 2, r"home is empty"),
        (lambda b: b.write("folder/readme.txt", "x").rpartition("/")[0], 2, r"folder is empty"),
        (lambda b: "/proc/self/mem", 2, r"/proc/self/mem cannot be read"),
    ],
    ids=["empty file", "empty folder", "folder without mails", "cannot be read"],
)
def test_files_that_are_no_mail(make: Callable[[Sandbox], str], code: int, says: str, box: Sandbox) -> None:
    got, out, err = box.check(make(box))
    assert (got, out) == (code, "")
    assert re.search(says, line_of(err))
    assert box.changed() == set()


# --- bad input: the tree ---------------------------------------------------------------------------------------------


def test_a_tree_that_is_none(box: Sandbox) -> None:
    file = box.write("x.diff", innocent())
    for tree in (box.home, box.folder / "nowhere", Path(file)):
        code, out, err = box.check(file, tree=tree)
        assert (code, out) == (2, "")
        assert str(tree) in line_of(err)
    for base in ("nowhere", "--upload-pack=x", "HEAD:drivers", "0" * 40, "\x1b[1m"):
        code, out, err = box.check(file, f"--base={base}")
        assert (code, out) == (2, "")
        assert "there is no commit" in line_of(err)
    assert box.changed() == set()


def test_an_empty_repository(box: Sandbox) -> None:
    bare = box.folder / "bare"
    bare.mkdir()
    checking.git(bare, "init", "-q")
    code, _, err = box.check(box.write("x.diff", innocent()), tree=bare)
    assert (code, bool(line_of(err))) == (2, True)


# --- the real tree ---------------------------------------------------------------------------------------------------


def seed(shared: Path) -> Path:
    return shared / "seeds/patches/verity-wq-mem-reclaim.eml"


@pytest.fixture(scope="module")
def founding(
    shared: Path, kernel_tree: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Answer, str]:
    """The founding patch reviewed on the real tree: that tree, the answer, the body of the draft."""
    tree, here = kernel_tree("6.12", small=True), tmp_path_factory.mktemp("founding")
    argv = ("check", seed(shared), "--tree", tree, "--json", "--draft", "reply.eml")
    done = checking.process(*argv, cwd=here, timeout=600)
    assert done.returncode == 1, done.stderr
    body = str(message_from_bytes((here / "reply.eml").read_bytes()).get_payload())
    return tree, msgspec.json.decode(done.stdout, type=Answer), body


def test_the_founding_patch_is_nacked(founding: tuple[Path, Answer, str]) -> None:
    tree, answer, _ = founding
    assert answer.verdict == "nack"
    [finding] = [f for f in answer.findings if f.outcome == "confirmed"]
    assert finding.file == "drivers/md/dm-verity-target.c"
    changed = checking.git(tree, "show", f"HEAD:{finding.file}").splitlines()[finding.line - 1]
    assert "alloc_workqueue" in changed
    assert finding.remedy
    placed = [step for step in finding.trace if step.file]
    assert any(step.file == finding.file for step in placed)
    for step in placed:
        length = len(checking.git(tree, "show", f"HEAD:{step.file}").splitlines())
        assert 0 < step.line <= length, step
    assert len(finding.knot) > 1


def test_its_draft_makes_both_arguments(founding: tuple[Path, Answer, str]) -> None:
    _, _, body = founding
    rows = body.splitlines()
    assert [row for row in rows if row.startswith("> -") and "alloc_workqueue" in row]
    told = " ".join(body.split())
    for words in (
        "dm-snapshot",
        "writeback",
        "kcopyd",
        "deadlock",
        "even without any write",
        "none is left to run verity_work()",
    ):
        assert words in told, words
    assert all(len(row) <= 76 for row in rows if not row.startswith(">"))


def test_the_founding_patch_backwards_is_a_fix(
    shared: Path, kernel_tree: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    tree = checking.patched(tmp_path / "tree", kernel_tree("6.12", small=True), seed(shared).read_text())
    back = checking.git(tree, "diff", "HEAD", "HEAD~1")
    (tmp_path / "fix.eml").write_text(mail(back, subject="[PATCH] dm verity: use a rescuer"))
    assert cli.run(["check", str(tmp_path / "fix.eml"), "--tree", str(tree)]) == 0
    out = capsys.readouterr().out
    assert "fixed: drivers/md/dm-verity-target.c:" in out
    assert "This ends a deadlock that the tree has today." in out


BESIDE = ("drivers/char", "drivers/crypto", "drivers/hid", "drivers/i3c", "drivers/media", "sound")
"""Folders of drivers that no block I/O goes through."""


def test_queues_that_no_io_waits_for_may_lose_their_rescuers(
    kernel_tree: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    tree = kernel_tree("6.12")
    files = checking.git(tree, "grep", "-lw", "WQ_MEM_RECLAIM", "HEAD", "--", *BESIDE).split()
    patch = ""
    for name in files:
        path = name.removeprefix("HEAD:")
        text = checking.git(tree, "show", name)
        without = re.sub(r"WQ_MEM_RECLAIM\s*\|\s*|\s*\|\s*WQ_MEM_RECLAIM\b", "", text)
        without = re.sub(r"\bWQ_MEM_RECLAIM\b", "0", without)
        patch += diff(text, without, path)
    assert patch.count("\n@@ ") > 10
    (tmp_path / "x.eml").write_text(mail(patch, subject="[PATCH] drivers: no rescuers"))
    assert cli.run(["check", str(tmp_path / "x.eml"), "--tree", str(tree), "--json"]) in (0, 3)
    answer = msgspec.json.decode(capsys.readouterr().out, type=Answer)
    assert answer.verdict in ("ack", "comment")
    assert not [f for f in answer.findings if f.outcome == "confirmed"]
