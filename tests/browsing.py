"""A headless Chromium for tests, the machine's own: pages opened in it, and what axe-core has to say of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def started() -> Iterator[Any]:
    """The browser; skips where there is none, or nothing to drive it with."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[dev]'")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: apt-get install chromium ({', '.join(NAMES)} are looked for)")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Shown:
    """A page that is open, and what happened to it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Addresses that were asked for, in order."""
    dialogs: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Any, address: str, scheme: str = "light", wide: int = 1180, scripts: bool = True
) -> Iterator[Shown]:
    """An address in a window of its own."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": wide, "height": 900}, java_script_enabled=scripts, bypass_csp=False
    )
    shown = Shown(context.new_page())
    shown.page.on("console", lambda said: shown.errors.append(said.text) if said.type in ("error", "warning") else None)
    shown.page.on("pageerror", lambda error: shown.errors.append(str(error)))
    shown.page.on("request", lambda request: shown.asked.append(request.url))
    shown.page.on("dialog", lambda dialog: (shown.dialogs.append(dialog.message), dialog.dismiss()))
    try:
        shown.page.goto(address)
        yield shown
    finally:
        context.close()


def faults(page: Any) -> list[str]:
    """What axe-core finds: the rule, and the element. It is run beside the page's own policy."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install -e '.[dev]'")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]
