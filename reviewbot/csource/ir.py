"""The intermediate form of one C file: what the facts are made from.

A `TranslationUnit` depends on the text of the file alone (no kernel config, no other file), so it is cached by blob id. Types are
resolved across files later, by `reviewbot.analysis`. Line numbers count from 1 and are those of the original text.

How C is written in it, where there is a choice:

- Parentheses, likely() and READ_ONCE() are left out, WRITE_ONCE(a, b) is `a = b`, `(*p).a` is `p->a` and `(&s)->a` is
  `s.a`.
- Conditions: `!x`, `x == 0` and `x != NULL` are a test of `x`; `a && b` is two branches, each of one test; WARN_ON(x) is
  `x`. A value that a test chooses is assigned or returned in each arm where the test or the arms call something
  (`n = a && f()`: 1 and 0), else it is one expression.
- `#ifdef A` inside a function is a branch on `OpExpr("#if", (Unknown("A"),))`, the same wherever A is asked for.
- An initialiser is an assignment of zeros, `OpExpr("{}", ())`, then one for each member that it names. A compound literal
  that nothing names is a local `__literal_1`.
- A loop macro is a call in the loop's head, and assignments of that call to the variables that it sets.
- A name that a function declares twice with different types is `x` and `x~2`.
- Guards call what they stand for (`guard(mutex)(&l)`: mutex_lock, mutex_unlock), or what DEFINE_GUARD makes:
  class_NAME_constructor, class_NAME_destructor.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

VERSION = 5
"""Bumped whenever the form or its making changes: part of the cache key."""


class IrNode(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag=True, tag_field="node", gc=False):
    """Base of everything in a unit."""


# --- expressions -----------------------------------------------------------------------------------------------------


class Name(IrNode, frozen=True):
    """An identifier: parameter, local, file static, global, enum or macro constant (which one: see Function.locals)."""

    name: str


class Field(IrNode, frozen=True):
    """`base.name` or `base->name`."""

    base: Expr
    name: str
    arrow: bool


class Deref(IrNode, frozen=True):
    """`*base`."""

    base: Expr


class AddressOf(IrNode, frozen=True):
    """`&base`."""

    base: Expr


class IndexExpr(IrNode, frozen=True):
    """`base[index]`."""

    base: Expr
    index: Expr


class Const(IrNode, frozen=True):
    """A literal, as written; strings are cut to 60 characters."""

    text: str


class CastExpr(IrNode, frozen=True):
    """`(type)base`, and container_of-like macros, whose result has the type named."""

    type: str
    pointers: int
    base: Expr
    macro: str = ""
    """`container_of` and its like; empty for a plain cast."""
    member: str = ""
    """The member argument of a container_of-like macro."""


class Call(IrNode, frozen=True):
    """A call. `callee` is the name for a direct call; `target` is the expression called through otherwise."""

    callee: str
    target: Expr | None
    args: tuple[Expr, ...]
    line: int
    text: str = ""
    """The call as written, white space folded, cut to 200 characters."""


class OpExpr(IrNode, frozen=True):
    """An operator with its operands: `op` as in C (`|`, `!`, `&&`, `?:`, `,`, ...); `sizeof` and its like have none."""

    op: str
    args: tuple[Expr, ...]


class Unknown(IrNode, frozen=True):
    """What could not be read (an error node, inline assembly, ...): never a ground for a fact."""

    text: str = ""


Expr = Name | Field | Deref | AddressOf | IndexExpr | Const | CastExpr | Call | OpExpr | Unknown


def field_of(base: Expr, name: str, arrow: bool) -> Expr:
    """`base.name` in one spelling: `(*p).a` is `p->a`, `(&s)->a` is `s.a`."""
    if not arrow and isinstance(base, Deref):
        return Field(base.base, name, True)
    if arrow and isinstance(base, AddressOf):
        return Field(base.base, name, False)
    return Field(base, name, arrow)


# --- events and the flow graph ---------------------------------------------------------------------------------------


class CallEvent(IrNode, frozen=True):
    """A call is made here; operands that are calls themselves have events of their own before it."""

    call: Call
    guard: str = ""
    """`enter` or `leave` for the acquire and release that guard(), scoped_guard(), __free() and __cleanup stand for."""


class Assign(IrNode, frozen=True):
    """`left op right`; op is `=` or compound (`|=`, `+=`); `++`/`--` are `+=`/`-=` of Const 1. Initialisers are `=`."""

    left: Expr
    right: Expr
    line: int
    op: str = "="


class Return(IrNode, frozen=True):
    """The function returns here; value is None for a plain return or the fall off the end."""

    value: Expr | None
    line: int


class Jump(IrNode, frozen=True):
    """Only in macros: `goto label`, `break` or `continue` of something that the macro's user has; its block ends."""

    label: str
    line: int


