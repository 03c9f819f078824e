"""One mesh and one browser for all tests of the console: they are started once and end with the last of these tests.

Playwright keeps an event loop running in this thread for as long as the browser is there, so it must not stay on.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from demo.browser import browsing, find_chromium
from tests.console_mesh import ConsoleMesh, console_mesh

expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("real_browser")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("there is no Chromium on PATH (Debian's package chromium)")
    with browsing() as started:
        yield started


@pytest.fixture(scope="package")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleMesh]:
    with console_mesh(tmp_path_factory.mktemp("console")) as started:
        yield started
