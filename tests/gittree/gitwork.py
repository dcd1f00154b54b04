"""Git work trees to make patches in, and the ways in which patches are tricky."""

from __future__ import annotations

import os
import quopri
import re
import subprocess
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from reviewbot.gittree.tree import Tree
from reviewbot.types import Address, Change, Mail, Patch, Series

TARGET = "drivers/md/dm-demo.c"
HEADER = "drivers/md/dm-demo.h"
DEMO = "".join(
    f"""static int demo_step_{n}(struct demo *d)
{{
	int r = {n};

	mutex_lock(&d->lock_{n});
	r += d->count_{n};
	mutex_unlock(&d->lock_{n});
	return r;
}}

"""
    for n in range(1, 13)
)
FILES = {
    TARGET: "#include <linux/mutex.h>\n\n" + DEMO,
    HEADER: "struct demo;\nint demo_init(struct demo *d);\nvoid demo_exit(struct demo *d);\n",
    "drivers/md/Makefile": "obj-y += dm-demo.o\n",
    "drivers/md/empty.h": "",
    "docs/notes/one.txt": "one\n",
    "Makefile": "VERSION = 6\n",
}


CLOCK = count(1_700_000_000)


def run(folder: Path, *args: str, data: bytes | None = None, check: bool = True) -> bytes:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {
            f"GIT_{who}_NAME": "Ann",
            f"GIT_{who}_EMAIL": "ann@dev.example",
            f"GIT_{who}_DATE": f"{next(CLOCK)} +0000",
        }
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *args], cwd=folder, env=env, input=data, capture_output=True, check=False)
    assert done.returncode == 0 or not check, done.stderr.decode()
    return done.stdout if done.returncode == 0 else b""


def text(folder: Path, *args: str) -> str:
    return run(folder, *args).decode().strip()


class Work:
    """A work tree to make patches in, and to ask `git am` in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = text(path, "rev-parse", "HEAD")

    def file(self, name: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str | bytes) -> None:
        self.file(name).write_bytes(content.encode() if isinstance(content, str) else content)

    def edit(self, name: str, old: str, new: str) -> None:
        content = self.file(name).read_bytes()
        assert old.encode() in content
        self.write(name, content.replace(old.encode(), new.encode(), 1))

    def move(self, old: str, new: str) -> None:
        self.file(new)
        run(self.path, "mv", old, new)

    def commit(self, message: str = "dm demo: change") -> str:
        run(self.path, "add", "-A", "-f")
        run(self.path, "commit", "-q", "--allow-empty", "-m", message)
        return text(self.path, "rev-parse", "HEAD")

    def reset(self, commit: str = "") -> None:
        run(self.path, "am", "--abort", check=False)
        run(self.path, "checkout", "-q", "-f", "--detach", commit or self.start)
        run(self.path, "clean", "-qfdx")

    def mbox(self, *options: str, since: str = "") -> bytes:
        return run(self.path, "format-patch", "--stdout", *options, f"{since or self.start}..HEAD")

    def am(self, mbox: bytes, commit: str = "", *options: str) -> str:
        """The tree that `git am` makes, or an empty text where it refuses."""
        self.reset(commit)
        run(self.path, "am", "-q", *options, data=mbox, check=False)
        failed = (self.path / ".git/rebase-apply").exists()
        return "" if failed else text(self.path, "rev-parse", "HEAD^{tree}")


def series(mbox: bytes, folder: Path, base_commit: str = "") -> Series:
    """An mbox as `git am` splits it."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    (folder / "mbox").write_bytes(mbox)
    count = int(text(folder, "mailsplit", f"-o{folder}", "mbox"))
    run(folder, "mailsplit", "--keep-cr", f"-o{folder}", "-f1000", "mbox")
    patches = []
    for n in range(1, count + 1):
        run(folder, "mailinfo", "msg", "diff", data=(folder / f"{n:04}").read_bytes())
        diff = (folder / "diff").read_bytes()
        # as lore.py does: from the first line of the diff on
        start = re.search(rb"^(diff --git |--- [^\n]+\n\+\+\+ )", diff, re.MULTILINE)
        mail = Mail(f"{n}@dev.example", f"patch {n}", Address("Ann", "ann@dev.example"), "")
        raw = (folder / f"{1000 + n:04}").read_bytes()
        patches.append(Patch(mail, diff[start.start() :] if start else diff, n, raw))
    return Series(tuple(patches), base_commit=base_commit)


PROBE = b"--- /dev/null\n+++ b/probe.c\n@@ -0,0 +1 @@\n+int probe;\n"


def bare(diff: bytes) -> Series:
    return Series((Patch(Mail("0@dev.example", "p", Address("Ann", "ann@dev.example"), ""), diff),))


def tree_id(tree: Tree, applied: Series, base: str) -> str:
    """Id of the whole tree with the series applied: it is what a probe is then applied to."""
    change = tree.apply(bare(PROBE), base, first=[applied])
    found = tree._git.find(f"{change.base}^{{tree}}")
    assert found
    return found


