"""What holds for all tests."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checking import ROOT
from hypothesis import settings


def test_no_example_has_a_deadline_in_any_profile() -> None:
    assert settings().deadline is None
    for profile in ("home", "ci"):
        assert settings.get_profile(profile).deadline is None


@pytest.mark.parametrize(
    ("argv", "all_cores"), [(["-k", "nothing"], True), (["tests/test_text.py"], False), (["--bless"], False)]
)
def test_the_whole_suite_runs_on_all_cores_and_nothing_else_does(argv: list[str], all_cores: bool) -> None:
    code = (
        "import sys, pytest\n"
        "class Asked:\n"
        "    @pytest.hookimpl(tryfirst=True)\n"
        "    def pytest_cmdline_main(self, config):\n"
        "        print('cores:', config.hook.pytest_xdist_auto_num_workers(config=config))\n"
        "        return 0\n"
        "sys.exit(pytest.main(sys.argv[1:], plugins=[Asked()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cores = int(done.stdout.partition("cores: ")[2])
    assert (cores > 0) is all_cores
