"""Which functions of a tree sleep whatever their caller asks for: makes `reviewbot/kernel/derived.toml`.

    python tests/kernel/derive.py --tree PATH [--tree PATH ...] [--write]

A function sleeps for sure when one of its own statements, before anything that a caller decides, calls something that
sleeps: a primitive of api.toml, or another such function. Statements are read as text, by the kernel's layout: what stands
in a nested block counts for nothing, nor does what comes after a way out of the function. Only a way out for a missing
argument, a failure or the state of an object is passed by. A name counts when no tree has a function of that name, which
does anything, without the sleep.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from reviewbot.analysis.code.lexical import BODY, DIRECTIVE, NOISE, blank, function_name
from reviewbot.kernel import BLOCKING, KERNEL, LockCall
from reviewbot.kernel.schema import AllocateGroup, Contract, FlushGroup, WaitGroup

FOLDERS = ("arch/x86", "block", "crypto", "drivers", "fs", "include", "io_uring", "ipc", "kernel", "lib", "mm", "net")
FOLDERS += ("security", "sound", "virt")
NOT_SHARED = ("tools/", "Documentation/", "samples/", "scripts/")
MASKS = re.compile(r"\bGFP_(KERNEL|NOIO|NOFS|USER|HIGHUSER)\b")
_STATEMENT = re.compile(r"[^;{}]*[;{}]")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_LEAVES_FUNCTION = re.compile(r"\b(return|goto)\b")
_LEAVES = re.compile(r"\b(return|goto|break|continue)\b")
_MISSING = re.compile(
    r"if\s*\((?P<asked>[^;{}]*)\)\s*return\b\s*(?P<given>[^;{}]*);|if\s*\((?P<asked_block>[^;{}]*)\)\s*\{\s*"
    r"(?:return\b\s*(?P<given_block>[^;{}]*);|\w+\s*=\s*(?P<set>-E\w+)\s*;\s*goto\s+\w+\s*;)\s*\}"
)
_ABSENT = re.compile(
    r"\s*(?:(?:un)?likely\s*\()?\s*(?:!\s*\w+|IS_ERR(?:_OR_NULL)?\s*\(\s*\w+\s*\)|\w+\s*==\s*NULL)\s*\)?\s*"
)
_FAILED = re.compile(r"-E(?:INVAL|NODEV|NOMEM|OPNOTSUPP|NOTSUPP|PERM|NXIO|NOSYS|SHUTDOWN|ACCES|NOTTY|FAULT|NOENT)\b")
_RESULT = re.compile(
    r"\s*(?:(?:un)?likely\s*\()?\s*(?P<name>ret|err|rc|error|retval|result|status|r)\s*(?:<\s*0|!=\s*0)?\s*\)?\s*"
)
_STATE = re.compile(r"->|\w\s*\(")
_CONTEXT = re.compile(
    r"atomic|interrupt|irqs_|preempt|nowait|NOWAIT|\bblock|\btry|TRY|gfp|flags|sleep|current|oops|crash|panic|system_state"
)
_DECLARED = re.compile(rb"\b([a-z_]\w*)\s*\(")
_KEYWORDS = ("if", "for", "while", "switch", "do", "else", "case", "default", "goto", "list_for_each_entry")


class Begins(NamedTuple):
    """A function: the calls of the statements that it begins with (name, arguments), and whether it does anything."""

    static: bool
    calls: tuple[tuple[str, str], ...]
    empty: bool


def statements(body: str) -> Iterator[str]:
    """The statements that a body begins with, as long as nothing has been decided: `body` without its outer braces."""
    rest = body
    while rest:
        rest = rest.lstrip()
        exits = _MISSING.match(rest)
        asked = (exits["asked"] or exits["asked_block"]) if exits is not None else ""
        if exits is not None and failed(asked, exits["given"] or exits["given_block"] or exits["set"]):
            yield _condition(asked)
            rest = rest[exits.end() :]
            continue
        found = _STATEMENT.match(rest)
        if found is None:
            return
        text = found[0]
        word = re.match(r"[A-Za-z_]\w*", text)
        if word is not None and (word[0] in _KEYWORDS or "for_each" in word[0] or word[0].startswith("scoped_")):
            if word[0] == "if":
                yield _condition(text)
            length = nested(rest)
            if not length or (word[0].startswith("scoped_") or _LEAVES_FUNCTION.search(rest[:length])):
                return
            rest = rest[length:]
            continue
        if re.match(r"\w+\s*:[^:]", text) or text.endswith(("{", "}")):
            return
        if word is not None and word[0] == "return":
            yield re.split(r"&&|\|\||\?", text)[0]
        if _LEAVES.search(text):
            return
        yield re.split(r"&&|\|\||\?", text)[0]
        rest = rest[found.end() :]


def nested(text: str) -> int:
    """Length of the statement with a condition that a text begins with, its other branches included; 0 where its end is not
    found."""
    at = 0
    while True:
        head = re.match(r"\s*(?:else\b\s*)?(?:[A-Za-z_]\w*\s*(?=\())?", text[at:])
        at += head.end() if head is not None else 0
        if text[at : at + 1] == "(":
            at = _closed(text, at)
        body = re.match(r"\s*", text[at:])
        at += body.end() if body is not None else 0
        if text[at : at + 1] == "{":
            at = _closed(text, at)
        else:
            end = text.find(";", at)
            if end < 0 or re.match(r"(if|for|while|do|switch|else)\b", text[at:]):
                return 0
            at = end + 1
        if not at:
            return 0
        if not re.match(r"\s*else\b", text[at:]):
            return at


def _closed(text: str, at: int) -> int:
    """Where the bracket at a position is closed, behind it; 0 where it is not."""
    depth = 0
    for found in re.finditer(r"[(){}]", text[at:]):
        depth += 1 if found[0] in "({" else -1
        if not depth:
            return at + found.end()
    return 0


def failed(asked: str | None, given: str | None) -> bool:
    """Whether a way out is for a call that fails: an argument is missing or wrong, or something before has failed."""
    asked, given = asked or "", given or ""
    if _CONTEXT.search(asked):
        return False
    result = _RESULT.fullmatch(asked)
    if result and given.strip() == result["name"]:
        return True
    return bool(_ABSENT.fullmatch(asked) or _FAILED.search(given) or _STATE.search(asked))


def _condition(text: str) -> str:
    """What a condition asks first: `text` begins with its keyword, or has nothing but it."""
    start = text.find("(") + 1 if text.startswith("if") else 0
    depth, at = 1, start
    while at < len(text) and depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return re.split(r"&&|\|\||\?", text[start:at])[0]


def calls(text: str) -> Iterator[tuple[str, str]]:
    """The calls of a statement with their arguments; what macros that take code are given is none."""
    for found in _CALL.finditer(text):
        if found[1] in ("sizeof", "typeof", "__typeof__", "container_of", "offsetof", "lockdep_assert_held"):
            continue
        depth, at = 1, found.end()
        while at < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield found[1], text[found.end() : at - 1]


def begins(text: bytes) -> Iterator[tuple[str, Begins]]:
    """The functions of a file."""
    plain = NOISE.sub(blank, text)
    end = 0
    for body in BODY.finditer(plain):
        head = re.split(rb"[;}]", DIRECTIVE.sub(blank, plain[end : body.start()])[-600:])[-1]
        end = body.end()
        name = function_name(head)
        if name is None or not head.strip():
            continue
        inside = body[0][1:-1]
        cut = re.search(rb"^[ \t]*#", inside, re.M)
        shown = (inside[: cut.start()] if cut else inside).decode(errors="replace")
        found = tuple(call for statement in statements(shown) for call in calls(statement))
        static = b"static" in head.split(b"(", 1)[0].split()
        empty = cut is None and not re.search(
            r"\w\s*\(|=|->", re.sub(r"\bERR_PTR\s*\([^)]*\)|\breturn\b[^;(]*;", "", shown)
        )
        yield name, Begins(static, found, empty)


class TreeOfFunctions:
    """The functions of a tree: those that others can call by name, and those of a file."""

    def __init__(self, root: Path) -> None:
        self.outward: dict[str, list[tuple[str, Begins]]] = defaultdict(list)
        self.within: dict[tuple[str, str], Begins] = {}
        self.declared: set[str] = set()
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*.[ch]")):
                if path.is_file():
                    self._take(path.relative_to(root).as_posix(), path.read_bytes())

    def _take(self, path: str, text: bytes) -> None:
        if path.startswith("include/"):
            self.declared |= {word.decode() for word in _DECLARED.findall(text)}
        for name, function in begins(text):
            if function.static and path.endswith(".c"):
                self.within[path, name] = function
            else:
                self.outward[name].append((path, function))

    def sleeping(self) -> dict[str, str]:
        """Names that others can call which sleep for sure, each with the call that does."""
        sure: dict[str, str] = {}
        inside: dict[tuple[str, str], str] = {}
        while True:
            size = len(sure), len(inside)
            for at, function in self.within.items():
                if at not in inside and (why := self._why(at[0], function, sure, inside)):
                    inside[at] = why
            for name, found in self.outward.items():
                if name in sure:
                    continue
                # a static function beside one that is not is what there is with an option off
                outside = any(not f.static for _, f in found)
                acting = [(path, f) for path, f in found if not f.empty and not (f.static and outside)]
                whys = [self._why(path, f, sure, inside) for path, f in acting]
                if whys and all(whys):
                    sure[name] = whys[0]
            if (len(sure), len(inside)) == size:
                return sure

    def _why(self, path: str, function: Begins, sure: Mapping[str, str], inside: Mapping[tuple[str, str], str]) -> str:
        for name, given in function.calls:
            if (path, name) in self.within:
                if (path, name) in inside:
                    return name
            elif name in sure or sleeps(name, given):
                return name
        return ""


def sleeps(name: str, given: str) -> bool:
    """Whether a call of the kernel's sleeps."""
    for effect in KERNEL.effects.get(name, ()):
        if isinstance(effect, LockCall):
            if effect.does in BLOCKING and effect.group.klass in (
                "mutex",
                "rwsem",
                "sem",
                "device",
                "page",
                "superblock",
            ):
                return True
        elif isinstance(effect, WaitGroup):
            if effect.klass not in ("fault",) and not effect.announce:
                return True
        elif isinstance(effect, FlushGroup):
            if effect.of in ("work", "workqueue", "thread"):
                return True
        elif isinstance(effect, AllocateGroup):
            if MASKS.search(given) and "GFP_ATOMIC" not in given:
                return True
        elif isinstance(effect, Contract) and effect.sleeps and not effect.got:
            return True
    return False