def verify(tree: Tree, change: Change) -> None:
    """The hunks are those between the two blobs, line for line."""
    before, after = tree.sources(change)
    for file in change.files:
        assert (before.blob(file.old_path) if file.old_path else None) == (file.before or None)
        assert after.blob(file.path) == (file.after or None)
        old = (before.read(file.old_path) or b"").decode(errors="replace").split("\n") if file.old_path else []
        new = (after.read(file.path) or b"").decode(errors="replace").split("\n")
        for line in (line for hunk in file.hunks for line in hunk.lines):
            assert line.sign == "+" or old[line.before - 1] == line.text
            assert line.sign == "-" or new[line.after - 1] == line.text


def state(work: Work, n: int) -> str:
    return text(work.path, "log", "--format=%H", f"--grep=^change {n}$")


def patch_on(work: Work, commit: str, *options: str) -> bytes:
    work.reset(commit)
    work.edit(TARGET, "int r = 12;", "int r = 1200;")
    work.write("drivers/md/dm-new.c", NEW)
    work.commit()
    mbox = work.mbox(*options, since="HEAD~1")
    run(work.path, "checkout", "-q", "main")
    return mbox


# --- steps that make a patch: each is called with the work tree, some give an mbox of their own


def edited(work: Work) -> None:
    work.edit(TARGET, "int r = 6;", "int r = 60;")
    work.commit()


def damaged(pattern: bytes, new: bytes) -> Callable[[Work], bytes]:
    def make(work: Work) -> bytes:
        edited(work)
        mbox = work.mbox()
        assert re.search(pattern, mbox, re.MULTILINE)
        return re.sub(pattern, new, mbox, count=1, flags=re.MULTILINE)

    return make


def in_steps(*steps: Callable[[Work], object], options: tuple[str, ...] = ()) -> Callable[[Work], bytes]:
    def make(work: Work) -> bytes:
        for step in steps:
            step(work)
            work.commit()
        return work.mbox(*options)

    return make


def at_once(*steps: Callable[[Work], object]) -> Callable[[Work], object]:
    def make(work: Work) -> None:
        for step in steps:
            step(work)

    return make


def moved(old: str, new: str) -> Callable[[Work], object]:
    return lambda work: work.move(old, new)


def replaced(name: str, old: str, new: str) -> Callable[[Work], object]:
    return lambda work: work.edit(name, old, new)


def executable(name: str) -> Callable[[Work], object]:
    return lambda work: work.file(name).chmod(0o755)


def written(name: str, content: str | bytes) -> Callable[[Work], object]:
    return lambda work: work.write(name, content)


def linked(name: str, to: str) -> Callable[[Work], object]:
    return lambda work: work.file(name).symlink_to(to)


def gone(name: str) -> Callable[[Work], object]:
    return lambda work: work.file(name).unlink()


def shifted(work: Work) -> bytes:
    edited(work)
    return re.sub(
        rb"@@ -(\d+),(\d+) \+(\d+),", lambda m: b"@@ -%d,%s +%d," % (int(m[1]) - 21, m[2], int(m[3]) - 21), work.mbox()
    )


def made_by_hand(*files: tuple[str, str, str]) -> Callable[[Work], bytes]:
    """A mail that creates files, as no honest git would write it."""
    diff = "".join(
        f"diff --git a/{name} b/{name}\nnew file mode {mode}\nindex 000000000000..1269488f7fb1\n--- /dev/null\n"
        f"+++ b/{name}\n@@ -0,0 +1 @@\n+{content}\n" + "\\ No newline at end of file\n" * (mode == "120000")
        for name, mode, content in files
    )
    head = "From: Eve <eve@x.example>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: [PATCH] x\n\nx\n---\n"
    return lambda work: f"From 0 Mon Sep 17 00:00:00 2001\n{head}{diff}-- \n2\n".encode()


def traditional(work: Work) -> bytes:
    edited(work)
    mbox = work.mbox()
    return re.sub(rb"^(diff --git|index) .*\n", b"", mbox, flags=re.MULTILINE)


def encoded(work: Work) -> bytes:
    work.edit(TARGET, "int r = 6;", "int r = 6; /* größer = wärmer */")
    work.commit()
    head, _, body = work.mbox().partition(b"\n\n")
    mime = b"\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
    return head + mime + b"\n\n" + quopri.encodestring(body)


def later(work: Work) -> bytes:
    """The second of two patches alone."""
    in_steps(written("drivers/md/a.c", NEW), written("drivers/md/a.c", NEW + NEW))(work)
    return work.mbox(since="HEAD~1")


def swapped(work: Work) -> None:
    one, two = work.file(TARGET), work.file(HEADER)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def folder_for_file(work: Work) -> None:
    work.file("Makefile").unlink()
    work.write("Makefile/part", "x\n")


NEW = "int demo_new;\n"
BYTES = bytes(range(256))
