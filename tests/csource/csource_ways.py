"""What the tests of csource share: the ways through a function as text, and nonsense made of pieces of C."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from reviewbot.csource.ir import Function, TranslationUnit
from reviewbot.csource.lower import lower
from reviewbot.csource.show import event, expression

PIECES = """{ } ( ) [ ] ; , : ? = * & -> . ... " ' /* */ // # \\ if else for while do switch case default return goto
break continue struct union enum int unsigned long void static #if #ifdef #else #endif #elif #define #include STATIC
__init __free(x) __must_hold(&l) typeof(x) offsetof( list_for_each_entry( scoped_guard( guard(mutex)(&x) DEFINE_MUTEX(
SHOW( SYSCALL_DEFINE2( DECLARE_BITMAP( struct_group( DEFINE_PER_CPU( EXPORT_SYMBOL( CLOSURE_CALLBACK( do_each_x(
DEFINE_GUARD( while_each_x( asm volatile( a b c x l f 0 1 "s" 'c' ({ }) ({ ; }) == || && ! ++ KERN_INFO __stringify(
CLASS(a, b)("""
TOKENS = st.sampled_from((*PIECES.split(), "\n", "\n", "\n#if 0\n", "\n#endif\n", " ", "void f(void)\n{\n", "\n}\n"))
SOUP = st.lists(TOKENS, max_size=120).map(lambda parts: " ".join(parts).encode())


def unit(code: str) -> TranslationUnit:
    return lower(code.encode())


def function(body: str, *, before: str = "") -> Function:
    found = unit(f"{before}\nvoid f(struct s *s, int n)\n{{\n{body}\n}}\n").functions
    (made,) = [f for f in found if f.name == "f"]
    assert not made.unreadable
    return made


def walk(made: Function, number: int = 0, seen: tuple[int, ...] = ()) -> Iterator[list[str]]:
    """All ways from a block that enter no block twice: events, and `[condition]` where a way was chosen."""
    block = made.blocks[number]
    here = [event(happens) for happens in block.events]
    if not block.edges:
        yield here
    for edge in block.edges:
        choice = [] if edge.when is None else [f"[{'' if edge.taken else '!'}{expression(edge.when)}]"]
        if edge.to in seen or edge.to == number:
            yield [*here, *choice, "again"]
        else:
            for rest in walk(made, edge.to, (*seen, number)):
                yield [*here, *choice, *rest]


def ways(body: str, **more: str) -> set[str]:
    return {" ".join(way) for way in walk(function(body, **more))}
