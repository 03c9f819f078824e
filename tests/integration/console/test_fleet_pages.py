"""Mesh and Fleet in a browser: they are live, keep the focus, lead on, and say what the terminal says."""

import json
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import page_of
from tests.console_mesh import NEXT, ConsoleMesh

WAIT_MS = 60_000


def row(page: Page, agent: str) -> Locator:
    return page.locator(f'tr[data-key="{agent}"]')


def differing(mesh: ConsoleMesh) -> dict[str, Any]:
    """The slot of the device that is not as desired, as the terminal has it."""
    shown = json.loads(mesh.plane.upriver("fleet", "show", "device-1", "--json"))
    return next(slot for slot in shown["slots"] if slot["difference"])


def test_the_mesh_shows_who_asks_whom_and_keeps_the_focus_and_leads_to_agents(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/mesh"))
        link = row(page, "near-edge-1").get_by_role("link").first
        link.focus()
        page.evaluate("() => { document.querySelector('tr[data-key]').dataset.old = 'yes' }")
        mesh.ask(mode="top")
        expect(page.locator('.wide [data-from="device-1"]').first).to_be_attached(timeout=WAIT_MS)
        page.wait_for_function("() => !document.querySelector('tr[data-old]')", timeout=WAIT_MS)
        expect(link).to_be_focused()
        expect(row(page, "device-1")).to_contain_text("not as desired")
        page.locator('.wide [data-agent="cloud-1"] circle').first.click()
        page.wait_for_url("**/fleet/cloud-1")


def test_an_agent_that_is_not_as_desired_says_why_as_the_terminal_does(browser: Browser, mesh: ConsoleMesh) -> None:
    slot = differing(mesh)
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/fleet"))
        odd = row(page, f"device-1 {slot['model']} differs")
        expect(odd).to_contain_text(slot["difference"], timeout=WAIT_MS)
        expect(odd).to_contain_text(f"{slot['model']} {NEXT}")
        row(page, "device-1").get_by_role("link").click()
        page.wait_for_url("**/fleet/device-1")
        expect(page.get_by_role("region", name=slot["model"])).to_contain_text(slot["difference"], timeout=WAIT_MS)


def test_a_selector_is_in_the_address_and_what_is_none_is_refused_in_words(browser: Browser, mesh: ConsoleMesh) -> None:
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/fleet"))
        page.keyboard.press("/")
        page.keyboard.type("tier=cloud")
        page.keyboard.press("Enter")
        page.wait_for_url("**/fleet?selector=tier%3Dcloud")
        expect(row(page, "cloud-1")).to_be_visible(timeout=WAIT_MS)
        expect(row(page, "device-1")).to_have_count(0)
        page.goto(f"{mesh.plane.console}/mesh?selector=%3D%3D")
        expect(page.get_by_role("alert")).to_contain_text("selector", timeout=WAIT_MS)


def test_an_agent_that_was_never_seen_is_told_as_one_whatever_it_is_called(browser: Browser, mesh: ConsoleMesh) -> None:
    name = "<script>alert(1)</script>/'\""
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/fleet/{quote(quote(name, safe=''))}"))
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator(".empty")).to_contain_text("was never seen", timeout=WAIT_MS)
