"""Scopes over allocations: by their calls, and by the flags of the task alike."""

from __future__ import annotations

import pytest
from small import changed, program

FILE = "drivers/md/small.c"
HEAD = "struct task_struct { unsigned flags; }; extern struct task_struct *current;\n"


def classes(text: str, name: str = "f") -> set[str]:
    """Classes of the memory that a function asks for, callees included."""
    found = program(HEAD + text)
    return {e.detail for e in found.does(f"{FILE}:{name}") if e.kind == "memory"}


@pytest.mark.parametrize(
    ("enter", "leave", "klass"),
    [
        ("current->flags |= PF_MEMALLOC_NOIO;", "current->flags &= ~PF_MEMALLOC_NOIO;", "noio"),
        ("current->flags |= PF_LOCAL_THROTTLE | PF_MEMALLOC_NOFS;", "current->flags = old;", "nofs"),
        ("current->flags |= PF_MEMALLOC;", "current_restore_flags(old, PF_MEMALLOC);", "atomic"),
        (
            "current->flags |= PF_MEMALLOC_NOIO;",
            "current->flags = (current->flags & ~PF_MEMALLOC_NOIO) | (old & PF_MEMALLOC_NOIO);",
            "noio",
        ),
        ("old = memalloc_flags_save(PF_MEMALLOC_NOFS);", "memalloc_flags_restore(old);", "nofs"),
        ("old = memalloc_noio_save();", "memalloc_noio_restore(old);", "noio"),
    ],
)
def test_flags_of_the_task_are_scopes(enter: str, leave: str, klass: str) -> None:
    text = "static void g(void) {{ kmalloc(8, GFP_KERNEL); }} void f(void) {{ unsigned old = current->flags; {} }}"
    assert classes(text.format(f"{enter} g(); {leave}")) == {klass}
    assert classes(text.format(f"{enter} {leave} g();")) == {"full"}


def test_flags_of_another_task_and_other_flags_are_none() -> None:
    text = "void f(struct task_struct *t) {{ {} kmalloc(8, GFP_KERNEL); }}"
    assert classes(text.format("t->flags |= PF_MEMALLOC_NOIO;")) == {"full"}
    assert classes(text.format("current->flags |= PF_LOCAL_THROTTLE;")) == {"full"}


def test_a_scope_by_flags_that_goes_is_a_fact_that_goes() -> None:
    text = "void f(void) {{ {} kmalloc(8, GFP_KERNEL); current->flags &= ~PF_MEMALLOC_NOIO; }}"
    enter = "current->flags |= PF_MEMALLOC_NOIO;"
    gone, come = changed(HEAD + text.format(enter), HEAD + text.format(""))
    assert any(phrase.startswith("acquire scope noio (current->flags)") for phrase in gone)
    assert not any("acquire scope" in phrase for phrase in come)
