"""What searches begin with, and why they gave it up: the one way in which a search tells that something came to nothing.

A search yields what it finds, and `Dropped` for what it gave up; `reviewbot.difference.Diff.noting` keeps the two apart.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from reviewbot.analysis.program.program import Program
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.types import Place


class SearchLead(Protocol):
    """Something that may become a finding."""

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions that it goes through."""

    def says(self) -> str:
        """What it is, where."""


class LeadPlace(NamedTuple):
    """A lead in one function."""

    at: Place
    what: str
    """What the function does there, a verb and its object."""

    @classmethod
    def of(cls, program: Program, key: FunctionKey, what: str) -> LeadPlace:
        """One of a whole function."""
        return cls(Place(program.names.file[key], program.function(key).line, name_of(key)), what)

    @property
    def functions(self) -> tuple[str, ...]:
        """The name of the function."""
        return (self.at.function,)

    def says(self) -> str:
        """What it is, where."""
        return f"{self.at}: {self.at.function}() {self.what}"


class Dropped(NamedTuple):
    """A lead that comes to nothing, and why: what `check --why` tells."""

    lead: SearchLead
    reason: str

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions that the lead goes through."""
        return self.lead.functions

    def says(self) -> str:
        """What the lead is."""
        return self.lead.says()
