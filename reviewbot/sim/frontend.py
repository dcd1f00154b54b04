"""Models written as Python functions that are never executed: their syntax tree becomes a program.

A function is specialised on its arguments: what can be computed without a state (devices, flags, callbacks, `if` and
`for` over them) is computed by Python now; what depends on the state (`if s.in_progress >= limit`, `if choice()`,
`while`) becomes part of the program. A call in statement position is a step of the vocabulary, or runs a program.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any, Generic, ParamSpec, overload

from reviewbot.sim.program import (
    BREAK,
    CONTINUE,
    RETURN,
    TRUE,
    Act,
    Attempt,
    If,
    ModelError,
    Node,
    Resource,
    Routine,
    Seq,
    Task,
    Test,
    While,
    attempt,
    placed,
)
from reviewbot.sim.waits import Var, atomic_add
from reviewbot.types import Place

P = ParamSpec("P")


class SourceProgram(Generic[P]):
    """A function of a model. Calling it with arguments gives a routine: a step, a work item, a callback."""

    def __init__(self, function: Callable[P, None], file: str = "", title: str = "", told: bool = True) -> None:
        assert isinstance(function, FunctionType)
        self.function: FunctionType = function
        self.name = function.__name__
        self.place = Place(file, 0, self.name)
        self._title = title
        self.told = told

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> BoundName:
        if kwargs:
            raise ModelError(f"{self.name}(): arguments of a program are given by position")
        return BoundName(self, args)

    def __str__(self) -> str:
        return self.name

    def title(self, args: tuple[Hashable, ...]) -> str:
        """The program's name in a trace, for these arguments."""
        if self._title:
            return self._title.format(**dict(zip(_parsed(self.function).parameters, args, strict=True)))
        shown = ", ".join(str(a) for a in args if not isinstance(a, Routine))
        return f"{self.name}({shown})" if shown else self.name

    def body(self, args: tuple[Hashable, ...]) -> Node:
        """The program for these arguments."""
        return _Specialiser(self, args).block(_parsed(self.function).body)


class BoundName(Routine, frozen=True, eq=True):
    """A program with its arguments."""

    program: SourceProgram[...]
    args: tuple[Hashable, ...]

    @property
    def title(self) -> str:
        return self.program.title(self.args)

    @property
    def told(self) -> bool:
        return self.program.told

    def body(self) -> Node:
        return self.program.body(self.args)


@overload
def program(function: Callable[P, None], /) -> SourceProgram[P]: ...
@overload
def program(
    *, file: str = "", title: str = "", told: bool = True
) -> Callable[[Callable[P, None]], SourceProgram[P]]: ...
def program(function: Callable[P, None] | None = None, /, *, file: str = "", title: str = "", told: bool = True) -> Any:
    """Make a program of a function.

    file: the source file whose function of that name it stands for, so that a trace can point there.
    title: its name in a trace, with the parameters in braces: `verity_work of {v}`.
    told: False where a trace need not say that a thread or an interrupt runs it.
    """
    if function is not None:
        return SourceProgram(function)
    return lambda function: SourceProgram(function, file, title, told)


def task(
    *, n: int = 1, name: str = "", file: str = "", cpu: Resource | None = None
) -> Callable[[Callable[[], None]], Task]:
    """Make a class of `n` tasks of a function without parameters; `name` is what a trace calls them."""
    return lambda function: Task(name or function.__name__, BoundName(SourceProgram(function, file), ()), n, cpu)


# --- reading the function --------------------------------------------------------------------------------------------


class _Parsed:
    """The syntax tree of a function and the code objects of its expressions, shared by all its specialisations."""

    def __init__(self, tree: ast.FunctionDef, file: str) -> None:
        self.parameters = [arg.arg for arg in tree.args.args]
        self.body = tree.body
        self.file = file
        self._codes: dict[ast.expr, CodeType] = {}

    def code(self, expression: ast.expr) -> CodeType:
        if expression not in self._codes:
            self._codes[expression] = compile(ast.Expression(expression), self.file, "eval")
        return self._codes[expression]


@cache
def _functions(file: str) -> dict[int, ast.FunctionDef]:
    """Function definitions of a Python file by the line of their first decorator, or of `def`."""
    nodes = (n for n in ast.walk(ast.parse(Path(file).read_bytes(), file)) if isinstance(n, ast.FunctionDef))
    return {min([n.lineno, *(d.lineno for d in n.decorator_list)]): n for n in nodes}


@cache
def _parse(code: CodeType) -> _Parsed:
    tree = _functions(code.co_filename).get(code.co_firstlineno)
    if tree is None:
        raise ModelError(f"{code.co_name}(): no function at {code.co_filename}:{code.co_firstlineno}")
    return _Parsed(tree, code.co_filename)


def _parsed(function: FunctionType) -> _Parsed:
    return _parse(function.__code__)


@cache
def _loaded(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression that reads it."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _own(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of loops inside it."""
    yield statement
    if not isinstance(statement, ast.While | ast.For):
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.stmt):
                yield from _own(child)


def _filled(cell: CellType) -> bool:
    """A variable of the function around that has a value by now."""
    try:
        return cell.cell_contents is not None or True
    except ValueError:
        return False


def _condition(value: Any) -> Any:
    return value != 0 if isinstance(value, Var) else value


