"""What a series says has to be applied before it: found where it can be had, in the order in which it is applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reviewbot.limits import MAX_PATCH_IDS, MAX_PREREQUISITE_DEPTH, MAX_PREREQUISITE_PATCHES, MAX_PREREQUISITES
from reviewbot.types import Patch, Prerequisite, Prior, ReviewError, Series

Find = Callable[[Prerequisite], Sequence[Series]]
"""Series among which a prerequisite may be. Raises ReviewError where they cannot be had."""


def gather(series: Series, find: Find | None, patch_id: Callable[[bytes], str]) -> list[Prior]:
    """The prerequisites of a series and theirs, the first to apply first. Never raises for what cannot be found.

    find: None where nothing can be asked. patch_id: what `git patch-id --stable` says of a diff. A patch-id of a patch
    that another prerequisite brings is left out: b4 names both.
    """
    return [*_Search(find, patch_id).of(series, 1)]


class _Search:
    def __init__(self, find: Find | None, patch_id: Callable[[bytes], str]) -> None:
        self.find, self.patch_id = find, patch_id
        self.seen: set[Prerequisite] = set()
        self.brought: set[str] = set()
        self.ids: dict[bytes, str] = {}
        self.patches = 0

    def of(self, series: Series, depth: int) -> Iterator[Prior]:
        """The prerequisites of a series, each after its own."""
        wanted = [p for p in series.prerequisites if p not in self.seen]
        for prerequisite in sorted(wanted, key=lambda p: p.kind == "patch-id"):
            if prerequisite in self.seen or prerequisite.id in self.brought:
                continue
            self.seen.add(prerequisite)
            try:
                found = self._found(prerequisite, depth)
            except (ReviewError, RuntimeError) as error:  # also a mail reader that died of it
                yield Prior(_missing(prerequisite, str(error)))
                continue
            if prerequisite.kind != "patch-id":
                yield from self.of(found, depth + 1)
            self.patches += len(found.patches)
            self.brought |= {self._id(p) for p in found.patches}
            yield Prior(prerequisite, found.patches)

    def _id(self, patch: Patch) -> str:
        """The patch-id; empty when so many were asked for that this is no search any more."""
        if patch.diff not in self.ids and len(self.ids) < MAX_PATCH_IDS:
            self.ids[patch.diff] = self.patch_id(patch.diff)
        return self.ids.get(patch.diff, "")

    def _found(self, wanted: Prerequisite, depth: int) -> Series:
        if len(self.seen) > MAX_PREREQUISITES:
            raise ReviewError(f"not looked for, as there are more than {MAX_PREREQUISITES}")
        if depth > MAX_PREREQUISITE_DEPTH:
            raise ReviewError(
                f"not looked for, as it is a prerequisite of a prerequisite {MAX_PREREQUISITE_DEPTH} times over"
            )
        if self.find is None:
            raise ReviewError("not looked for here")
        found = self._pick(wanted, self.find(wanted))
        if self.patches + len(found.patches) > MAX_PREREQUISITE_PATCHES:
            raise ReviewError(f"with it there are more than {MAX_PREREQUISITE_PATCHES} patches to apply first")
        return found

    def _pick(self, wanted: Prerequisite, among: Sequence[Series]) -> Series:
        if wanted.kind == "patch-id":
            for series in among:
                for patch in series.patches:
                    if self._id(patch) == wanted.id:
                        return Series(patches=(patch,))
            raise ReviewError("not found")
        if wanted.kind == "change-id":
            among = [s for s in among if s.change_id == wanted.id and wanted.version in (0, s.version)]
        else:
            among = [s for s in among if wanted.id in ids(s)]
        best = max(among, key=lambda s: (not s.missing, s.version), default=None)
        if best is None:
            raise ReviewError("not found")
        if best.missing:
            raise ReviewError(f"of its {best.expected} patches {len(best.missing)} are missing")
        return best


def ids(series: Series) -> set[str]:
    """The message-ids of a series."""
    return {mail.message_id for mail in (series.lead, *(p.mail for p in series.patches))}


def _missing(prerequisite: Prerequisite, why: str) -> Prerequisite:
    return Prerequisite(prerequisite.kind, prerequisite.id, prerequisite.version, "missing", why)
