"""Scenes: models by name, with typed parameters whose defaults are the kernel as it is.

A scene is a function that composes environment and target into a `Model`; its parameters are the facts that a patch can
change, and the names of the reader's own objects. `NAME key=value ...`, quoted as in a shell, is how a scene is
written in a verdict, on the command line of `reviewbot simulate`, and in a rule.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from reviewbot.limits import MAX_PARAMETER
from reviewbot.sim.model import Model, Task
from reviewbot.types import ReviewError, Setting, Value

F = TypeVar("F", bound=Callable[..., Model])

YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

_SCENES: dict[str, SceneModel] = {}


class Parameter(Value, frozen=True):
    """One parameter of a scene: `kind` is yes/no, a number from 0 to 64, a text, or one of `choices`."""

    name: str
    kind: Literal["yes/no", "number", "text", "choice"]
    default: Setting
    choices: tuple[str, ...] = ()

    def read(self, text: str) -> Setting:
        """The value that a text stands for. Raises ReviewError for one that does not fit."""
        if self.kind == "text":
            return text
        if self.kind == "yes/no" and text in YES:
            return YES[text]
        if self.kind == "number" and text.isascii() and text.isdigit() and int(text) <= MAX_PARAMETER:
            return int(text)
        if self.kind == "choice" and text in self.choices:
            return text
        raise ReviewError(f"{self.name}={text}: {self.name} takes {self.takes}")

    def check(self, value: Setting) -> None:
        """Raises ReviewError for a value that does not fit."""
        if type(value) is not type(self.default) or self.read(written(value)) != value:
            raise ReviewError(f"{self.name}={value!r}: {self.name} takes {self.takes}")

    @property
    def takes(self) -> str:
        """What may be given, in words."""
        if self.kind == "choice":
            return " or ".join(filter(None, (", ".join(self.choices[:-1]), self.choices[-1])))
        return {"yes/no": "yes or no", "number": f"a number from 0 to {MAX_PARAMETER}", "text": "a text"}[self.kind]


class SceneModel(Value, frozen=True):
    """A model with parameters: name, what it shows in one sentence, and the function that builds it."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    function: Callable[..., Model]

    def build(self, values: Mapping[str, Setting] | None = None) -> Model:
        """The model for these values; what is not given is as in the kernel today.

        Raises ReviewError for an unknown parameter or a value that does not fit.
        """
        known = self._known(values or {})
        for name, value in (values or {}).items():
            known[name].check(value)
        model = self.function(**(values or {}))
        return msgspec.structs.replace(model, tasks=told_apart(model.tasks))

    def values(self, given: Mapping[str, str]) -> dict[str, Setting]:
        """Values from texts. Raises ReviewError for an unknown parameter or a value that does not fit."""
        known = self._known(given)
        return {name: known[name].read(text) for name, text in given.items()}

    def _known(self, names: Iterable[str]) -> dict[str, Parameter]:
        known = {p.name: p for p in self.parameters}
        for name in names:
            if name not in known:
                raise ReviewError(f"{self.name} has no parameter `{name}`: it has {', '.join(known) or 'none'}")
        return known

    def spec(self, values: Mapping[str, Setting] | None = None) -> str:
        """The scene with these values, as `reviewbot simulate` takes it; defaults are left out."""
        default = {p.name: p.default for p in self.parameters}
        given = {name: value for name, value in (values or {}).items() if value != default[name]}
        return shlex.join([self.name, *(f"{name}={written(value)}" for name, value in given.items())])


def written(value: Setting) -> str:
    """A value as it is given: yes, no, a number or a text."""
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


def told_apart(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks, with another name for each that is called as one before it: two tasks may run one function."""
    found: dict[str, Task] = {}
    for task in tasks:
        name = task.name
        while name in found:
            name += " in another task"
        found[name] = msgspec.structs.replace(task, name=name)
    return tuple(found.values())


def scene(function: F) -> F:
    """Register a function as a scene under its own name; annotations and defaults of its parameters are its interface.

    Every parameter is a bool, an int, a str or a Literal of strings, and has a default.
    """
    hints = get_type_hints(function)
    parameters = tuple(_parameter(p, hints[p.name]) for p in inspect.signature(function).parameters.values())
    doc = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    assert function.__name__ not in _SCENES, function.__name__
    _SCENES[function.__name__] = SceneModel(function.__name__, doc, parameters, function)
    return function


def _parameter(parameter: inspect.Parameter, hint: object) -> Parameter:
    default = parameter.default
    if get_origin(hint) is Literal:
        return Parameter(parameter.name, "choice", default, get_args(hint))
    kinds: dict[object, Literal["yes/no", "number", "text"]] = {bool: "yes/no", int: "number", str: "text"}
    assert type(default) is hint, f"{parameter.name}: {default!r} is no {hint}"
    return Parameter(parameter.name, kinds[hint], default)


@cache
def scenes() -> Mapping[str, SceneModel]:
    """All scenes by name, in alphabetical order; imports every module of this package."""
    import reviewbot.models as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_SCENES.items()))


def find(name: str) -> SceneModel:
    """The scene of that name. Raises ReviewError with what comes near where there is none."""
    if found := scenes().get(name):
        return found
    near = get_close_matches(name, scenes(), n=3) or ["`reviewbot simulate --list` shows all"]
    raise ReviewError(f"there is no model `{name}`: {', '.join(near)}")


def parse(text: str) -> tuple[SceneModel, dict[str, Setting]]:
    """`NAME key=value ...` as a scene and its values. Raises ReviewError where it is none."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ReviewError(f"`{text}` is no model: {error}") from None
    if not words:
        raise ReviewError("no model given: `reviewbot simulate --list` shows all")
    return find(words[0]), find(words[0]).values(settings(words[1:]))


def settings(words: list[str]) -> dict[str, str]:
    """`key=value` words as a mapping. Raises ReviewError for a word without `=` or a key given twice."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ReviewError(f"`{word}` is no parameter: write key=value")
        if name in given:
            raise ReviewError(f"{name} is given twice: {given[name]} and {value}")
        given[name] = value
    return given


def build(text: str) -> Model:
    """The model that a text like `verity_recheck pool=shared` stands for. Raises ReviewError."""
    found, values = parse(text)
    return found.build(values)
