"""Objects as their author calls them: identities -> the expressions of the code that a sentence is about.

Rules and models write a field as `struct->member`. Here that becomes what the code says at the place that is spoken of:
`wc->lock` where a function has `struct dm_writecache *wc`. It is done once for a finding, so that the models of both
sides, the schedule and the sentences have one name for one thing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import parts, show
from reviewbot.analysis.events.kinds import Lock
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Assign, CallEvent, Expr, Field, Return
from reviewbot.function_key import FunctionKey, keys_in
from reviewbot.kernel import KERNEL
from reviewbot.rule import Scene
from reviewbot.types import Finding, Step, Trace

TOKEN = re.compile(r"(&?)\b([A-Za-z_]\w*)->(\w+(?:\.\w+)*)")
"""A field as rules write it; code in a text has the same form, and a variable there is no struct."""
PLAIN = re.compile(r"\w+(?:(?:->|\.)\w+)*")

KNOT_TEXTS = ("task", "waits_for", "held_by", "told")
"""What of an edge of a knot is text."""


class ObjectNames:
    """Renames the fields in the sentences of one finding, `struct->member` as rules write it, to the expressions that
    the code has for them."""

    def __init__(self, program: Program, finding: Finding, about: object = None) -> None:
        """about: what the rule knows of the finding; the functions that it names come after those of the finding."""
        self.program, self._finding, self._about = program, finding, about
        self._known: dict[tuple[str, str], str] = {}
        self._plain: set[str] = set()
        """Names that stand without a `&`: pointers to a queue, and mere members."""

    @cached_property
    def _keys(self) -> tuple[FunctionKey, ...]:
        return tuple(_near(self.program, self._finding, self._about))

    def text(self, text: str) -> str:
        """A text with its fields renamed."""
        if "->" not in text:
            return text
        return TOKEN.sub(lambda found: self._address(found[1], self._called(found[2], found[3])), text)

    def finding(self, finding: Finding) -> Finding:
        """A finding whose message and sentences are in the words of the code."""
        words = finding.words
        if words is not None:
            words = replace(words, **{name: self.text(getattr(words, name)) for name in words.__struct_fields__})
        return replace(finding, message=self.text(finding.message), words=words)

    def scene(self, scene: Scene) -> Scene:
        """A scene whose objects are called so; one that was built from the code keeps its names (see `trace`)."""
        if scene.built is not None or scene.missing:
            return scene
        values = tuple((key, self.text(v) if isinstance(v, str) else v) for key, v in scene.values)
        return replace(scene, values=values, through=tuple(map(self.text, scene.through)))

    def trace(self, trace: Trace) -> Trace:
        """The schedule of a model that was built from the code."""
        return Trace(
            tuple(self._step(step) for step in trace.steps),
            tuple(replace(w, **{name: self.text(getattr(w, name)) for name in KNOT_TEXTS}) for w in trace.knot),
        )

    def _step(self, step: Step) -> Step:
        texts = {name: self.text(getattr(step, name)) for name in ("task", "step", "waits")}
        return replace(step, **texts, holds=tuple(map(self.text, step.holds)))

    def _address(self, sign: str, name: str) -> str:
        return name if name in self._plain else sign + name

    def _called(self, struct: str, chain: str) -> str:
        if (struct, chain) not in self._known:
            found = self._expression(struct, chain) if self._is_struct(struct, chain) else f"{struct}->{chain}"
            self._known[struct, chain] = found
        return self._known[struct, chain]

    def _is_struct(self, struct: str, chain: str) -> bool:
        return self.program.names.has_struct(struct) or f"{struct}.{chain}" in KERNEL.lock_classes

    def _expression(self, struct: str, chain: str) -> str:
        """The expression by which the nearest function means the field, and no other one that is spoken of."""
        taken = set(self._known.values())
        found = (name for name in self._candidates(struct, chain) if name not in taken)
        return next(found, f"the {chain} of struct {struct}")

    def _candidates(self, struct: str, chain: str) -> Iterator[str]:
        """Names for a field, the best one first: of the functions that are spoken of, of their files, by its kind."""
        program = self.program
        files = dict.fromkeys(program.names.file[key] for key in self._keys)
        others = dict.fromkeys(key for file in files for key in program.functions(file) if key not in self._keys)
        for key in (*self._keys, *others):
            yield from program.component(Written).of(key).get(f"{struct}.{chain}", ())
        for key in self._keys:
            yield from self._meant(key, f"{struct}.{chain}", chain)
        yield from (f"{variable}->{chain}" for variable in self._variables(struct, (*self._keys, *others)))
        yield self._member(chain)

    def _member(self, chain: str) -> str:
        """The name of the field alone, where no variable is known that it is a field of."""
        name = chain.rpartition(".")[2]
        self._plain.add(name)
        return name

    def _meant(self, key: FunctionKey, identity: str, chain: str) -> Iterator[str]:
        """What a lock call is handed that takes a field of it: the queue that is frozen, the map whose lock is taken."""
        parameters = self.program.body(key).function.parameters
        for fact in self.program.own_facts(key):
            if isinstance(fact, Lock) and fact.lock == identity:
                base = re.sub(r"^\$(\d+)", lambda found: parameters[int(found[1])].name, fact.base)
                if PLAIN.fullmatch(base) and fact.klass == "queue":
                    self._plain.add(base)
                    yield base
                elif PLAIN.fullmatch(base):
                    yield f"{base}->{chain}"

    def _variables(self, struct: str, keys: Iterable[FunctionKey]) -> Iterator[str]:
        """What pointers to such a struct are called in these functions, the most usual name first."""
        names = self.program.names
        variables = (v for key in keys for v in (*names.body(key).parameters, *names.body(key).locals))
        count = Counter(v.name for v in variables if v.type.pointers == 1 and names.resolve(v.type).name == struct)
        yield from (name for name, _ in count.most_common())


def _near(program: Program, finding: Finding, about: object) -> Iterator[FunctionKey]:
    """The functions that a finding speaks of, that of its line first."""
    places = (finding.at, *finding.related)
    named = (key for text in _texts(about) for key in keys_in(text))
    keys = (*(at.key for at in places), *named)
    return (key for key in dict.fromkeys(keys) if key in program.names.functions)


def _texts(value: object) -> Iterator[str]:
    """All text in a struct, its fields in their order."""
    match value:
        case str():
            yield value
        case tuple():
            yield from (text for part in value for text in _texts(part))
        case Struct():
            yield from (text for name in value.__struct_fields__ for text in _texts(getattr(value, name)))


class Written(Component):
    """The plain expressions by which each function of a program means fields."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._found: dict[FunctionKey, dict[str, list[str]]] = {}

    def of(self, key: FunctionKey) -> Mapping[str, list[str]]:
        """Identity of a field -> the expressions of a function that mean it, the shortest first."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = {}
            body = self.program.body(key)
            fields = (part for expr in _expressions(body) for part in parts(expr) if isinstance(part, Field))
            texts: dict[str, Field] = {}
            for field in fields:
                texts.setdefault(show(field), field)
            for text in sorted(filter(PLAIN.fullmatch, texts), key=len):
                found.setdefault(body.identity(texts[text]), []).append(text)
        return found


def _expressions(body: Body) -> Iterator[Expr]:
    for block in body.function.blocks:
        for event in block.events:
            match event:
                case CallEvent(call):
                    yield call
                case Assign(left, right):
                    yield from (left, right)
                case Return(value) if value is not None:
                    yield value
        yield from (edge.when for edge in block.edges if edge.when is not None)
