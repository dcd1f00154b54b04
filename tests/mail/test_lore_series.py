"""Which patches of a thread or a file are one series: one version by one sender, and nobody else's mail."""

from __future__ import annotations

import random

import lore_mails as m
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewbot.limits import MAX_POSTINGS
from reviewbot.mail.message import Post, heading, read
from reviewbot.mail.protocol import Incomplete, NoPatch
from reviewbot.mail.series import assemble, assemble_all
from reviewbot.types import ReviewError, Series


def of(mails: list[bytes], asked: str = "", revision: int | None = None, one_sender: bool = True) -> Series:
    return assemble(
        [read(one) for one in mails],
        source=f"<{asked}> from here" if asked else "box",
        asked=asked,
        revision=revision,
        one_sender=one_sender,
    )


def all_of(mails: list[bytes]) -> list[Series | ReviewError]:
    return assemble_all([read(one) for one in mails], source="box")


def ids(series: Series) -> list[str]:
    return [p.mail.message_id.partition("@")[0] for p in series.patches]


V1 = m.series("v1", 3)
V2 = m.series("v2", 3, 2, above=["v1-0@dev.example"])


def test_a_series_with_its_cover_letter_in_order() -> None:
    series = of([V1[3], V1[1], V1[0], V1[2]], "v1-2@dev.example")
    assert ids(series) == ["v1-1", "v1-2", "v1-3"]
    assert [p.number for p in series.patches] == [1, 2, 3]
    assert (series.version, series.expected) == (1, 3)
    assert series.cover is not None
    assert series.lead.message_id == "v1-0@dev.example"
    assert b"dm-example2.c" in series.patches[1].diff


@pytest.mark.parametrize("asked", ["v1-0", "v1-1", "v1-3"])
def test_the_version_of_the_asked_message(asked: str) -> None:
    assert ids(of(V1 + V2, f"{asked}@dev.example")) == ["v1-1", "v1-2", "v1-3"]


def test_another_version_by_its_number() -> None:
    assert of(V1 + V2, "v1-2@dev.example", revision=2).lead.message_id == "v2-0@dev.example"
    assert of(V1 + V2, "v2-2@dev.example", revision=1).version == 1
    with pytest.raises(ReviewError, match=r"no version 7 by Ann Author in the thread; it has v1, v2"):
        of(V1 + V2, "v1-2@dev.example", revision=7)


def test_the_newest_version_of_a_file() -> None:
    assert of(V1 + V2).version == 2
    assert of(V1 + V2, revision=1).version == 1
    apart = m.series("w2", 3, 2)
    assert ids(of(V1 + apart)) == ["w2-1", "w2-2", "w2-3"]


def test_a_reply_stands_for_the_patch_that_it_answers() -> None:
    r1 = m.reply("r1@rev.example", ["v2-0@dev.example", "v2-2@dev.example"])
    r2 = m.reply("r2@rev.example", ["v2-0@dev.example", "lost@rev.example"])
    r3 = m.reply("r3@rev.example", ["r1@rev.example"])
    for asked in ("r1", "r2", "r3"):
        assert of([*V1, *V2, r1, r2, r3], f"{asked}@rev.example").version == 2


def test_replies_to_this_version_only_and_oldest_first() -> None:
    old = m.reply("old@rev.example", ["v1-0@dev.example", "v1-2@dev.example"])
    first = m.reply("first@rev.example", ["v1-0@dev.example", "v2-0@dev.example", "v2-3@dev.example"])
    then = m.reply(
        "then@rev.example", ["v1-0@dev.example", "v2-0@dev.example", "gone@rev.example"], "Acked-by: R <r@r.example>"
    )
    thread = of([*V1, then, *V2, old, first], "v2-0@dev.example").thread
    assert [x.message_id for x in thread] == ["first@rev.example", "then@rev.example"]
    assert of([*V1, then, *V2, old, first], "v1-0@dev.example").thread[0].message_id == "old@rev.example"