def derived(trees: Iterable[Path]) -> dict[str, str]:
    """Names that headers under include/ declare and that sleep in most of the trees that have them, each with the call
    that sleeps."""
    found: dict[str, str] = {}
    number: Counter[str] = Counter()
    for root in trees:
        functions = TreeOfFunctions(root)
        sure = functions.sleeping()
        for name, places in functions.outward.items():
            outside = any(not f.static and not f.empty for _, f in places)
            if outside and name in functions.declared:
                number[name] += 1 if name in sure else -1
                found.setdefault(name, sure.get(name, ""))
    return {n: w for n, w in sorted(found.items()) if w and number[n] > 0 and not sleeps(n, "GFP_KERNEL")}


def written(names: Iterable[str], trees: Iterable[Path]) -> str:
    """The text of the file."""
    head = f"""\
# Made by tests/kernel/derive.py of {", ".join(sorted(path.name for path in trees))}; not edited by hand.
# What sleeps under a condition, and what else a function does, belongs into api.toml.
"""
    lines = textwrap.wrap(" ".join(names), 118, break_long_words=False, break_on_hyphens=False)
    return head + 'sleepers = """\n' + "\n".join(lines) + '\n"""\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tree", action="append", type=Path, required=True, help="a kernel tree")
    parser.add_argument("--write", action="store_true", help="write the file; else print each name with its reason")
    options = parser.parse_args()
    trees = [path.expanduser() for path in options.tree]
    found = derived(trees)
    if options.write:
        Path(str(files("reviewbot.kernel") / "derived.toml")).write_text(written(found, trees))
    else:
        for name, why in found.items():
            print(name, why)


if __name__ == "__main__":
    main()
