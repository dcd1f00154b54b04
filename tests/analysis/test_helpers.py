"""What functions do that lie outside of a change's folders: found by name, put together over files, bounded."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program import helpers, programs
from reviewbot.analysis.program.helpers import Helpers
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.function_key import key_of
from reviewbot.gittree.source import MemorySource

FILE = "drivers/md/small.c"
TREE = {
    FILE: b"""
struct dev { int flag; };
static void direct(struct dev *d) { note_wait(d); }
static void deeper(struct dev *d) { direct(d); }
static void plain(struct dev *d) { note_count(d); }
static void flagged(struct dev *d) { note_if(d, 0); }
static void asking(struct dev *d) { note_room(d, GFP_NOFS); }
static void scoped(struct dev *d)
{
	unsigned int old = memalloc_noio_save();

	note_room(d, GFP_KERNEL);
	memalloc_noio_restore(old);
}
static void twice(struct dev *d) { note_twice(d); }
""",
    "lib/note.c": b"""
struct note { int n; struct mutex lock; };
static void quietly(struct note *n) { mutex_lock(&n->lock); n->n++; mutex_unlock(&n->lock); }
void note_wait(struct note *n) { if (!n) return; quietly(n); pause_long(n); }
void note_count(struct note *n) { n->n++; }
void note_if(struct note *n, bool wait) { if (wait) msleep(5); if (!n) msleep(5); }
void note_room(struct note *n, gfp_t gfp) { n->n = kmalloc(8, gfp) != 0; }
void note_twice(struct note *n) { msleep(1); }
""",
    "lib/pause.c": b"void pause_long(void *p) { msleep(100); pause_longer(p); }\n",
    "lib/longer.c": b"void pause_longer(void *p) { synchronize_rcu(); pause_longest(p); }\n",
    "lib/longest.c": b"void pause_longest(void *p) { wait_for_completion(p); }\n",
    "mm/twice.c": b"void note_twice(void *p) { msleep(1); }\n",
}

TREE = {path: text.replace(b") { ", b")\n{\n\t").replace(b"; }\n", b";\n}\n") for path, text in TREE.items()}


def does(name: str, found: Helpers | None = None) -> dict[Effect, list[str]]:
    """Effects of a function of the driver, each with the places down to it."""
    source = MemorySource(TREE)
    program = programs.around(source, [FILE])
    key = key_of(FILE, name)
    program = (found or Helpers(source)).called_by(program, [key])
    return {e: [f"{at.file}:{at.function}" for at in program.effects.chain(key, e)] for e in program.does(key)}


def test_what_a_function_does_outside_is_what_its_caller_does() -> None:
    effects = does("direct")
    assert effects[Effect("lock", "note.lock", "x")] == [f"{FILE}:direct", "lib/note.c:note_wait", "lib/note.c:quietly"]
    assert effects[Effect("wait", "", "sleep timeout")] == [
        f"{FILE}:direct",
        "lib/note.c:note_wait",
        "lib/pause.c:pause_long",
    ]
    assert does("deeper").keys() == effects.keys()
    assert not does("plain")


def test_it_is_followed_from_file_to_file_so_far_only() -> None:
    details = {e.detail for e in does("direct")}
    assert "rcu" in details
    assert "completion" not in details


def test_what_a_caller_decides_is_left_out_and_so_is_a_name_of_two_functions() -> None:
    assert not does("flagged")
    assert not does("twice")


def test_masks_and_scopes_are_the_callers() -> None:
    assert {e.detail for e in does("asking")} == {"nofs"}
    assert {e.detail for e in does("scoped")} == {"noio"}


def test_a_file_more_than_may_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "MAX_HELPER_FILES", 1)
    found = Helpers(MemorySource(TREE))
    assert {e.kind for e in does("direct", found)} == {"lock"}
    (cut,) = found.cuts
    assert (cut.what, cut.most) == ("files with functions that the change calls", 1)


def test_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = does("direct")

    def never(*_: object) -> Program:
        raise AssertionError("read again")

    monkeypatch.setattr(helpers, "_read", never)
    assert does("direct") == effects