def test_trailers_of_replies_are_not_added() -> None:
    tag = m.reply(
        "r@rev.example", ["v1-0@dev.example", "v1-1@dev.example"], "Nacked-by: Rita Reviewer <rita@rev.example>"
    )
    series = of([*V1, tag], "v1-0@dev.example")
    assert all(b"Nacked-by" not in p.raw and "Nacked-by" not in p.mail.body for p in series.patches)


def test_a_strangers_patch_is_not_part_of_the_series() -> None:
    mine = m.series("a", 2, cover=False)
    other = m.patch(
        "PATCH 1/2", "dm example: alternative", id="z@other.example", above=["a-1@dev.example"], author=m.ZED
    )
    late = m.patch("PATCH v9", "dm example: mine", id="z9@other.example", above=["a-1@dev.example"], author=m.ZED)
    series = of([*mine, other, late], "a-1@dev.example")
    assert ids(series) == ["a-1", "a-2"]
    assert ids(of([other, late, *mine], "a-2@dev.example")) == ["a-1", "a-2"]
    assert [x.message_id for x in series.thread] == []
    assert of([*mine, late]).version == 1
    assert ids(of([*mine, late], "z9@other.example")) == ["z9"]


def test_a_stranger_does_not_complete_a_series() -> None:
    first, _ = m.series("a", 2, cover=False)
    other = m.patch(
        "PATCH 2/2", "dm example: alternative", id="z@other.example", above=["a-1@dev.example"], author=m.ZED
    )
    with pytest.raises(Incomplete, match="patch 2 of 2 missing"):
        of([first, other], "a-1@dev.example")


def test_a_second_patch_by_the_author_in_the_thread_is_another_series() -> None:
    extra = m.patch("PATCH", "dm example: on top", id="x@dev.example", above=["v1-0@dev.example", "v1-3@dev.example"])
    assert ids(of([*V1, extra], "v1-0@dev.example")) == ["v1-1", "v1-2", "v1-3"]
    assert ids(of([*V1, extra], "x@dev.example")) == ["x"]


def test_a_resend_in_the_same_thread_is_told_apart() -> None:
    again = m.series("again", 3, above=["v1-0@dev.example"])
    assert ids(of([*V1, *again], "v1-2@dev.example")) == ["v1-1", "v1-2", "v1-3"]
    assert ids(of([*V1, *again], "again-2@dev.example")) == ["again-1", "again-2", "again-3"]


def test_a_corrected_patch_is_taken_where_it_is_asked_for() -> None:
    fixed = m.patch(
        "PATCH 3/3", "dm example: fixed", id="fixed@dev.example", above=["v1-0@dev.example", "v1-3@dev.example"]
    )
    assert ids(of([*V1, fixed], "v1-0@dev.example")) == ["v1-1", "v1-2", "v1-3"]
    assert ids(of([*V1, fixed], "fixed@dev.example")) == ["v1-1", "v1-2", "fixed"]


def test_one_patch_of_a_new_version_goes_with_the_rest_of_the_old_one() -> None:
    v2 = m.patch(
        "PATCH v2 2/3", "dm example: new", id="n-2@dev.example", above=["v1-0@dev.example", "v1-2@dev.example"]
    )
    v3 = m.patch("PATCH v3 2/3", "dm example: newer", id="n-3@dev.example", above=["n-2@dev.example"])
    series = of([*V1, v2, v3], "n-3@dev.example")
    assert (ids(series), series.version) == (["v1-1", "n-3", "v1-3"], 3)
    assert ids(of([*V1, v2, v3], "v1-3@dev.example")) == ["v1-1", "v1-2", "v1-3"]
    talk = m.reply("talk@rev.example", ["v1-0@dev.example", "v1-3@dev.example"])
    v1b = m.patch(
        "PATCH 3/3", "dm example: again", id="again@dev.example", above=["v1-3@dev.example", "talk@rev.example"]
    )
    assert ids(of([*V1, talk, v1b], "again@dev.example")) == ["v1-1", "v1-2", "again"]
    apart = m.patch("PATCH v2 2/3", "dm example: new", id="n-2@dev.example", above=["v1-0@dev.example"])
    with pytest.raises(Incomplete):
        of([*V1, apart], "n-2@dev.example")


