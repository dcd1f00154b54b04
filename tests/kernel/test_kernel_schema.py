"""The tables of kernel knowledge keep to their schema, and a wrong entry is told by name."""

from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from reviewbot.detect.guarded import kind_of
from reviewbot.kernel import KERNEL, Kernel, LockCall, PoolCall
from reviewbot.kernel.schema import AllocateGroup, FlushGroup, WaitGroup
from reviewbot.kernel.word_schema import Role

ROOT = Path(__file__).parent.parent.parent

API = (resources.files("reviewbot.kernel") / "api.toml").read_text()
CONTEXTS = (resources.files("reviewbot.kernel") / "contexts.toml").read_text()
RESOURCES = (resources.files("reviewbot.kernel") / "resources.toml").read_text()
WORDS = (resources.files("reviewbot.kernel") / "words.toml").read_text()


def kernel(api: str = API, contexts: str = CONTEXTS, words: str = WORDS) -> Kernel:
    return Kernel(api.encode(), contexts.encode(), words=words.encode())


def test_every_group_says_what_it_is() -> None:
    groups = [g for name in KERNEL.api.__struct_fields__ for g in getattr(KERNEL.api, name)]
    assert len(groups) > 100
    assert all(g.doc.endswith(".") and len(g.doc) > 5 for g in groups)


def test_a_call_has_all_its_effects() -> None:
    effects = KERNEL.effects["destroy_workqueue"]
    assert [type(e) for e in effects] == [FlushGroup]
    assert {type(e) for e in KERNEL.effects["kmalloc"]} == {AllocateGroup}
    (lock,) = (e for e in KERNEL.effects["down_write_trylock"] if isinstance(e, LockCall))
    assert (lock.does, lock.group.klass, lock.group.mode) == ("try", "rwsem", "w")
    (take,) = (e for e in KERNEL.effects["bio_alloc_bioset"] if isinstance(e, PoolCall))
    assert (take.does, take.group.pool, take.group.gfp) == ("take", 4, 3)
    (wait,) = (e for e in KERNEL.effects["wait_event_lock_irq"] if isinstance(e, WaitGroup))
    assert (wait.argument, wait.condition) == (0, 1)


def test_classes_and_contexts_say_who_may_sleep() -> None:
    assert KERNEL.atomic("spin")
    assert not KERNEL.atomic("mutex")
    assert KERNEL.sleeping("rwsem")
    assert not KERNEL.sleeping("scope")
    assert KERNEL.contexts["completion"].atomic
    assert KERNEL.slots["shrinker.scan_objects"].context == "reclaim"
    assert KERNEL.slots["block_device_operations.open"].holds == ("gendisk.open_mutex",)


def test_new_names_of_shared_queues_are_the_old_queues() -> None:
    assert KERNEL.renamed["system_percpu_wq"] == "system_wq"
    assert KERNEL.renamed["system_dfl_wq"] == "system_unbound_wq"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('[[lock]]\ndoc = "x."\nclass = "mutex"\nargument = 0\ncolour = "red"\n', "colour"),
        ('[[lock]]\ndoc = "x."\nclass = "mutex"\nargument = "first"\n', "int"),
        ('[[lock]]\ndoc = "x."\nclass = "mutx"\nargument = 0\n', "mutx"),
        ('[[lock]]\ndoc = "x."\nclass = "mutex"\nacquire = ["a_lock"]\n', "argument"),
        ('[[lock]]\ndoc = "x."\nclass = "mutex"\nargument = 0\nrelease = ["mutex_lock"]\n', "mutex_lock"),
        ('[[wait]]\nclass = "event"\ncalls = ["x"]\n', "doc"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_reason(extra: str, says: str) -> None:
    with pytest.raises(ValueError, match=rf"kernel/api\.toml: .*{says}"):
        kernel(api=API + "\n" + extra)


def test_a_slot_in_two_contexts_is_refused() -> None:
    twice = '\n[[slot]]\ndoc = "x."\ncontext = "ioctl"\nslots = ["target_type.map"]\n'
    with pytest.raises(ValueError, match=r"target_type\.map is in two groups"):
        kernel(contexts=CONTEXTS + twice)


def test_adding_a_call_needs_no_code() -> None:
    added = kernel(api=API + '\n[[submit]]\ndoc = "A new way down."\nargument = 0\ncalls = ["push_bio"]\n')
    assert "push_bio" not in KERNEL.effects
    assert "push_bio" in added.effects


def test_the_newer_spelling_of_a_request_is_the_older_one() -> None:
    assert KERNEL.older["kmalloc_obj"] == "kmalloc"
    assert KERNEL.older["kzalloc_objs"] == "kcalloc"
    (asks,) = (e for e in KERNEL.effects["kmalloc_flex"] if isinstance(e, AllocateGroup))
    assert (asks.gfp, asks.default) == (3, "GFP_KERNEL")


APART = ("kernel", "models", "sim", "report", "csource", "reproduce")
"""Rooms that speak of the kernel by its own names: the data, the scenes, what is told, real stacks; macros have syntax.toml."""


def test_kernel_names_stay_in_the_data() -> None:
    single = {n for word in KERNEL.lists.word if word.kind not in ("part", "type") for n in word.names}
    names = {n for n in single | KERNEL.effects.keys() | KERNEL.slots.keys() if "_" in n}
    found = []
    for path in sorted([*(ROOT / "reviewbot").rglob("*.py"), *(ROOT / "heuristics").glob("*.py")]):
        if path.relative_to(ROOT).parts[1] not in APART:
            tree = ast.parse(path.read_text())
            texts = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
            found += [f"{path.relative_to(ROOT)}:{n.lineno} {n.value}" for n in texts if n.value in names]
    assert found == []


def test_each_role_of_a_word_has_its_names() -> None:
    assert set(KERNEL.words) == set(get_args(Role))
    assert all(word.doc.endswith(".") and word.names for word in KERNEL.lists.word)
    assert KERNEL.pattern("holds").search("foo_unlock_all")
    assert KERNEL.pattern("makes").search("foo_new")
    assert not KERNEL.pattern("makes").search("foo_renew")
    with pytest.raises(ValueError, match=r"words\.toml: a role stands there twice"):
        kernel(words=WORDS + '\n[[word]]\nrole = "gfp_io"\ndoc = "x."\nkind = "flag"\nnames = ["X"]\n')


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('contexts = ["thread"]', 'contexts = ["thred"]', "thred"),
        ('flushes = ["thread"]', 'flushes = ["thred"]', "Invalid|thred"),
        ('class = "thread"', 'class = "mutex"', "is a class of locks"),
        ('"bin_attribute.read"', '"bin_attribute.look"', r"bin_attribute\.look"),
        ('ends = "leave"', 'colour = "red"', "colour|ends"),
    ],
)
def test_a_wrong_resource_is_refused_with_its_reason(old: str, new: str, says: str) -> None:
    assert old in RESOURCES
    with pytest.raises(ValueError, match=rf"kernel/resources\.toml: .*({says})"):
        Kernel(API.encode(), CONTEXTS.encode(), words=WORDS.encode(), resources=RESOURCES.replace(old, new, 1).encode())


def test_what_a_call_does_is_said_once() -> None:
    """A call that changes something or waits is not in the list of those that do nothing as well."""
    both = {name for name in KERNEL.inert & KERNEL.effects.keys() if any(map(kind_of, KERNEL.effects[name]))}
    assert both == set()
