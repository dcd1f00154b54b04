"""Mails for tests: patches, covers and replies as mail programs and lists hand them on, all written for this."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterable

from hypothesis import strategies as st

ANN = "Ann Author <ann@dev.example>"
ZED = "Zed Stranger <zed@other.example>"
GZIP = b"\x1f\x8b"
MIK = "Mik Maker <mik@dev.example>"
LIST = "dm-devel@lists.example"

DIFF = """\
diff --git a/drivers/md/dm-example.c b/drivers/md/dm-example.c
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/drivers/md/dm-example.c
+++ b/drivers/md/dm-example.c
@@ -10,3 +10,3 @@ static int example_ctr(struct dm_target *ti)
 \tstruct example *e;
-\te = kzalloc(sizeof(*e), GFP_KERNEL);
+\te = kzalloc(sizeof(*e), GFP_NOIO);
 \tif (!e)
"""

clock = iter(range(10**6))


def mail(
    subject: str,
    body: str | bytes = "",
    *,
    id: str = "",
    above: Iterable[str] = (),
    author: str = ANN,
    headers: str = "",
    encoding: str = "8bit",
    type: str = "text/plain; charset=UTF-8",
) -> bytes:
    """A message; `above` is the chain of ids that it answers, the root first."""
    chain = list(above)
    minute = next(clock)
    head = [
        f"From: {author}" if author else "",
        f"To: {LIST}",
        "Cc: linux-kernel@vger.example, Mike Maintainer <mike@maint.example>",
        f"Subject: {subject}",
        f"Date: Mon, 2 Nov 2026 {9 + minute // 60 % 12:02d}:{minute % 60:02d}:00 +0100",
        f"Message-ID: <{id}>" if id else "",
        f"In-Reply-To: <{chain[-1]}>" if chain else "",
        f"References: {' '.join(f'<{r}>' for r in chain)}" if chain else "",
        f"List-Id: <{LIST.replace('@', '.')}>",
        "MIME-Version: 1.0" if encoding else "",
        f"Content-Type: {type}" if encoding else "",
        f"Content-Transfer-Encoding: {encoding}" if encoding else "",
        headers,
    ]
    text = "\n".join(line for line in head if line) + "\n\n"
    return text.encode("utf-8", "surrogateescape") + (body if isinstance(body, bytes) else body.encode())


def patch_body(text: str = "Allocate without I/O.", diff: str = DIFF, tail: str = "") -> str:
    return f"{text}\n\nSigned-off-by: {ANN}\n---\n drivers/md/dm-example.c | 2 +-\n\n{diff}{tail}-- \n2.43.0\n"


def patch(tag: str, title: str = "dm example: allocate with GFP_NOIO", **kwargs: object) -> bytes:
    """`patch("PATCH v2 1/3", id=..., above=[...])`"""
    kwargs.setdefault("body", patch_body())
    return mail(f"[{tag}] {title}", **kwargs)  # type: ignore[arg-type]


def series(
    name: str, count: int, version: int = 1, *, cover: bool = True, above: Iterable[str] = (), **kwargs: object
) -> list[bytes]:
    """A posting as git send-email threads it: ids are `NAME-0@dev.example` and so on."""
    tag = "PATCH" if version == 1 else f"PATCH v{version}"
    chain = list(above)
    start = 0 if cover else 1
    lead = f"{name}-{start}@dev.example"
    mails = []
    for number in range(start, count + 1):
        id = f"{name}-{number}@dev.example"
        up = chain if id == lead else [*chain, lead]
        if number:
            diff = DIFF.replace("example", f"example{number}")
            one = patch(
                f"{tag} {number}/{count}",
                f"dm example: part {number}",
                body=patch_body(diff=diff),
                id=id,
                above=up,
                **kwargs,
            )
        else:
            one = mail(f"[{tag} 0/{count}] dm example: parts", "What it is for.\n", id=id, above=up, **kwargs)  # type: ignore[arg-type]
        mails.append(one)
    return mails


def reply(
    id: str, above: Iterable[str], text: str = "Are you sure?", author: str = "Rita Reviewer <rita@rev.example>"
) -> bytes:
    return mail("Re: [PATCH] dm example", f"> quoted\n\n{text}\n", id=id, above=above, author=author)


def mbox(mails: Iterable[bytes], line: bytes = b"From mboxrd@z Thu Jan  1 00:00:00 1970") -> bytes:
    """As public-inbox writes one (mboxrd)."""
    return b"".join(line + b"\n" + re.sub(rb"(?m)^(>*From )", rb">\1", one) + b"\n" for one in mails)


def packed(mails: Iterable[bytes]) -> bytes:
    return gzip.compress(mbox(mails))


def nested(depth: int) -> str:
    """The header and body of a message with that many multiparts in each other."""
    return "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)) + "\nx\n"


WRECKS = (
    *(b"\0", b"\r", b"\r\n", b"\n\n", b"\xff\xfe", b"=?utf-8?q?=0A?=", b"=", b"<", b'"', b"--b\n", b"(" * 50, b": "),
    b"\x1b[2J",
    b"Content-Type: multipart/mixed; boundary=b\n",
    b"Content-Type: text/plain; charset*0*=x''%ff; format=flowed\n",
    b"Content-Transfer-Encoding: uuencode\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Subject: [PATCH v-1 0/0]\n",
)


@st.composite
def wrecked(draw: st.DrawFn) -> bytes:
    """A mail or diff with some bytes replaced by ones that mean something to a mail program."""
    multipart = f"--b\n\n{patch_body()}--b--\n"
    encoded = base64.encodebytes(patch_body().encode())
    whole = (
        patch("PATCH v2 1/2", id="a@b.example"),
        mail("[PATCH] x", encoded, id="a@b.example", encoding="base64"),
        mail("[PATCH] x", multipart, id="a@b.example", type='multipart/mixed; boundary="b"'),
        DIFF.encode(),
    )
    raw = draw(st.sampled_from(whole))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        until = draw(st.integers(at, min(len(raw), at + 40)))
        raw = raw[:at] + draw(st.sampled_from(WRECKS) | st.binary(max_size=8)) + raw[until:]
    return raw


def read_id(raw: bytes) -> str:
    """The message-id of a mail made here."""
    found = re.search(rb"^Message-ID: <(.*)>$", raw, re.MULTILINE)
    assert found is not None
    return found[1].decode()
