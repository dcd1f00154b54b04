"""What several tests share: the material beside the project and real kernel trees, each skipped with its reason."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import browsing
import pytest

ROOT = Path(__file__).parent.parent


@cache
def shared_folder() -> Path | None:
    """The folder of real patches and mails beside the checkout; REVIEWBOT_SHARED names another place."""
    folder = Path(os.environ.get("REVIEWBOT_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "README.md").exists() else None


@cache
def kernel_repository(version: str, small: bool) -> Path | None:
    """A git repository with the real kernel source of that version, or None. Makes none: `.ci/run` does."""
    name = f"linux-{version}" + ("-small" if small else "")
    repository = Path(os.environ.get("KERNEL_TREES", Path.home() / ".cache/kernel-trees")) / name
    if (repository / ".git/complete").exists():
        return repository
    shared = shared_folder()
    if shared is None or not os.environ.get("CI"):
        return None
    command = [str(shared / "bin/kernel-tree"), version, *(["--small"] if small else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, or the test is skipped."""
    with browsing.started() as found:
        yield found


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = shared_folder()
    if folder is None:
        pytest.skip("no folder `shared` beside the checkout (REVIEWBOT_SHARED names one)")
    return folder


@pytest.fixture(scope="session")
def kernel_tree() -> Callable[..., Path]:
    """`kernel_tree("6.12")`, `kernel_tree("6.12", small=True)`: a git repository, or the test is skipped."""

    def get(version: str, *, small: bool = False) -> Path:
        repository = kernel_repository(version, small)
        if repository is None:
            pytest.skip(f"no kernel tree {version} at hand (KERNEL_TREES names the folder)")
        return repository

    return get


@pytest.fixture(scope="session")
def kernel_trees() -> dict[str, Path | None]:
    """The real kernel trees at hand by their versions, or the test is skipped where there is none at all."""
    found = {version: kernel_repository(version, False) for version in ("6.1", "6.12", "7.3")}
    if not any(found.values()):
        pytest.skip("no kernel tree at hand (KERNEL_TREES names the folder)")
    return found


@pytest.fixture(scope="session")
def common_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all tests of a run, whichever process they are in: a folder is read once, and not for each of them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, common_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's configuration, state or cache."""
    home = tmp_path_factory.getbasetemp() / "home"
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(common_cache))
    monkeypatch.delenv("REVIEWBOT_DEBUG", raising=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="rewrite the goldens of corpus/ (the @ sections only) and the man pages"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """All cores for the whole suite. One process for tests that are named, which starts sooner, and for --bless."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    return 0 if named or config.getoption("bless") else None


def pytest_configure() -> None:
    """The same examples on every run of CI: chance looks for faults at home, and does not stop a landing.

    No example has a deadline: on a machine that is busy with something else that would be a fault of the machine.
    """
    from hypothesis import settings

    settings.register_profile("home", deadline=None)
    settings.register_profile("ci", derandomize=True, deadline=None)
    settings.load_profile("ci" if os.environ.get("CI") else "home")