@pytest.mark.parametrize("chain", ["none", "deep", "old cover"])
def test_other_ways_of_threading(chain: str) -> None:
    above: dict[str, list[list[str]]] = {
        "none": [[], [], []],
        "deep": [[], ["c-1@dev.example"], ["c-1@dev.example", "c-2@dev.example"]],
        "old cover": [["v1-0@dev.example"]] * 3,
    }
    mails = [m.patch(f"PATCH v2 {n + 1}/3", id=f"c-{n + 1}@dev.example", above=above[chain][n]) for n in range(3)]
    assert ids(of([*reversed(mails)])) == ["c-1", "c-2", "c-3"]
    if chain != "none":
        assert ids(of([*V1, *mails], "c-2@dev.example")) == ["c-1", "c-2", "c-3"]


def test_patches_without_references_are_found_by_their_day_if_nothing_else_fits() -> None:
    one, two = (m.patch(f"PATCH {n}/2", id=f"l-{n}@dev.example") for n in (1, 2))
    assert ids(of([two, one], "l-1@dev.example")) == ["l-1", "l-2"]
    rival = m.patch("PATCH 2/2", "dm other: x", id="o-2@dev.example")
    with pytest.raises(Incomplete) as caught:
        of([one, two, rival], "l-1@dev.example")
    assert caught.value.query == "s:PATCH f:ann@dev.example d:20261101..20261103"
    late = two.replace(b"Mon, 2 Nov 2026", b"Wed, 4 Nov 2026")
    answer = m.patch("PATCH 2/2", id="a-2@dev.example", above=["elsewhere@dev.example"])
    for other in (late, answer, two.replace(b"ann@", b"bob@")):
        with pytest.raises(Incomplete):
            of([one, other], "l-1@dev.example")
    with pytest.raises(Incomplete) as caught:
        of(V1[:2], "v1-1@dev.example")
    assert caught.value.query == ""


def test_patches_of_a_file_that_answer_a_mail_which_is_not_in_it_belong_together() -> None:
    cover, *patches = m.series("d", 3)
    stray = [m.patch(f"PATCH {n}/3", f"dm: {n}", id=f"s-{n}@dev.example", above=["lost@dev.example"]) for n in (2, 3)]
    for mails in ([cover, patches[0], *stray], [*stray, patches[0], cover]):
        [series] = all_of(mails)
        assert isinstance(series, Series)
        assert (len(series.patches), series.missing) == (3, ())


def test_missing_patches_are_named() -> None:
    mails = m.series("m", 12)
    with pytest.raises(Incomplete, match=r"box is incomplete: patches 2, 4-6 of 12 missing$"):
        of([one for n, one in enumerate(mails) if n not in (2, 4, 5, 6)])
    with pytest.raises(Incomplete, match=r"patches 1-12 of 12 missing$"):
        of(mails[:1], "m-0@dev.example")


def test_a_patch_in_a_file_by_itself_lacks_the_others() -> None:
    with pytest.raises(Incomplete, match="patches 1, 3 of 3 missing"):
        of([V1[2]])
    [series] = all_of([V1[2]])
    assert isinstance(series, Series)
    assert ids(series) == ["v1-2"]
    assert (series.patches[0].number, series.expected, series.missing) == (2, 3, (1, 3))


def versions(found: list[Series | ReviewError]) -> list[tuple[list[str], str]]:
    """Which patches each series has, and why these."""
    return [(ids(one), one.chosen) if isinstance(one, Series) else ([], str(one)) for one in found]


@pytest.mark.parametrize("turned", [False, True])
def test_the_newest_complete_version_whatever_the_order_of_the_mails(turned: bool) -> None:
    order = -1 if turned else 1
    one, two = m.patch("PATCH", id="a@dev.example"), m.patch("PATCH v2", id="b@dev.example", above=["a@dev.example"])
    assert versions(all_of([one, two][::order])) == [(["b"], "v2, the newest complete one of v1 and v2")]
    both = [["v2-1", "v2-2", "v2-3"], "v2, the newest complete one of v1 and v2"]
    assert [list(x) for x in versions(all_of([*V1, *V2][::order]))] == [both]
    short = versions(all_of([*V1, *V2[:3]][::order]))
    assert short == [(["v1-1", "v1-2", "v1-3"], "v1, because v2 lacks patch 3 of 3")]
    neither = versions(all_of([*V1[:3], *V2[:3]][::order]))
    assert neither == [(["v2-1", "v2-2"], "v2, the newest one of v1 and v2")]
    large = heading(m.patch("PATCH v2", id="l@dev.example", above=["a@dev.example"]), "is 21 MB large")
    [kept] = assemble_all([read(one), large][::order], source="box")
    assert isinstance(kept, Series)
    assert (ids(kept), kept.chosen) == (["a"], "v1, because v2 is 21 MB large")


