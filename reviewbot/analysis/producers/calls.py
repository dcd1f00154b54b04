"""Calls of functions whose bodies are at hand, I/O that is started, functions that are put into slots."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewbot.analysis.callgraph.pointer_flow import is_slot
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.events.kinds import CallTo, Fact, Slot, Submit
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import AddressOf, Call, Field
from reviewbot.function_key import name_of
from reviewbot.kernel import schema


def facts(view: View) -> Iterator[Fact]:
    """CallTo, Submit and Slot facts of one function."""
    for made, effect in view.having(schema.SubmitGroup):
        yield Submit(**view.site(made), waits=effect.waits)
    for made in view.made:
        call = made.call
        if call.callee and call.callee not in view.body.locals:
            if made.effects:
                continue
            key = view.callgraph.names.function(call.callee, view.body.file)
            if key is not None and not view.body.names.file[key].endswith(".h"):
                yield CallTo(**view.site(made), callee=call.callee, constants=_constants(view, call))
        else:
            node = view.callgraph.through(view.key, call)
            if node is None:
                continue
            targets = tuple(name_of(t) for t in view.callgraph.reached(view.key, call))
            through = node if is_slot(node) else f"${node.rpartition('#')[2]}"
            yield CallTo(**view.site(made), through=through, targets=targets, constants=_constants(view, call))
    for placed in view.callgraph.wiring(view.key).placed:
        handler = name_of(placed.handler)
        yield Slot(function=view.name, at=view.place(placed.line), slot=placed.slot, handler=handler)


_CONSTANT = re.compile(r"-?\d+|true|false|NULL|-?[A-Z_][A-Z0-9_]*(?: \| [A-Z_][A-Z0-9_]*)*")


def _constants(view: View, call: Call) -> tuple[str, ...]:
    """Arguments that are numbers, truth values or macros, with their positions."""
    texts = ((i, show(arg)) for i, arg in enumerate(call.args) if not isinstance(arg, Field | AddressOf))
    return tuple(f"{i}={text}" for i, text in texts if _CONSTANT.fullmatch(text))
