"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings


def test_no_example_has_a_deadline_in_any_profile() -> None:
    assert settings().deadline is None
    for profile in ("home", "ci"):
        assert settings.get_profile(profile).deadline is None
