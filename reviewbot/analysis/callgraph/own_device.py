"""Which structure of a driver belongs to a device that a function has: `netdev_priv(dev)`, `usb_get_intfdata(intf)`.

The kernel's calls that run an operation of a driver are handed the device, not the driver's structure. The operation that
runs is one that gets its structure from a device of its own arguments, where that is the structure of the device that
the call is about: of one in the caller's variables, or of one that the structure keeps as its own (`priv->dev = dev`).
A device that the structure merely knows (one below it) is not meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare
from reviewbot.csource.ir import AddressOf, Assign, Call, CastExpr, Expr, Field, IndexExpr, Name
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_LOCAL_CHAIN

DEVICES = frozenset(KERNEL.words["device_type"])
KEEPS = frozenset(KERNEL.words["keeps_data"])
DATA = frozenset(KERNEL.words["own_data"])


class OwnDevice:
    """What one function says of devices and the structures of drivers that belong to them."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._got: dict[str, set[str]] = {}
        """Variable -> variables that were got from it, or given to it to keep."""
        for name, values in body.values.items():
            for op, value in values:
                root = self._getting(value) if op == "=" else ""
                if root and root != name:
                    self._got.setdefault(root, set()).add(name)
        for call in body.calls:
            if call.callee in KEEPS and len(call.args) > 1 and isinstance(kept := bare(call.args[1]), Name):
                self._got.setdefault(_device(call.args[0]), set()).add(kept.name)
        for event in body.events():
            if isinstance(event, Assign) and event.op == "=" and isinstance(kept := bare(event.right), Name):
                self._got.setdefault(self._getting(event.left), set()).add(kept.name)
        self._got.pop("", None)

    def _getting(self, value: Expr) -> str:
        """The variable with the device that a value is got from: by a call, or as its private data."""
        e = bare(value)
        if isinstance(e, Field) and self.body.field(e) in DATA:
            return _device(e.base)
        return _device(e) if isinstance(e, Call | CastExpr) else ""

    @property
    def knows(self) -> bool:
        """Whether it says anything."""
        return bool(self._got)

    def of(self, name: str) -> set[str]:
        """The structures that belong to the device which a variable points to."""
        found, seen, todo = set[str](), {name}, [name]
        while todo:
            for one in self._got.get(todo.pop(), set()) - seen:
                seen.add(one)
                struct = self._struct(one)
                if struct in DEVICES:
                    todo.append(one)
                elif struct:
                    found.add(struct)
        return found

    def handed(self) -> set[str]:
        """The structures that belong to a device among the arguments, or that an argument points to."""
        found = {self._struct(name) for name in self.body.parameters}
        return (found - DEVICES - {""}).union(*(self.of(name) for name in self.body.parameters))

    @property
    def handed_on(self) -> list[str]:
        """Functions that are handed a device which is an argument of this one."""
        devices = {name for name in self.body.parameters if self.device(name)}
        plain = [call for call in self.body.calls if call.callee not in self.body.locals]
        return [c.callee for c in plain if any(isinstance(arg, Name) and arg.name in devices for arg in c.args)]

    def about(self, arg: Expr, depth: int = 0) -> Iterator[str]:
        """What an argument says of the driver's structure: `struct`, `struct.member` if that member is the device, or the
        function's own argument (`key#i`) that it is."""
        e = bare(arg)
        inside = isinstance(e, AddressOf)
        if isinstance(e, AddressOf):
            e = bare(e.base)
        while isinstance(e, Field | IndexExpr):
            if isinstance(e, Field):
                owner = self.body.type(e.base).name
                if owner and owner not in DEVICES:
                    yield owner if inside else f"{owner}.{e.name}"
                inside = inside and not e.arrow
            e = bare(e.base)
        if not isinstance(e, Name):
            return
        yield from sorted(self.of(e.name))
        if e.name in self.body.parameters and self.device(e.name):
            yield f"{self.body.key}#{self.body.parameters[e.name]}"
        values = [value for op, value in self.body.values.get(e.name, ()) if op == "="]
        if len(values) == 1 and depth < MAX_LOCAL_CHAIN and isinstance(bare(values[0]), Field | AddressOf | Name):
            yield from self.about(values[0], depth + 1)

    def kept(self) -> Iterator[str]:
        """Members (`struct.member`) into which the function puts the device that the structure belongs to."""
        for event in self.body.events():
            if isinstance(event, Assign) and event.op == "=" and isinstance(event.left, Field):
                base, root = bare(event.left.base), _device(event.right)
                if isinstance(base, Name) and root and self._struct(base.name) in self.of(root):
                    yield f"{self._struct(base.name)}.{event.left.name}"

    def device(self, name: str) -> bool:
        """Whether a variable points to a device."""
        return self._struct(name) in DEVICES

    def _struct(self, name: str) -> str:
        type_ = self.body.locals.get(name)
        if type_ is None or not type_.pointers:
            return ""
        struct = self.body.names.resolve(type_).name
        return struct if self.body.names.has_struct(struct) or struct in DEVICES else ""


def _device(expr: Expr) -> str:
    """The variable with the device in `dev`, `&dev->member`, `get(dev)`, `container_of(dev, ...)`; else empty."""
    e = bare(expr)
    while True:
        if isinstance(e, Call) and e.args:
            e = bare(e.args[0])
        elif isinstance(e, CastExpr):
            e = bare(e.base)
        elif isinstance(e, AddressOf):
            e = bare(e.base)
            while isinstance(e, Field):
                e = bare(e.base)
        else:
            return e.name if isinstance(e, Name) else ""


__all__ = ["OwnDevice"]
