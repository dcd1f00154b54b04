"""Whether what a configuration names is there: trees, branches and lists are opened, and the example's values named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reviewbot.types import ReviewError
from reviewbot.watch.config import Config, MailingList, TreeRule

_EXAMPLE = re.compile(r"(?i)[@./](example\.(org|com|net)|[a-z0-9-]+\.example)(?![a-z0-9.-])")


def faults(config: Config) -> list[str]:
    """What is wrong, a line each, that names the key; asks the servers of the lists. Nothing is written."""
    return [*_examples(config), *_trees(config), *_lists(config), *_maintainer(config)]


def _examples(config: Config) -> Iterator[str]:
    """Values with a name that is reserved for examples: nobody has them."""
    for key, value in _texts("", msgspec.to_builtins(config)):
        if found := _EXAMPLE.search(value):
            yield f"{key}: `{value}` is still the example's ({found[1]} is nobody's)"


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(f"{key}.{name}" if key else name, one)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value, 1):
            yield from _texts(f"{key}[{number}]", one)
    elif isinstance(value, str):
        yield key, value


def _trees(config: Config) -> Iterator[str]:
    for number, rule in enumerate(config.trees, 1):
        try:
            _open(rule)
        except ReviewError as error:
            yield f"tree[{number}]: {error}"
    if not config.trees and any(x.review for x in config.lists):
        yield "tree: there is no [[tree]] to review patches on"


def _open(rule: TreeRule) -> None:
    from reviewbot.gittree.tree import Tree

    with Tree.open(Path(rule.path).expanduser()) as tree:
        tree.resolve(rule.branch)
        if rule.maintained_at and tree.at(rule.branch).read("MAINTAINERS") is None:
            raise ReviewError(f"there is no MAINTAINERS in {rule.path} at {rule.branch}, which `maintained_at` needs")


def _lists(config: Config) -> Iterator[str]:
    if not config.lists:
        yield "list: there is no [[list]] to read"
    for number, list_ in enumerate(config.lists, 1):
        try:
            _ask(list_)
        except ReviewError as error:
            yield f"list[{number}]: {error}"


def _ask(list_: MailingList) -> None:
    if list_.imap:
        from reviewbot.watch.imap import can_be_read

        can_be_read(list_.imap)
        return
    from reviewbot.mail.epochs import epochs

    epochs(list_.url)


def _maintainer(config: Config) -> Iterator[str]:
    """Drafts need a From: the configuration's, or the identity of each tree."""
    from reviewbot.gittree.tree import Tree

    for number, rule in enumerate(config.trees, 1):
        if rule.maintainer or config.drafts.maintainer:
            continue
        try:
            with Tree.open(Path(rule.path).expanduser()) as tree:
                if tree.identity() is None:
                    yield f"drafts.maintainer: is empty, and tree[{number}] has no user.email: drafts have no From"
        except ReviewError:
            continue  # told already
