"""What a shrinker waits for, and the gfp flag without which it does not come there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reviewbot.analysis.events.kinds import Gate
from reviewbot.analysis.summaries.effect_summary import Effect, Provenance
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.types import Place

if TYPE_CHECKING:
    from reviewbot.analysis.program.program import Program

SLOTS = KERNEL.words["shrinks"]
"""The operations of a shrinker: what frees, then what counts."""
GATES = dict.fromkeys((*KERNEL.words["gfp_fs"], *KERNEL.words["gfp_fs_test"]), "FS")
GATES |= dict.fromkeys(KERNEL.words["gfp_io"], "IO")
GATE_STRENGTH = {"none": 0, "IO": 1, "FS": 2, "work": 3}
"""What keeps a shrinker from a wait, the stronger the more: a test of a gfp flag, or that it leaves it to a work item."""
IO_WAITS = ("io", "bit", "event", "completion")
"""Classes of waits that I/O ends."""
GatedWaits = list[tuple[Provenance, str]]
"""Where a shrinker comes to a wait, each with what keeps it from that: a key of GATE_STRENGTH."""


def places_below(program: Program, root: FunctionKey, kinds: Sequence[str], what: str = "") -> list[Place]:
    """The lines at which the shrinker comes to such effects, deepest first."""
    found = [e for e, _ in _effects(program, root) if e.kind in kinds and what in ("", e.object)]
    return [place for effect in found for place in reversed(program.effects.chain(root, effect))]


def _effects(program: Program, root: FunctionKey) -> list[tuple[Effect, Provenance]]:
    return list(program.does(root).items()) if root in program.names.functions else []


def shrinker_io(program: Program, root: FunctionKey) -> GatedWaits:
    """What a shrinker does that starts I/O or waits for it."""
    least = _counted(program, root)
    return [
        (reason, _gate(reason.gates, least))
        for effect, reason in _effects(program, root)
        if effect.kind in ("io", "submit") or (effect.kind == "wait" and effect.detail in IO_WAITS)
    ]


def shrinker_locks(program: Program, root: FunctionKey, lock: str) -> GatedWaits:
    """Where a shrinker waits for a lock."""
    least = _counted(program, root)
    return [(r, _gate(r.gates, least)) for e, r in _effects(program, root) if (e.kind, e.object) == ("lock", lock)]


def _counted(program: Program, root: FunctionKey) -> str:
    """The gfp flag without which ->count_objects() says that there is nothing to free: ->scan_objects() is not called."""
    beside = program.functions(program.names.file[root]) if root in program.names.functions else ()
    slots = {key: {e.slot for e in program.entered(key) if e.chain == (key,)} for key in beside}
    if SLOTS[0] not in slots.get(root, ()):
        return "none"
    counts = [key for key, found in slots.items() if SLOTS[1] in found]
    tested = (f.condition for key in counts for f in program.own_facts(key) if isinstance(f, Gate) and f.taken)
    return _gate(tested, "none")


def _gate(gates: Iterable[str], least: str) -> str:
    """The gfp flag without which the shrinker does not come there."""
    flags = {kind for gate in gates for flag, kind in GATES.items() if flag in gate and not gate.startswith("!(")}
    return max({*flags, least}, key=GATE_STRENGTH.__getitem__)


def weakest(waits: GatedWaits) -> str:
    """What keeps a shrinker from the wait that it comes to most easily; `work` where it comes to none."""
    return min((gate for _, gate in waits), key=GATE_STRENGTH.__getitem__, default="work")
