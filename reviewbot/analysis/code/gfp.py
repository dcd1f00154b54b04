"""What an allocation may do: gfp masks as they can be at a call, kept symbolic where a caller decides.

A mask is text in one spelling: flags sorted and joined by `|`, then `&~` and what is masked out; `$2` is the function's
third argument. Classes say what direct reclaim may do for it (include/linux/gfp_types.h): full (I/O and filesystems),
nofs (I/O), noio (neither), nowait and atomic (no direct reclaim: it fails instead of waiting).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.identity import UNKNOWN
from reviewbot.csource.ir import Call, Expr, Name, OpExpr
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_MASK_ALTERNATIVES

_PREFIX = KERNEL.starts("gfp_prefix")[0]
_FLAG = re.compile(rf"_*{_PREFIX}\w+")
_WORDS = re.compile(r"~?\s*\(?\s*[A-Za-z_$]\w*")
_FULL, _NOFS, _NOIO = (frozenset(KERNEL.words[role]) for role in ("gfp_full", "gfp_nofs", "gfp_noio"))
_DIRECT, _IO, _FS, _HIGH = (frozenset(KERNEL.words[role]) for role in ("gfp_direct", "gfp_io", "gfp_fs", "gfp_high"))
RANK = {"atomic": 0, "nowait": 0, "noio": 1, "nofs": 2, "full": 3}
"""Class -> how far reclaim may recurse for it."""


class SymbolicMask:
    """One alternative: flags set, flags masked out, and the symbolic part (`$i`, or empty)."""

    __slots__ = ("minus", "plus", "symbol")

    def __init__(self, plus: frozenset[str], minus: frozenset[str] = frozenset(), symbol: str = "") -> None:
        self.plus, self.minus, self.symbol = plus, minus, symbol

    def __str__(self) -> str:
        text = "|".join([*([self.symbol] if self.symbol else []), *sorted(self.plus)]) or "0"
        return text + "".join(f"&~{flag}" for flag in sorted(self.minus))


def parse(text: str) -> SymbolicMask:
    """The mask that `str(mask)` wrote."""
    kept, *minus = text.split("&~")
    plus = frozenset(kept.split("|")) - {"0", ""}
    symbols = [p for p in plus if p[0] in "$?"]
    return SymbolicMask(plus - set(symbols), frozenset(minus), symbols[0] if symbols else "")


def masks(body: Body, expr: Expr) -> tuple[str, ...]:
    """The alternatives that the mask may be, as text; `?` for what cannot be told."""
    found = {str(m) for m in _masks(body, expr, frozenset())} or {UNKNOWN}
    return tuple(sorted(found)) if len(found) <= MAX_MASK_ALTERNATIVES else (UNKNOWN,)


def lets_wait(call: Call) -> bool:
    """Whether a call is handed a mask, by name, with which whoever allocates may wait."""
    return any(_waiting(bare(arg)) for arg in call.args)


def _waiting(expr: Expr) -> bool:
    match expr:
        case Name(name):
            return name in _FULL or name in _NOFS or name in _NOIO
        case OpExpr("|", (left, right)):
            return _waiting(bare(left)) or _waiting(bare(right))
        case _:
            return False


def _unknown() -> list[SymbolicMask]:
    return [SymbolicMask(frozenset(), frozenset(), UNKNOWN)]


def _masks(body: Body, expr: Expr, seen: frozenset[str]) -> list[SymbolicMask]:
    """`seen`: locals being looked at already, so that a value that goes round adds nothing."""
    if len(seen) > 6:
        return _unknown()
    e = bare(expr)
    match e:
        case Name(name) if name in body.locals:
            return [] if name in seen else _variable(body, name, seen | {name})
        case Name(name):
            if _FLAG.fullmatch(name):
                return [SymbolicMask(frozenset({name}))]
            text = body.names.define(name, body.file)
            return [from_text(text)] if text and _PREFIX in text else _unknown()
        case OpExpr("|", (left, right)):
            return _join(_masks(body, left, seen), _masks(body, right, seen))
        case OpExpr("&", (left, right)):
            return _masked(body, left, right, seen)
        case OpExpr("?:", (_, then, other)):
            return _masks(body, then, seen) + _masks(body, other, seen)
        case Call():
            return _constrained(body, e, seen)
        case _:
            return [SymbolicMask(frozenset())] if show(e) == "0" else _unknown()


def _masked(body: Body, left: Expr, right: Expr, seen: frozenset[str]) -> list[SymbolicMask]:
    """A mask of which flags are taken out (`mask & ~flags`), or the part that is known of two."""
    flags = _inverted(body, right) or _inverted(body, left)
    if flags is not None:
        kept = left if _inverted(body, right) is not None else right
        return [SymbolicMask(m.plus - flags, m.minus | flags, m.symbol) for m in _masks(body, kept, seen)]
    first = _masks(body, left, seen)
    return first if any(m.symbol != UNKNOWN for m in first) else _masks(body, right, seen)


def _constrained(body: Body, call: Call, seen: frozenset[str]) -> list[SymbolicMask]:
    """mapping_gfp_constraint(mapping, mask) and its like: never more than the mask handed in."""
    for arg in call.args:
        if flags := _inverted(body, arg):
            return [SymbolicMask(frozenset({KERNEL.masks["full"]}), flags)]
        given = _masks(body, arg, seen)
        if any(_PREFIX in str(m) for m in given):
            return given
    return _unknown()


def _inverted(body: Body, expr: Expr) -> frozenset[str] | None:
    e = bare(expr)
    if isinstance(e, OpExpr) and e.op == "~" and len(e.args) == 1:
        flags = frozenset(_FLAG.findall(show(e.args[0])))
        return flags or None
    return None


def _variable(body: Body, name: str, seen: frozenset[str]) -> list[SymbolicMask]:
    found: list[SymbolicMask] = []
    if name in body.parameters:
        found.append(SymbolicMask(frozenset(), frozenset(), f"${body.parameters[name]}"))
    changes = []
    for op, value in body.values.get(name, ()):
        if op == "=":
            if re.search(rf"\b{re.escape(name)}\b", show(value)):
                changes.append(("=", value))
            else:
                found += _masks(body, value, seen)
        else:
            changes.append((op, value))
    if not found:
        found = [] if body.values.get(name) else _unknown()
    for op, value in changes:
        added: list[SymbolicMask] = []
        for m in found:
            if op == "|=":
                added += _join([m], _masks(body, value, seen))
            elif op == "&=" and (flags := _inverted(body, value)) is not None:
                added.append(SymbolicMask(m.plus - flags, m.minus | flags, m.symbol))
            elif op == "=":
                flags_set = frozenset(_FLAG.findall(show(value)))
                inverted = frozenset(f for f in flags_set if re.search(rf"~\s*\(?[^)]*{f}", show(value)))
                added.append(SymbolicMask((m.plus | flags_set) - inverted, m.minus | inverted, m.symbol))
        found = list({str(m): m for m in (*found, *added)}.values())[: 2 * MAX_MASK_ALTERNATIVES]
    return found


def _join(left: list[SymbolicMask], right: list[SymbolicMask]) -> list[SymbolicMask]:
    out = []
    for a in left[: 2 * MAX_MASK_ALTERNATIVES]:
        for b in right[: 2 * MAX_MASK_ALTERNATIVES]:
            symbol = a.symbol if a.symbol not in ("", UNKNOWN) else b.symbol or a.symbol
            if UNKNOWN in (a.symbol, b.symbol) and symbol in ("", UNKNOWN):
                symbol = UNKNOWN
            out.append(SymbolicMask((a.plus | b.plus) - (a.minus - b.plus), a.minus | b.minus, symbol))
    return out


def from_text(text: str) -> SymbolicMask:
    """The mask that a macro's replacement spells: `(GFP_NOIO | __GFP_NOWARN) & ~__GFP_X`."""
    minus = set()
    for part in re.findall(r"~\s*(\([^)]*\)|\w+)", text):
        minus |= set(_FLAG.findall(part))
    plain = re.sub(r"~\s*(\([^)]*\)|\w+)", "", text)
    return SymbolicMask(frozenset(_FLAG.findall(plain)), frozenset(minus))


