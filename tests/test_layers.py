"""Imports point one way, and only the named files touch b4, git, tree-sitter, the network or the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("reviewbot/**/*.py"), *ROOT.glob("heuristics/**/*.py")])

# package -> what of ours it may import
MAY_IMPORT = {
    "reviewbot/types.py": set(),
    "reviewbot/cache.py": set(),
    "reviewbot/csource": {"types", "cache", "csource"},
    "reviewbot/kernel": {"types", "kernel"},
    "reviewbot/facts": {"types", "cache", "csource", "kernel", "facts"},
    "reviewbot/sim": {"types", "sim"},
    "reviewbot/models": {"types", "sim", "models"},
    "reviewbot/rule.py": {"models", "types", "csource", "kernel", "facts", "sim", "waitfor", "effects"},
    "reviewbot/edges.py": {"types", "kernel", "facts"},
    "reviewbot/sure.py": {"types", "csource", "kernel", "facts", "edges"},
    "reviewbot/providers.py": {"csource", "kernel", "facts", "edges"},
    "reviewbot/waitfor.py": {"types", "kernel", "facts", "edges", "providers", "sure"},
    "reviewbot/program.py": {"types", "facts"},
    "reviewbot/effects.py": {
        "types",
        "csource",
        "kernel",
        "facts",
        "program",
        "effects_frames",
        "effects_locks",
        "effects_reader",
    },
    "reviewbot/effects_frames.py": {"types", "facts", "effects_locks", "effects_reader"},
    "reviewbot/effects_locks.py": {"types", "kernel", "facts", "program", "effects_reader"},
    "reviewbot/effects_reader.py": {"types", "csource", "kernel", "facts"},
    "reviewbot/cast.py": {"types", "kernel", "facts", "sim", "waitfor", "effects"},
    "reviewbot/sleeps.py": {"types", "kernel", "facts", "edges", "providers", "sure", "waitfor"},
    "reviewbot/completions.py": {"types", "csource", "facts", "effects", "sleeps", "waitfor"},
    "reviewbot/unmasked.py": {"types", "kernel", "facts", "providers", "sleeps", "waitfor"},
    "reviewbot/circles.py": {"types", "facts", "rule", "cast", "effects", "waitfor"},
    "reviewbot/lore.py": {"types", "text", "lore_protocol"},
    "reviewbot/lore_child.py": {"bounded", "types", "lore_http", "lore_mail", "lore_protocol", "lore_series"},
    "reviewbot/lore_http.py": {"types", "lore_protocol"},
    "reviewbot/lore_mail.py": {"types", "text"},
    "reviewbot/lore_protocol.py": {"types"},
    "reviewbot/lore_series.py": {"types", "text", "gaps", "lore_mail", "lore_protocol", "lore_thread"},
    "reviewbot/lore_thread.py": {"types", "text", "diff", "lore_mail", "lore_protocol"},
    "reviewbot/unread.py": {"types", "csource"},
    "reviewbot/tree.py": {"types", "base", "diff", "index", "prior", "source", "text"},
    "reviewbot/prior.py": {"types"},
    "reviewbot/gaps.py": {"types", "text"},
    "reviewbot/base.py": {"misfit", "source"},
    "reviewbot/index.py": {"types", "diff", "misfit", "source", "text"},
    "reviewbot/diff.py": {"types"},
    "reviewbot/misfit.py": {"types", "diff", "text"},
    "reviewbot/source.py": {"types"},
    "reviewbot/reply.py": {"types", "text", "gaps", "key", "schedule"},
    "reviewbot/schedule.py": {"types"},
    "heuristics": {
        "rule",
        "announced",
        "announced_cast",
        "circles",
        "completions",
        "sleeps",
        "unmasked",
        "models",
        "heuristics",
    },
}

LEAVE = {"reviewbot/cli.py", "reviewbot/stopping.py", "reviewbot/watch_review.py"}
"""They are, or end, a process as a whole: the command line, its handlers of signals, the child that reviews."""

# third-party or risky module -> the only places that may import it
ONLY_IN = {
    "b4": {"reviewbot/lore", "reviewbot/drafts"},
    "liblore": {"reviewbot/lore", "reviewbot/watch"},
    "requests": {"reviewbot/lore", "reviewbot/patchwork.py"},
    "git": {"reviewbot/tree.py", "reviewbot/epochs.py"},
    "tree_sitter": {"reviewbot/csource"},
    "tree_sitter_c": {"reviewbot/csource"},
    "imapclient": {"reviewbot/drafts", "reviewbot/watch"},
    "smtplib": set(),
    "sqlalchemy": {"reviewbot/store"},
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module in ("reviewbot", "heuristics"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: str) -> str | None:
    """The part of the house that a module name is in: `facts` for reviewbot.facts.locks; None for others' modules."""
    parts = module.split(".")
    if parts[0] == "heuristics":
        return "heuristics"
    return parts[1] if parts[0] == "reviewbot" and len(parts) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    for place, allowed in MAY_IMPORT.items():
        if name(path) == place or name(path).startswith(place + "/"):
            got = {part for module in imports(path) if (part := ours(module))}
            assert got <= allowed, f"{name(path)} imports {sorted(got - allowed)}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_the_named_files_touch_the_world(path: Path) -> None:
    for module in imports(path):
        places = ONLY_IN.get(module.split(".")[0])
        if places is not None:
            assert any(name(path).startswith(p) for p in places), f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_cli_leaves_the_process(path: Path) -> None:
    if name(path) in LEAVE:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {("sys", "exit"), ("os", "_exit")}, name(path)


@pytest.mark.parametrize("path", [p for p in FILES if name(p).startswith("heuristics/")], ids=name)
def test_no_rule_imports_another_by_name(path: Path) -> None:
    assert "heuristics" not in {module.split(".")[0] for module in imports(path)}
