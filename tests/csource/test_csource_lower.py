"""What a file says beside its functions' bodies, and that no file is too odd to be read."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from checking import at_most
from csource_ways import SOUP, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.csource import show
from reviewbot.csource.ir import AddressOf, Assign, CallEvent, Const, Name, TableEntry, TranslationUnit, Type, Variable
from reviewbot.csource.lower import lower
from reviewbot.csource.show import expression
from reviewbot.limits import MAX_FILE_BYTES


def variables(code: str) -> dict[str, tuple[str, int, bool]]:
    return {v.name: (v.type.name, v.type.pointers, v.static) for v in unit(code).variables}


def test_functions_with_their_words() -> None:
    found = unit("""
static noinline int __init f(struct a *x, unsigned long n, char name[8], void (*done)(int), int)
	__must_hold(&x->lock)
{
}
struct b *
g(void)
	__acquires(&lock) __releases(x->list[0])
{
}
STATIC inline void h(void) { }
""").functions
    f, g, h = found
    assert [(p.name, p.type) for p in f.parameters] == [
        ("x", Type("a", 1)),
        ("n", Type("unsigned long")),
        ("name", Type("char", 1)),
        ("done", Type("void", function=True)),
        ("", Type("int")),
    ]
    assert (f.static, f.line, f.end, f.result) == (True, 2, 5, Type("int"))
    assert set(f.attributes) == {"noinline", "__init"}
    assert f.annotations == (("must_hold", "&x->lock"),)
    assert (g.result, g.line, g.static) == (Type("b", 1), 6, False)
    assert g.annotations == (("acquires", "&lock"), ("releases", "x->list[0]"))
    assert (h.static, h.attributes) == (True, ("inline",))


def test_functions_that_macros_make() -> None:
    found = unit("""
SYSCALL_DEFINE2(dup, int, a, struct b __user *, p)
{
	return 0;
}
SYSCALL_DEFINE0(fork)
{
	return 0;
}
static CLOSURE_CALLBACK(write_done)
{
	a();
}
SHOW(stats)
{
	b();
}
EXPORT_SYMBOL(x)
OTHER_MAKER(some, thing)
{
	c();
}
""").functions
    assert [f.name for f in found] == ["sys_dup", "sys_fork", "write_done", "stats_show", "some"]
    assert [(p.name, p.type) for p in found[0].parameters] == [("a", Type("int")), ("p", Type("b", 1))]
    assert not any(f.unreadable for f in found)


def test_the_longer_of_two_versions_stays() -> None:
    (f,) = unit("#ifdef A\nvoid f(void) { a(); b(); }\n#else\nvoid f(void) { c(); }\n#endif\n").functions
    assert [e.call.callee for b in f.blocks for e in b.events if isinstance(e, CallEvent)] == ["a", "b"]
    assert "#if" in f.attributes


def test_structs() -> None:
    (inner, q, s) = unit("""
struct s {
	struct mutex lock;
	union {
		int a;
		struct list_head *b;
	};
	struct { u8 c; } in[3];
	struct q { int d; } q;
	int (*fn)(struct s *, int);
	void *(*fn2)(int);
	unsigned int bits : 3, more : 2;
	DECLARE_BITMAP(map, 8);
#ifdef CONFIG_A
	struct_group(g, long e;);
#endif
} __packed;
""").structs
    assert (inner.name, q.name, s.name) == ("s.in", "q", "s")
    assert {m.name: m.type for m in s.members} == {
        "lock": Type("mutex"),
        "a": Type("int"),
        "b": Type("list_head", 1),
        "in": Type("s.in", array=True),
        "q": Type("q"),
        "fn": Type("int", function=True),
        "fn2": Type("void", 1, function=True),
        "bits": Type("unsigned int"),
        "more": Type("unsigned int"),
        "map": Type("unsigned long"),
        "e": Type("long"),
    }


def test_typedefs_prototypes_enums_includes_and_constants() -> None:
    found = unit("""
