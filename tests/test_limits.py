"""Each limit cuts where it says: what is as large as the limit is looked at, what is larger by one is not."""

from __future__ import annotations

import ast
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from small import program

from reviewbot import limits
from reviewbot.analysis.callgraph.callback_stack import Handing
from reviewbot.analysis.code import lexical
from reviewbot.analysis.events.kinds import Allocation, Lock
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.questions.allocation_sites import resolved
from reviewbot.csource import definitions, written
from reviewbot.csource.ir import CallEvent, TranslationUnit
from reviewbot.csource.lower import lower
from reviewbot.csource.statements import Statements
from reviewbot.csource.text import closing, layers
from reviewbot.detect.edges import edges
from reviewbot.detect.wrapped import replaced
from reviewbot.function_key import FunctionKey, key_of
from reviewbot.gittree.misfit import misfit
from reviewbot.gittree.source import MemorySource
from reviewbot.mail.local import local_mails
from reviewbot.mail.message import read
from reviewbot.mail.prerequisites import gather
from reviewbot.mail.protocol import MailLimits
from reviewbot.replay.slicing.reader import reader
from reviewbot.replay.slicing.slicer import Extractor, TaskAutomaton, TooLarge, Unreadable
from reviewbot.sim.compile import compile_model
from reviewbot.sim.memory import Unbalanced, memalloc_noio_restore, memalloc_noio_save
from reviewbot.sim.model import Completion, Model, ModelError, Task, complete
from reviewbot.sim.model import program as routine
from reviewbot.types import Address, Mail, Patch, Prerequisite, Series, Unreviewed

Fits = Callable[[int], bool]


class Limited(NamedTuple):
    """A limit, and how to ask whether something of a size is within it. value: what the limit is set to meanwhile, 0
    for what it is."""

    name: str
    value: int
    fits: Fits


LIMITED: list[Limited] = []


def limited(name: str, value: int = 0) -> Callable[[Fits], Fits]:
    """Marks a function that makes something of a size, and says whether all of it is looked at."""

    def put(fits: Fits) -> Fits:
        LIMITED.append(Limited(name, value, fits))
        return fits

    return put


