"""Index of declarations: which files declare a name for all of them, so that a name is found without reading every
file."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from reviewbot.csource.ir import TranslationUnit, by_name
from reviewbot.function_key import FunctionKey, key_of
from reviewbot.limits import MAX_LINES_OF_STUB

ROLES = ("functions", "structs", "typedefs", "defines", "variables", "prototypes", "enums")
"""What a name can be; a file's own statics and macros are looked up in the file and have no tag."""
Rank = tuple[bool, str]


def rank(path: str) -> Rank:
    """The order in which files are asked: headers first."""
    return not path.endswith(".h"), path


class Tags(msgspec.Struct, array_like=True):
    """Index of declarations: role (what kind of name it is) -> name -> numbers of the files that declare it, in the
    order in which they are asked."""

    paths: list[str]
    own: dict[str, list[str]]
    """Path -> names of all functions of a file, in the order of its text."""
    roles: dict[str, dict[str, list[int]]]

    @classmethod
    def of(cls, units: Mapping[str, TranslationUnit]) -> Tags:
        """The tags of some units, path -> unit."""
        tags = cls([], {}, {role: {} for role in ROLES})
        for path in sorted(units, key=rank):
            tags._put(path, units[path])
        return tags

    def replaced(self, before: Mapping[str, TranslationUnit], after: Mapping[str, TranslationUnit]) -> Tags:
        """The tags when the files of `before` have gone and those of `after` have come."""
        tags = Tags(list(self.paths), dict(self.own), {role: dict(self.roles[role]) for role in ROLES})
        number = {path: n for n, path in enumerate(tags.paths)}
        for path, unit in before.items():
            del tags.own[path]
            for role, name in _declared(path, unit):
                left = [n for n in tags.roles[role][name] if n != number[path]]
                if left:
                    tags.roles[role][name] = left
                else:
                    del tags.roles[role][name]
        for path, unit in after.items():
            tags._put(path, unit, number.get(path))
        return tags

    def files(self, role: str, name: str) -> list[str]:
        """The files that declare a name, in the order in which they are asked."""
        return [self.paths[n] for n in self.roles[role].get(name, ())]

    def first(self, role: str, name: str) -> str:
        """The first file that declares a name; empty where there is none."""
        found = self.roles[role].get(name)
        return self.paths[found[0]] if found else ""

    def has(self, role: str, name: str) -> bool:
        """Whether some file declares it."""
        return name in self.roles[role]

    def keys(self) -> dict[FunctionKey, str]:
        """Key (`file:name`) of each function -> its file."""
        return {key_of(path, name): path for path in sorted(self.own, key=rank) for name in self.own[path]}

    def _put(self, path: str, unit: TranslationUnit, number: int | None = None) -> None:
        if number is None:
            number = len(self.paths)
            self.paths.append(path)
        self.own[path] = [*by_name(unit)]
        for role, name in _declared(path, unit):
            files = [*self.roles[role].get(name, ())]
            insort(files, number, key=lambda n: rank(self.paths[n]))
            self.roles[role][name] = files


def stubs(path: str, unit: TranslationUnit) -> frozenset[str]:
    """Names of the functions of a header that are what there is with an option off: short, and the header declares another
    one of that name, whose body is elsewhere."""
    said = {name for name, _, _ in unit.prototypes} if path.endswith(".h") else set[str]()
    return frozenset(
        f.name for f in unit.functions if f.static and f.name in said and f.end - f.line < MAX_LINES_OF_STUB
    )


def _declared(path: str, unit: TranslationUnit) -> Iterator[tuple[str, str]]:
    """What a file declares for all: role and name, each once."""
    header = path.endswith(".h")
    off = stubs(path, unit)
    names: dict[str, Iterable[str]] = {
        "functions": (f.name for f in unit.functions if (header or not (f.static or f.macro)) and f.name not in off),
        "structs": (s.name for s in unit.structs if s.members),
        "typedefs": (name for name, _ in unit.typedefs),
        "defines": (name for name, _ in unit.defines if header),
        "variables": (v.name for v in unit.variables if not v.static),
        "prototypes": (name for name, _, _ in unit.prototypes),
        "enums": (name for name, _ in unit.enums),
    }
    for role, found in names.items():
        for name in dict.fromkeys(found):
            yield role, name