class _Specialiser:
    """Turns the statements of one function, for one set of arguments, into a program."""

    def __init__(self, program: SourceProgram[...], args: tuple[Hashable, ...]) -> None:
        function, self.parsed, self.place = program.function, _parsed(program.function), program.place
        if len(args) != len(self.parsed.parameters):
            raise ModelError(f"{program.name}() takes {len(self.parsed.parameters)} arguments, not {len(args)}")
        closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        outer = {name: cell.cell_contents for name, cell in closure if _filled(cell)}
        self.env: dict[str, Any] = {
            **function.__globals__,
            **outer,
            **dict(zip(self.parsed.parameters, args, strict=True)),
        }

    def fail(self, node: ast.stmt | ast.expr, why: str) -> ModelError:
        return ModelError(f"{self.parsed.file}:{node.lineno}: {why}: {ast.unparse(node).splitlines()[0]}")

    def block(self, statements: list[ast.stmt]) -> Node:
        nodes = [node for statement in statements if (node := self.statement(statement)) is not None]
        return nodes[0] if len(nodes) == 1 else Seq(tuple(nodes))

    def branch(self, statements: list[ast.stmt]) -> Node:
        """A block that only runs on some paths: names assigned in it are not seen after it."""
        before = dict(self.env)
        node = self.block(statements)
        self.env = before
        return node

    def statement(self, statement: ast.stmt) -> Node | None:
        match statement:
            case ast.Pass() | ast.Expr(ast.Constant()):
                return None
            case ast.Expr(expression):
                return self.step(expression)
            case ast.If():
                return self.if_(statement)
            case ast.While(orelse=[]):
                return self.while_(statement)
            case ast.For(target=ast.Name(name), orelse=[]):
                return self.for_(statement, name)
            case ast.AugAssign(op=ast.Add() | ast.Sub()):
                return self.count(statement)
            case ast.Assign(targets=[ast.Name(name)], value=value):
                self.env[name] = self.static(value)
                return None
            case ast.Break():
                return BREAK
            case ast.Continue():
                return CONTINUE
            case ast.Return(None):
                return RETURN
        raise self.fail(statement, "a model cannot say this")

    def step(self, expression: ast.expr) -> Node:
        value = self.eval(expression)
        if isinstance(value, Routine):
            return value
        if isinstance(value, Attempt):
            value = If(value, Seq())
        if not isinstance(value, Node):
            raise self.fail(expression, "not a step (a vocabulary function or a program)")
        return value.at(self.place)

    def if_(self, statement: ast.If) -> Node | None:
        test = _condition(self.test(statement.test))
        if not isinstance(test, Test | Attempt):
            return self.block(statement.body if test else statement.orelse)
        placed = attempt(test).over(self._placed)
        return If(placed, self.branch(statement.body), self.branch(statement.orelse))

    def while_(self, statement: ast.While) -> Node | None:
        test = _condition(self.test(statement.test))
        if isinstance(test, Test | Attempt):
            return While(attempt(test).over(self._placed), self.branch(statement.body))
        return While(TRUE, self.branch(statement.body)) if test else None

    def for_(self, statement: ast.For, name: str) -> Node:
        if any(isinstance(n, ast.Break | ast.Continue) for s in statement.body for n in _own(s)):
            raise self.fail(statement, "break and continue need a while loop")
        nodes = []
        for value in self.static(statement.iter):
            self.env[name] = value
            nodes.append(self.block(statement.body))
        return Seq(tuple(nodes))

    def count(self, statement: ast.AugAssign) -> Node:
        var, by = self.eval(_loaded(statement.target)), self.static(statement.value)
        if not isinstance(var, Var) or not isinstance(by, int):
            raise self.fail(statement, "only a Var can be counted up or down, by a number")
        return atomic_add(by if isinstance(statement.op, ast.Add) else -by, var).at(self.place)

    def _placed(self, act: Act) -> Act:
        return placed(act, self.place)

    # --- expressions

    def eval(self, expression: ast.expr) -> Any:
        return eval(self.parsed.code(expression), self.env)

    def static(self, expression: ast.expr) -> Any:
        value = self.test(expression)
        if isinstance(value, Test | Attempt):
            raise self.fail(expression, "only known in a state of the model, so it cannot be assigned or iterated")
        return value

    def test(self, expression: ast.expr) -> Any:
        """The value of an expression: a Test or Attempt where it depends on the state, else a plain value."""
        match expression:
            case ast.BoolOp():
                return self.bool_op(expression)
            case ast.UnaryOp(ast.Not(), operand):
                value = _condition(self.test(operand))
                if isinstance(value, Attempt):
                    return Attempt(value.no, value.yes)
                return ~value if isinstance(value, Test) else not value
        return self.eval(expression)

    def bool_op(self, expression: ast.BoolOp) -> Any:
        conjunction = isinstance(expression.op, ast.And)
        tests: list[Test] = []
        value: Any = conjunction
        for operand in expression.values:
            value = _condition(self.test(operand))
            if isinstance(value, Attempt):
                raise self.fail(operand, "a step with two outcomes has to be the whole condition")
            if isinstance(value, Test):
                tests.append(value)
            elif bool(value) is not conjunction:
                return value if not tests else (not conjunction)
        if not tests:
            return value
        joined = tests[0]
        for test in tests[1:]:
            joined = joined & test if conjunction else joined | test
        return joined
