"""The shape of kernel/subsystems.toml: which folders belong together."""

from __future__ import annotations

import msgspec

from reviewbot.kernel.schema import Group


class FolderFamily(Group, frozen=True):
    """Folders that belong together; see subsystems.toml for `*` and `**`."""

    folders: tuple[str, ...]
    one: bool = False
    """They are one program: an object of the kernel that one file has, another one meets."""


class Called(Group, frozen=True):
    """A slot with the name by which people call what its file (or its folder) drives; `form` puts it into words."""

    slot: str
    form: str = "{}"
    folder: bool = False


class Vocabulary(Group, frozen=True):
    """Folders of the functions that everybody calls, of which the data says what they do."""

    folders: tuple[str, ...]


class Indexed(Group, frozen=True):
    """Folders whose files are looked through, with their subfolders, for what a change calls or is called by."""

    folders: tuple[str, ...]


class Subsystems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of subsystems.toml."""

    family: tuple[FolderFamily, ...]
    called: tuple[Called, ...] = ()
    vocabulary: tuple[Vocabulary, ...] = ()
    indexed: tuple[Indexed, ...] = ()
