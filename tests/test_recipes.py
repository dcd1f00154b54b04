"""The recipes that make mutants and refactorings: each finds its place, keeps C readable and knows the guilty line."""

from __future__ import annotations

import pytest
from recipes import MUTANTS, REFACTORINGS, CFunction, functions

from reviewbot.csource.lower import lower

CODE = b"""
static int work(struct dev *d, int n)
{
	int err = 0;
	int left;

	mutex_lock(&d->lock);
	d->busy = n;
	d->mode = 1;
	if (d->mode && !d->busy)
		settle(d);
	wake_up(&d->wait);
	left = probe(d, 0, GFP_KERNEL);
	if (left) {
		start(d);
	} else {
		stop(d);
	}
	if (left < 0)
		goto out;
	flush_work(&d->work);
	settle(d);
out:
	mutex_unlock(&d->lock);
	err = probe(d, 1, GFP_KERNEL);
	if (err)
		goto end;
	settle(d);
end:
	return err;
}
"""


def function() -> CFunction:
    """The function that all recipes are tried on."""
    (found,) = functions(CODE)
    return found


@pytest.mark.parametrize("operator", [*MUTANTS, *REFACTORINGS])
def test_what_a_recipe_makes_can_be_read(operator: str) -> None:
    made = list({**MUTANTS, **REFACTORINGS}[operator](function()))
    assert made
    for recipe in made:
        assert recipe.operator == operator
        assert recipe.before != recipe.after
        assert lower(recipe.after).errors == 0


@pytest.mark.parametrize("operator", MUTANTS)
def test_the_guilty_line_is_where_the_texts_differ(operator: str) -> None:
    for recipe in MUTANTS[operator](function()):
        before, after = recipe.before.splitlines(), recipe.after.splitlines()
        assert any(before[n - 1 : n] != after[n - 1 : n] for n in recipe.old_lines | recipe.new_lines)


def test_a_refactoring_has_no_guilty_line() -> None:
    assert not any(r.old_lines or r.new_lines for recipe in REFACTORINGS.values() for r in recipe(function()))


def test_a_function_that_is_extracted_hands_back_what_it_sets() -> None:
    made = [r.after for r in REFACTORINGS["function extracted"](function())]
    assert any(b"left = extracted_part(d)" in text and b"return left;" in text for text in made)
