"""Models of kernel code name functions that are there: checked against a real tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from model_golden import Golden, goldens

from reviewbot.csource.lower import lower
from reviewbot.gittree.tree import Tree
from reviewbot.models.scene import build
from reviewbot.sim.compile import compile_model


@cache
def functions(repository: Path, file: str) -> frozenset[str]:
    with Tree.open(repository) as tree:
        content = tree.at("HEAD").read(file)
    assert content is not None, f"there is no {file}"
    return frozenset(f.name for f in lower(content).functions)


@pytest.mark.parametrize("golden", goldens(), ids=lambda golden: golden.spec)
def test_every_place_is_in_the_kernel(golden: Golden, kernel_tree: Callable[..., Path]) -> None:
    repository = kernel_tree("6.12")
    automaton = compile_model(build(golden.spec))
    places = {edge.act.at for c in automaton.classes for edges in c.edges for edge in edges if edge.act.at}
    for place in places:
        if place.file:
            assert place.function in functions(repository, place.file), f"{place.file} has no {place.function}()"
