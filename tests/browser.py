"""Pages in a real browser for the tests: any fault of a page fails the test that opened it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from demo.browser import WIDE, Faults, Scheme, open_page
from tests.agent_process import REPOSITORY

SEVERE = ("serious", "critical")


@contextmanager
def page_of(browser: Browser, scheme: Scheme = "light", viewport: ViewportSize = WIDE) -> Iterator[tuple[Page, Faults]]:
    """A page, and what it may be excused; asserts at the end that nothing else was wrong with it."""
    faults = Faults()
    with open_page(browser, faults, scheme, viewport) as page:
        page.set_default_timeout(60_000)
        yield page, faults
    assert not faults.seen, "\n".join(faults.seen)


@cache
def axe() -> Path:
    """axe-core's file, fetched once; the test is skipped where there is no npm to fetch it with."""
    done = subprocess.run(
        [REPOSITORY / "scripts/axe"], capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode and shutil.which("npm") is None:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def barriers(page: Page) -> list[str]:
    """What axe-core finds serious or critical on a page as it is: rule, why, and where."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe().read_text())
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe-core has looked at nothing"
    return [
        f"{violation['id']} ({violation['impact']}): {violation['help']}: "
        + "; ".join(f"{' '.join(map(str, node['target']))} [{node['failureSummary']}]" for node in violation["nodes"])
        for violation in found["violations"]
        if violation["impact"] in SEVERE
    ]


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))
