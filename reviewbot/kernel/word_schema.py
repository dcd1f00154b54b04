"""The shape of kernel/words.toml: single names, by what they are looked for as."""

from __future__ import annotations

from typing import Literal

import msgspec

from reviewbot.kernel.schema import Group

Role = Literal[
    "gfp_prefix",
    "gfp_full",
    "gfp_nofs",
    "gfp_noio",
    "gfp_direct",
    "gfp_io",
    "gfp_fs",
    "gfp_high",
    "gfp_nofail",
    "gfp_nolockdep",
    "gfp_fs_test",
    "gfp_type",
    "gate",
    "wq_prefix",
    "wq_rescuer",
    "wq_softirq",
    "wq_highpri",
    "wq_unbound",
    "wq_ends",
    "bioset_rescuer",
    "shared_set",
    "serving_types",
    "own_list",
    "list_merge",
    "bio_end",
    "shrinks",
    "user_map",
    "task_type",
    "completion_type",
    "option_test",
    "error_or_zero",
    "holds",
    "tells",
    "makes",
    "frees",
    "takes",
    "gives",
    "known_flags",
    "barrier",
    "asks_for_sleepers",
    "quiets",
    "whole_of_part",
    "milder",
    "waits_in_name",
    "device_type",
    "keeps_data",
    "own_data",
    "own_locks",
    "level",
    "plain_level",
]
"""What a single name is looked for as."""


class Word(Group, frozen=True):
    """Names of one role; see words.toml for what the kinds are."""

    role: Role
    kind: Literal["flag", "function", "type", "field", "variable", "part"]
    names: tuple[str, ...]


class Gone(Group, frozen=True):
    """Names that no kernel of today has, and a release that had them."""

    release: str
    names: tuple[str, ...]


class Ours(Group, frozen=True):
    """Names that are made up here."""

    names: tuple[str, ...]


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of words.toml."""

    word: tuple[Word, ...]
    gone: tuple[Gone, ...] = ()
    ours: tuple[Ours, ...] = ()
