"""Who calls whom: what a table of operations reaches."""

from __future__ import annotations

import pytest

from reviewbot.analysis.code.library import Sources
from reviewbot.analysis.events.kinds import Slot
from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.limits import MAX_LINES_OF_STUB

TABLE = """
struct a_ops { int (*revalidate)(int flags); };
static const struct a_ops ops = { .revalidate = a_revalidate };
"""
HEADER = """
static inline int a_flags(void)
{
	return 0;
}

static inline int a_revalidate(int flags)
{
	return a_flags();
}

static inline int a_unused(void)
{
	return 1;
}
"""


def test_a_table_reaches_a_function_of_a_header() -> None:
    units = {"fs/a.c": lower(TABLE.encode()), "fs/ops.h": lower(HEADER.encode())}
    program = Program(Sources.of_units(units), ["fs/a.c"])
    assert set(program.functions()) == {"fs/ops.h:a_flags", "fs/ops.h:a_revalidate"}
    assert program.callees("fs/ops.h:a_revalidate") == ("fs/ops.h:a_flags",)
    assert program.own_facts("fs/ops.h:a_revalidate") == ()


def test_values_without_names_go_into_members_by_their_place() -> None:
    text = """
typedef int (*show_fn)(void *data);
struct attr { const char *name; int mode; show_fn show; };
static int state_show(void *data) { return 0; }
static const struct attr attrs[] = { { "state", 0400, state_show }, };
static void (*exits[])(void) = { state_show };
static int any_show(struct attr *attr) { return attr->show(0); }
"""
    program = Program.of_units({"fs/a.c": lower(text.encode())})
    assert [f.says() for f in program.facts()[Slot]] == ["attr.show is state_show"]
    assert program.callees("fs/a.c:any_show") == ("fs/a.c:state_show",)


@pytest.mark.parametrize(("lines", "stub"), [(MAX_LINES_OF_STUB, True), (MAX_LINES_OF_STUB + 1, False)])
def test_a_stub_is_short(lines: int, stub: bool) -> None:
    body = "\n".join(["static inline void quill_dip(struct quill *q)", "{", *["q->wet++;"] * (lines - 3), "}"])
    header = f"void quill_dip(struct quill *q);\n{body}\n"
    names = Program.of_units({"include/linux/quill.h": lower(header.encode())}).names
    assert (names.function("quill_dip", "drivers/quill/write.c") is None) == stub


def test_a_function_that_is_declared_before_it_is_defined_is_no_stub() -> None:
    head = "static inline void quill_dip(struct quill *q)"
    header = f"{head};\n{head}\n{{ mutex_lock(&q->lock); }}\n"
    names = Program.of_units({"include/linux/quill.h": lower(header.encode())}).names
    assert names.function("quill_dip", "drivers/quill/write.c") == "include/linux/quill.h:quill_dip"


def test_a_stub_of_a_header_is_not_the_function_that_an_option_takes_away() -> None:
    header = """
    #ifdef CONFIG_QUILL
    void quill_dip(struct quill *q);
    #else
    static inline void quill_dip(struct quill *q) { }
    #endif
    static inline void quill_wipe(struct quill *q) { q->wet = 0; }
    """
    user = "void quill_write(struct quill *q) { quill_dip(q); quill_wipe(q); }"
    units = {"include/linux/quill.h": lower(header.encode()), "drivers/quill/write.c": lower(user.encode())}
    names = Program.of_units(units).names
    assert names.function("quill_dip", "drivers/quill/write.c") is None
    assert names.function("quill_wipe", "drivers/quill/write.c") == "include/linux/quill.h:quill_wipe"
    units["drivers/quill/dip.c"] = lower(b"void quill_dip(struct quill *q) { mutex_lock(&q->lock); }")
    names = Program.of_units(units).names
    assert names.function("quill_dip", "drivers/quill/write.c") == "drivers/quill/dip.c:quill_dip"