@pytest.mark.parametrize("turned", [False, True])
def test_a_strangers_answer_is_not_the_series_even_where_it_comes_first(turned: bool) -> None:
    late = m.patch("PATCH v9", "dm example: mine", id="z9@other.example", above=["v1-0@dev.example"], author=m.ZED)
    [(found, why)] = versions(all_of([late, *V1][:: -1 if turned else 1]))
    assert (found, why) == (
        ["v1-1", "v1-2", "v1-3"],
        "without `[PATCH v9] dm example: mine` by Zed Stranger",
    )


def test_versions_that_are_not_in_one_thread() -> None:
    apart = m.series("w2", 3, 2)
    assert versions(all_of([*apart, *V1]))[0][0] == ["w2-1", "w2-2", "w2-3"]
    one = m.patch("PATCH", "dm example: a", id="a@dev.example")
    other = m.patch("PATCH v2", "dm example: b", id="b@dev.example")
    assert versions(all_of([one, other])) == [(["a"], ""), (["b"], "")]
    tagged = [m.patch_body(tail="\nchange-id: c-1\n"), m.patch_body(tail="\nchange-id: c-1\n")]
    one = m.patch("PATCH", "dm example: a", id="a@dev.example", body=tagged[0])
    other = m.patch("PATCH v2", "dm example: b", id="b@dev.example", body=tagged[1])
    assert [found for found, _ in versions(all_of([other, one]))] == [["b"]]


@pytest.mark.parametrize("turned", [False, True])
def test_independent_patches_are_a_series_each(turned: bool) -> None:
    mails = [
        m.patch("PATCH", "dm example: one", id="one@dev.example"),
        m.patch("PATCH", "dm other: two", id="two@dev.example"),
        *m.series("z", 2, author=m.ZED),
        m.mail("Hello", "no patch", id="t@x.example"),
    ]
    assert versions(all_of(mails[:: -1 if turned else 1])) == [(["one"], ""), (["two"], ""), (["z-1", "z-2"], "")]


def test_what_cannot_be_read_of_several_series_is_an_error_in_its_place() -> None:
    absurd = m.patch("PATCH 999999999/1000000000", id="x@dev.example")
    good = m.patch("PATCH", "dm other: two", id="two@dev.example")
    found = versions(all_of([absurd, good]))
    assert found[1] == (["two"], "")
    assert found[0][1].endswith("is numbered 999999999/1000000000 in its subject: no series has more than 9999 patches")


def test_git_format_patch_of_one_branch_and_of_two() -> None:
    def diff(path: str, old: str, new: str) -> str:
        return m.DIFF.replace("example", path).replace("2" * 40, new * 40).replace("1" * 40, old * 40)

    def patch(title: str, *what: str) -> bytes:
        return m.patch("PATCH", title, body=m.patch_body(diff=diff(*what)))

    one, then = patch("a", "example", "1", "2"), patch("b", "example", "2", "3")
    apart, again = patch("c", "other", "1", "2"), patch("d", "example", "1", "4")
    found = assemble_all([read(x) for x in (one, apart, then, again)], source="box", one_sender=False)
    titles = [[p.mail.subject for p in x.patches] for x in found if isinstance(x, Series)]
    assert titles == [["[PATCH] a", "[PATCH] b"], ["[PATCH] c"], ["[PATCH] d"]]
    two = [m.patch(f"PATCH {n}/2", f"{name} {n}") for name in ("x", "y") for n in (1, 2)]
    found = assemble_all([read(x) for x in two], source="box", one_sender=False)
    titles = [[p.mail.subject for p in x.patches] for x in found if isinstance(x, Series)]
    assert titles == [["[PATCH 1/2] x 1", "[PATCH 2/2] x 2"], ["[PATCH 1/2] y 1", "[PATCH 2/2] y 2"]]


