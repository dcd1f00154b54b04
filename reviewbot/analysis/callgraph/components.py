"""What can be reached in a graph of calls, and its strongly connected components."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def below(keys: Iterable[T], onward: Callable[[T], Collection[T]]) -> set[T]:
    """`keys` and everything that can be reached from them by `onward`."""
    found = set(keys)
    todo = list(found)
    while todo:
        for more in onward(todo.pop()):
            if more not in found:
                found.add(more)
                todo.append(more)
    return found


def components(onward: Callable[[T], Collection[T]], roots: Iterable[T]) -> Iterator[list[T]]:
    """The strongly connected components that the roots reach, by Tarjan's algorithm: each after those that it reaches
    (callees first)."""
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    on_stack: set[T] = set()
    for root in roots:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(onward(root)))]
        while work:
            at, rest = work[-1]
            for callee in rest:
                if callee not in index:
                    index[callee] = low[callee] = len(index)
                    stack.append(callee)
                    on_stack.add(callee)
                    work.append((callee, iter(onward(callee))))
                    break
                if callee in on_stack:
                    low[at] = min(low[at], index[callee])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == at:
                            break
                    yield component
