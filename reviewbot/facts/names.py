"""What names mean over a set of files: functions, structs, typedefs, macros, variables; the type of an expression.

A name is looked up in the file first, then among what headers and non-static definitions say.
"""

from __future__ import annotations

from collections.abc import Mapping

from reviewbot.csource.ir import (
    AddressOf,
    Call,
    Cast,
    Deref,
    Expr,
    Field,
    Function,
    Index,
    Name,
    Op,
    Struct,
    Type,
    Unit,
    Variable,
)
from reviewbot.facts.expr import bare, number
from reviewbot.facts.library import Library, index

NOTYPE = Type("")
WELL_KNOWN = {"current": Type("task_struct", 1)}
"""Types of what looks like a variable and is a macro of the architecture."""
_DEPTH = 8


class Names:
    """Tables of everything that the units of a library declare."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.functions: dict[str, Function] = {}
        """Key (`file:name`) -> the function without its body; `body` has it."""
        self.file: dict[str, str] = {}
        self.shared_functions: dict[str, str] = {}
        self.own_functions: dict[tuple[str, str], str] = {}
        self._structs: dict[str, tuple[str, Struct]] = {}
        self._own_structs: dict[tuple[str, str], Struct] = {}
        self._members: dict[tuple[str, str], Mapping[str, Variable]] = {}
        self._typedefs: dict[str, Type] = {}
        self._defines: dict[str, str] = {}
        self._own_defines: dict[tuple[str, str], str] = {}
        self._variables: dict[str, tuple[str, Variable]] = {}
        self._own_variables: dict[tuple[str, str], Variable] = {}
        self._results: dict[str, Type] = {}
        self._enums: set[str] = set()
        units = library.declared
        for path in sorted(units, key=lambda p: (not p.endswith(".h"), p)):
            self._add(path, units[path])

    @classmethod
    def after(cls, before: Names, library: Library) -> Names:
        """The names of a library in which everything is declared as before, on other lines."""
        names = cls.__new__(cls)
        names.__dict__.update(before.__dict__)
        names.library, names.functions, names._enums = library, dict(before.functions), set(before._enums)
        for path, unit in library.declared.items():
            if unit is not before.library.declared.get(path):
                names.functions.update((f"{path}:{name}", f) for name, f in index(unit).items())
                names._enums.update(unit.enums)
        return names

    def body(self, key: str) -> Function:
        """The function with its body."""
        stub = self.functions[key]
        return self.library.functions(self.file[key]).get(stub.name, stub)

    def _add(self, path: str, unit: Unit) -> None:
        header = path.endswith(".h")
        for function in unit.functions:
            key = f"{path}:{function.name}"
            if key in self.functions and not self.functions[key].unreadable:
                continue  # #if arms: the first definition stands
            self.functions[key] = function
            self.file[key] = path
            self.own_functions[path, function.name] = key
            if header or not (function.static or function.macro):
                self.shared_functions.setdefault(function.name, key)
            if not function.static and not function.macro and not header:
                self.shared_functions[function.name] = key
        for struct in unit.structs:
            self._own_structs[path, struct.name] = struct
            other = self._structs.get(struct.name)
            if struct.members and (other is None or len(struct.members) > len(other[1].members)):
                self._structs[struct.name] = path, struct
        for name, type_ in unit.typedefs:
            self._typedefs.setdefault(name, type_)
        for name, text in unit.defines:
            self._own_defines[path, name] = text
            if header:
                self._defines.setdefault(name, text)
        for variable in unit.variables:
            self._own_variables[path, variable.name] = variable
            if not variable.static:
                self._variables.setdefault(variable.name, (path, variable))
        for name, result, _ in unit.prototypes:
            self._results.setdefault(name, result)
        self._enums.update(unit.enums)

    @property
    def units(self) -> Mapping[str, Unit]:
        """Path -> what the file declares; its functions are without bodies."""
        return self.library.declared

    # --- lookups

    def function(self, name: str, file: str) -> str | None:
        """Key of the function that a call of `name` in `file` reaches, or None when its body is not at hand."""
        return self.own_functions.get((file, name)) or self.shared_functions.get(name)

    def resolve(self, type_: Type, file: str = "") -> Type:
        """The type with typedefs followed, except where the typedef's name is a struct too."""
        for _ in range(_DEPTH):
            if type_.name in self._structs or (target := self._typedefs.get(type_.name)) is None:
                return type_
            type_ = Type(target.name, target.pointers + type_.pointers, target.array or type_.array, target.function)
        return type_

    def members(self, struct: str, file: str) -> Mapping[str, Variable]:
        """Member name -> member; empty for a struct that is not at hand."""
        own = self._own_structs.get((file, struct))
        found = (file, own) if own is not None else self._structs.get(struct)
        if found is None and (target := self._typedefs.get(struct)) is not None:
            found = self._structs.get(target.name)
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

    def has_struct(self, name: str) -> bool:
        """Whether the struct's members are at hand."""
        return name in self._structs

    def define(self, name: str, file: str) -> str | None:
        """Replacement text of an object-like macro, or None."""
        return self._own_defines.get((file, name)) or self._defines.get(name)

    def value(self, text: str, file: str) -> int | None:
        """The number that a literal or a macro of a literal stands for, or None."""
        for _ in range(_DEPTH):
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
        own = self._own_variables.get((file, name))
        if own is not None and own.static:
            return f"{file}:{name}", own
        found = self._variables.get(name)
        if found is not None:
            return name, found[1]
        return name, own

    def is_enum(self, name: str) -> bool:
        """Whether the name is an enumerator."""
        return name in self._enums

    def result(self, name: str, file: str) -> Type:
        """Type that a function returns, or NOTYPE."""
        key = self.function(name, file)
        if key is not None and not self.functions[key].macro:
            return self.functions[key].result
        return self._results.get(name, NOTYPE)


