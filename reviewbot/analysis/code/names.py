"""What names mean over a set of files: functions, structs, typedefs, macros, variables; the type of an expression.

A name is looked up in the file first, then among what headers and non-static definitions say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from reviewbot.analysis.code.expr import bare, number
from reviewbot.analysis.code.identity import file_with, in_file, owner
from reviewbot.analysis.code.library import Sources
from reviewbot.analysis.code.tags import Tags
from reviewbot.csource.accessors import put_in
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CastExpr,
    Deref,
    Expr,
    Field,
    Function,
    IndexExpr,
    Name,
    OpExpr,
    Struct,
    TranslationUnit,
    Type,
    Variable,
    by_name,
)
from reviewbot.function_key import FunctionKey, key_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_EXPRESSION_TEXT, MAX_LOCAL_CHAIN, MAX_TYPEDEF_CHAIN

NOTYPE = Type("")
WELL_KNOWN = {"current": Type(KERNEL.word("task_type"), 1)}
"""Types of what looks like a variable and is a macro of the architecture."""


class _FileNames:
    """Tables of what one file declares: what others see first, or what counts in the file itself."""

    def __init__(self, unit: TranslationUnit) -> None:
        self._unit = unit

    @cached_property
    def functions(self) -> dict[str, Function]:
        return by_name(self._unit)

    @cached_property
    def structs(self) -> dict[str, Struct]:
        return {s.name: s for s in self._unit.structs}

    @cached_property
    def largest(self) -> dict[str, Struct]:
        found: dict[str, Struct] = {}
        for struct in self._unit.structs:
            if struct.name not in found or len(struct.members) > len(found[struct.name].members):
                found[struct.name] = struct
        return found

    @cached_property
    def typedefs(self) -> dict[str, Type]:
        return dict(self._unit.typedefs[::-1])

    @cached_property
    def defines(self) -> dict[str, str]:
        return dict(self._unit.defines)

    @cached_property
    def constants(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, text in (*self._unit.enums, *self._unit.defines):
            found[name] = found.get(name, frozenset()) | {text}
        return found

    @cached_property
    def variables(self) -> dict[str, Variable]:
        return {v.name: v for v in self._unit.variables}

    @cached_property
    def shared_variables(self) -> dict[str, Variable]:
        return {v.name: v for v in self._unit.variables[::-1] if not v.static}

    @cached_property
    def results(self) -> dict[str, Type]:
        return {name: result for name, result, _ in self._unit.prototypes[::-1]}


class _Files:
    """The files of a library, each taken apart when something of it is first asked for."""

    def __init__(self, library: Sources, known: Mapping[str, _FileNames] | None = None) -> None:
        self._declared, self.known = library.declared, dict(known or {})

    def __getitem__(self, path: str) -> _FileNames:
        found = self.known.get(path)
        if found is None:
            found = self.known[path] = _FileNames(self._declared[path])
        return found


class _Functions(Mapping[FunctionKey, Function]):
    """Key -> function without its body."""

    def __init__(self, file: Mapping[FunctionKey, str], files: _Files) -> None:
        self._file, self._files = file, files

    def __getitem__(self, key: FunctionKey) -> Function:
        return self._files[self._file[key]].functions[name_of(key)]

    def __contains__(self, key: object) -> bool:
        return key in self._file

    def __iter__(self) -> Iterator[FunctionKey]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)


class Names:
    """Resolves names over the units of a library: functions, structs, typedefs, macros, variables.

    `tags` says which files declare them, where that is known already.
    """

    def __init__(
        self, library: Sources, tags: Tags | None = None, known: Mapping[str, _FileNames] | None = None
    ) -> None:
        self.library = library
        self.tags = tags or Tags.of(library.declared)
        self.file = self.tags.keys()
        """Key of a function -> its file."""
        self._files = _Files(library, known)
        self.functions: Mapping[FunctionKey, Function] = _Functions(self.file, self._files)
        """Key (`file:name`) -> the function without its body; `body` has it."""
        self._structs: dict[str, tuple[str, Struct] | None] = {}
        self._members: dict[tuple[str, str], Mapping[str, Variable]] = {}
        self._typedefs: dict[str, Type | None] = {}
        self._results: dict[str, Type] = {}

    @classmethod
    def after(cls, before: Names, library: Sources) -> Names:
        """The names of a library that was made from the one before by replacing some files."""
        old = {p: before.units[p] for p in library.replacing if p in before.units}
        new = {p: library.declared[p] for p in library.replacing if p in library.declared}
        known = {p: file for p, file in before._files.known.items() if p not in library.replacing}
        return cls(library, before.tags.replaced(old, new), known)

    def body(self, key: FunctionKey) -> Function:
        """The function with its body."""
        stub = self.functions[key]
        return self.library.functions(self.file[key]).get(stub.name, stub)

    @property
    def units(self) -> Mapping[str, TranslationUnit]:
        """Path -> what the file declares; its functions are without bodies."""
        return self.library.declared

    # --- lookups

    def own_function(self, name: str, file: str) -> FunctionKey | None:
        """Key of a file's own function."""
        key = key_of(file, name)
        return key if key in self.file else None

    def shared_function(self, name: str) -> FunctionKey | None:
        """Key of the function of a name that every file can call: one that is defined outside of headers if there is."""
        files = self.tags.files("functions", name)
        if not files:
            return None
        return key_of(files[0 if files[-1].endswith(".h") else -1], name)

    def function(self, name: str, file: str) -> FunctionKey | None:
        """Key of the function that a call of `name` in `file` reaches, or None when its body is not at hand."""
        return self.own_function(name, file) or self.shared_function(name)

    def resolve(self, type_: Type, file: str = "") -> Type:
        """The type with typedefs followed, except where the typedef's name is a struct too."""
        for _ in range(MAX_TYPEDEF_CHAIN):
            if self.has_struct(type_.name) or (target := self._typedef(type_.name)) is None:
                return type_
            type_ = Type(target.name, target.pointers + type_.pointers, target.array or type_.array, target.function)
        return type_

    def _typedef(self, name: str) -> Type | None:
        if name not in self._typedefs:
            path = self.tags.first("typedefs", name)
            self._typedefs[name] = self._files[path].typedefs[name] if path else None
        return self._typedefs[name]

    def _struct(self, name: str) -> tuple[str, Struct] | None:
        """The declaration of a struct with the most members, with its file."""
        if name not in self._structs:
            files = self.tags.files("structs", name)
            declared = ((path, self._files[path].largest[name]) for path in files)
            self._structs[name] = max(declared, key=lambda d: len(d[1].members), default=None)
        return self._structs[name]

    def members(self, struct: str, file: str) -> Mapping[str, Variable]:
        """Member name -> member; empty for a struct that is not at hand."""
        own = self._files[file].structs.get(struct) if file in self.units else None
        found = (file, own) if own is not None else self._struct(struct)
        if found is None and (target := self._typedef(struct)) is not None:
            found = self._struct(target.name)
        if found is None:
            return {}
        path, declared = found
        members = self._members.get((path, declared.name))
        if members is None:
            members = self._members[path, declared.name] = {m.name: m for m in declared.members}
        return members

    def member(self, struct: str, name: str, file: str) -> Type:
        """Type of a struct's member, or NOTYPE."""
        variable = self.members(struct, file).get(name)
        return variable.type if variable is not None else NOTYPE

    def part(self, one: str, other: str) -> bool:
        """Whether two structs are the same object: equal, or one of them a member of the other."""
        inside = ((one, other), (other, one))
        return one == other or any(
            m.type.name == inner and not m.type.pointers
            for outer, inner in inside
            for m in self.members(outer, "").values()
        )

    def only_part(self, whole: str, part: str) -> bool:
        """Whether a struct of this code is a member of another one, and the only one of its kind there. Structs of the
        kernel's headers stand for too many things: a work item is in each delayed one."""
        files = self.declaring(part)
        if not files or any(path.startswith("include/") for path in files):
            return False
        return [m.type.name for m in self.members(whole, "").values() if not m.type.pointers].count(part) == 1

    def has_struct(self, name: str) -> bool:
        """Whether the struct's members are at hand."""
        return self.tags.has("structs", name)

    def declaring(self, struct: str) -> list[str]:
        """The files that declare a struct's members."""
        return self.tags.files("structs", struct)

    def own(self, object_: str) -> bool:
        """Whether an object is one of this code, and not of what headers of include/ share with all others."""
        struct, file = owner(object_), file_with(object_)
        declared = self.declaring(struct) if struct else [file] if file else []
        return any(not path.startswith("include/") for path in declared)

    def define(self, name: str, file: str) -> str | None:
        """Replacement text of an object-like macro, or None."""
        own = self._files[file].defines.get(name) if file in self.units else None
        if own:
            return own
        path = self.tags.first("defines", name)
        return self._files[path].defines[name] if path else None

    def value(self, text: str, file: str) -> int | None:
        """The number that a literal or a macro of a literal stands for, or None."""
        for _ in range(MAX_TYPEDEF_CHAIN):
            text = text.strip()
            while text.startswith("(") and text.endswith(")"):
                text = text[1:-1].strip()
            found = number(text)
            if found is not None:
                return found
            replaced = self.define(text, file)
            if replaced is None or replaced == text:
                return None
            text = replaced
        return None

    def variable(self, name: str, file: str) -> tuple[str, Variable | None]:
        """Identity and declaration of a file-scope variable; the bare name when it is declared nowhere at hand."""
        own = self._files[file].variables.get(name) if file in self.units else None
        if own is not None and own.static:
            return in_file(file, name), own
        path = self.tags.first("variables", name)
        return (name, self._files[path].shared_variables[name]) if path else (name, own)

    def constant(self, name: str, file: str) -> str:
        """What an enumerator, or an object-like macro, stands for in a file, as text; empty where files say different things
        and this one none of them, or it was cut."""
        found = self._constants(file, name) if file in self.units else frozenset[str]()
        if not found:
            paths = {*self.tags.files("enums", name), *self.tags.files("defines", name)}
            found = frozenset(text for path in paths for text in self._constants(path, name))
        text = next(iter(found)) if len(found) == 1 else ""
        return text if len(text) < MAX_EXPRESSION_TEXT else ""

    def _constants(self, path: str, name: str) -> frozenset[str]:
        """All that a file says a constant stands for."""
        return self._files[path].constants.get(name, frozenset())

    def is_enum(self, name: str) -> bool:
        """Whether the name is an enumerator."""
        return self.tags.has("enums", name)

    def result(self, name: str, file: str) -> Type:
        """Type that a function returns, or NOTYPE."""
        key = self.function(name, file)
        if key is not None and not self.functions[key].macro:
            return self.functions[key].result
        if name not in self._results:
            path = self.tags.first("prototypes", name)
            self._results[name] = self._files[path].results[name] if path else NOTYPE
        return self._results[name]


