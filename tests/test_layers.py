"""Imports point one way, and only the named rooms touch b4, git, tree-sitter, the network, a database or the process.

Every rule here is about all files at once. An allowance that no file needs any more fails as well.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted([*ROOT.glob("reviewbot/**/*.py"), *ROOT.glob("heuristics/**/*.py")])
}

ROOMS = (
    "reviewbot.limits",
    "reviewbot.function_key",
    "reviewbot.score",
    "reviewbot.posted",
    "reviewbot.types",
    "reviewbot.text",
    "reviewbot.key",
    "reviewbot.faults",
    "reviewbot.precision",
    "reviewbot.process",
    "reviewbot.gittree",
    "reviewbot.mail",
    "reviewbot.csource",
    "reviewbot.kernel",
    "reviewbot.analysis.code",
    "reviewbot.analysis.events",
    "reviewbot.analysis.callgraph",
    "reviewbot.analysis.locks",
    "reviewbot.analysis.producers",
    "reviewbot.analysis.summaries",
    "reviewbot.analysis.program",
    "reviewbot.analysis.questions",
    "reviewbot.analysis",
    "reviewbot.sim",
    "reviewbot.models",
    "reviewbot.replay.slicing",
    "reviewbot.detect",
    "reviewbot.difference",
    "reviewbot.rule",
    "reviewbot.replay",
    "heuristics",
    "reviewbot.rules",
    "reviewbot.report",
    "reviewbot.review",
    "reviewbot.drafts",
    "reviewbot.watch",
    "reviewbot.reproduce",
    "reviewbot.bench",
    "reviewbot.archive",
    "reviewbot.audit",
    "reviewbot.docs",
    "reviewbot.site",
    "reviewbot.commands",
    "reviewbot.cli",
    "reviewbot.__main__",
)
"""From the ground up: a room imports from those above it in this list, and from itself."""

ONLY_IN = {
    "b4": set(),
    "liblore": {"reviewbot.mail"},
    "requests": {"reviewbot.mail", "reviewbot.watch"},
    "git": {"reviewbot.gittree", "reviewbot.mail"},
    "tree_sitter": {"reviewbot.csource"},
    "tree_sitter_c": {"reviewbot.csource"},
    "imapclient": {"reviewbot.drafts", "reviewbot.watch"},
    "sqlalchemy": {"reviewbot.watch"},
    "smtplib": set(),
}
"""Package that reaches outside -> the rooms that may import it."""

LEAVES_THE_PROCESS = {"reviewbot.cli", "reviewbot.process.stopping"}
"""The command line, and the handlers of signals that come before there is one."""


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def room(module: str) -> str:
    """The room that a module stands in; empty for the package itself and for modules of others."""
    found = [r for r in ROOMS if module == r or module.startswith(f"{r}.")]
    return max(found, key=len, default="")


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it; `from package import module` counts as the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if name in MODULES]
            yield from modules
            if len(modules) < len(inner):
                yield node.module


def test_every_file_has_a_room_and_every_room_has_files() -> None:
    homeless = [m for m in MODULES if not room(m) and m != "reviewbot"]
    assert not homeless, f"in no room of ROOMS: {homeless}"
    empty = set(ROOMS) - {room(m) for m in MODULES}
    assert not empty, f"rooms without a file: {empty}"


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imports(path)
        if room(module) and room(imported) and ROOMS.index(room(imported)) > ROOMS.index(room(module))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circle_of_files() -> None:
    graph = {m: {i for i in imports(path) if i in MODULES and i != m} for m, path in MODULES.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the circle


def test_only_the_named_rooms_reach_outside() -> None:
    used: dict[str, set[str]] = {package: set() for package in ONLY_IN}
    for module, path in MODULES.items():
        for imported in imports(path):
            package = imported.partition(".")[0]
            if package in ONLY_IN:
                assert room(module) in ONLY_IN[package], f"{module} imports {imported}"
                used[package].add(room(module))
    assert used == ONLY_IN, "an allowance that no file needs"


def test_only_the_named_files_leave_the_process() -> None:
    leaving = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in {("sys", "exit"), ("os", "_exit")}
    }
    assert leaving == LEAVES_THE_PROCESS


def test_no_rule_imports_another() -> None:
    for module, path in MODULES.items():
        if module.startswith("heuristics."):
            assert "heuristics" not in {imported.partition(".")[0] for imported in imports(path)}, module


def test_no_class_has_the_name_of_another() -> None:
    """A name that readers search for stands for one thing; a class of one file alone begins with an underscore."""
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_public_function_says_what_it_does() -> None:
    """By its own docstring, or by that of the method which it overrides."""
    classes = {
        (module, node.name): node
        for module, path in MODULES.items()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    named = {name: node for (_, name), node in classes.items()}

    def told(module: str, klass: ast.ClassDef, method: str) -> bool:
        own = any(isinstance(f, FUNCTIONS) and f.name == method and ast.get_docstring(f) for f in klass.body)
        names = [ast.unparse(base).partition("[")[0] for base in klass.bases]
        bases = [base for name in names if (base := classes.get((module, name)) or named.get(name))]
        return own or any(told(module, base, method) for base in bases)

    silent = [
        f"{module}:{klass.name}.{method.name}"
        for (module, _), klass in classes.items()
        if not klass.name.startswith("_")
        for method in klass.body
        if isinstance(method, FUNCTIONS) and not method.name.startswith("_") and not told(module, klass, method.name)
    ]
    silent += [
        f"{module}:{node.name}"
        for module, path in MODULES.items()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_") and not ast.get_docstring(node)
        if "overload" not in map(ast.unparse, node.decorator_list)
    ]
    assert not silent, "\n".join(silent)
