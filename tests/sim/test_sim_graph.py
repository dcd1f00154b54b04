"""Where waiting ends up, and the circles there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reviewbot.sim.graph import bottoms, circles

GRAPHS = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, n - 1), max_size=3), min_size=n, max_size=n).map(
        lambda rows: {node: tuple(dict.fromkeys(row)) for node, row in enumerate(rows)}
    )
)


def test_waiting_ends_up_in_the_circle_that_leads_nowhere_else() -> None:
    graph = {"a": ("b",), "b": ("a", "c"), "c": ("d",), "d": ("c",)}
    assert bottoms(graph) == [["c", "d"]]
    assert circles(["c", "d"], graph) == [("c", "d")]


def test_who_waits_for_nobody_is_a_circle_of_one() -> None:
    graph = {"a": ("b",), "b": ()}
    assert bottoms(graph) == [["b"]]
    assert circles(["b"], graph) == [("b",)]


def test_each_circle_is_told_once_and_the_short_one_first() -> None:
    graph = {"a": ("b", "c"), "b": ("c",), "c": ("a",)}
    assert circles(["a", "b", "c"], graph) == [("a", "c"), ("b", "c", "a")]


@given(GRAPHS)
def test_from_everywhere_some_bottom_is_reached_and_none_is_left(graph: dict[int, tuple[int, ...]]) -> None:
    parts = bottoms(graph)
    for part in parts:
        assert {after for node in part for after in graph[node]} <= set(part)
    for start in graph:
        seen, todo = {start}, [start]
        while todo:
            for after in graph[todo.pop()]:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        assert any(seen & set(part) for part in parts)


@given(GRAPHS)
def test_a_circle_goes_along_the_edges(graph: dict[int, tuple[int, ...]]) -> None:
    for part in bottoms(graph):
        for circle in circles(part, graph):
            if len(circle) > 1 or graph[circle[0]]:
                pairs = zip(circle, (*circle[1:], circle[0]), strict=True)
                assert all(after in graph[node] for node, after in pairs)
