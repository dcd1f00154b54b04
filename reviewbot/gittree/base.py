"""Which commit the patches of a series start from, going by the blob ids on their `index` lines."""

from __future__ import annotations

from collections.abc import Mapping

from reviewbot.gittree.misfit import unsafe
from reviewbot.gittree.source import Git
from reviewbot.limits import MAX_COMMITS, MAX_COMPARED_COMMITS, MAX_HISTORY_SECONDS, MAX_REFS, MAX_TIPS


def matching(git: Git, wanted: Mapping[str, str], branch: str) -> str | None:
    """A commit that has the wanted files, or None.

    In: path -> blob id (may be abbreviated), or empty for a file that must not be there; the commit to look at first.
    Then come the branches and tags, newest first, then recent commits that touch the files, and those before them.
    """
    if not any(wanted.values()) or any(unsafe(path) for path in wanted):
        return None
    files = sorted(wanted.items(), key=lambda file: not file[1])  # that a file is absent rules out few commits: last

    def fits(commit: str) -> bool:
        found = ((git.find(f"{commit}:{path}") or "", id_) for path, id_ in files)
        return all(blob.startswith(id_) if id_ else not blob for blob, id_ in found)

    tips = [branch]
    if fits(branch):
        return branch
    tips += _tips(git)
    for tip in tips:
        if fits(tip):
            return tip
    starts = tips[: MAX_TIPS + 1]
    last = (
        git.maybe("rev-list", f"--skip={MAX_COMMITS}", "-n1", "--timestamp", *starts, "--", timeout=MAX_HISTORY_SECONDS)
        or b""
    )
    limit = [f"--max-age={last.split()[0].decode()}"] if last else []
    touching = (
        git.maybe("rev-list", f"-n{MAX_COMPARED_COMMITS}", *limit, *starts, "--", *wanted, timeout=MAX_HISTORY_SECONDS)
        or b""
    )
    states = (rev for id_ in touching.decode().split() for rev in (id_, f"{id_}^"))
    match = next((rev for rev in states if fits(rev)), None)
    return git.find(f"{match}^{{commit}}") if match else None


def _tips(git: Git) -> list[str]:
    """Commits that branches and tags point to, newest first."""
    form = "%(objecttype) %(objectname) %(*objecttype) %(*objectname)"
    refs = git.ask("for-each-ref", "--sort=-creatordate", f"--count={MAX_REFS}", f"--format={form}")
    words = [line.split() for line in refs.splitlines()]
    return list(dict.fromkeys(w[w.index("commit") + 1] for w in words if "commit" in w))
