"""Small programs for tests: C in memory, read the way a tree is read."""

from __future__ import annotations

from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower

HEAD = """
struct mutex { int x; };
struct spinlock { int x; };
typedef struct spinlock spinlock_t;
struct dev { struct mutex lock; spinlock_t fast; struct mutex other; int flag; int count; };
"""


def program(text: str, path: str = "drivers/md/small.c", **more: str) -> Program:
    """The program of one file, and of others by path."""
    files = {path: HEAD + text, **more}
    return Program.of_units({name: lower(content.encode()) for name, content in files.items()})


def facts(text: str) -> Facts:
    """All facts of one file."""
    return program(text).facts()


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """What a change takes away and adds, as phrases."""
    old, new = facts(before), facts(after)
    return [f.says() for f in old - new], [f.says() for f in new - old]
