"""In which contexts a function runs, each with the call chain that gets there.

A context comes from an operations table, a work item, a thread, a timer or a callback, and goes on through calls, not
through what is queued. A call through a slot that has a context of its own stands for that context: nothing goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.facts.kinds import Context, Fact
from reviewbot.facts.link import Links
from reviewbot.types import Place


class Entered(NamedTuple):
    """One context of a function: its name, the work item or thread, and the chain of keys from the root."""

    context: str
    runner: str
    slot: str
    chain: tuple[str, ...]


class Contexts:
    """Contexts of the functions of a program, found when asked for; `same` are those of one with the same calls."""

    def __init__(self, links: Links, same: Contexts | None = None) -> None:
        self.links = links
        self._found: dict[str, tuple[Entered, ...]] = same._found if same is not None else {}
        self._rooted = {key for key, roots in links.roots.items() if any(r.context not in ("init",) for r in roots)}

    def of(self, key: str) -> tuple[Entered, ...]:
        """The contexts of a function, the shortest chain for each (context, runner)."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._search(key))
        return found

    def _search(self, key: str) -> Iterator[Entered]:
        onward: dict[str, str] = {key: ""}
        todo = deque([key])
        seen: set[tuple[str, str]] = set()
        while todo:
            at = todo.popleft()
            for root in sorted(self.links.roots.get(at, ())):
                if (root.context, root.runner) not in seen:
                    seen.add((root.context, root.runner))
                    chain = [at]
                    while onward[chain[-1]]:
                        chain.append(onward[chain[-1]])
                    yield Entered(root.context, root.runner, root.slot, tuple(chain))
            for caller in sorted(self.links.callers.get(at, ())):
                if caller not in onward and self._hands_on(caller, at):
                    onward[caller] = at
                    todo.append(caller)

    def _hands_on(self, caller: str, callee: str) -> bool:
        """Whether the caller's context is the callee's too: not when it is reached through a slot with a context."""
        if callee not in self._rooted:
            return True
        return self.links.names_it(caller, callee)

    def facts(self, key: str) -> Iterator[Fact]:
        """Context facts of one function."""
        names = self.links.names
        function = names.functions[key]
        for e in self.of(key):
            yield Context(
                function=function.name,
                at=Place(names.file[key], function.line, function.name),
                context=e.context,
                runner=e.runner,
                chain=tuple(names.functions[k].name for k in e.chain),
            )