def set_limit(name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a limit another value, wherever it was imported to."""
    for module in list(sys.modules.values()):
        if module.__name__.startswith("reviewbot") and hasattr(module, name):
            monkeypatch.setattr(module, name, value)
    if name == "MAX_SLICER_STATES":
        monkeypatch.setattr(Extractor, "most", value)


# --- reading C -------------------------------------------------------------------------------------------------------


def unit(text: str) -> TranslationUnit:
    return lower(text.encode())


def readable(body: str) -> bool:
    """Whether a function is read."""
    return not unit(f"void run(struct dev *d, int x)\n{{\n{body}\n}}\n").functions[0].unreadable


@limited("MAX_FILE_BYTES", 100)
def bytes_of_a_file(size: int) -> bool:
    return not unit("int x;".ljust(size)).errors


@limited("MAX_MACRO_BYTES", 60)
def bytes_of_a_macro(size: int) -> bool:
    return bool(unit(f"#define F(x) {'g(x)'.rjust(size - 1)}\n").functions)


@limited("MAX_STATEMENT_NESTING", 10)
def nested_statements(size: int) -> bool:
    return readable("if (x) " * size + "f();")


@limited("MAX_LOCKS_OF_FUNCTION", 4)
def locks_of_a_function(size: int) -> bool:
    return readable("".join(f"mutex_lock(&d->l{i});" for i in range(size)))


@limited("MAX_FUNCTION_STEPS", 20)
def steps_of_a_function(size: int) -> bool:
    return readable("f();" * (size - 1))  # its end is one as well


@limited("MAX_EXPRESSION_DEPTH", 10)
def nested_expressions(size: int) -> bool:
    return readable(f"f({'~' * (size - 1)}x);")


@limited("MAX_EXPRESSION_TEXT", 60)
def text_of_an_expression(size: int) -> bool:
    call = f"f({'x' * (size - 3)})"
    (function,) = unit(f"void run(void) {{ {call}; }}").functions
    return [e.call.text for b in function.blocks for e in b.events if isinstance(e, CallEvent)] == [call]


@limited("MAX_STRUCT_NESTING", 5)
def nested_structs(size: int) -> bool:
    members = "struct { " * (size - 1) + "int deep;" + " };" * (size - 1)
    return any(m.name == "deep" for s in unit(f"struct a {{ {members} }};").structs for m in s.members)


@limited("MAX_TABLE_SLOTS", 3)
def functions_of_a_table(size: int) -> bool:
    slots = "".join(f".f{i} = g, " for i in range(size))
    return len(unit(f"struct ops o = {{ {slots} }};").slots) == size


@limited("MAX_INITIALISER_NESTING", 3)
def nested_initialisers(size: int) -> bool:
    return bool(unit("struct ops o = " + "{ .a = " * (size - 1) + "{ .f = g }" + " }" * (size - 1) + ";").slots)


@limited("MAX_ARGUMENT_BYTES", 50)
def bytes_in_parentheses(size: int) -> bool:
    return closing(b"(" + b"x" * (size - 2) + b")", 0) > 0


@limited("MAX_PARENTHESIS_NESTING", 5)
def nested_parentheses(size: int) -> bool:
    text = layers(b"void run(void)\n{\n\t" + b"(" * size + b"f()" + b")" * size + b";\n}\n")
    return any(bracket.name == b"f" for bracket in text.calls())


@limited("MAX_HEAD_LINES", 5)
def lines_of_a_head(size: int) -> bool:
    (function,) = definitions.written(b"static int\nf(\n" + b"int a,\n" * (size - 3) + b"int b)\n{\n}\n")
    return function.line == 1


@limited("MAX_HEAD_BYTES", 60)
def bytes_of_a_head(size: int) -> bool:
    return bool(definitions.written(b"int f(int a) {".replace(b"a", b"a" * (size - 13)) + b"\n}\n"))


@limited("MAX_CALL_PREFIX_BYTES", 30)
def bytes_before_a_call(size: int) -> bool:
    way = "a" * (size - 2) + "->"
    (call,) = written.calls(f"void run(void)\n{{\n\t{way}f();\n}}\n".encode())
    return call.through == way


@limited("MAX_SECOND_ARGUMENTS_BYTES", 30)
def bytes_of_second_arguments(size: int) -> bool:
    (call,) = written.calls(f"void run(void)\n{{\n\tguard(mutex)({'l' * (size - 2)});\n}}\n".encode())
    return len(call.args) == 2


# --- names, call graph, locks, summaries -----------------------------------------------------------------------------


def key(name: str) -> FunctionKey:
    return key_of("drivers/md/small.c", name)


def calls_down(size: int, last: str, of: str = "dev") -> str:
    """Functions f0 ... each of which calls the next; the last one does something."""
    inner = [f"static void f{i}(struct {of} *d) {{ f{i + 1}(d); }}" for i in range(size - 1)]
    return "\n".join([f"static void f{size - 1}(struct {of} *d) {{ {last} }}", *reversed(inner)])


def big(size: int) -> str:
    """A struct of mutexes l0 ..."""
    return f"struct big {{ {' '.join(f'struct mutex l{i};' for i in range(size))} }};\n"


def takes(made: Program, name: str) -> list[str]:
    return [fact.lock for fact in made.own_facts(key(name)) if isinstance(fact, Lock)]


@limited("MAX_LOCAL_CHAIN", 3)
def locals_of_locals(size: int) -> bool:
    alias = "".join(f"struct mutex *p{i} = p{i - 1};" for i in range(1, size))
    body = f"struct mutex *p0 = &d->lock; {alias} mutex_lock(p{size - 1});"
    return takes(program(f"void run(struct dev *d) {{ {body} }}"), "run") == ["dev.lock"]


@limited("MAX_TYPEDEF_CHAIN", 3)
def typedefs_of_typedefs(size: int) -> bool:
    types = "typedef struct dev t0;\n" + "".join(f"typedef t{i - 1} t{i};\n" for i in range(1, size))
    return takes(program(f"{types}void run(t{size - 1} *d) {{ mutex_lock(&d->lock); }}"), "run") == ["dev.lock"]


@limited("MAX_IDENTITY_LENGTH", 30)
def characters_of_an_identity(size: int) -> bool:
    member = "m" * (size - 2)
    made = program(f"struct s {{ struct mutex {member}; }}; void run(struct s *d) {{ mutex_lock(&d->{member}); }}")
    return takes(made, "run") == [f"s.{member}"]


@limited("MAX_MASK_ALTERNATIVES", 3)
def alternatives_of_a_mask(size: int) -> bool:
    flags = ("GFP_KERNEL", "GFP_NOIO", "GFP_NOFS", "GFP_ATOMIC", "GFP_NOWAIT")[:size]
    sets = "".join(f"if (d->count == {i}) g = {flag};" for i, flag in enumerate(flags[1:]))
    made = program(f"void run(struct dev *d) {{ gfp_t g = {flags[0]}; {sets} kmalloc(8, g); }}")
    return [len(f.gfp) for f in made.own_facts(key("run")) if isinstance(f, Allocation)] == [size]


@limited("MAX_INDEXED_FILE_BYTES", 60)
def bytes_of_an_indexed_file(size: int) -> bool:
    return bool(lexical.read(b"int f(void)\n{\n}\n".ljust(size)).functions)


@limited("MAX_INDEXED_HEAD_BYTES", 40)
def bytes_of_an_indexed_head(size: int) -> bool:
    (function,) = lexical.read(b"static int f(int a)\n{\n}\n".replace(b"a)", b"a" * (size - 19) + b")")).functions
    return function.static


@limited("MAX_CALLS_TO_CALLBACK", 3)
def calls_from_who_hands_a_function_down(size: int) -> bool:
    down = [f"static void f{i}(void (*go)(int)) {{ f{i + 1}(go); }}" for i in range(size - 1)]
    text = "\n".join([f"static void f{size - 1}(void (*go)(int)) {{ go(1); }}", *reversed(down)])
    made = program(f"static void leaf(int x) {{ }}\n{text}\nvoid top(void) {{ f0(leaf); }}")
    return any(key("top") in way.chain for way in Handing(made.callgraph).ways(key(f"f{size - 1}"), key("leaf")))


@limited("MAX_TOLD_CALLBACKS", 3)
def functions_that_were_registered(size: int) -> bool:
    """Whether anybody can be above a call of one of them."""
    go = "struct user { void (*go)(struct dev *); struct dev *d; };\n"
    sets = (
        f"static void g{i}(struct dev *d) {{ }}\nvoid set{i}(struct user *u) {{ u->go = g{i}; }}" for i in range(size)
    )
    made = program("\n".join([go, *sets]), caller="void run(struct user *u) { u->go(u->d); }")
    (way,) = Handing(made.callgraph).ways(key_of("caller", "run"), key("g0"))
    return not way.inside


@limited("MAX_CONTEXT_CHAIN", 4)
def functions_down_from_a_handler(size: int) -> bool:
    work = "struct w { struct work_struct work; };\n"
    made = program(f"{work}{calls_down(size, '', 'w')}\nvoid init(struct w *w) {{ INIT_WORK(&w->work, f0); }}")
    return bool(made.entered(key(f"f{size - 1}")))


@limited("MAX_PATHS_OF_BLOCK", 3)
def paths_of_a_block(size: int) -> bool:
    """Twice as many are the end: values are forgotten first."""
    cases = "".join(f"case {i}: mutex_lock(&b->l{i}); break;" for i in range(2 * size - 1))
    made = program(f"{big(2 * size)}void run(struct big *b, int x) {{ switch (x) {{ {cases} default: break; }} f(); }}")
    return not made.locksets.record(key("run")).cut


@limited("MAX_ENTRY_LOCKSETS", 3)
def locksets_of_callers(size: int) -> bool:
    callers = "".join(f"void f{i}(struct big *b) {{ mutex_lock(&b->l{i}); run(b); }}\n" for i in range(size))
    return len(program(f"{big(size)}static void run(struct big *b) {{ }}\n{callers}").entry(key("run"))) == size


@limited("MAX_ENTRY_CHAIN", 3)
def callers_of_callers(size: int) -> bool:
    text = f"static void leaf(struct dev *d) {{ }}\n{calls_down(size - 1, 'leaf(d);')}"
    made = program(f"{text}\nvoid top(struct dev *d) {{ mutex_lock(&d->lock); f0(d); mutex_unlock(&d->lock); }}")
    return any(held.lock == "dev.lock" for entry in made.entry(key("leaf")) for held in entry.held)


@limited("MAX_EFFECTS_OF_FUNCTION", 3)
def effects_of_a_function(size: int) -> bool:
    locks = "".join(f"mutex_lock(&b->l{i}); mutex_unlock(&b->l{i});" for i in range(size))
    made = program(f"{big(size)}void run(struct big *b) {{ {locks} }}")
    return len(made.does(key("run"))) == size and made.effects.cut(key("run")) is None


@limited("MAX_POINTER_TARGETS", 3)
def functions_that_a_pointer_can_be(size: int) -> bool:
    head = "struct ops { void (*go)(struct dev *); };\nstruct user { struct ops *ops; struct dev *d; };\n"
    does = "mutex_lock(&d->lock); mutex_unlock(&d->lock);"
    ops = "".join(
        f"static void g{i}(struct dev *d) {{ {does} }}\nstruct ops o{i} = {{ .go = g{i} }};\n" for i in range(size)
    )
    return bool(program(f"{head}{ops}void run(struct user *u) {{ u->ops->go(u->d); }}").does(key("run")))


@limited("MAX_CALLERS_OF_MASK")
def callers_that_hand_a_mask_down(size: int) -> bool:
    down = "".join(f"static void f{i}(gfp_t g) {{ f{i - 1}(g); }}\n" for i in range(1, size))
    made = program(f"static void f0(gfp_t g) {{ kmalloc(8, g); }}\n{down}void top(void) {{ f{size - 1}(GFP_NOIO); }}")
    return resolved(made, key("f0"), "$0") == {"noio"}


@limited("MAX_LOOSE_CALL_BYTES", 40)
def bytes_of_a_call_without_a_semicolon(size: int) -> bool:
    return bool([*Statements.alone(b"f(x)".replace(b"x", b"x" * (size - 3)), 1)])


# --- models from code ------------------------------------------------------------------------------------------------


def sliced(text: str, *locks: str, keep: bool = False) -> TaskAutomaton:
    """What `run` does to some locks."""
    return Extractor(program(text), locks, (), ()).automaton(key("run"), keep=keep)


@limited("MAX_LOCKS_HELD", 3)
def locks_held_at_a_time(size: int) -> bool:
    names = [f"l{i}" for i in range(size)]
    body = "".join(f"mutex_{does}(&b->{name});" for does in ("lock", "unlock") for name in names)
    try:
        sliced(f"{big(size)}void run(struct big *b) {{ {body} }}", *(f"big.{name}" for name in names))
    except Unreadable:
        return False
    return True


@limited("MAX_INLINED_CALLS", 3)
def functions_of_one_task(size: int) -> bool:
    text = (
        f"{calls_down(size - 1, 'mutex_lock(&d->lock); mutex_unlock(&d->lock);')}\nvoid run(struct dev *d) {{ f0(d); }}"
    )
    try:
        sliced(text, "dev.lock")
    except Unreadable:
        return False
    return True


@limited("MAX_SLICER_STATES", 30)
def states_of_a_function(size: int) -> bool:
    text = "mutex_lock(&d->lock); mutex_unlock(&d->lock);" * size
    body = ";".join(text.split(";")[: size - 1])
    try:
        sliced(f"void run(struct dev *d) {{ {body}; }}", "dev.lock", keep=True)
    except TooLarge:
        return False
    return True


@limited("MAX_CALLS_TO_WRAPPED", 3)
def calls_to_what_a_lock_is_taken_around(size: int) -> bool:
    down = "".join(f"static void f{i}(struct pen *p) {{ f{i - 1}(p); }}\n" for i in range(1, size))
    code = (
        "struct mutex { int x; };\nstruct box { struct mutex lock; };\nstruct pen { struct box *home; int n; };\n"
        f"static void f0(struct pen *p) {{ p->n--; }}\n{down}"
        "static void around(struct pen *p)\n"
        "{ mutex_lock(&p->home->lock); f0(p); mutex_unlock(&p->home->lock); }\n"
        "void run(struct box *b, struct pen *p) { mutex_lock(&b->lock); %s(p); mutex_unlock(&b->lock); }"
    )
    before, after = program(code % f"f{size - 1}"), program(code % "around")
    return any(replaced(before, after, edge) for edge in edges(after, key("run")))


@limited("MAX_CALLS_TO_TEST", 2)
def calls_on_to_where_a_value_is_tested(size: int) -> bool:
    """Besides the call by which the function hands it on."""
    down = "".join(f"static void f{i}(struct dev *d, int x) {{ f{i - 1}(d, x); }}\n" for i in range(1, size + 1))
    last = "static void f0(struct dev *d, int x) { if (x) { mutex_lock(&d->lock); mutex_unlock(&d->lock); } }\n"
    made = program(f"{last}{down}void run(struct dev *d, int x) {{ f{size}(d, x); }}")
    return "x" in reader(made, key("run")).live[0]


# --- the simulator ---------------------------------------------------------------------------------------------------


@limited("MAX_NESTED_SCOPES", 3)
def nested_scopes(size: int) -> bool:
    @routine
    def run():  # type: ignore[no-untyped-def]
        for _ in range(size):
            memalloc_noio_save()
        for _ in range(size):
            memalloc_noio_restore()

    try:
        compile_model(Model("test", (Task("run", run()),), ("run",), 1))
    except Unbalanced:
        return False
    return True


@limited("MAX_PLACES_OF_CLASS", 10)
def places_of_a_task(size: int) -> bool:
    done = Completion("done")

    @routine
    def run():  # type: ignore[no-untyped-def]
        for _ in range(size - 1):
            complete(done)

    try:
        compile_model(Model("test", (Task("run", run()),), ("run",), 1))
    except ModelError:
        return False
    return True


# --- mail and git ----------------------------------------------------------------------------------------------------

DIFF = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n"


@limited("MAX_MIME_PARTS", 4)
def parts_of_a_message(size: int) -> bool:
    """The message is one of them; the patch is in the last."""
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "[PATCH] x"
    mail.make_mixed()
    for _ in range(size - 2):
        mail.attach(_text("words\n"))
    mail.attach(_text(DIFF))
    return bool(read(mail.as_bytes()).diff)


def _text(content: str) -> EmailMessage:
    part = EmailMessage()
    part.set_content(content)
    return part


@limited("MAX_PREREQUISITES_OF_MAIL", 3)
def prerequisites_of_a_mail(size: int) -> bool:
    lines = "".join(f"prerequisite-patch-id: {i:040x}\n" for i in range(size))
    post = read(f"From: a@example.org\nSubject: [PATCH] x\n\n---\n{DIFF}\n{lines}".encode())
    return len(post.prerequisites) == size


def brought(size: int, deep: bool = False, patches: int = 1) -> int:
    """How many are found of `size` prerequisites, each with some patches; deep: each is one of the one before."""

    def named(numbers: Iterable[int]) -> tuple[Prerequisite, ...]:
        return tuple(Prerequisite("message-id", str(n)) for n in numbers)

    def find(wanted: Prerequisite) -> list[Series]:
        number = int(wanted.id)
        more = named((number + 1,)) if deep and number < size else ()
        return [Series(tuple(_patch(f"{number}{i * '+'}") for i in range(patches)), prerequisites=more)]

    start = Series((_patch("start"),), prerequisites=named((1,) if deep else range(1, size + 1)))
    return sum(bool(prior.patches) for prior in gather(start, find, lambda diff: diff.decode()))


def _patch(id_: str) -> Patch:
    return Patch(Mail(message_id=id_, subject="[PATCH] x", author=Address("", "a@example.org"), date=""), id_.encode())


@limited("MAX_PREREQUISITES", 3)
def prerequisites_that_are_looked_for(size: int) -> bool:
    return brought(size) == size


@limited("MAX_PREREQUISITE_DEPTH", 3)
def prerequisites_of_prerequisites(size: int) -> bool:
    return brought(size, deep=True) == size


@limited("MAX_PREREQUISITE_PATCHES", 3)
def patches_of_prerequisites(size: int) -> bool:
    return brought(1, patches=size) == 1


@limited("MAX_PATCH_NUMBER")
def numbers_of_patches(size: int) -> bool:
    post = read(f"From: a@example.org\nSubject: [PATCH 1/{size}] x\n\n---\n{DIFF}".encode())
    return post.counted and not post.fault


@limited("MAX_HUNKS_OF_DIFF", 3)
def hunks_of_a_diff(size: int) -> bool:
    """Whether it is seen that the last hunk does not fit."""
    wrong = size - 1
    content = "".join(f"a{i}\nb{i}\n" for i in range(size))
    hunks = "".join(
        f"@@ -{2 * i + 1},2 +{2 * i + 1},2 @@\n a{i}\n-{'c' if i == wrong else 'b'}{i}\n+x\n" for i in range(size)
    )
    diff = f"diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n{hunks}"
    return f"`c{wrong}`" in misfit(diff.encode(), MemorySource({"x.c": content.encode()}))


@pytest.mark.parametrize("most", [3, 4])
def test_mails_of_a_folder(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limit("MAX_MAILS", most, monkeypatch)
    for number in range(most):
        (tmp_path / f"{number}.patch").write_text(DIFF)
    assert len([*local_mails(str(tmp_path), None, MailLimits())]) == most
    (tmp_path / "more.patch").write_text(DIFF)
    with pytest.raises(Unreviewed, match=f"more than {most} mails"):
        [*local_mails(str(tmp_path), None, MailLimits())]


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LIMITED, ids=lambda case: case.name)
def test_as_large_as_the_limit_fits_and_larger_by_one_does_not(case: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (case.value, case.value + 1) if case.value else (getattr(limits, case.name),):
        set_limit(case.name, limit, monkeypatch)
        assert case.fits(limit)
        assert not case.fits(limit + 1)


def test_each_limit_stands_once_with_its_reason() -> None:
    body = ast.parse(inspect.getsource(limits)).body
    named = [(node.targets[0], after) for node, after in pairwise(body) if isinstance(node, ast.Assign)]
    times = Counter(target.id for target, _ in named if isinstance(target, ast.Name))
    assert [name for name, count in times.items() if count > 1] == []
    bare = [
        ast.unparse(target) for target, after in named if not isinstance(getattr(after, "value", None), ast.Constant)
    ]
    assert bare == []
