"""Programs that are led on from one kept on disk say the same as those that are made anew."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import ref

import pytest

from reviewbot.analysis.events.kinds import Write
from reviewbot.analysis.program import programs
from reviewbot.detect.providers import providers
from reviewbot.gittree.source import MemorySource

SHARED = b"struct shared { struct mutex lock; int count; };\nvoid ready(struct shared *s);\n"
USER = b"""#include "shared.h"
static void helper(struct shared *s)
{
	mutex_lock(&s->lock);
	s->count++;
	mutex_unlock(&s->lock);
}
void ready(struct shared *s)
{
	helper(s);
}
"""
OTHER = b'#include "shared.h"\nvoid other(struct shared *s)\n{\n\tready(s);\n}\n'
FILES = {"drivers/a/shared.h": SHARED, "drivers/a/user.c": USER, "drivers/a/other.c": OTHER}


@pytest.fixture(autouse=True)
def _nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(programs, "MAX_MEGABYTES_WITH_PROGRAMS", 1 << 20)  # however large this process has become
    programs.forget()
    yield
    programs.forget()


def test_a_declaration_that_functions_of_other_files_mention() -> None:
    """These are looked at again while the step is made: their bodies have to be at hand by then."""
    programs.find(MemorySource(FILES), ("drivers/a/other.c",))
    programs.forget()
    changed = MemorySource(FILES | {"drivers/a/shared.h": SHARED.replace(b"int count", b"long count")})
    led_on = programs.find(changed, ("drivers/a/other.c",))
    anew = programs.make(changed, {p: changed.blob(p) or "" for p in FILES})
    key = "drivers/a/user.c:helper"
    assert led_on.steps == 1
    assert led_on.own_facts(key) == anew.own_facts(key)
    assert anew.own_facts(key)


def test_only_what_changed_is_looked_at_again() -> None:
    """Though the text before is gone, and all functions below stand on other lines than before."""
    longer = USER.replace(b"\ts->count++;\n", b"\ts->count++;\n\ts->count++;\n")
    programs.find(MemorySource(FILES), ("drivers/a/user.c",))
    programs.forget()
    led_on = programs.find(MemorySource(FILES | {"drivers/a/user.c": longer}), ("drivers/a/user.c",))
    assert led_on.steps == 1
    assert led_on.dirty == {"drivers/a/user.c:helper"}
    assert led_on.function("drivers/a/user.c:ready").line == 9


def test_another_release_has_worlds_of_its_own() -> None:
    one, two = (MemorySource(FILES | {"Makefile": b"VERSION = %d\n" % n}) for n in (6, 7))
    first = programs.find(one, ("drivers/a/user.c",))
    assert programs.find(two, ("drivers/a/user.c",)) is not first
    assert programs.find(one, ("drivers/a/user.c",)) is first


def test_what_is_not_used_any_more_is_let_go_of() -> None:
    program = programs.find(MemorySource(FILES), ("drivers/a/user.c",))
    assert providers(program).takers
    gone = ref(program)
    del program
    for folder in ("b", "c"):
        programs.find(MemorySource({f"drivers/{folder}/x.c": OTHER}), (f"drivers/{folder}/x.c",))
    assert gone() is None


def test_what_is_new_below_a_caller_is_among_its_effects() -> None:
    """The callee has not been looked at before, so nobody knows its effects until they are asked for."""
    before = MemorySource({p: text for p, text in FILES.items() if not p.endswith("user.c")})
    first = programs.make(before, {p: before.blob(p) or "" for p in ("drivers/a/shared.h", "drivers/a/other.c")})
    assert not first.effects.all()["drivers/a/other.c:other"]
    after = MemorySource(FILES)
    led_on = programs.evolved(first, after, {"drivers/a/user.c": after.blob("drivers/a/user.c")})
    assert {e.kind for e in led_on.does("drivers/a/other.c:other")} == {"lock"}


STACK = """
static void deep(struct dev *d) { d->count = 1; }
static void shallow(struct dev *d, int wait) { %s }
static void tick(struct timer_list *t) { %s }
static void work(struct work_struct *ws) { deep(0); }
static void start(struct dev *d) { timer_setup(&d->timer, tick, 0); %s }
"""
PLAIN = ("if (wait) deep(d);", "shallow(0, 1);", "INIT_WORK(&d->work, work);")


@pytest.mark.parametrize(
    "now",
    [
        ("if (!wait) deep(d);", *PLAIN[1:]),
        ("mutex_lock(&d->lock); deep(d);", *PLAIN[1:]),
        ("d->count = 2;", *PLAIN[1:]),
        (PLAIN[0], "shallow(0, 0);", PLAIN[2]),
        (PLAIN[0], "deep(0);", PLAIN[2]),
        (PLAIN[0], "shallow(0, 1); deep(0);", PLAIN[2]),
        (PLAIN[0], "int zero = 0; shallow(0, zero);", PLAIN[2]),
        (*PLAIN[:2], ""),
        (*PLAIN[:2], PLAIN[2] + " d->count = 3;"),
    ],
)
def test_contexts_of_a_world_that_is_led_on_are_those_of_a_new_one(now: tuple[str, str, str]) -> None:
    before, after = (MemorySource({"drivers/a/x.c": (STACK % parts).encode()}) for parts in (PLAIN, now))
    programs.find(before, ("drivers/a/x.c",))
    programs.forget()  # what is asked for now comes from the disk
    led_on = programs.find(after, ("drivers/a/x.c",))
    anew = programs.make(after, {"drivers/a/x.c": after.blob("drivers/a/x.c") or ""})
    assert led_on.steps == 1
    assert led_on.contexts.all() == anew.contexts.all()
    assert {e.context for e in programs.find(before, ("drivers/a/x.c",)).entered("drivers/a/x.c:deep")} == {
        "softirq",
        "work",
    }


def test_a_chain_is_believed_as_long_as_its_functions_are_what_they_were() -> None:
    """What is kept on disk says that a timer gets to deep(); a step later it does not, and then one more calls deep()."""
    other = ("if (!wait) deep(d);", *PLAIN[1:])
    more = (*other[:2], PLAIN[2] + " deep(d);")
    path = "drivers/chain/x.c"  # a folder of its own on the disk
    kept, second, third = (MemorySource({path: (STACK % parts).encode()}) for parts in (PLAIN, other, more))
    programs.find(kept, (path,))
    programs.forget()
    program = programs.find(second, (path,))
    led_on = programs.evolved(program, third, {path: third.blob(path)})
    anew = programs.make(third, {path: third.blob(path) or ""})
    assert led_on.steps == 2
    assert led_on.entered(f"{path}:deep") == anew.entered(f"{path}:deep")
    assert {e.context for e in anew.entered(f"{path}:deep")} == {"work"}


def test_a_member_is_known_to_those_who_include_its_header() -> None:
    """The word alone stands in the functions of other files, too, where it is something else."""
    own = b'#include "own.h"\nvoid put(struct own *o)\n{\n\to->count = 1;\n}\n'
    near = b'#include "own.h"\n'
    files = FILES | {"drivers/a/own.h": b"struct own { int count; };\n", "drivers/a/x.h": near, "drivers/a/x.c": own}
    files["drivers/a/y.c"] = b'#include "../a/x.h"\nint got(struct own *o)\n{\n\treturn o->count;\n}\n'
    programs.find(MemorySource(files), ("drivers/a/x.c",))
    programs.forget()
    longer = {"drivers/a/own.h": b"struct own { long count; };\n"}
    led_on = programs.find(MemorySource(files | longer), ("drivers/a/x.c",))
    assert led_on.dirty == {"drivers/a/x.c:put", "drivers/a/y.c:got"}


# --- who may be asked

TINY = b"""static inline void tiny(struct shared *s)
{
	mutex_lock(&s->lock);
	mutex_unlock(&s->lock);
}
"""
CALLS_TINY = b'#include "shared.h"\nvoid first(struct shared *s)\n{\n\ttiny(s);\n}\n'


def test_a_header_that_another_file_brings_is_known_to_all_who_use_it() -> None:
    """A function calls what no header at hand has; then a file comes that includes the header."""
    files = {"drivers/a/shared.h": SHARED, "drivers/a/first.c": CALLS_TINY, "include/linux/tiny.h": TINY}
    brings = b"#include <linux/tiny.h>\nint more;\n"
    before, after = MemorySource(files), MemorySource(files | {"drivers/a/brings.c": brings})
    caller, key = "drivers/a/first.c:first", "include/linux/tiny.h:tiny"
    first = programs.make(before, {p: before.blob(p) or "" for p in files if not p.startswith("include/")})
    assert first.callees(caller) == ()
    led_on = programs.evolved(first, after, {"drivers/a/brings.c": after.blob("drivers/a/brings.c")})
    anew = programs.make(after, {p: after.blob(p) or "" for p in (*files, "drivers/a/brings.c")})
    assert led_on.own_facts(key) == anew.own_facts(key)
    assert led_on.callees(caller) == anew.callees(caller) == (key,)
    assert {e.kind for e in led_on.does(caller)} == {"lock"}


def test_a_header_of_a_file_from_elsewhere_is_known_to_those_it_is_read_for() -> None:
    """And to their callers; all others call what is not at hand, as before, but what the file itself defines."""
    users = b"""#include "shared.h"