#include <linux/mutex.h>
#include "a.h"
#define LIMIT	16	/* of them */
#define LONGER	(LIMIT * \\
2)
typedef struct { int x; } pair_t;
typedef int (*fn_t)(void);
extern int f(struct a *x, int), *g(void);
enum e { ONE, TWO = 2 };
""")
    assert found.includes == ("linux/mutex.h", "a.h")
    assert found.defines == (("LIMIT", "16"), ("LONGER", "(LIMIT * 2)"))
    assert found.typedefs == (("pair_t", Type("pair_t")), ("fn_t", Type("int", function=True)))
    assert [(name, result, len(p)) for name, result, p in found.prototypes] == [
        ("f", Type("int"), 2),
        ("g", Type("int", 1), 0),
    ]
    assert found.enums == (("ONE", "0"), ("TWO", "(2)"))


def test_variables_at_file_scope() -> None:
    assert variables("""
static DEFINE_MUTEX(a);
DEFINE_SPINLOCK(b);
static struct workqueue_struct *c;
static DECLARE_WORK(d, d_fn);
DEFINE_PER_CPU(struct list_head, e);
int g = 3, *h;
extern struct x y;
static DECLARE_WAIT_QUEUE_HEAD(i);
LIST_HEAD(j)
""") == {
        "a": ("mutex", 0, True),
        "b": ("spinlock_t", 0, False),
        "c": ("workqueue_struct", 1, True),
        "d": ("work_struct", 0, True),
        "e": ("list_head", 0, False),
        "g": ("int", 0, False),
        "h": ("int", 1, False),
        "y": ("x", 0, False),
        "i": ("wait_queue_head_t", 0, True),
        "j": ("list_head", 0, False),
    }
    (g,) = unit("int g = 3;").variables
    assert g.init == Const("3")


def test_calls_at_file_scope_and_exports() -> None:
    found = unit('static DECLARE_WORK(w, fn);\nmodule_init(start)\nEXPORT_SYMBOL_GPL(f);\nMODULE_LICENSE("GPL");\n')
    calls = [(c.callee, tuple(map(expression, c.args)), c.line) for c in found.calls_at_file_scope]
    assert calls == [
        ("DECLARE_WORK", ("w", "fn"), 1),
        ("module_init", ("start",), 2),
        ("EXPORT_SYMBOL_GPL", ("f",), 3),
        ("MODULE_LICENSE", ('"GPL"',), 4),
    ]
    assert found.exports == ("f",)


def slots(code: str) -> list[tuple[str, str, str, str]]:
    return [(s.type, s.variable, s.field, expression(s.value)) for s in unit(code).slots]


def test_tables() -> None:
    assert slots("static struct ops o = { .map = f, .in = { .done = &g, .n = 3 }, .a.b = h };") == [
        ("ops", "o", "map", "f"),
        ("ops", "o", "in.done", "&g"),
        ("ops", "o", "in.n", "3"),
        ("ops", "o", "a.b", "h"),
    ]
    assert slots("struct op t[] = { { .f = a }, [3] = { .f = b }, { 1, c, { d } } };") == [
        ("op", "t", "f", "a"),
        ("op", "t", "f", "b"),
        ("op", "t", "#1", "c"),
        ("op", "t", "#2.#0", "d"),
    ]
    assert slots("static int (*t[])(int) = { [A] = f, g };") == [("int", "t", "", "f"), ("int", "t", "", "g")]
    assert slots("void f(void) { static const struct ops o = { .x = g }; }") == [("ops", "o", "x", "g")]
    assert slots("struct ops o = {\n#ifdef A\n .x = g,\n#endif\n .y = h };") == [
        ("ops", "o", "x", "g"),
        ("ops", "o", "y", "h"),
    ]
    assert TableEntry("ops", "o", "in.done", AddressOf(Name("g")), 1) in unit("struct ops o = { .in.done = &g };").slots


def test_local_tables_and_static_locals() -> None:
    (f,) = unit("void f(void)\n{\n\tstatic DEFINE_MUTEX(m);\n\tDECLARE_COMPLETION_ONSTACK(c);\n}\n").functions
    assert [(v.name, v.type.name) for v in f.locals] == [("m", "mutex"), ("c", "completion")]
    assert [v.static for v in f.locals] == [True, False]


# --- anything can be read --------------------------------------------------------------------------------------------


def sound(found: TranslationUnit) -> None:
    """Blocks lead to blocks, texts are bounded, the printer prints, and the disk's form is the same."""
    for f in found.functions:
        assert all(0 <= edge.to < len(f.blocks) for block in f.blocks for edge in block.edges)
        assert "\n".join(show.function(f))
        calls = [e.call for b in f.blocks for e in b.events if isinstance(e, CallEvent)]
        assert all(len(call.text) <= 200 for call in calls)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=TranslationUnit) == found


