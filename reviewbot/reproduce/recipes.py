"""Small edits of the source that both kernels get, in the folder where they are built and nowhere else.

They are data (`recipes.toml`): a kernel that starts on today's processors, fault points that the kernel lacks, and probes,
which only say what they see and are there where nothing else happened. The edit of a file is made where all its places
are found once each; else the recipe is left out, and who needs it says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import msgspec

from reviewbot.types import Source


class Edit(msgspec.Struct, frozen=True):
    """A text of a file, and what stands there instead."""

    find: str
    replace: str


class Recipe(msgspec.Struct, frozen=True):
    """Edits of one file that go together, why they are made, and what to tell of them."""

    file: str
    why: str
    edits: tuple[Edit, ...]
    host: bool = False
    """It is for the host and no driver asks for it."""
    probe: bool = False
    """It says what it sees, as `reviewbot: noticed ...`, and is made where somebody asks for it."""


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    text = (files("reviewbot.reproduce") / "recipes.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Recipe])


def follow(source: Source) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files that the recipes change, as they are then, and the names of the recipes that could be followed."""
    changed: dict[str, bytes] = {}
    done = []
    for name, recipe in recipes().items():
        if recipe.probe:
            continue
        content = changed.get(recipe.file) or source.read(recipe.file)
        edited = edit(content.decode("utf-8", "replace"), recipe) if content else None
        if edited is not None:
            changed[recipe.file] = edited.encode()
            done.append(name)
    return changed, tuple(done)


def probed(source: Source, files_: Mapping[str, bytes | None], names: Iterable[str]) -> dict[str, bytes | None]:
    """The same files of a kernel with some probes in them, of which those that do not fit are left out."""
    made = dict(files_)
    for recipe in map(recipes().__getitem__, names):
        content = made.get(recipe.file) or source.read(recipe.file)
        edited = edit(content.decode("utf-8", "replace"), recipe) if content else None
        if edited is not None:
            made[recipe.file] = edited.encode()
    return made


def edit(text: str, recipe: Recipe) -> str | None:
    """The text with all edits made; None where one has not exactly one place in it."""
    for one in recipe.edits:
        if text.count(one.find) != 1:
            return None
        text = text.replace(one.find, one.replace)
    return text


def reasons(names: Iterable[str], asked: Iterable[str]) -> tuple[str, ...]:
    """Why recipes were followed, a phrase each: those for the host, and those that a driver asked for."""
    wanted = set(asked)
    return tuple(recipes()[name].why for name in names if recipes()[name].host or name in wanted)
