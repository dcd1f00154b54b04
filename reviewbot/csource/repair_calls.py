"""Repair rules that look at `name(...)`: macros that are loops, declarations, functions or types. See `repair`."""

from __future__ import annotations

import re

from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import KEYWORDS, Bracket, SourceText, arguments
from reviewbot.limits import MAX_ARGUMENT_BYTES

TYPE_OPERATORS = frozenset(b"sizeof typeof _Generic".split()) | KEYWORDS
OPERATORS = tuple(bytes([c]) for c in b"=(,|&+-/<>?:!~")
BASIC = rb"(?:unsigned|signed|long|int|short|char|void|bool|float|double|static|inline)\b"
SUSPECT = re.compile(rb"\b(?:struct|union|enum)\b|\b" + BASIC + rb"|\*\s*[,)]")
TYPE_ARGUMENT = re.compile(
    rb"\s*((?:(?:const|volatile)\s+)*)"
    rb"((?:struct|union|enum)\s+(?=\w)|(?=(?:" + BASIC + rb"[\s*]*)+\Z)|(?=\w+[\s*]*\*\s*\Z))"
    rb"(\w+(?:\s+(?:int|long|short|char|double|inline)\b)*)((?:\s*\*|\s*const\b|\s*__restrict\b)*)\s*\Z"
)
STORAGE = re.compile(rb"(?m)^[ \t]*(?:(?:static|extern|const)[ \t]+)+(?=[A-Z]\w*[ \t]*\()")
ODD_ARGUMENT = re.compile(rb"[(,]\s*[,)]|[(,]\s*[<=>!+/&|^%-]+\s*[,)]|;")
GROUPS = {b"struct_group": 1, b"struct_group_attr": 2, b"struct_group_tagged": 2, b"__struct_group": 3}
"""How many arguments there are before the members."""


PAIRED = re.compile(rb"(?:COMPAT_)?SYSCALL_DEFINE\d|BPF_CALL_\d")
"""Macros that make a function of a name and of pairs of a type and a parameter."""


def _at_file_scope(text: SourceText, call: Bracket) -> bool:
    """A macro call at file scope: starts a line, and what stands before it is complete."""
    line = text.code.rfind(b"\n", 0, call.start) + 1
    if call.depth or text.code[line : call.start].strip():
        return False
    before = text.before(call.start)
    return not before or before[-1:] in b";}" or before.rsplit(b"\n", 1)[-1].lstrip().startswith(b"#")


def _starts_statement(text: SourceText, call: Bracket) -> bool:
    before = text.before(call.start)
    return before[-1:] in b";{}):" or before[-4:] == b"else" or before.rsplit(b"\n", 1)[-1].lstrip().startswith(b"#")


def storage(text: SourceText) -> None:
    """Blanks `static`, `extern` and `const` before a macro call at the start of a line."""
    for found in list(STORAGE.finditer(bytes(text.code))):
        text.put(*found.span(), b"")


def type_arguments(text: SourceText) -> None:
    """Makes a name of each argument that is a type: `container_of(p, struct foo, m)` -> `container_of(p, Foo, m)`,
    `va_arg(ap, int *)` alike."""
    for call in text.calls():
        if call.name in TYPE_OPERATORS or not SUSPECT.search(text.code, call.open, call.close + 1):
            continue
        if call.depth == 0 and text.before(call.start)[-1:] not in OPERATORS and not _at_file_scope(text, call):
            continue
        if call.name in syntax().typed_variables:
            continue
        for start, end in arguments(text.code, call.open + 1, call.close):
            if found := TYPE_ARGUMENT.match(bytes(text.code[start:end])):
                for group in (1, 2, 4):
                    text.put(start + found.start(group), start + found.end(group), b"")
                name = found[3]
                if b" " in name or not found[2]:
                    text.put(start + found.start(3), start + found.end(3), _as_name(name))


def _as_name(name: bytes) -> bytes:
    joined = re.sub(rb"[ \t]", b"_", name)
    return joined if joined[:1].isupper() else joined[:1].upper() + joined[1:]