class Scope:
    """One function's view of the names: types and identities of its expressions."""

    def __init__(self, names: Names, key: str) -> None:
        self.names = names
        self.key = key
        self.function = names.body(key)
        self.file = names.file[key]
        self.parameters = {p.name: i for i, p in enumerate(self.function.parameters)}
        self.locals = {v.name: v.type for v in (*self.function.parameters, *self.function.locals)}
        self.statics = {v.name for v in self.function.locals if v.static}
        self._types: dict[int, Type] = {}

    def type(self, expr: Expr) -> Type:
        """Type of the expression with typedefs followed, or NOTYPE."""
        known = self._types.get(id(expr))
        if known is None:
            known = self.names.resolve(self._type(expr))
            self._types[id(expr)] = known
        return known

    def _type(self, expr: Expr) -> Type:
        match expr:
            case Name(name):
                if name in self.locals:
                    return self.locals[name]
                variable = self.names.variable(name, self.file)[1]
                return variable.type if variable is not None else WELL_KNOWN.get(name, NOTYPE)
            case Field(base, name):
                owner = self.type(base)
                return self.names.member(owner.name, name, self.file) if owner.name else NOTYPE
            case Deref(base) | Index(base):
                t = self.type(base)
                if t.array:
                    return Type(t.name, t.pointers, False, t.function)
                return Type(t.name, max(t.pointers - 1, 0), False, t.function)
            case AddressOf(base):
                t = self.type(base)
                return Type(t.name, t.pointers + 1, False, t.function)
            case Cast(name, pointers, base):
                return Type(name, pointers) if name else self.type(base)
            case Call(callee):
                plain = bare(expr)
                if plain is not expr:
                    return self.type(plain)
                if callee:
                    return self.names.result(callee, self.file)
                return NOTYPE
            case Op(op, args) if args:
                if op == "?:" and len(args) == 3:
                    first = self.type(args[1])
                    return first if first.name else self.type(args[2])
                if op in ("+", "-", "=", ","):
                    return self.type(args[-1] if op == "," else args[0])
        return NOTYPE
