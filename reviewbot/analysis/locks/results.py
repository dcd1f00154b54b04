"""The signs of what a function returns: so that its caller's paths for a failure that cannot be are left out.

Only the values that are returned are followed, through locals and tests of them; a caller asks by `LockSummary.result`.
"""

from __future__ import annotations

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.expr import ANY, PLUS, bare, parts
from reviewbot.analysis.locks.flow import VOID, assign, forget_addressed, onward, returned
from reviewbot.analysis.locks.plan import PreparedCfg, Values, choices
from reviewbot.csource.ir import Assign, Call, CallEvent, Expr, Jump, Name, Return
from reviewbot.kernel import KERNEL, PoolCall, schema
from reviewbot.limits import MAX_PATHS_OF_BLOCK

_NEVER_FAILS = frozenset(KERNEL.words["gfp_nofail"])


def allocated(call: Call) -> int:
    """The signs of what a call of the kernel's returns, as its mask tells: with __GFP_NOFAIL, and from a reserve by who may
    wait for it, memory is always had (mm/mempool.c, include/linux/gfp_types.h); ANY for all other calls."""
    for effect in KERNEL.effects.get(call.callee, ()):
        if isinstance(effect, schema.AllocateGroup):
            mask = call.args[effect.gfp] if effect.gfp is not None and effect.gfp < len(call.args) else None
            if mask is not None and any(isinstance(part, Name) and part.name in _NEVER_FAILS for part in parts(mask)):
                return PLUS
        elif isinstance(effect, PoolCall) and effect.does == "take" and gfp.lets_wait(call):
            return PLUS
    return ANY


def result(plan: PreparedCfg) -> int:
    """The signs that a function's returned value can have; ANY where nothing is known of it, or it returns none."""
    values = [event.value for block in plan.blocks for event in block.events if isinstance(event, Return)]
    told = [value for value in values if value is not None and _told(plan, value)]
    if plan.body.function.value is not None or not values or len(told) < len(values):
        return ANY
    keys = _followed(plan, told)
    live = plan.live(keys)
    seen: list[set[Values]] = [set() for _ in plan.blocks]
    todo: list[tuple[int, Values]] = [(0, frozenset())]
    found = 0
    while todo and found != ANY:
        index, known = todo.pop()
        known = frozenset(v for v in known if v[0] in live[index])
        if known in seen[index]:
            continue
        if len(seen[index]) >= MAX_PATHS_OF_BLOCK:
            return ANY
        seen[index].add(known)
        ended = _through(plan, index, known, keys)
        if isinstance(ended, int):
            found |= ended
        else:
            todo += [(to, values) for to, (_, values) in onward(plan, plan.blocks[index], ((), ended))]
    return found or ANY


def _through(plan: PreparedCfg, index: int, known: Values, keys: frozenset[str]) -> int | Values:
    """What is known at the end of a block, or the signs of what is returned in it; none where it does not end."""
    for event in plan.blocks[index].events:
        if isinstance(event, CallEvent):
            if event.call.callee in KERNEL.noreturn:
                return 0
            lost = _may_set(plan, event.call)
            known = frozenset(v for v in forget_addressed(plan, event.call, ((), known))[1] if v[0] not in lost)
        elif isinstance(event, Assign):
            known = assign(plan, event, ((), known), keys)[1]
        elif isinstance(event, Jump):
            return 0
        else:
            signs = returned(event.value, dict(known))
            return ANY if signs == VOID else signs & (ANY if event.value is None else plan.signs(bare(event.value)))
    return known if plan.blocks[index].edges else ANY


def _may_set(plan: PreparedCfg, call: Call) -> frozenset[str]:
    """Names that a call is handed and may set, because it is a macro, or may be one: `get_user(value, address)`."""
    name, body = call.callee, plan.body
    if not name or name in body.locals or name in KERNEL.inert:
        return frozenset()
    key = body.names.function(name, body.file)
    if key is not None and not body.names.functions[key].macro:
        return frozenset()
    return frozenset(arg.name for arg in map(bare, call.args) if isinstance(arg, Name))


def _told(plan: PreparedCfg, value: Expr) -> bool:
    """Whether something may be known of a returned value: by its text, or because it is a local."""
    return all(
        plan.signs(one) != ANY or (isinstance(one, Name) and one.name in plan.body.values)
        for one in choices(bare(value))
    )


def _followed(plan: PreparedCfg, values: list[Expr]) -> frozenset[str]:
    """The locals that are returned, and those that they are set to."""
    found = {one.name for value in values for one in choices(bare(value)) if isinstance(one, Name)}
    size = -1
    while size != len(found):
        size = len(found)
        for event in plan.body.events():
            if isinstance(event, Assign) and isinstance(event.left, Name) and event.left.name in found:
                found |= {
                    v.name for v in choices(bare(event.right)) if isinstance(v, Name) and v.name in plan.body.values
                }
    return frozenset(found)
