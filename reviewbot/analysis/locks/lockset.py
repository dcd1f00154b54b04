"""Locks through calls: what every function leaves taken or dropped, callees first, and what is held at each call.

Only what all paths of a return class agree on goes on to callers: everything else would cascade. Locks that one task
takes and another gives back (throttles) are never part of it, nor a function's own stack.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from reviewbot.analysis.callgraph.agenda import Agenda
from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.pointer_flow import runs, visited
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import ANY, MINUS, PLUS, ZERO, bare, sign
from reviewbot.analysis.code.lines import sets
from reviewbot.analysis.code.memo import Before, Given, MemoTable
from reviewbot.analysis.events.kinds import Held
from reviewbot.analysis.locks.flow import walk
from reviewbot.analysis.locks.lockset_summary import (
    EMPTY,
    NOTHING,
    At,
    LockSummary,
    Under,
    at_call,
    left_by,
    locks_of,
    net,
    off_with,
    with_names,
)
from reviewbot.analysis.locks.plan import LockDelta, LockToken, PreparedCfg, context_of, masks, scoped
from reviewbot.analysis.locks.results import allocated, result
from reviewbot.analysis.locks.task_flags import called
from reviewbot.csource.ir import AddressOf, Call, Expr, Name
from reviewbot.function_key import FunctionKey, file_of, is_function
from reviewbot.kernel import KERNEL, LockCall
from reviewbot.limits import MAX_CALLS_OF_CONSTANT, MAX_CALLS_OF_RECORDS


class Locksets:
    """Lock records of all functions of a program, made when asked for."""

    def __init__(
        self, callgraph: CallGraph, before: Locksets | None = None, dirty: Collection[FunctionKey] = ()
    ) -> None:
        """`before`: the locks of a program that differs in the functions `dirty` (keys) and in what they change."""
        self.callgraph = callgraph
        self.records: MemoTable[LockSummary] = MemoTable()
        self.choices: dict[FunctionKey, tuple[tuple[str, str], ...]] = {}
        """Function that takes (or drops) one of several locks of an object -> these locks and their classes."""
        self.alternatives: dict[str, str] = {}
        """Lock -> the lock that it is another face of."""
        self.faces: dict[str, str] = {}
        """Lock with several faces -> their classes joined by `/`."""
        self.redone: set[FunctionKey] = set()
        """Functions whose record had to be made again."""
        self._plans: dict[FunctionKey, PreparedCfg] = {}
        self._busy: set[FunctionKey] = set()
        self._deciding: dict[tuple[FunctionKey, str, int, int], bool] = {}
        self._guessed: dict[FunctionKey, set[FunctionKey]] = {}
        """Function that was asked for while its record was being made -> who asked."""
        self._choose(before, dirty)
        if before is None:
            self._order()
        elif before.alternatives != self.alternatives:  # locks have other names, and nobody tells where
            self._order()
            self.redone.update(key for key in callgraph.points_to if is_function(key))
        else:
            self._again(before, dirty)

    @classmethod
    def restored(
        cls,
        callgraph: CallGraph,
        records: Before[LockSummary],
        choices: Mapping[FunctionKey, tuple[tuple[str, str], ...]],
    ) -> Locksets:
        """The locks of a program that were found out before."""
        locksets = cls.__new__(cls)
        locksets.callgraph = callgraph
        locksets.records, locksets.choices = MemoTable(records), dict(choices)
        locksets.alternatives, locksets.faces = {}, {}
        locksets._deciding = {}
        locksets.redone, locksets._plans, locksets._busy, locksets._guessed = set(), {}, set(), {}
        locksets._unify()
        return locksets

    def _choose(self, before: Locksets | None, dirty: Collection[FunctionKey]) -> None:
        """Two locks of one object, of which a function takes (or drops) one or the other: one lock with two faces."""
        if before is None:
            todo: Collection[FunctionKey] = [key for key in self.callgraph.points_to if is_function(key)]
        else:
            todo = [key for key in dirty if key in self.callgraph.points_to]
            self.choices = {k: c for k, c in before.choices.items() if k in self.callgraph.points_to and k not in dirty}
        for key in todo:
            if not self.callgraph.names.functions[key].unreadable and self._chooses(key):
                paths = walk(self.plan(key), {}, correlate=False)
                self._plans.pop(key)
                if found := _faces({held for states in paths.exits.values() for held in locks_of(states)}):
                    self.choices[key] = found
        self._unify()

    def _unify(self) -> None:
        """Give the locks that are faces of one another one name."""
        for _, choice in sorted(self.choices.items()):
            one = min((lock for lock, _ in choice), key=lambda lock: (len(lock), lock))
            self.alternatives.update(dict.fromkeys((lock for lock, _ in choice), one))
            classes = {*self.faces.get(one, "").split("/"), *(klass for _, klass in choice)} - {""}
            self.faces[one] = "/".join(sorted(classes))

    def _chooses(self, key: FunctionKey) -> bool:
        """Whether the function only takes or only drops locks, and more than one."""
        does = [
            (effect.does, effect.group.klass)
            for call in self.callgraph.body(key).calls
            for effect in KERNEL.effects.get(call.callee, ())
            if isinstance(effect, LockCall) and not effect.group.object
        ]
        return len(set(does)) > 1 and {d for d, _ in does} in ({"acquire"}, {"release"})

    def _order(self) -> None:
        for component in self.callgraph.order:
            self._component(component)

    def _component(self, component: Collection[FunctionKey]) -> None:
        """The records of functions that call one another. The first time some have to be asked for while they are being
        made, and say nothing: who rests on what one of these then turns out to do is looked at a second time."""
        guessed = self._guessed = {}
        again: set[FunctionKey] = set()
        for key in component:
            if not self._same(key):
                again |= self.callgraph.callers.get(key, set())
        again |= {
            asker
            for key, asked in guessed.items()
            if self.record(key)._replace(result=ANY).outward != EMPTY.outward  # results are not asked for in a cycle
            for asker in asked
        }
        for key in component if again else ():
            if key in again and not self._same(key):
                again |= self.callgraph.callers.get(key, set())
        for key in component:
            self._plans.pop(key, None)

    def _same(self, key: FunctionKey) -> bool:
        """Make the record of a function again; whether its callers see what they saw before, had they asked."""
        before = self.records.of(key).pop((), None)
        self._plans.pop(key, None)
        now = self.record(key)
        return before is None or before.outward == now.outward

    def _again(self, before: Locksets, dirty: Collection[FunctionKey]) -> None:
        """Make the records of the dirty functions again, and of their callers as far as something changes for them."""
        callgraph, had = self.callgraph, before.records
        self.records = MemoTable(lambda key: had.of(key) if key in callgraph.points_to else {})

        def alike(key: FunctionKey) -> bool:
            were = had.of(key)
            return bool(were) and all(self.record(key, given).outward == r.outward for given, r in were.items())

        agenda = Agenda(callgraph, dirty)
        for group, members in agenda:
            for key in members:
                self.records.forget(key)
            self.redone.update(members)
            if all(map(alike, members)):
                continue  # the others of its cycle see what they saw before
            for key in group:
                self.records.forget(key)
            self.redone.update(group)
            self._component(group)
            changed = [key for key in group if not alike(key)]
            agenda.add(c for key in changed for c in callgraph.callers.get(key, ()) if c not in group)
        self._plans.clear()

    # --- one function

    def record(self, key: FunctionKey, given: Given = ()) -> LockSummary:
        """Locks of a function, as called with these constants."""
        found = self.records.get(key, given)
        if found is None:
            function = self.callgraph.names.functions.get(key)
            if function is None or function.unreadable or key in self._busy or len(self._busy) > MAX_CALLS_OF_RECORDS:
                return EMPTY
            self._busy.add(key)
            try:
                found = self._record(key, given)
                self.records.put(key, given, found)
            finally:
                self._busy.discard(key)
        return found

    def plan(self, key: FunctionKey) -> PreparedCfg:
        """The function made ready for walking."""
        found = self._plans.get(key)
        if found is None:
            body = self.callgraph.body(key)
            found = self._plans[key] = PreparedCfg(
                body,
                lambda call: self.outcome(body, call),
                lambda call: self._interesting(body, call),
                lambda call: self._result(body, call),
            )
        return found

    def _interesting(self, body: Body, call: Call) -> bool:
        if call.callee and call.callee not in body.locals:
            known = call.callee in KERNEL.effects or call.callee in KERNEL.sleepers or gfp.lets_wait(call)
            return known or self.callgraph.names.function(call.callee, body.file) is not None
        return True

    def _record(self, key: FunctionKey, given: Given) -> LockSummary:
        plan = self.plan(key)
        if plan.plain:
            visits = any(call.callee in KERNEL.holds for call in plan.body.calls)
            signs = result(plan)
            if not visits and signs == ANY:
                return EMPTY
            return EMPTY._replace(under=self._under(key, {}) if visits else (), result=signs)
        coarse = walk(plan, dict(given), correlate=False)
        paths = coarse
        if not coarse.agreed():
            fine = walk(plan, dict(given), correlate=True)
            if not fine.cut:
                paths = fine
        at = {
            index: at_call(paths.at.get(index, set()), coarse.at.get(index, set()))
            for index in plan.wanted
            if paths.at.get(index)
        }
        left = left_by(paths.exits)
        changes = () if paths.cut else net(left)
        left = with_names(left)
        somewhere = [h for states in (*paths.at.values(), *paths.exits.values()) for h in locks_of(states)]
        moves = any(x.takes for x in left) or any(not t.mine for held in somewhere for t in held)
        escapes: tuple[LockDelta, ...] = ()
        if paths.escapes:
            escapes = net(left_by(paths.escapes), keep=True)
        return LockSummary(at, left, changes, moves, escapes, paths.cut, self._under(key, at), result(plan))

    def _under(self, key: FunctionKey, at: Mapping[int, At]) -> tuple[Under, ...]:
        """The calls of a function with what is held there."""
        body = self.callgraph.body(key)
        out: dict[Under, None] = {}
        for number, call in enumerate(body.calls):
            here = at.get(number, NOTHING)
            held, off = here.held, here.off
            if call.callee and call.callee not in body.locals:
                names = self.callgraph.names
                name: str | None = visited(names, body, call)
                if name is None:
                    name = names.function(call.callee, body.file)
                elif holds := KERNEL.holds.get(call.callee):
                    over = tuple(Held(*lock) for lock in holds)
                    held, off = tuple(sorted({*held, *over})), tuple(sorted({*off, *off_with(over)}))
            else:
                name = self.callgraph.through(key, call)
            for run in runs(body, call):
                out[Under(run.node, here.held, here.dropped, here.off, here.on)] = None
            if name is not None:
                out[Under(name, held, here.dropped, off, here.on)] = None
        return tuple(out)

    # --- calls

    def _result(self, body: Body, call: Call) -> int:
        """The signs of what a call returns; ANY for one through a pointer, into a cycle of calls, or into a header, which
        has what there is with an option off."""
        if not call.callee or call.callee in body.locals:
            return ANY
        if (signs := allocated(call)) != ANY:
            return signs
        target = self.callgraph.names.function(call.callee, body.file)
        if target is None or file_of(target).endswith(".h") or target in self.callgraph.group(body.key):
            return ANY
        return self.record(target).result

    def outcome(self, body: Body, call: Call) -> tuple[tuple[LockDelta, ...], tuple[LockDelta, ...]]:
        """What a call does to locks: from the kernel's API, else from the callee's own record; and how it escapes."""
        if not call.callee or call.callee in body.locals:
            return (), ()
        if (known := self._known_outcome(body, call)) is not None:
            return known, ()
        targets = self.callgraph.reached(body.key, call)
        if len(targets) != 1:
            return (), ()
        (target,) = targets
        if target in self._busy or len(self._busy) > MAX_CALLS_OF_RECORDS:
            self._guessed.setdefault(target, set()).add(body.key)
        record = self.record(target)
        if record.moves and (given := self.given(body, call, target)):
            record = self.record(target, given)
        if not record.changes and not record.escapes:
            return (), ()
        arguments = self.arguments(body, call)
        changes = tuple(_bound_change(x, *arguments) for x in record.changes)
        escapes = tuple(_bound_change(x, *arguments) for x in record.escapes)
        return changes if any(c.drops or c.takes for c in changes) else (), escapes

    def _known_outcome(self, body: Body, call: Call) -> tuple[LockDelta, ...] | None:
        """What the kernel's data says that a call does to locks; None where the body has to say it."""
        if (scopes := called(call)) is not None:
            return (scoped(scopes),) if any(scopes) else ()
        for effect in KERNEL.effects.get(call.callee, ()):
            if isinstance(effect, LockCall):
                return self._api(body, call, effect)
        return () if call.callee in KERNEL.cuts else None

    def lock_of(self, body: Body, call: Call, effect: LockCall) -> str:
        """Identity of the lock that a lock call is about."""
        group = effect.group
        if group.argument is None:
            return group.object
        if group.argument >= len(call.args):
            return objects.UNKNOWN
        if group.field:
            return group.field
        identity = body.identity(call.args[group.argument])
        return self.alternatives.get(identity, identity)

    def _api(self, body: Body, call: Call, effect: LockCall) -> tuple[LockDelta, ...]:
        group = effect.group
        if effect.does == "transient" or (group.unless and sets(body, group.unless)):
            return ()
        lock = self.lock_of(body, call, effect)
        tokens = masks(group.irq, KERNEL.atomic(group.klass))
        if not lock.startswith(objects.UNKNOWN):
            base = body.base(call.args[group.argument]) if group.argument is not None else ""
            tokens = (LockToken(lock, group.mode, self.faces.get(lock, group.klass), base), *tokens)
        if not tokens:
            return ()
        took, not_took = LockDelta(PLUS, (), tokens), LockDelta(ZERO, (), ())
        if effect.does == "release":
            return (LockDelta(ANY, tokens, ()),)
        if effect.does == "downgrade":
            return (LockDelta(ANY, tokens, tuple(token._replace(mode="r") for token in tokens)),)
        if effect.does == "try":
            return (took, not_took)
        if effect.does == "killable":
            context = context_of(call, effect, sure=True)
            if context is not None and sign(context) == ZERO:
                return (LockDelta(ZERO, (), tokens),)
            return (LockDelta(ZERO, (), tokens), LockDelta(MINUS | PLUS, (), ()))
        if effect.does == "pointer":
            return (LockDelta(ZERO | PLUS, (), tokens), LockDelta(MINUS, (), ()))
        return (LockDelta(ANY, (), tokens),)

    def arguments(self, body: Body, call: Call) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Identities, struct types and instances of the arguments of a call."""
        return (
            tuple(body.identity(a) for a in call.args),
            tuple(body.type(a).name or _untyped(body, a) for a in call.args),
            tuple(body.base(a) for a in call.args),
        )

    def given(
        self, body: Body, call: Call, target: FunctionKey, known: Mapping[str, int] = MappingProxyType({})
    ) -> Given:
        """Constants that the call hands to parameters which the callee tests and never sets; those that the caller was
        handed itself are `known`."""
        callee = self.callgraph.body(target)
        out = []
        for parameter, arg in zip(callee.function.parameters, call.args, strict=False):
            signs = _signs(body, bare(arg), known)
            if signs != ANY and not isinstance(bare(arg), AddressOf) and parameter.name not in callee.values:
                out.append((parameter.name, signs))
        return tuple(sorted(out))

    def decided(self, body: Body, call: Call, target: FunctionKey, known: Mapping[str, int]) -> Given:
        """What a call says of the parameters that decide which of its calls the callee makes: constants, addresses (they
        are not NULL), and what is `known` of the caller's own parameters that it hands on."""
        out = []
        for parameter, arg in zip(self.callgraph.names.functions[target].parameters, call.args, strict=False):
            signs = _signs(body, bare(arg), known)
            if signs != ANY and self._rules_out(target, parameter.name, signs):
                out.append((parameter.name, signs))
        return tuple(sorted(out))

    def _rules_out(self, key: FunctionKey, name: str, signs: int, deep: int = MAX_CALLS_OF_CONSTANT) -> bool:
        """Whether a function makes some call that matters only where a parameter, which it never sets, has other signs
        than these, or takes a lock in another way; it, or one that it hands the parameter on to, so many calls deep."""
        found = self._deciding.get((key, name, signs, deep))
        if found is None:
            self._deciding[key, name, signs, deep] = False  # should it call itself
            body = self.callgraph.body(key)
            found = name not in body.values and (
                (signs == ZERO and name in self.plan(key).contexts)
                or not self.plan(key).wanted.isdisjoint(self.plan(key).unreached({name: signs}))
                or (deep > 0 and any(self._rules_out(*to, signs, deep - 1) for to in self._handed_on(body, name)))
            )
            self._deciding[key, name, signs, deep] = found
        return found

    def _handed_on(self, body: Body, name: str) -> Iterator[tuple[FunctionKey, str]]:
        """Functions, with the parameter, that a function hands one of its own on to."""
        for call in body.calls:
            for position, arg in enumerate(call.args):
                if isinstance(e := bare(arg), Name) and e.name == name and call.callee not in body.locals:
                    target = self.callgraph.names.function(call.callee, body.file)
                    if target is not None and position < len(self.callgraph.names.functions[target].parameters):
                        yield target, self.callgraph.names.functions[target].parameters[position].name