class NameScope:
    """The names as one function sees them: types of its expressions, identities of its variables."""

    def __init__(self, names: Names, key: FunctionKey) -> None:
        self.names = names
        self.key = key
        self.function = names.body(key)
        self.file = names.file[key]
        self.parameters = {p.name: i for i, p in enumerate(self.function.parameters)}
        self.locals = {v.name: v.type for v in (*self.function.parameters, *self.function.locals)}
        self.statics = {v.name for v in self.function.locals if v.static}
        self._types: dict[int, tuple[Expr, Type]] = {}
        self._places: dict[int, tuple[Call, Expr | None]] = {}
        self._inferring: set[str] = set()

    def type(self, expr: Expr) -> Type:
        """Type of the expression with typedefs followed, or NOTYPE."""
        found = self._types.get(id(expr))
        if found is not None:
            return found[1]
        known = self.names.resolve(self._type(expr))
        self._types[id(expr)] = expr, known  # held on to: the id of one that is gone would be given to another one
        return known

    def place(self, call: Call) -> Expr | None:
        """The place that a call gives, where finding it is all that is done: `file->f_inode` for file_inode(file)."""
        if id(call) not in self._places:
            key = self.names.function(call.callee, self.file) if call.callee else None
            function = self.names.functions[key] if key is not None else None
            found = None
            if function is not None and function.gives is not None and len(call.args) == len(function.parameters):
                given = {p.name: _typed(arg, p.type) for p, arg in zip(function.parameters, call.args, strict=True)}
                found = put_in(function.gives, given)
            self._places[id(call)] = call, found
        return self._places[id(call)][1]

    def _type_of_place(self, call: Call) -> Type:
        """The type of what an accessor gives that says none; macros may lead to one another in a circle."""
        if (
            call.callee in self._inferring
            or len(self._inferring) > MAX_LOCAL_CHAIN
            or (place := self.place(call)) is None
        ):
            return NOTYPE
        self._inferring.add(call.callee)
        found = self.type(place)
        self._inferring.discard(call.callee)
        return found

    def _inferred(self, name: str) -> Type:
        """The type of a local that is declared `auto`: that of what it is first set to."""
        events = (event for block in self.function.blocks for event in block.events)
        sets = (e.right for e in events if isinstance(e, Assign) and isinstance(e.left, Name) and e.left.name == name)
        right = next(sets, None)
        if right is None or name in self._inferring:
            return NOTYPE
        self._inferring.add(name)
        found = self.type(right)
        self._inferring.discard(name)
        return found

    def _declared(self, name: str) -> Type:
        """The type of a name: a local, a variable of the file or of others, or a well-known one."""
        if name in self.locals:
            return self.locals[name] if self.locals[name].name != "auto" else self._inferred(name)
        variable = self.names.variable(name, self.file)[1]
        return variable.type if variable is not None else WELL_KNOWN.get(name, NOTYPE)

    def _type(self, expr: Expr) -> Type:
        match expr:
            case Name(name):
                return self._declared(name)
            case Field(base, name):
                owner = self.type(base)
                return self.names.member(owner.name, name, self.file) if owner.name else NOTYPE
            case Deref(base) | IndexExpr(base):
                t = self.type(base)
                if t.array:
                    return Type(t.name, t.pointers, False, t.function)
                return Type(t.name, max(t.pointers - 1, 0), False, t.function)
            case AddressOf(base):
                t = self.type(base)
                return Type(t.name, t.pointers + 1, False, t.function)
            case CastExpr(name, pointers, base):
                return Type(name, pointers) if name else self.type(base)
            case Call(callee):
                plain = bare(expr)
                if plain is not expr:
                    return self.type(plain)
                result = self.names.result(callee, self.file) if callee else NOTYPE
                return result if result.name else self._type_of_place(expr)
            case OpExpr("?:", (_, then, other)):
                first = self.type(then)
                return first if first.name else self.type(other)
            case OpExpr("+" | "-" | "=", (first_arg, *_)):
                return self.type(first_arg)
            case OpExpr(",", (*_, last)):
                return self.type(last)
        return NOTYPE


def _typed(arg: Expr, type_: Type) -> Expr:
    """An argument as the function sees it that it is handed to."""
    return CastExpr(type_.name, type_.pointers, arg) if type_.name and type_.name != "void" else arg