def test_very_many_series_in_one_file_are_refused() -> None:
    posts = [read(m.patch("PATCH", f"dm example: {n}", id=f"{n}@dev.example")) for n in range(MAX_POSTINGS + 1)]
    assert len(assemble_all(posts[1:], source="box")) == MAX_POSTINGS
    with pytest.raises(ReviewError, match="holds more than 200 series"):
        assemble_all(posts, source="box")


def test_copies_from_several_lists_count_once() -> None:
    mangled = (
        V1[1]
        .replace(b"List-Id: <dm-devel.lists.example>", b"List-Id: <x.googlegroups.example>")
        .replace(b"part 1", b"list 1")
    )
    kept = V1[1].replace(b"List-Id: <dm-devel.lists.example>", b"List-Id: <dm-devel.lists.linux.dev>")
    assert "part 1" in of([V1[0], mangled, kept, *V1[2:]], "v1-0@dev.example").patches[0].mail.subject


def test_two_series_in_one_folder_are_a_question_to_the_user() -> None:
    with pytest.raises(ReviewError, match="more than one series") as caught:
        of([*V1, *m.series("other", 2, author=m.ZED)])
    assert caught.value.exit_code == 2
    with pytest.raises(ReviewError, match="more than one series"):
        of([m.patch("PATCH", id="one@dev.example"), m.patch("PATCH", "dm other: x", id="two@dev.example")])


def test_authors_may_differ_in_what_git_format_patch_wrote() -> None:
    mails = [m.patch("PATCH 1/2", author=m.ANN), m.patch("PATCH 2/2", author=m.ZED)]
    series = of(mails, one_sender=False)
    assert [p.mail.author.email for p in series.patches] == ["ann@dev.example", "zed@other.example"]
    plain = [m.mail(f"part {n}", m.patch_body(), author=a) for n, a in enumerate([m.ANN, m.ZED, m.ANN])]
    series = of(plain, one_sender=False)
    assert [(p.number, p.mail.subject) for p in series.patches] == [(1, "part 0"), (2, "part 1"), (3, "part 2")]
    assert series.expected == 3


def test_hints_come_from_the_cover_letter_first() -> None:
    sha = "0123456789abcdef0123456789abcdef01234567"
    cover = m.mail("[PATCH 0/1] x", f"x\n\nchange-id: c-1\nbase-commit: {sha}\n", id="h-0@dev.example")
    body = m.patch_body(tail=f"\nbase-commit: {sha[::-1]}\n")
    one = m.patch("PATCH 1/1", id="h-1@dev.example", above=["h-0@dev.example"], body=body)
    series = of([cover, one], "h-1@dev.example")
    assert (series.base_commit, series.change_id) == (sha, "c-1")
    assert of([one, m.reply("r@r.example", ["h-1@dev.example"])], "h-1@dev.example").base_commit == sha[::-1]


def test_what_is_no_patch() -> None:
    talk = [m.mail("A question", "Why?\n", id="q@x.example"), m.reply("r@x.example", ["q@x.example"])]
    for asked in ("q@x.example", "r@x.example"):
        with pytest.raises(NoPatch, match=r"<.@x.example> from here is no patch \(`") as caught:
            of(talk, asked)
        assert caught.value.exit_code == 4
    with pytest.raises(NoPatch, match=r"box holds no patch \(`A question`\)"):
        of(talk)
    pull = m.mail(
        "[GIT PULL] dm fixes", "The following changes ...\n 1 file changed, 1 insertion(+)\n", id="p@x.example"
    )
    with pytest.raises(NoPatch):
        of([pull], "p@x.example")


