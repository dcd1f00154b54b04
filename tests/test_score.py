"""How sure a finding is: what each doubt leaves."""

from __future__ import annotations

import pytest

from reviewbot.score import COMMENT_ABOVE, Doubt, Score


def test_without_a_doubt_it_is_sure() -> None:
    assert (Score().value, Score().parts, str(Score())) == (1.0, (), "1.00")


@pytest.mark.parametrize("doubt", Doubt)
def test_each_doubt_leaves_less_and_says_why(doubt: Doubt) -> None:
    assert 0 < doubt.leaves < 1
    assert doubt.says[0].islower()
    assert not doubt.says.endswith(".")
    assert doubt.says in str(Score((doubt,)))


def test_doubts_multiply_and_the_gravest_is_named_first() -> None:
    score = Score((Doubt.LAST, Doubt.OPAQUE, Doubt.LAST))
    assert score.value == pytest.approx(Doubt.LAST.leaves**2 * Doubt.OPAQUE.leaves, abs=0.001)
    assert [part.doubt for part in score.parts] == sorted(
        (Doubt.LAST, Doubt.OPAQUE), key=lambda doubt: Score((doubt,) * (2 if doubt is Doubt.LAST else 1)).value
    )
    assert Score((Doubt.OPAQUE, Doubt.LAST, Doubt.LAST)).value == score.value


def test_what_rests_on_a_call_that_cannot_be_read_is_not_shown() -> None:
    assert Score((Doubt.OPAQUE,)).value <= COMMENT_ABOVE


def test_a_wait_with_nobody_to_end_it_is_shown_where_it_stands_in_the_function_itself() -> None:
    assert Score((Doubt.UNSEEN, Doubt.BELOW)).value <= COMMENT_ABOVE < Score((Doubt.UNSEEN,)).value