def leaving_arguments(text: SourceText) -> None:
    """Makes a name of `return`, `goto`, `break` or `continue` where it is an argument of a macro."""
    for found in list(re.finditer(rb"[(,]\s*(return|goto|break|continue)\b\s*(?=([,)])|)", bytes(text.code))):
        start, end = found.span(1)
        text.put(start, end, found[1].capitalize() if found[2] else b"")


def _takes_block(name: bytes) -> bool:
    table = syntax()
    return name in table.loops or any(part in name for part in table.loop_parts) or name.decode("latin-1") in table.once


def statement_macros(text: SourceText) -> None:
    """Makes an empty block of a macro call that is a statement without a semicolon."""
    for call in text.calls():
        if call.name in KEYWORDS or call.inside != "code" or _takes_block(call.name):
            continue
        after = text.after(call.close + 1)
        ends = after[:1] in (b"}", b"#") or re.match(rb"else\b", after)
        if (ends or (call.name.isupper() and after[:1].isalpha())) and _starts_statement(text, call):
            text.put(call.start, call.close + 1, b"")
            text.code[call.start] = ord("{")
            text.code[call.close] = ord("}")


def block_macros(text: SourceText) -> None:
    """Renames a macro call before a block (`for_each_foo(x) {`) to `while`, so that the block is read as a loop."""
    for call in text.calls():
        if call.name in KEYWORDS or call.inside != "code" or len(call.name) < 5:
            continue
        known = _takes_block(call.name)
        after = text.after(call.close + 1)[:1]
        follows = after in (b"{", b"_") or after.isalpha() or (known and after in (b"*", b"(", b"+", b"-"))
        if not follows or not _starts_statement(text, call):
            continue
        _while(text, call)


def each_macros(text: SourceText) -> None:
    """Reads `do_each_foo(x) { ... } while_each_foo(x);` and `do { ... } for_each_foo(x);` as `do ... while` loops."""
    for call in text.calls():
        if call.depth and call.name.startswith(b"do_each_") and text.after(call.close + 1)[:1] == b"{":
            text.put(call.start, call.close + 1, b"do")
        elif (call.depth and call.name.startswith(b"while_each_") and text.before(call.start)[-1:] == b"}") or (
            call.depth and _takes_block(call.name) and text.after(call.close + 1)[:1] == b";" and _ends_do(text, call)
        ):
            _while(text, call)


def _ends_do(text: SourceText, call: Bracket) -> bool:
    """Whether a call stands behind the block of a `do`."""
    at = end = text.code.rfind(b"}", 0, call.start)
    if at < 0 or text.code[at + 1 : call.start].strip():
        return False
    depth = 0
    while at >= 0:
        depth += {ord("}"): 1, ord("{"): -1}.get(text.code[at], 0)
        if not depth:
            return bool(re.search(rb"\bdo\s*\Z", text.code[max(0, at - 20) : at]))
        at = max(text.code.rfind(b"{", 0, at), text.code.rfind(b"}", 0, at)) if end - at < MAX_ARGUMENT_BYTES else -1
    return False


def _while(text: SourceText, call: Bracket) -> None:
    """Name a call `while`; one without arguments gets a condition in the place of its parenthesis."""
    if text.code[call.open + 1 : call.close].strip() or call.open != call.start + len(call.name):
        text.put(call.start, call.start + len(call.name), b"while")
    elif len(call.name) > 5:
        text.put(call.start, call.open + 1, b"while".ljust(len(call.name) - 1) + b"(1")


def system_calls(text: SourceText) -> None:
    """Turns `SYSCALL_DEFINEn(name, type, argument, ...)` and `BPF_CALL_n(...)` into the head of a function that returns
    long."""
    for call in text.calls():
        if call.depth or not PAIRED.fullmatch(call.name):
            continue
        ranges = arguments(text.code, call.open + 1, call.close)
        text.put(call.start, call.open + 1, b"long")
        for number, (_, end) in enumerate(ranges[:-1]):
            if number % 2 == 0:
                text.code[end : end + 1] = b"," if number else b"("
            else:
                text.code[end : end + 1] = b" "
        if len(ranges) == 1:
            text.put(call.start, call.open + 1, b"long".ljust(len(call.name) - 1) + b"f(")