def test_a_diff_in_a_reply_that_stands_alone() -> None:
    alone = m.mail("Re: a bug", "Try this:\n\n" + m.DIFF, id="t@x.example", above=["bug@x.example"])
    assert ids(of([alone], "t@x.example")) == ["t"]
    assert ids(of([alone])) == ["t"]
    counted = m.mail("Re: [PATCH v2 1/3] x", "Rather:\n\n" + m.DIFF, id="t@x.example", above=["gone@x.example"])
    series = of([counted, m.reply("r@x.example", ["t@x.example"])], "t@x.example")
    assert (ids(series), series.version, series.expected) == (["t"], 2, 3)


def test_mails_in_a_circle_end() -> None:
    a = m.reply("a@x.example", ["b@x.example"])
    b = m.reply("b@x.example", ["a@x.example"])
    with pytest.raises(NoPatch):
        of([a, b], "a@x.example")
    ring = [m.patch(f"PATCH {n}/3", id=f"{n}@x.example", above=[f"{n % 3 + 1}@x.example"]) for n in (1, 2, 3)]
    assert ids(of(ring, "2@x.example")) == ["1", "2", "3"]
    assert ids(of(ring)) == ["1", "2", "3"]


def test_a_large_thread_is_quick_to_sort() -> None:
    lead = m.patch("PATCH", id="0@x.example")
    chain = [f"{n}@x.example" for n in range(600)]
    replies = [m.reply(chain[n], chain[max(0, n - 30) : n]) for n in range(1, 600)]
    assert len(of([lead, *replies], "599@x.example").thread) == 599


NAMES = [f"{letter}@x.example" for letter in "abcdefgh"]
TAGS = [
    "PATCH",
    "PATCH 0/2",
    "PATCH 1/2",
    "PATCH 2/2",
    "PATCH v2 1/2",
    "PATCH v2 2/2",
    "PATCH 3/2",
    "PATCH v2 0/1",
    "RFC",
]
SUBJECTS = [f"{lead}[{tag}] x" for tag in TAGS for lead in ("", "Re: ")]


@st.composite
def threads(draw: st.DrawFn) -> list[bytes]:
    bodies = st.sampled_from([m.patch_body(), m.patch_body(), "words\n"])
    return [
        m.mail(
            draw(st.sampled_from(SUBJECTS)),
            draw(bodies),
            id=draw(st.sampled_from([*NAMES, ""])),
            above=draw(st.lists(st.sampled_from(NAMES), max_size=3)),
            author=draw(st.sampled_from([m.ANN, m.ANN, m.ZED, ""])),
        )
        for _ in range(draw(st.integers(1, 8)))
    ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(threads(), st.sampled_from(["", *NAMES]), st.sampled_from([None, None, 1, 2]), st.booleans())
def test_any_thread_gives_one_senders_patches_or_a_plain_error(
    mails: list[bytes], asked: str, revision: int | None, one_sender: bool
) -> None:
    try:
        series = of(mails, asked, revision, one_sender)
    except ReviewError:
        return
    numbers = [p.number for p in series.patches]
    assert numbers == sorted(set(numbers))
    assert all(p.diff for p in series.patches)
    assert len(series.thread) < len(mails)
    if one_sender:
        assert len({p.mail.author.email for p in series.patches}) == 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(threads(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_any_file_gives_series_that_share_no_patch_whatever_its_order(
    mails: list[bytes], one_sender: bool, every: bool, chance: random.Random
) -> None:
    def found(posts: list[Post]) -> list[list[str]] | str:
        try:
            all_ = assemble_all(posts, source="box", one_sender=one_sender, every=every)
        except ReviewError as error:
            return str(error)
        good = [one for one in all_ if isinstance(one, Series)]
        assert all(p.diff for one in good for p in one.patches)
        assert all(one.expected >= len(one.patches) for one in good)
        return [[p.mail.message_id for p in one.patches] for one in good]

    posts = [read(one) for one in mails]
    first = found(posts)
    if isinstance(first, list) and not every:
        ids_ = [id_ for one in first for id_ in one if id_]
        assert len(ids_) == len(set(ids_))
    named = {p.mail.message_id for p in posts}
    if one_sender and len(named) == len(posts) and "" not in named and all(p.mail.author.email for p in posts):
        chance.shuffle(posts)
        assert found(posts) == first
