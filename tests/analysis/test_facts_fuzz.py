"""Nonsense, mutated C and torn files: facts end, stay bounded, and say nothing of a function that cannot be read."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.analysis.events.kinds import Held, Site
from reviewbot.analysis.program.program import Program
from reviewbot.bench.case import load
from reviewbot.csource.lower import lower

WORDS = """mutex_lock(&d->lock); mutex_unlock(&d->lock); spin_lock_irqsave(&d->fast,f); kmalloc(8,GFP_NOIO); if(d->flag)
spin_unlock_irqrestore(&d->fast,f); if(!mutex_trylock(&d->lock)) else return; return-1; goto out; out: again: goto again;
while(d->count) wait_event(d->q,!d->count); wake_up(&d->q); queue_work(d->wq,&d->work); f(d); INIT_WORK(&d->work,g);
d->flag=0; d=d->next; g(d); d->ops->run(d); TAKE(d); switch(d->flag){ case 1: break; continue; guard(mutex)(&d->lock);
scoped_guard(mutex,&d->lock) flush_work(&d->work); bio_endio(b); submit_bio(b); { } ( ) ; , * & -> = "s" x"""
PIECES = (*WORDS.split(), "\n#ifdef A\n", "\n#endif\n")
HEAD = """struct mutex { int x; };
struct dev { struct mutex lock; spinlock_t fast; int flag, count; struct dev *next; struct dev_ops *ops;
\tstruct workqueue_struct *wq; struct work_struct work; wait_queue_head_t q; };
#define TAKE(d) do { if (!mutex_trylock(&(d)->lock)) goto out; } while (0)
"""
PROGRAM = st.lists(st.lists(st.sampled_from(PIECES), max_size=25), min_size=1, max_size=4)
TEXTS = st.sampled_from([text.encode() for case in load() for path, text in case.files if path.endswith(".c")])
REAL = ("drivers/md/dm-snap.c", "block/blk-throttle.c", "mm/backing-dev.c")


def sound(text: bytes) -> None:
    """All questions that the rules ask of every function have an answer, and none of an unreadable one."""
    program = Program.of_units({"drivers/md/fuzz.c": lower(text)})
    for fact in program.facts():
        assert len(str(fact)) < 5000
    for key in program.functions():
        facts = program.own_facts(key)
        assert not (facts and program.function(key).unreadable)
        assert len(program.does(key)) < 2000
        program.entry(key)
        program.entered(key)
        for fact in facts:
            if isinstance(fact, Site):
                assert all(isinstance(held, Held) and held.count < 10 for held in fact.held)
    program.served()


@settings(max_examples=150, deadline=None)
@given(PROGRAM)
def test_generated_functions(functions: list[list[str]]) -> None:
    bodies = [
        f"void {name}(struct dev *d)\n{{\n{' '.join(f)}\n}}\n" for name, f in zip("fghi", functions, strict=False)
    ]
    sound((HEAD + "".join(bodies)).encode())


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_mutated_files_of_the_corpus(text: bytes, data: st.DataObject) -> None:
    lines = text.split(b"\n")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(lines) - 1))
        what = data.draw(st.sampled_from(("drop", "twice", "swap", "cut")))
        other = data.draw(st.integers(0, len(lines) - 1))
        if what == "drop" and len(lines) > 1:
            del lines[at]
        elif what == "twice":
            lines.insert(at, lines[other % len(lines)])
        elif what == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = lines[at][: len(lines[at]) // 2]
    sound(b"\n".join(lines))


@pytest.mark.parametrize("path", REAL)
def test_truncated_and_shuffled_real_files(kernel_tree: Callable[..., Path], path: str) -> None:
    text = (kernel_tree("6.12", small=True) / path).read_bytes()[:40_000]
    chance = random.Random(path)
    sound(text[: chance.randrange(len(text))])
    lines = text.splitlines(keepends=True)
    chance.shuffle(lines)
    sound(b"".join(lines))


def test_memory_is_bounded_where_conditions_multiply() -> None:
    steps = "".join(f"if (d->a{n}) mutex_lock(&d->l{n});\nif (x{n}) d = d->next;\n" for n in range(60))
    tracemalloc.start()
    sound(f"{HEAD}void f(struct dev *d)\n{{\n{steps}g(d);\n}}\nvoid g(struct dev *d)\n{{\nf(d->next);\n}}\n".encode())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_a_function_that_cannot_be_read_is_unknown() -> None:
    broken = HEAD + "void f(struct dev *d)\n{\nmutex_lock(&d->lock);\nif ( { ] ) }\n}\n"
    program = Program.of_units({"drivers/md/fuzz.c": lower(broken.encode())})
    (key,) = program.named("f")
    assert program.function(key).unreadable
    assert program.own_facts(key) == ()
    assert not program.does(key)
