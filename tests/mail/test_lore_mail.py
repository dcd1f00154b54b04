"""One message: the headers a reply needs, and the diff byte for byte as `git am` would take it."""

from __future__ import annotations

import base64
import quopri
import shutil
import subprocess
from pathlib import Path

import lore_mails as m
import pytest
from hypothesis import HealthCheck, given, settings

from reviewbot.mail.message import Post, heading, read
from reviewbot.types import Address, Prerequisite


def git_mailinfo(raw: bytes, folder: Path) -> bytes:
    """The patch that `git am` takes out of a mail, from its first diff line on."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    box = folder / "box"
    box.write_bytes(b"From x Thu Jan  1 00:00:00 1970\n" + raw)
    for name in ("split", "patch", "message"):
        (folder / name).mkdir(exist_ok=True)
    subprocess.run(["git", "mailsplit", f"-o{folder}/split", str(box)], check=True, capture_output=True)
    with open(folder / "split" / "0001", "rb") as split:
        command = ["git", "mailinfo", str(folder / "message" / "m"), str(folder / "patch" / "p")]
        subprocess.run(command, stdin=split, check=True, capture_output=True)
    patch = (folder / "patch" / "p").read_bytes()
    return patch[patch.index(b"diff --git") :]


def diff_of(raw: bytes) -> bytes:
    return read(raw).diff.removesuffix(b"\n")


def test_headers() -> None:
    post = read(
        m.patch(
            "dm-devel] [PATCH v3 2/7",
            id="a-2@dev.example",
            above=["a-0@dev.example", "a-1@dev.example"],
            headers="Reply-To: Ann <ann@home.example>\nTo: second@to.example",
        )
    )
    assert (post.version, post.number, post.expected, post.counted, post.tagged, post.reply) == (
        3,
        2,
        7,
        True,
        True,
        False,
    )
    assert post.parents == ("a-1@dev.example", "a-0@dev.example")
    assert post.patch
    assert not post.cover
    mail = post.mail
    assert mail.message_id == "a-2@dev.example"
    assert mail.subject == "[dm-devel] [PATCH v3 2/7] dm example: allocate with GFP_NOIO"
    assert mail.author == Address(name="Ann Author", email="ann@dev.example")
    assert [a.email for a in mail.to] == ["dm-devel@lists.example", "second@to.example"]
    assert mail.cc[1] == Address(name="Mike Maintainer", email="mike@maint.example")
    assert mail.reply_to == (Address(name="Ann", email="ann@home.example"),)
    assert mail.in_reply_to == "a-1@dev.example"
    assert mail.references == ("a-0@dev.example", "a-1@dev.example")
    assert mail.list_id == "dm-devel.lists.example"
    assert mail.body.startswith("Allocate without I/O.\n\nSigned-off-by:")
    assert mail.body.endswith("| 2 +-\n\n")


def test_diff_is_what_stands_in_the_mail() -> None:
    assert read(m.patch("PATCH", id="a@b.example")).diff == (m.DIFF + "-- \n2.43.0\n").encode()


BODIES = {
    "8bit": m.patch_body("Zoë: naïve café."),
    "latin1 in the diff": m.patch_body(diff=m.DIFF.replace("GFP_NOIO", "GFP_NOIO /* caf\xe9 */")),
    "equal signs": m.patch_body(diff=m.DIFF.replace("+\te = ", "+\te == =3D ")),
    "long lines": m.patch_body(diff=m.DIFF.replace("GFP_NOIO", "GFP_NOIO" + " | x" * 400)),
    "trailing blanks": m.patch_body(diff=m.DIFF.replace("GFP_NOIO);", "GFP_NOIO); \t")),
    "carriage returns": m.patch_body(diff=m.DIFF.replace(");\n", ");\r\n")),
    "no git header": m.patch_body(diff=m.DIFF.partition("\n")[2].partition("\n")[2]).replace("diff --git", ""),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_same_diff_as_git(body: str, encoding: str, ends: bytes, tmp_path: Path) -> None:
    data = body.encode("latin-1")
    if encoding == "quoted-printable":
        data = quopri.encodestring(data.replace(b"\r\n", b"\0")).replace(b"=00", b"=0D\n").replace(b"\0", b"=0D\n")
    elif encoding == "base64":
        data = base64.encodebytes(data)
    raw = m.mail("[PATCH] x", data, id="a@b.example", encoding=encoding, type="text/plain; charset=iso-8859-1")
    raw = raw.replace(b"\r\n", b"\n").replace(b"\n", ends) if encoding != "8bit" else raw
    if b"diff --git" in body.encode("latin-1"):
        assert diff_of(raw) == git_mailinfo(raw, tmp_path).removesuffix(b"\n")
    else:
        assert diff_of(raw).startswith(b"--- a/drivers/md/dm-example.c\n+++ b/drivers")


def test_attached_patch_and_footer_of_a_list() -> None:
    body = (
        "--b\nContent-Type: text/plain; charset=utf-8\n\nSee the attachment.\n"
        "--b\nContent-Type: application/octet-stream\n"
        'Content-Disposition: attachment; filename="0001-x.patch"\n'
        f"Content-Transfer-Encoding: base64\n\n{base64.encodebytes(m.DIFF.encode()).decode()}"
        "--b\nContent-Type: text/html\n\n<p>diff --git</p>\n"
        "--b\nContent-Type: text/plain\n\nYou are on this list.\n--b--\n"
    )
    post = read(m.mail("[PATCH] x", body, id="a@b.example", type='multipart/mixed; boundary="b"'))
    assert post.mail.body == "See the attachment.\n"
    assert post.diff == m.DIFF.encode() + b"You are on this list.\n"


def test_a_patch_that_is_attached_as_well_counts_once() -> None:
    one = f"--b\nContent-Type: text/plain\n\n{m.patch_body()}\n"
    two = f"--b\nContent-Type: application/octet-stream\n\n{m.patch_body()}\n--b--\n"
    post = read(m.mail("[PATCH] x", one + two, id="a@b.example", type='multipart/mixed; boundary="b"'))
    assert post.diff == (m.DIFF + "-- \n2.43.0\n").encode()


def test_a_part_that_a_list_has_relabelled_is_text() -> None:
    body = f"--b\nContent-Type: application/octet-stream; x-default=true\n\n{m.patch_body()}\n--b--\n"
    post = read(m.mail("[PATCH] x", body, id="a@b.example", type='multipart/mixed; boundary="b"'))
    assert post.diff.startswith(m.DIFF.encode())
    assert post.mail.body.startswith("Allocate without I/O.")
    binary = read(m.mail("[PATCH] x", body.replace("Allocate", "\0"), type='multipart/mixed; boundary="b"'))
    assert not binary.diff


def test_an_attached_mail_is_not_opened() -> None:
    inner = m.patch("PATCH", id="inner@b.example").decode()
    body = f"--b\nContent-Type: text/plain\n\nLook.\n--b\nContent-Type: message/rfc822\n\n{inner}\n--b--\n"
    post = read(m.mail("Fwd: look", body, id="a@b.example", type='multipart/mixed; boundary="b"'))
    assert not post.diff
    assert post.mail.body == "Look.\n"


def test_flowed_text_is_undone_as_git_does(tmp_path: Path) -> None:
    stuffed = "".join(f" {line}\n" if line.startswith(" ") else f"{line}\n" for line in m.patch_body().split("\n")[:-1])
    raw = m.mail("[PATCH] x", stuffed, id="a@b.example", type="text/plain; charset=utf-8; format=flowed")
    assert diff_of(raw) == git_mailinfo(raw, tmp_path).removesuffix(b"\n")
    assert b"\n \tstruct example *e;\n" in read(raw).diff


def test_carriage_returns_are_kept_in_raw() -> None:
    body = m.patch_body(diff=m.DIFF.replace("\n", "\r\n"))
    post = read(m.mail("[PATCH] x", body, id="a@b.example"))
    assert b"\r" not in post.diff
    assert post.raw.count(b"\r\n") == m.DIFF.count("\n")
    assert post.raw.endswith(m.DIFF.replace("\n", "\r\n").encode() + b"-- \n2.43.0\n")


def test_raw_is_a_mail_that_reads_the_same() -> None:
    body = quopri.encodestring(m.patch_body("Zoë says: \u202eno").encode())
    author = "=?utf-8?q?Zo=C3=AB=0D=0ABcc=3A_v=40x=2Eexample?= <zoe@dev.example>"
    post = read(m.mail("[PATCH 2/3] é", body, id="a@b.example", author=author, encoding="quoted-printable"))
    again = read(post.raw)
    assert again.raw == post.raw
    assert again.diff == post.diff
    assert (again.mail.subject, again.mail.author, again.mail.body) == (
        post.mail.subject,
        post.mail.author,
        post.mail.body,
    )
    assert b"Bcc" not in [line.partition(b":")[0] for line in post.raw.split(b"\n")]


@pytest.mark.parametrize(
    "text", [m.DIFF, "A sentence about it.\n\n" + m.DIFF, m.DIFF.replace("\n", "\r\n"), "\ufeff" + m.DIFF]
)
def test_a_bare_diff_has_no_author(text: str) -> None:
    post = read(text.encode())
    assert post.patch
    assert post.diff == m.DIFF.encode()
    assert post.mail.author == Address(name="", email="")
    assert post.mail.subject == ""
    assert (post.number, post.expected, post.counted) == (1, 1, False)


def test_a_word_before_a_colon_is_not_yet_a_mail() -> None:
    post = read(b"Index: x.c\n====\n--- x.c\n+++ x.c\n@@ -1 +1 @@\n-a\n+b\n")
    assert post.diff == b"--- x.c\n+++ x.c\n@@ -1 +1 @@\n-a\n+b\n"


def test_prose_is_no_patch() -> None:
    post = read(m.mail("[PATCH] x", "---\n a | 2 +-\n\n--- that is all\n+++ really\n", id="a@b.example"))
    assert not post.diff
    assert not post.patch


def test_base_commit_is_forty_digits_or_nothing() -> None:
    digits = "0123456789abcdef0123456789abcdef01234567"

    def base(line: str) -> str:
        return read(m.patch("PATCH", id="a@b.example", body=m.patch_body(tail=f"\nbase-commit: {line}\n"))).base_commit

    assert base(digits) == digits
    assert [base(x) for x in ("v6.12-rc1", "linux-next", digits[:12], digits + "0", "x" + digits)] == [""] * 5
    added = m.DIFF.replace("+\te", f"+base-commit: {digits}")
    assert read(m.patch("PATCH", id="a@b.example", body=m.patch_body(diff=added))).base_commit == ""


def test_change_id() -> None:
    body = m.patch_body().replace("---\n drivers", "---\nchange-id: 20261102-example-0a1b2c\n drivers")
    assert read(m.patch("PATCH", id="a@b.example", body=body)).change_id == "20261102-example-0a1b2c"


def test_numbers_that_nobody_counts_to_are_refused() -> None:
    for tag, says in (
        ("PATCH v9999999999", "is v9999999999 by its subject: there is no version above v9999"),
        ("PATCHv10000", "is v10000 by its subject: there is no version above v9999"),
        ("RFC][PATCH 3/10000", "is numbered 3/10000 in its subject: no series has more than 9999 patches"),
        ("PATCH 12345/2", "is numbered 12345/2 in its subject: no series has more than 9999 patches"),
    ):
        post = read(m.patch(tag, id="a@b.example"))
        assert (post.fault, post.diff, post.patch, post.counted) == (says, b"", False, False)
        assert (post.version, post.number, post.expected) == (1, 1, 1)
    assert heading(m.patch("PATCH v10000", id="a@b.example"), "is large").fault == "is large"
    assert read(m.patch("PATCH 1/2", "dm example: 1/20000 v99999", id="a@b.example")).patch


def test_prerequisites_in_the_order_in_which_they_are_applied() -> None:
    said = (
        "prerequisite-change-id: 20261102-example-0a1b2c:v3\n"
        "prerequisite-message-id: <20261102-x@dev.example>\n"
        f"prerequisite-patch-id: {'ab' * 20}\n"
        f"prerequisite-patch-id: {'ab' * 20}\n"
        "> prerequisite-patch-id: quoted\n"
    )
    post = read(m.mail("[PATCH 0/2] x", f"What for.\n\n---\n{said}", id="a@b.example"))
    assert post.prerequisites == (
        Prerequisite(kind="change-id", id="20261102-example-0a1b2c", version=3),
        Prerequisite(kind="message-id", id="20261102-x@dev.example"),
        Prerequisite(kind="patch-id", id="ab" * 20),
    )
    bare = read(f"{m.DIFF}-- \n2.43.0\n\nbase-commit: {'1' * 40}\nprerequisite-patch-id: {'cd' * 20}\n".encode())
    assert bare.prerequisites == (Prerequisite(kind="patch-id", id="cd" * 20),)


def test_a_cover_letter_with_an_interdiff_stays_a_cover_letter() -> None:
    post = read(m.mail("[PATCH v2 0/2] x", "Interdiff:\n" + m.DIFF, id="a@b.example"))
    assert post.cover
    assert not post.patch


def test_a_reply_with_a_diff_is_not_a_patch_that_was_posted() -> None:
    post = read(m.mail("Re: [PATCH 1/2] x", "How about:\n\n" + m.DIFF, id="a@b.example"))
    assert post.reply
    assert post.diff
    assert not post.patch


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(m.wrecked())
def test_wrecked_mails_give_clean_text_or_a_plain_error(raw: bytes) -> None:
    try:
        post = read(raw)
    except (ValueError, RecursionError):
        return
    check(post)
    check(heading(raw, "is wrecked"))


def check(post: Post) -> None:
    lines = [post.mail.subject, post.mail.author.name, post.mail.author.email, post.mail.message_id, post.mail.date]
    lines += [a.name + a.email for a in (*post.mail.to, *post.mail.cc)] + [post.mail.in_reply_to, *post.mail.references]
    assert all(
        line.isprintable() or not set(line) & set(map(chr, [*range(32), *range(127, 160), 0x202E])) for line in lines
    )
    assert not set(post.mail.body) & set(map(chr, [*range(9), 11, 12, 13, *range(14, 32), *range(127, 160)]))
    assert len(post.base_commit) in (0, 40)
    assert not post.diff or post.diff.startswith((b"diff --git ", b"--- "))
    assert 0 <= post.number <= 9999