def typed_variables(text: SourceText) -> None:
    """Turns a macro that declares a variable by its type (`DEFINE_PER_CPU(type, name)`) into that declaration."""
    for call in text.calls():
        if call.name in syntax().typed_variables:
            ranges = arguments(text.code, call.open + 1, call.close)
            if len(ranges) == 2:
                array = bytes(text.code[slice(*ranges[0])]).find(b"[")
                text.put(call.start, call.open + 1, b"")
                text.put(ranges[0][0] + array if array >= 0 else ranges[0][1], ranges[0][1] + 1, b"")
                text.put(call.close, call.close + 1, b"")


def macro_members(text: SourceText) -> None:
    """Declares the name that a macro call among the members of a struct stands for; blanks one without a semicolon."""
    for call in text.calls():
        if call.inside != "members" or not _starts_statement(text, call):
            continue
        after = text.after(call.close + 1)[:1]
        if after == b"(":
            continue
        ranges = arguments(text.code, call.open + 1, call.close)
        if after != b";":
            text.put(call.start, call.close + 1, b"")
        elif ranges and len(call.name) > 1:
            _declare(text, call, ranges[0])


def macro_variables(text: SourceText) -> None:
    """Declares the name that DECLARE_FOO(name) or DEFINE_FOO(name) stands for inside of a function."""
    for call in text.calls():
        if call.depth and call.inside != "members" and call.name.startswith((b"DECLARE_", b"DEFINE_")):
            after = text.after(call.close + 1)
            ranges = arguments(text.code, call.open + 1, call.close)
            if after[:1] == b"=" and ranges:
                _declare(text, call, ranges[0])
            elif after[:1].isalpha():
                text.put(call.start, call.close + 1, call.name[:1])


def _declare(text: SourceText, call: Bracket, name: tuple[int, int]) -> None:
    """`MACRO(name, ...)` becomes `M     name     `: the declaration of a name."""
    text.put(call.start, name[0], call.name[:1])
    text.put(name[1], call.close + 1, b"")


def empty_arguments(text: SourceText) -> None:
    """Fills in macro arguments that are no expression: none at all, an operator alone, statements."""
    for call in text.calls():
        if call.name in KEYWORDS or not ODD_ARGUMENT.search(text.code, call.open, call.close + 1):
            continue
        ranges = arguments(text.code, call.open + 1, call.close)
        for number, (start, end) in enumerate(ranges):
            argument = bytes(text.code[start:end]).strip()
            if not argument and len(ranges) > 1:
                comma = end if number == 0 else start - 1
                text.put(comma, comma + 1, b"")
            elif argument and not argument.strip(b"<=>!+-/&|^%"):
                text.put(start, end, b"0")
            elif b";" in argument and b"{" not in argument:
                if argument.endswith(b";"):
                    text.put(bytes(text.code).rindex(b";", start, end), end, b"")
                # one argument still, as long as none of the statements assigns
                between = b"," if b"=" in argument else b"|"
                text.code[start:end] = text.code[start:end].replace(b";", between)


def struct_groups(text: SourceText) -> None:
    """Turns `struct_group(name, members)` and its like (GROUPS) into a nested struct with these members."""
    for call in text.calls():
        if call.name in GROUPS:
            ranges = arguments(text.code, call.open + 1, call.close)
            if len(ranges) > GROUPS[call.name]:
                body = ranges[GROUPS[call.name]][0]
                text.put(call.start, body, b"struct {")
                text.put(call.close, call.close + 1, b"}")


def function_macros(text: SourceText) -> None:
    """Shortens the name of a macro at file scope that is followed by a body, so that it is read as a function."""
    for call in text.calls():
        if len(call.name) > 2 and _at_file_scope(text, call) and text.after(call.close + 1)[:1] == b"{":
            name = call.name[:1] + b" " * (len(call.name) - 2) + call.name[-1:]
            text.put(call.start, call.start + len(call.name), name)


def loose_macros(text: SourceText) -> None:
    """Blanks macro calls at file scope that are neither declaration nor function; keeps their ranges in
    `text.loose`."""
    for call in sorted(text.calls(), key=lambda call: call.start):
        if _at_file_scope(text, call) and text.after(call.close + 1)[:1] not in (b";", b"{", b"=", b",", b"(", b"["):
            text.loose.append((call.start, call.close + 1))
            text.put(call.start, call.close + 1, b"")
