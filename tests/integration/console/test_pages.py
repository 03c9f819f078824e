"""Every page with the data of a mesh at work: what it shows, whether everybody can use it, and that it stays here."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.browser import PHONE
from tests.browser import barriers, overflow, page_of
from tests.console_mesh import ConsoleMesh

AGENTS = ("device-1", "far-edge-1", "near-edge-1", "cloud-1")
ASKED = "/questions/{trace}"
PAGES = {
    "/questions": ("Questions", ("How long they took", "Who answered", "ticketed", "riddle")),
    ASKED: ("Question {trace:.8}", (*AGENTS, "Where the time went", "under a ticket")),
    "/mesh": ("Mesh", AGENTS),
    "/fleet": ("Fleet", (*AGENTS, "pattern device-1")),
    "/fleet/device-1": ("device-1", ("device", "pattern", "riddle-1")),
    "/learning": ("Learning", ("Waiting for a person", "riddle at device-1", "Went up", "No model was trained")),
    "/models": ("Models", ("pattern", "riddle")),
    "/models/pattern": ("pattern", ("device-2", "far-edge-1", "progressing")),
    "/policies": ("Policies", ("No policy yet", "upriver policy calibrate")),
    "/about": ("About", ("spans", "of 2 GiB")),
}
"""What is written on each: its heading, and words of what there is."""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_what_there_is_in_dark_and_light_and_on_a_phone(
    browser: Browser, mesh: ConsoleMesh, path: str
) -> None:
    title, words = PAGES[path]
    trace = next(told["trace_id"] for told in reversed(mesh.told) if "ticket" in told)
    path, title = path.format(trace=trace), title.format(trace=trace)
    with page_of(browser) as (page, _):
        page.goto(mesh.login(path))
        assert page.url == mesh.plane.console + path
        expect(page.locator("h1")).to_have_text(re.compile(f"^{re.escape(title)}"))  # and there is one
        main = page.get_by_role("main")
        for word in words:
            expect(main).to_contain_text(word)
        expect(page).to_have_title(re.compile(re.escape(title)))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert barriers(page) == [], scheme
        assert leads(page) <= {known.split("/")[1] for known in PAGES} | {"", "login"}
        page.set_viewport_size(PHONE)
        assert overflow(page) == 0
        assert barriers(page) == [], "at the width of a phone"


def leads(page: Page) -> set[str]:
    """The first part of every address of this site that a link leads to."""
    found = page.locator("a[href]").evaluate_all(
        "links => links.filter(link => link.origin === location.origin).map(link => link.pathname)"
    )
    return {path.split("/")[1] for path in found}