def kind(mask: str) -> str:
    """The class of one mask (a key of RANK, as text); empty while it depends on a caller or cannot be told."""
    m = parse(mask)
    if m.symbol:
        return "nowait" if m.minus & _DIRECT else ""
    if m.minus & _DIRECT or not m.plus & (_FULL | _NOFS | _NOIO | _DIRECT):
        return "atomic" if m.plus & _HIGH else "nowait"
    io = m.plus & (_FULL | _NOFS | _IO) and not m.minus & _IO
    fs = m.plus & (_FULL | _FS) and not m.minus & _FS
    return "noio" if not io else "full" if fs else "nofs"


def taken_from(mask: str) -> str:
    """The class that is left of an unlimited mask when what a mask has masked out is taken from it."""
    minus = parse(mask).minus
    return "noio" if minus & _IO else "nofs" if minus & _FS else "full"


def within(mask: str, scopes: Iterable[str]) -> str:
    """A mask that a caller decides, with the memalloc scopes around it as flags masked out."""
    inside = set(scopes)
    lost = (_FS if inside & {"nofs", "noio"} else frozenset()) | (_IO if "noio" in inside else frozenset())
    return str(parse(mask + "".join(f"&~{flag}" for flag in sorted(lost)))) if lost else mask


def scoped(klass: str, scopes: Iterable[str]) -> str:
    """The class that is left of `klass` inside memalloc scopes (`noio`, `nofs`, `memalloc`)."""
    inside = set(scopes)
    if "memalloc" in inside:
        return "atomic"
    if "noio" in inside and RANK.get(klass, 0) > RANK["noio"]:
        return "noio"
    if "nofs" in inside and klass == "full":
        return "nofs"
    return klass


def classes(alternatives: Iterable[str], scopes: Iterable[str]) -> tuple[str, ...]:
    """Classes of the alternatives within scopes; what depends on a caller is left out."""
    inside = tuple(scopes)
    return tuple(sorted({scoped(k, inside) for mask in alternatives if (k := kind(mask))}))


def bind(mask: str, given: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Replace the symbolic part by what the caller hands in at that position."""
    m = parse(mask)
    if not m.symbol.startswith("$"):
        return (mask,)
    position = int(m.symbol[1:])
    values = given[position] if position < len(given) else ()
    out = set()
    for value in values or (UNKNOWN,):
        v = parse(value)
        out.add(str(SymbolicMask((v.plus | m.plus) - m.minus, v.minus | m.minus, v.symbol)))
    return tuple(sorted(out))