def _signs(body: Body, value: Expr, known: Mapping[str, int]) -> int:
    """The signs of an argument: of a constant, or of a parameter of which something is known and that is never set."""
    if isinstance(value, Name) and value.name not in body.values:
        return sign(value) & known.get(value.name, ANY)
    return sign(value)


def _untyped(body: Body, arg: object) -> str:
    e = bare(arg)  # type: ignore[arg-type]
    if isinstance(e, Name) and body.function.macro and e.name in body.parameters:
        return f"@{body.parameters[e.name]}"
    return ""


def _bound_change(change: LockDelta, ids: tuple[str, ...], types: tuple[str, ...], bases: tuple[str, ...]) -> LockDelta:
    drops = tuple(t for x in change.drops if (t := _bound(x, ids, types, bases)))
    takes = tuple(t for x in change.takes if (t := _bound(x, ids, types, bases)))
    return LockDelta(change.signs, drops, takes)


def _bound(token: LockToken, ids: tuple[str, ...], types: tuple[str, ...], bases: tuple[str, ...]) -> LockToken | None:
    lock = objects.bind(token.lock, ids, types)
    if lock.startswith(objects.UNKNOWN):
        return None
    base = objects.bind(token.base, bases, ()) if "$" in token.base else token.base
    return token._replace(lock=lock, base=base)


def _faces(ends: set[tuple[LockToken, ...]]) -> tuple[tuple[str, str], ...]:
    """The locks of one object, with their classes, of which each way through a function leaves another one."""
    if len(ends) < 2 or any(len(held) != 1 for held in ends) or len({held[0].mine for held in ends}) != 1:
        return ()
    found = {held[0].lock: held[0].klass for held in ends}
    owners = {objects.owner(lock) for lock in found}
    return tuple(sorted(found.items())) if len(found) > 1 and len(owners) == 1 and owners != {""} else ()
