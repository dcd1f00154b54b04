"""The paths of one function: which locks are held at each call, and with what a return leaves its caller.

A path is what is held (or dropped of the caller's) and what is known of values. Values that are followed: results that
decide whether a lock was taken, locals set to constants, and, when paths are correlated, every condition that is tested
more than once while nothing is assigned to what it stands on. Each (block, path) is visited once; where a block sees
too many paths the values are forgotten first, and then the function is `cut`: nothing is said of what it leaves held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reviewbot.analysis.code.expr import ANY, PLUS, ZERO, bare, show, sign, test
from reviewbot.analysis.locks.plan import Held, LockDelta, LockToken, PreparedCfg, Values, choices, depends
from reviewbot.csource.ir import Assign, Block, Call, CallEvent, Expr, Jump, OpExpr
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_PATHS_OF_BLOCK

VOID = 8
"""Class of a return without value; the others are the signs ZERO, MINUS and PLUS."""


Path = tuple[Held, Values]


class Paths:
    """Result of walking a function: what was held at each call, and at each kind of return."""

    def __init__(self) -> None:
        self.at: dict[int, set[Held]] = {}
        """Index of the call in the function -> what was held (or dropped) there, path by path."""
        self.exits: dict[int, set[Held]] = {}
        """Signs of the returned value (VOID without) -> what the paths leave."""
        self.escapes: dict[int, set[Held]] = {}
        """The same for returns inside of a macro: they leave the function that uses it."""
        self.cut = False

    def agreed(self) -> bool:
        """Whether all paths agree everywhere."""
        return all(len(x) == 1 for x in self.at.values()) and len({h for x in self.exits.values() for h in x}) <= 1


def walk(plan: PreparedCfg, given: Mapping[str, int], correlate: bool) -> Paths:
    """All paths of a function. `given`: parameter name -> signs of its value, for a call with constants."""
    result = Paths()
    if plan.plain or not plan.blocks:
        return result
    keys = plan.followed(correlate, given, deciding=True)
    live = plan.live(keys)
    start: Path = ((), frozenset(given.items()))
    seen: list[set[Path]] = [set() for _ in plan.blocks]
    todo: list[tuple[int, Path]] = [(0, start)]
    while todo:
        index, (held, values) = todo.pop()
        values = frozenset(v for v in values if v[0] in live[index])
        here = seen[index]
        if len(here) >= MAX_PATHS_OF_BLOCK:
            values = frozenset()
            if len(here) >= 2 * MAX_PATHS_OF_BLOCK:
                result.cut = True
                continue
        path = (held, values)
        if path in here:
            continue
        here.add(path)
        block = plan.blocks[index]
        for after in _through(plan, block, path, keys, result):
            todo.extend(onward(plan, block, after))
    return result


def onward(plan: PreparedCfg, block: Block, path: Path) -> Iterator[tuple[int, Path]]:
    """The paths that go on from the end of a block: (number of the next block, path). What an edge tests narrows the
    signs of the value; a path that contradicts what is known of it is left out."""
    held, values = path
    known = dict(values)
    for to, key, signs, possible in plan.leads(block):
        if not key:
            yield to, path
            continue
        had = known.get(key)
        now = (possible if had is None else had) & signs
        if not now:
            continue
        if now != ANY and now != had:
            yield to, (held, frozenset({**known, key: now}.items()))
        else:
            yield to, path


def _through(plan: PreparedCfg, block: Block, start: Path, keys: frozenset[str], result: Paths) -> list[Path]:
    """The paths at the end of a block; none when it does not end."""
    paths = [start]
    for event in block.events:
        if isinstance(event, CallEvent):
            index = plan.number[id(event)]
            if index in plan.wanted:
                result.at.setdefault(index, set()).update(held for held, _ in paths)
            if event.call.callee in KERNEL.noreturn:
                return []
            paths = _past(plan, event.call, index, paths, keys, result)
        elif isinstance(event, Assign):
            if (scopes := plan.scopes.get(id(event))) is not None:
                paths = [(_changed(held, scopes), values) for held, values in paths]
            if keys:
                paths = [assign(plan, event, path, keys) for path in paths]
        elif isinstance(event, Jump):
            return []
        else:
            _ends(paths, event.value, result.escapes if plan.body.function.macro else result.exits)
            return []
    if not block.edges:
        _ends(paths, plan.body.function.value, result.exits)
    return paths


def _past(
    plan: PreparedCfg, call: Call, index: int, paths: list[Path], keys: frozenset[str], result: Paths
) -> list[Path]:
    """The paths after the call with a number; keeps what is held where the callee leaves the function by itself."""
    for escape in plan.escapes.get(index, ()):
        for held, _ in paths:
            result.exits.setdefault(escape.signs, set()).add(_changed(held, escape))
    changes = plan.changes.get(index)
    if changes is not None:
        found: list[Path] = []
        for path in paths:
            sure = index in plan.certain and dict(path[1]).get(plan.certain[index]) == ZERO
            found += _call(plan, call, changes[:1] if sure else changes, path, keys)
        return found
    return [forget_addressed(plan, call, path) for path in paths] if keys else paths


def _ends(paths: list[Path], value: Expr | None, exits: dict[int, set[Held]]) -> None:
    """Keeps what is held where paths return a value, by its signs."""
    for held, values in paths:
        exits.setdefault(returned(value, dict(values)), set()).add(held)


def returned(value: Expr | None, known: dict[str, int]) -> int:
    """The signs that a returned value can have, from what is known of values on this path; VOID without one."""
    if value is None:
        return VOID
    t = test(value)
    if t.key in known and (known[t.key] & t.yes) != known[t.key]:
        # `return !x`, `return x == 0`: a truth value that depends on x
        plain = bare(value)
        if show(plain) != t.key:
            yes, no = known[t.key] & t.yes, known[t.key] & t.no
            return (PLUS if yes else 0) | (ZERO if no else 0)
    plain = bare(value)
    if show(plain) == t.key and t.key in known:
        return known[t.key] & sign(plain) or known[t.key]
    if t.key in known and isinstance(plain, OpExpr):
        return (PLUS if known[t.key] & t.yes else 0) | (ZERO if known[t.key] & t.no else 0)
    if isinstance(plain, OpExpr) and plain.op == "?:" and len(plain.args) == 3:
        t = test(plain.args[0])
        if t.key in known:
            yes = known[t.key] & t.yes
            no = known[t.key] & t.no
            return (returned(plain.args[1], known) if yes else 0) | (returned(plain.args[2], known) if no else 0)
    return sign(plain)


def _call(
    plan: PreparedCfg, call: Call, changes: tuple[LockDelta, ...], path: Path, keys: frozenset[str]
) -> list[Path]:
    key = plan.text(call)
    held, values = forget_addressed(plan, call, path)
    values = frozenset(v for v in values if v[0] != key)
    out = []
    for change in changes:
        now = tuple(t for t in _changed(held, change) if t.mine or t.lock not in plan.own)
        known = values | {(key, change.signs)} if depends(changes) and key in keys else values
        out.append((now, known))
    return list(dict.fromkeys(out))


def _changed(held: Held, change: LockDelta) -> Held:
    for token in change.drops:
        held = release(held, token)
    for token in change.takes:
        held = acquire(held, token)
    return held


def acquire(held: Held, token: LockToken) -> Held:
    """What is held after a lock was taken: a caller's lock that had been dropped is back, else one more. What the caller
    had for write, and is taken for read, is not back: it is held otherwise."""
    for given in held:
        if not given.mine and given.lock == token.lock and (given.mode, token.mode) != ("w", "r"):
            return tuple(x for x in held if x is not given)
    if token.klass in KERNEL.latches and any(x.lock == token.lock and x.base == token.base for x in held):
        return held
    if sum(1 for x in held if x.lock == token.lock and x.mine) >= 2:
        return held
    return tuple(sorted((*held, token)))


def release(held: Held, token: LockToken) -> Held:
    """What is held after a lock was given back: the same instance if there is one, else one of the same class."""
    mine = [x for x in held if x.mine and x.lock == token.lock]
    if token.klass in KERNEL.latches:
        mine = [x for x in mine if x.base == token.base]
        if not mine and not token.base.startswith("$"):
            return held
    for match in (
        lambda x: x.base == token.base and x.mode == token.mode,
        lambda x: x.mode == token.mode,
        lambda x: True,
    ):
        for x in mine:
            if match(x):
                rest = list(held)
                rest.remove(x)
                return tuple(rest)
    dropped = token._replace(mine=False)
    return held if dropped in held else tuple(sorted((*held, dropped)))


def forget_addressed(plan: PreparedCfg, call: Call, path: Path) -> Path:
    """A local whose address is handed to a call may have any value afterwards."""
    held, values = path
    if not values:
        return path
    lost = plan.handed(call)
    if not lost:
        return path
    return held, frozenset(v for v in values if not plan.words(v[0]) & lost)


def _known(plan: PreparedCfg, value: Expr, known: dict[str, int]) -> int | None:
    """Signs of a value that is being assigned, where they are followed."""
    if isinstance(value, OpExpr) and value.op == "?:" and len(value.args) == 3:
        t = plan.test(value.args[0])
        signs = known.get(t.key, sign(t.value))
        if not signs & t.no:
            return _known(plan, bare(value.args[1]), known)
        if not signs & t.yes:
            return _known(plan, bare(value.args[2]), known)
        found = [s for choice in choices(value) if (s := _known(plan, choice, known)) is not None]
        return found[0] if len(found) == 1 else None
    return known.get(plan.text(value))


def assign(plan: PreparedCfg, event: Assign, path: Path, keys: frozenset[str]) -> Path:
    """A path after an assignment: what stood on the old value is forgotten; what is known of the new one is kept where
    it is followed (`keys`)."""
    held, values = path
    left, name, right, plain, signs = plan.store(event)
    if left not in keys:
        if not values:
            return path
        if name:
            return held, frozenset(v for v in values if name not in plan.words(v[0]))
        return held, frozenset(v for v in values if left not in v[0])
    known = dict(values)
    source = _known(plan, right, known) if plain and known else None
    kept = {k: v for k, v in known.items() if (name not in plan.words(k) if name else left not in k)}
    if source is not None:
        signs = source
    if signs != ANY:
        kept[left] = signs
    return held, frozenset(kept.items())
