"""The key of a function, `file:name`: made and taken apart here and nowhere else.

Text, so that it sorts, is stored and shown as it is; a type of its own, so that no bare name is taken for one. A file's
tables stand outside of functions and are told by a key without a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NewType

FunctionKey = NewType("FunctionKey", str)
"""`file:name`, or `file:` for what stands outside of the functions of a file."""
NO_FUNCTION = FunctionKey("")
"""Stands where there is no function."""
_IN_TEXT = re.compile(r"[\w./+-]+\.[ch]:\w+")


def key_of(file: str, name: str = "") -> FunctionKey:
    """The key of a function of a file; without a name, of what stands outside of its functions."""
    return FunctionKey(f"{file}:{name}")


def name_of(key: FunctionKey) -> str:
    """The name of the function; empty for what stands outside of functions."""
    return key.rpartition(":")[2]


def file_of(key: FunctionKey) -> str:
    """The path of the file that the function is defined in."""
    return key.rpartition(":")[0]


def is_function(key: FunctionKey) -> bool:
    """Whether the key is one of a function, not of what stands outside of them."""
    return not key.endswith(":")


def keys_in(text: str) -> Iterator[FunctionKey]:
    """The keys that stand in a text, in its order."""
    return map(FunctionKey, _IN_TEXT.findall(text))
