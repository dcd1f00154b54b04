"""Who calls whom: what a table of operations reaches."""

from __future__ import annotations

from reviewbot.analysis.code.library import Sources
from reviewbot.analysis.events.kinds import Slot
from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower

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
