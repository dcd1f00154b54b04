"""All that a heuristic may import, besides models: the change as facts before and after, and what a rule is.

A rule is written once, for what a patch takes away. What a patch gives back is the same rule on the change read
backwards, so every rule recognises fixes without a line of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

import msgspec

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.code.gfp import RANK
from reviewbot.analysis.code.identity import Scope, file_with, known, member, owner, scope, without_file
from reviewbot.analysis.code.identity import spoken as short
from reviewbot.analysis.code.lines import assigned, sets
from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.events.kinds import (
    Allocation,
    Bind,
    CallTo,
    Client,
    Context,
    Exit,
    Fact,
    Finish,
    Flush,
    Gate,
    Give,
    Held,
    Link,
    Lock,
    Mask,
    Queue,
    Reserve,
    Site,
    Slot,
    Submit,
    Take,
    Thread,
    Unlock,
    Wait,
    Wake,
    Workqueue,
    Write,
)
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.questions.allocation_sites import (
    AllocationSite,
    as_far,
    asks,
    nth,
    spoken_call,
    uncalled,
    weaker,
    which,
)
from reviewbot.analysis.questions.bios import (
    OWN_LIST,
    barriers,
    io_waits,
    mapped,
    merges,
    offloads,
    others,
    puts_off,
    tried,
    tries,
)
from reviewbot.analysis.questions.io_dependence import (
    Dependence,
    called,
    drained,
    handlers,
    holders,
    lives,
    near_io,
    newly_locked,
    passes,
    serves,
    stacked,
    stacks,
    way,
)
from reviewbot.analysis.questions.reserves import Drain, alone, drains, kept, several
from reviewbot.analysis.questions.shrinkers import (
    GATE_STRENGTH,
    GatedWaits,
    places_below,
    shrinker_io,
    shrinker_locks,
    weakest,
)
from reviewbot.analysis.questions.workers import KWORKER, kworker, queue_name, worker
from reviewbot.analysis.summaries.awaited_work import AwaitedWork
from reviewbot.analysis.summaries.effect_summary import Effect, Provenance
from reviewbot.csource.ir import Const
from reviewbot.difference import Diff, Version
from reviewbot.function_key import NO_FUNCTION, FunctionKey, file_of, key_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.score import Doubt
from reviewbot.sim.model import Model
from reviewbot.types import Cut, Finding, Place, Setting, Side, Value, Words

__all__ = [
    "GATE_STRENGTH",
    "KERNEL",
    "KWORKER",
    "NO_FUNCTION",
    "OWN_LIST",
    "RANK",
    "Allocation",
    "AllocationSite",
    "AwaitedWork",
    "Bind",
    "CallTo",
    "Candidate",
    "Client",
    "Const",
    "Context",
    "Dependence",
    "Diff",
    "Doubt",
    "Drain",
    "Effect",
    "ExecutionContext",
    "Exit",
    "Fact",
    "Facts",
    "Finding",
    "Finish",
    "Flush",
    "FunctionKey",
    "Gate",
    "GatedWaits",
    "Give",
    "Held",
    "Link",
    "Lock",
    "Mask",
    "Place",
    "Program",
    "Provenance",
    "Queue",
    "Remedy",
    "Reserve",
    "Rule",
    "Scene",
    "Scope",
    "Setting",
    "Side",
    "Site",
    "Slot",
    "Submit",
    "Take",
    "Thread",
    "Unlock",
    "Value",
    "Version",
    "Wait",
    "Wake",
    "Words",
    "Workqueue",
    "Write",
    "alone",
    "as_far",
    "asks",
    "assigned",
    "barriers",
    "called",
    "drained",
    "drains",
    "file_of",
    "file_with",
    "handlers",
    "holders",
    "io_waits",
    "kept",
    "key_of",
    "known",
    "kworker",
    "lives",
    "mapped",
    "member",
    "merges",
    "name_of",
    "near_io",
    "newly_locked",
    "nth",
    "offloads",
    "others",
    "owner",
    "passes",
    "places_below",
    "puts_off",
    "queue_name",
    "scope",
    "serves",
    "sets",
    "several",
    "short",
    "shrinker_io",
    "shrinker_locks",
    "spoken_call",
    "stacked",
    "stacks",
    "tried",
    "tries",
    "uncalled",
    "way",
    "weaker",
    "weakest",
    "which",
    "without_file",
    "worker",
]


About = TypeVar("About")
"""What a rule knows of its findings: a frozen struct of its own."""


class Candidate(Value, Generic[About], frozen=True):
    """A finding that is to be judged, with what its rule knows of it; of these two only the finding is ever stored."""

    finding: Finding
    about: About

    @property
    def claim(self) -> tuple[object, ...]:
        """What it claims: which way the patch goes, the place, and the object. Candidates with one claim are ways in which
        the same can come about, and one that is proven is enough."""
        finding = self.finding
        return finding.gives, finding.at, finding.object or finding.message


class Scene(Value, frozen=True):
    """A model of one side of a finding: one of `reviewbot simulate --list` by name, or one that was built."""

    name: str
    values: tuple[tuple[str, Setting], ...] = ()
    built: Model | None = None
    through: tuple[str, ...] = ()
    """Resources of which the deadlock has to pass through one; empty when any knot is the one."""
    every: bool = False
    """Whether it has to pass through all of these."""
    several: bool = False
    """Whether it has to be one of several tasks: that one waits for itself is another claim."""
    missing: str = ""
    """Why there is no model of this side after all."""
    doubt: Doubt | None = Doubt.DIFFERENCE
    """What lowers the score then; None where the finding says it already."""
    absent: bool = False
    """Whether there is none because this side has none of the tasks."""
    cuts: tuple[Cut, ...] = ()
    """What was left out of the model."""

    @classmethod
    def of(cls, name: str, *, through: Sequence[str] = (), **values: Setting) -> Scene:
        """The scene `name` with these parameters."""
        return cls(name, tuple(values.items()), None, tuple(through))

    @property
    def spec(self) -> str:
        """The text that `reviewbot simulate` takes; empty for a model that was built from the code."""
        from reviewbot.models.scene import find

        return "" if self.built or self.missing else find(self.name).spec(dict(self.values))

    def model(self) -> Model:
        """The model itself."""
        from reviewbot.models.scene import find

        return self.built or find(self.name).build(dict(self.values))


class Remedy(Value, frozen=True):
    """What would be safe instead, as a sentence for the reply, and the scene with it in place."""

    text: str
    scene: Scene
    keeps: str = ""
    """Identity of the object that the text says should stay as it was: one of this code, which had it before."""
    flag: str = ""
    """What it should keep."""

    def possible(self, free: Version) -> bool:
        """Whether there is something to keep on the side that does not get stuck."""
        if not self.keeps and not self.flag:
            return True
        return (not self.keeps or free.owns(self.keeps)) and free.has(self.keeps, self.flag)


class Rule(ABC, Generic[About]):
    """A kind of deadlock: how to see it in the facts, and the scene in which the simulator shows it.

    `About` is what it hands from `check` to its models.
    """

    id: ClassVar[str]
    guarantee: ClassVar[str]
    """What is taken away, in a few words: one of the five guarantees of forward progress, or one that all code relies on, as
    `no circle of waits`."""
    checked: ClassVar[str]
    """What an ack may say was looked at: `workqueues on the I/O path`."""
    needs: ClassVar[tuple[type[Fact], ...]] = ()
    """Kinds of facts that it looks at in the functions of a change; empty for what can be anything."""
    audits: ClassVar[bool] = False
    """Whether what it finds shows in code as it is, with no other side to compare with: `reviewbot audit` asks it."""

    @abstractmethod
    def check(self, diff: Diff) -> Iterator[Candidate[About]]:
        """What the change takes away, made with `candidate`."""

    @abstractmethod
    def scenes(self, candidate: Candidate[About], side: Version) -> Iterable[Scene]:
        """Models of one side, with the facts of that side; several are tried in turn, in the same order for both."""

    def concerns(self, diff: Diff) -> bool:
        """Whether there is anything for it to look at in the functions that the patch changes."""
        return not self.needs or any(isinstance(fact, self.needs) for fact in diff.near)

    def remedies(self, candidate: Candidate[About], side: Version) -> Iterable[Remedy]:
        """What would be safe instead, best first; only what the simulator confirms is proposed."""
        return ()

    def candidate(
        self,
        diff: Diff,
        about: About,
        message: str,
        words: Words,
        after: Iterable[Place] = (),
        before: Iterable[Place] = (),
        *,
        object: str = "",
        facts: Iterable[object] = (),
        related: Iterable[Place] = (),
    ) -> Iterator[Candidate[About]]:
        """A finding on the line of the patch among these places (nothing when the patch has none of their files).

        about: comes back in `scenes` and `remedies`; functions that it names by key are spoken of, too, and its `doubts`,
        where it has some, lower the score.
        """
        anchor = diff.anchor(after, before)
        doubts: tuple[Doubt, ...] = getattr(about, "doubts", ())
        if anchor is None or (doubts and diff.reverse):  # who repairs what may be none gets no praise for it
            return
        at, side = anchor
        number = diff.patch_of(at, side)
        if diff.reverse:
            side = Side.BEFORE if side is Side.AFTER else Side.AFTER
        found = Finding(
            rule=self.id,
            at=at,
            message=message,
            side=side,
            patch=number,
            related=tuple(related),
            facts=tuple(str(f) for f in facts) or _changed_facts(diff, at),
            object=object,
            gives=diff.reverse,
            words=words,
            doubts=doubts,
        )
        yield Candidate(found, about)

    def candidates(self, diff: Diff) -> Iterator[Candidate[About]]:
        """What the change takes away, and what it gives back; of each place and object every way that it can come about."""
        seen: dict[tuple[object, ...], list[About]] = {}
        for view in (diff, diff.reversed()):
            for candidate in self.check(view):
                others = seen.setdefault(candidate.claim, [])
                if candidate.about not in others:
                    others.append(candidate.about)
                    yield candidate


def replace(finding: Finding, **changes: object) -> Finding:
    """A finding with some fields changed."""
    return msgspec.structs.replace(finding, **changes)


def _changed_facts(diff: Diff, at: Place) -> tuple[str, ...]:
    """What a finding without facts of its own rests on: what the change does to the function that it stands in."""
    changed = [f for f in (*diff.added, *diff.removed) if f.function == at.function]
    told = tuple(str(f) for f in changed or (*diff.added, *diff.removed))
    return (told or tuple(change.says() for change in diff.code.changes))[:6]
