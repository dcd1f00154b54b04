"""What of a tree is built, what a change is on top of it, and the edits that both sides get."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from reviewbot.gittree.source import MemorySource
from reviewbot.reproduce import kernel, recipes, sandbox
from reviewbot.reproduce.kernel import KernelBase, config, difference, taken, with_recipes
from reviewbot.reproduce.recipes import Edit, Recipe, edit, follow
from reviewbot.reproduce.sandbox import SandboxResult
from reviewbot.types import ReviewError

REGISTERS = "arch/x86/um/user-offsets.c"


@pytest.mark.parametrize(
    ("path", "is_taken"),
    [
        ("Makefile", True),
        ("block/bio.c", True),
        ("drivers/gpu/drm/x/x.c", False),
        ("drivers/gpu/drm/x/Kconfig", True),
        ("drivers/gpu/drm/x/Makefile", True),
        ("drivers/md/dm.c", True),
        ("arch/um/kernel/time.c", True),
        ("arch/x86/um/asm/checksum.h", True),
        ("arch/arm/mm/fault.c", False),
        ("arch/arm/crypto/Kconfig", True),
        ("arch/Kconfig", True),
        ("Documentation/x.rst", False),
        ("Documentation/Kconfig", True),
        ("tools/include/linux/types.h", True),
        ("tools/perf/x.c", False),
    ],
)
def test_what_a_build_needs(path: str, is_taken: bool) -> None:
    assert taken(path) is is_taken


def test_a_change_is_what_differs_and_what_is_gone() -> None:
    before = MemorySource({"a.c": b"1", "b.c": b"2", "c.c": b"3"})
    after = MemorySource({"a.c": b"1", "b.c": b"two", "d.c": b"4"})
    assert difference(before, after) == {"b.c": b"two", "c.c": None, "d.c": b"4"}
    assert difference(before, before) == {}


def test_an_edit_needs_exactly_one_place() -> None:
    recipe = Recipe("a.c", "room", (Edit("SIZE, 1)", "SIZE, 9)"), Edit("old", "new")))
    assert edit("f(SIZE, 1); old", recipe) == "f(SIZE, 9); new"
    assert edit("f(SIZE, 1); old old", recipe) is None
    assert edit("f(SIZE, 2); old", recipe) is None


def test_a_recipe_that_does_not_fit_is_left_out_and_the_others_are_followed() -> None:
    edits, done = follow(
        MemorySource({REGISTERS: b"\tDEFINE_LONGS(HOST_FP_SIZE, 2696);\n", "mm/fail_page_alloc.c": b""})
    )
    assert done == ("room-for-registers",)
    assert edits == {REGISTERS: b"\tDEFINE_LONGS(HOST_FP_SIZE, 11264);\n"}


def test_a_patch_to_an_edited_file_keeps_the_edit() -> None:
    after = MemorySource({REGISTERS: b"/* new */\n\tDEFINE_LONGS(HOST_FP_SIZE, 2696);\n", "b.c": b"2"})
    changed = with_recipes(after, {REGISTERS: after.read(REGISTERS), "b.c": b"2", "gone.c": None})
    assert changed == {
        REGISTERS: b"/* new */\n\tDEFINE_LONGS(HOST_FP_SIZE, 11264);\n",
        "b.c": b"2",
        "gone.c": None,
    }


def test_a_probe_is_in_no_kernel_but_that_which_is_asked_what_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Recipe("a.c", "a look", (Edit("int a;", "int a; say();"),), probe=True)
    monkeypatch.setattr(recipes, "recipes", lambda: {"look": look})
    source = MemorySource({"a.c": b"int a;"})
    assert follow(source) == ({}, ())
    assert recipes.probed(source, {}, ["look"]) == {"a.c": b"int a; say();"}
    assert recipes.probed(source, {"a.c": b"/* 1 */ int a;"}, ["look"]) == {"a.c": b"/* 1 */ int a; say();"}
    assert recipes.probed(source, {"a.c": b"long a;"}, ["look"]) == {"a.c": b"long a;"}
    assert recipes.probed(source, {"b.c": b"1"}, []) == {"b.c": b"1"}


def test_only_what_a_driver_asked_for_and_what_the_host_needs_is_told() -> None:
    every = tuple(recipes.recipes())
    assert len(recipes.reasons(every, ())) == 1
    assert len(recipes.reasons(every, ("reclaim-point",))) == 2


def test_a_change_is_packed_newer_than_what_was_built() -> None:
    out = io.BytesIO()
    kernel._pack({"a.c": b"int a;\n", "gone.c": None, "run.sh": b"#!/bin/sh\n"}, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        read = {entry.name: (archive.extractfile(entry), entry) for entry in archive}
        contents = {name: file.read() for name, (file, _) in read.items() if file}
        assert contents["removed.list"] == b"gone.c\n"
        assert contents["compiled.list"] == b"a.c\ngone.c\n"
        assert "gone.c" not in contents
        assert read["run.sh"][1].mode & 0o100
        assert not read["a.c"][1].mode & 0o100
        assert read["a.c"][1].mtime > 1_000_000_000


def test_a_base_is_packed_without_what_no_build_needs_and_older_than_any_object() -> None:
    source = MemorySource({"Makefile": b"all:\n", "drivers/gpu/x.c": b"", "b.c": b"1"})
    out = io.BytesIO()
    kernel._pack_base(source, {"b.c": b"edited", "wanted.config": b"CONFIG_MD=y\n"}, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        entries = {entry.name: entry for entry in archive}
        assert set(entries) == {"Makefile", "b.c", "wanted.config"}
        assert {entry.mtime for entry in entries.values()} == {0}
        content = archive.extractfile(entries["b.c"])
        assert content is not None
        assert content.read() == b"edited"


def test_what_the_compiler_says_is_one_line() -> None:
    said = "  CC a.o\na.c:3:1: error: unknown type name 'x'\nmake: *** [a.o] Error 1\n"
    with pytest.raises(
        ReviewError, match=r"the change does not build as User Mode Linux: a\.c:3:1: error: unknown type"
    ):
        kernel._checked(SandboxResult(2, b"", said), "the change")
    with pytest.raises(ReviewError, match="used up its time"):
        kernel._checked(SandboxResult(-9, b"", "", "time"), "the base")


def test_config_fragments_are_joined_in_order() -> None:
    assert config(["base", "dm"]) == config(["base"]) + config(["dm"])
    with pytest.raises(ReviewError, match="no config fragment nothing"):
        config(["nothing"])


def test_the_kernel_of_the_base_as_it_is_is_taken_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(command: Sequence[str], *_: object, **__: object) -> SandboxResult:
        commands.append(command[-1])
        return SandboxResult(0, b"a kernel", "")

    monkeypatch.setattr(sandbox, "run", run)
    base = KernelBase(tmp_path / "base.tar.gz", ())
    assert [kernel.build(base, {}, 1) for _ in range(3)] == [b"a kernel"] * 3
    assert len(commands) == 1
    assert "make" not in commands[0]
    assert kernel.build(base, {"a.c": b"int a;"}, 1) == b"a kernel"
    assert "make" in commands[1]