@settings(max_examples=300, deadline=None)
@given(SOUP)
def test_nonsense(source: bytes) -> None:
    sound(lower(source))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(source: bytes) -> None:
    sound(lower(b"void f(void)\n{\n" + source + b"\n}\n"))


@pytest.mark.parametrize(
    "piece", ["(", "{", "if (x) ", "a(", "x = ", "-", "x ? ", "x + ", "x && f() && ", "else if (x) "]
)
def test_long_and_deep_text(piece: str) -> None:
    with at_most(60):
        sound(lower(b"void f(void)\n{\n\t" + piece.encode() * 20_000 + b"x;\n}\nvoid g(void)\n{\n\ta();\n}\n"))


def test_a_huge_file_is_not_read() -> None:
    assert lower(b"/* */ int a;" * (MAX_FILE_BYTES // 12 + 1)) == TranslationUnit(errors=1)


def test_an_unreadable_function_says_so_and_its_neighbours_are_read() -> None:
    found = {
        f.name: f
        for f in unit("void a(void) { x(); }\nvoid b(void) { if (x { y(); }\n}\nvoid c(void) { z(); }\n").functions
    }
    assert not found["a"].unreadable
    assert "b" not in found or found["b"].unreadable
    assert not found["c"].unreadable


REAL = ("drivers/md/dm-crypt.c", "drivers/md/raid5.c", "block/blk-mq.c", "drivers/block/loop.c")


def real(kernel_tree: Callable[..., Path], path: str) -> bytes:
    import subprocess

    tree = kernel_tree("6.12", small=True)
    shown = subprocess.run(["git", "-C", str(tree), "show", f"HEAD:{path}"], capture_output=True, check=False)
    if shown.returncode:
        pytest.skip(f"no {path} in {tree.name}")
    return shown.stdout


@pytest.mark.parametrize("path", REAL)
def test_truncated_and_shuffled_real_files(kernel_tree: Callable[..., Path], path: str) -> None:
    source = real(kernel_tree, path)[:60_000]
    chance = random.Random(path)
    lines = source.splitlines(keepends=True)
    for _ in range(3):
        sound(lower(source[: chance.randrange(len(source))]))
        at = chance.randrange(len(source))
        sound(lower(source[:at] + source[at + chance.randrange(40) :]))
        chance.shuffle(lines)
        sound(lower(b"".join(lines)))


@pytest.mark.parametrize("path", REAL)
def test_real_files_are_read_whole(kernel_tree: Callable[..., Path], path: str) -> None:
    found = lower(real(kernel_tree, path))
    sound(found)
    assert len(found.functions) > 50
    assert not [f.name for f in found.functions if f.unreadable and not f.macro]
    assert any(isinstance(e, Assign) for f in found.functions for b in f.blocks for e in b.events)
    assert all(isinstance(v, Variable) for v in found.variables)


def test_a_function_that_an_error_nearby_swallows_is_read_by_itself() -> None:
    text = "void a(void)\n{\n\tif (x) {\n\t\tp(;\n}\n\nstatic int b(int n)\n{\n\treturn c(n);\n}\n"
    found = {f.name: f for f in lower(text.encode()).functions}
    assert (found["b"].line, found["b"].end, found["b"].unreadable) == (7, 10, False)
    assert [e.call.line for block in found["b"].blocks for e in block.events if isinstance(e, CallEvent)] == [9]


def test_a_local_of_an_inferred_type_says_so() -> None:
    (made,) = lower(b"void f(struct a *p) { const auto go = p->go; __auto_type n = p->n; go(n); }").functions
    assert [(v.name, v.type.name) for v in made.locals] == [("go", "auto"), ("n", "auto")]
    assert not made.unreadable