Event = CallEvent | Assign | Return | Jump


class FlowEdge(IrNode, frozen=True):
    """A way on from a block. `when` None: always (or by a loop macro's own choice); else taken if `when` is `taken`.

    For a switch, `when` is `OpExpr('==', (value, case))` with taken True; for default the same without a case.
    """

    to: int
    when: Expr | None = None
    taken: bool = True
    line: int = 0
    """Where the condition stands; 0 when that is not known."""


class Block(IrNode, frozen=True):
    """Straight-line events, then the ways on. Block 0 is the entry; one without ways on ends the function."""

    events: tuple[Event, ...]
    edges: tuple[FlowEdge, ...]
    line: int
    loop: str = ""
    """For the head of a loop: `while`, `for`, `do`, or the macro's name (`list_for_each_entry`)."""


# --- declarations ----------------------------------------------------------------------------------------------------


class Type(IrNode, frozen=True):
    """A type by name (`struct ` left out: `dm_verity`, `int`, `mempool_t`) and its pointer depth."""

    name: str
    pointers: int = 0
    array: bool = False
    function: bool = False
    """A pointer to a function."""


class Variable(IrNode, frozen=True):
    """A parameter, local, file-scope variable or struct member."""

    name: str
    type: Type
    static: bool = False
    line: int = 0
    init: Expr | None = None
    """Scalar initialiser of a file-scope variable; locals get an Assign event instead."""


class TableEntry(IrNode, frozen=True):
    """One entry of an initialiser: `.field = value` of a variable of struct type (nested fields joined by `.`)."""

    type: str
    variable: str
    field: str
    value: Expr
    line: int


class Function(IrNode, frozen=True):
    """One function definition, or a statement-like macro (`macro` True; its parameters have type '')."""

    name: str
    line: int
    end: int
    result: Type
    parameters: tuple[Variable, ...]
    locals: tuple[Variable, ...]
    blocks: tuple[Block, ...]
    static: bool = False
    macro: bool = False
    unreadable: bool = False
    """The repaired text still has an error node in here: facts about it are "unknown"."""
    annotations: tuple[tuple[str, str], ...] = ()
    """(`must_hold` | `acquires` | `releases`, text of the argument)."""
    attributes: tuple[str, ...] = ()
    """`__init`, `__exit`, `inline`, ...; `#if` where the file has other versions of it (this is the longest)."""
    value: Expr | None = None
    """Only for macros: what the call is worth. A Return or Jump in a macro leaves the function that uses the macro;
    a block of a macro without ways on and without these goes on after the macro's call."""
    gives: Expr | None = None
    """The place that it returns, of one that does nothing else (see `accessors`): `file->f_inode` for file_inode(file)."""


class Struct(IrNode, frozen=True):
    """A struct or union body; anonymous members are folded into it, an anonymous one is named `outer.member`."""

    name: str
    members: tuple[Variable, ...]
    line: int
    union: bool = False


class TranslationUnit(IrNode, frozen=True):
    """All that one file says."""

    functions: tuple[Function, ...] = ()
    structs: tuple[Struct, ...] = ()
    typedefs: tuple[tuple[str, Type], ...] = ()
    variables: tuple[Variable, ...] = ()
    """File-scope variables, with DEFINE_MUTEX(x)-like macros as variables of the type that they define."""
    prototypes: tuple[tuple[str, Type, tuple[Variable, ...]], ...] = ()
    defines: tuple[tuple[str, str], ...] = ()
    """Object-like macros: name, replacement with comments gone and white space folded, cut to 200 characters. One that is
    defined in several ways stands there once for each."""
    slots: tuple[TableEntry, ...] = ()
    enums: tuple[tuple[str, str], ...] = ()
    """Enumerators: name, value as text; `?` where an #if decides."""
    includes: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    calls_at_file_scope: tuple[Call, ...] = ()
    """module_init(x), DECLARE_WORK(w, fn), EXPORT_SYMBOL(x), late_initcall(f), ..."""
    level: int = 1
    """How hard the text had to be repaired: 1 words only, 2 #if blanked where it hurts (in functions the first arm
    stays, elsewhere all), 3 only first arms there."""
    errors: int = 0
    """Error nodes left."""

    kinds: ClassVar[tuple[str, ...]] = ("functions", "structs", "variables", "slots")


def by_name(unit: TranslationUnit) -> dict[str, Function]:
    """Functions of a unit by name; of several with one name (#if arms) the first that can be read."""
    found: dict[str, Function] = {}
    for function in unit.functions:
        before = found.get(function.name)
        if before is None or (before.unreadable and not function.unreadable):
            found[function.name] = function
    return found