void more(struct shared *s);
static void touched(struct shared *s) { tiny(s); more(s); }
static void above(struct shared *s) { touched(s); tiny(s); }
static void apart(struct shared *s) { tiny(s); }
static void calls(struct shared *s) { more(s); }
"""
    brings = b"#include <linux/tiny.h>\nvoid more(struct shared *s)\n{\n\tmutex_lock(&s->lock);\n\tmutex_unlock(&s->lock);\n}\n"
    files = {
        "drivers/a/shared.h": SHARED,
        "drivers/a/users.c": users,
        "include/linux/tiny.h": TINY,
        "fs/brings.c": brings,
    }
    source, paths = MemorySource(files), ("drivers/a/users.c",)
    program = programs.reaching(source, paths, ("fs/brings.c",), ["drivers/a/users.c:touched"])
    header, elsewhere = "include/linux/tiny.h:tiny", "fs/brings.c:more"
    assert {*program.callees("drivers/a/users.c:touched")} == {header, elsewhere}
    assert header in program.callees("drivers/a/users.c:above")
    assert program.callees("drivers/a/users.c:apart") == ()
    assert program.callees("drivers/a/users.c:calls") == (elsewhere,)


def test_a_file_that_one_side_lacks_has_no_functions_there() -> None:
    """What the change reaches beyond its folders is brought in on both sides; a new file is on one of them only."""
    before = MemorySource(FILES)
    program = programs.reaching(before, ("drivers/new/n.c", "drivers/new/n.h"), ("drivers/a/user.c",))
    assert program.whole == {"drivers/a/user.c"}
    assert [*program.functions("drivers/new/n.c")] == []
    assert program.own_facts("drivers/a/user.c:helper")
    assert programs.evolved(program, before, {}, ("drivers/new/n.c",)) is program
    after = MemorySource(FILES | {"drivers/new/n.c": OTHER, "drivers/new/n.h": b""})
    led_on = programs.reaching(after, ("drivers/new/n.c", "drivers/new/n.h"), ("drivers/a/user.c",))
    assert {"drivers/a/user.c", "drivers/new/n.c", "drivers/new/n.h"} == led_on.whole
    assert {e.kind for e in led_on.does("drivers/new/n.c:other")} == {"lock"}


@pytest.mark.parametrize(
    "user",
    [
        "static void set(struct o *o) { INIT_WORK(&o->work, tiny); }",
        "static void set(struct o *o) { o->call(tiny); }",
        "static void set(struct o *o) { call_rcu(&o->head, tiny); }",
        'static void set(struct o *o) { o->thread = kthread_run(tiny, o, "t"); }',
        "static void set(struct o *o) { }",
    ],
    ids=["work", "through a pointer", "rcu", "thread", "nobody"],
)
def test_an_inline_function_is_known_however_it_is_used(user: str) -> None:
    files = {"drivers/a/u.c": f"#include <linux/tiny.h>\n{user}\n".encode(), "include/linux/tiny.h": TINY}
    source, key = MemorySource(files), "include/linux/tiny.h:tiny"
    program = programs.make(source, {"drivers/a/u.c": source.blob("drivers/a/u.c") or ""})
    assert [type(fact).__name__ for fact in program.own_facts(key)] == ["Lock", "Unlock"]
    assert {e.kind for e in program.does(key)} == {"lock"}
    assert program.entry(key)
    assert (key in program.callgraph.points_to) == ("{ }" not in user)


def test_of_a_function_that_is_not_there_nothing_is_known() -> None:
    """It may be one of the other side of a change."""
    source = MemorySource(FILES)
    program = programs.make(source, {p: source.blob(p) or "" for p in FILES})
    key = "drivers/a/user.c:of_the_other_side"
    assert not program.own_facts(key)
    assert not program.does(key)
    assert not program.entry(key)
    assert not program.surely_held(key)
    assert not program.may_leave(key)
    assert not program.entered(key)
    assert not program.callees(key)
    assert not program.callgraph.callees_of(key)
    assert not program.callgraph.names_it(key, "drivers/a/user.c:helper")


def test_a_file_with_nothing_but_tables_lets_go_of_what_is_gone() -> None:
    table = b'#include "shared.h"\nstruct user_ops { void (*run)(struct shared *s); };\n'
    table += b"const struct user_ops user_ops = { .run = ready };\n"
    files = FILES | {"drivers/a/table.c": table}
    before = MemorySource(files)
    after = MemorySource(files | {"drivers/a/user.c": USER.replace(b"void ready", b"void steady")})
    first = programs.make(before, {p: before.blob(p) or "" for p in files})
    assert first.callgraph.targets["user_ops.run"] == {"drivers/a/user.c:ready"}
    led_on = programs.evolved(first, after, {"drivers/a/user.c": after.blob("drivers/a/user.c")})
    assert not led_on.callgraph.targets.get("user_ops.run")


@pytest.mark.parametrize(("most", "kept"), [(1 << 20, True), (0, False)])
def test_a_large_process_lets_go_of_the_programs_of_other_folders(
    monkeypatch: pytest.MonkeyPatch, most: int, kept: bool
) -> None:
    monkeypatch.setattr(programs, "MAX_MEGABYTES_WITH_PROGRAMS", most)
    source = MemorySource(FILES | {"fs/b/own.c": OTHER})
    first = ref(programs.find(source, ("drivers/a/user.c",)))
    second = ref(programs.find(source, ("fs/b/own.c",)))
    assert (first() is not None) == kept
    assert second() is not None
    assert programs.find(source, ("fs/b/own.c",)) is second()


def test_who_has_a_lock_of_two_faces_knows_when_one_of_them_is_gone() -> None:
    """The lock has another name then, also for functions whose text is the same."""
    path = "drivers/a/faces.c"
    text = """
struct pier { int kind; spinlock_t fast; struct mutex mutex; int ships; };
static void take(struct pier *p) { if (p->kind) mutex_lock(&p->mutex); else spin_lock(&p->fast); }
static void give(struct pier *p) { if (p->kind) mutex_unlock(&p->mutex); else spin_unlock(&p->fast); }
static void sail(struct pier *p) { take(p); p->ships--; give(p); }
"""
    one = text.replace("if (p->kind) mutex_lock(&p->mutex); else ", "").replace(
        "if (p->kind) mutex_unlock(&p->mutex); else ", ""
    )
    before, after = (MemorySource({path: t.encode()}) for t in (text, one))
    first = programs.make(before, {path: before.blob(path) or ""})
    (was,) = {h for f in first.own_facts(f"{path}:sail") if isinstance(f, Write) for h in f.held}
    assert was.klass == "mutex/spin"
    led_on = programs.evolved(first, after, {path: after.blob(path)})
    assert {(h.lock, h.klass) for f in led_on.own_facts(f"{path}:sail") if isinstance(f, Write) for h in f.held} == {
        ("pier.fast", "spin")
    }
