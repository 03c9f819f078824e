"""Models in a browser: a rollout is looked at, asked to pause and go on, and its versions stand side by side."""

import json

from playwright.sync_api import Browser, Page, expect

from tests.browser import barriers, page_of
from tests.console_mesh import MODEL, NEXT, ConsoleMesh


def ask(page: Page, mesh: ConsoleMesh, button: str, confirm: str) -> str:
    """Presses a button of the rollout by keyboard and confirms; gives what the dialog said would happen."""
    page.locator(f'[data-rollout="{mesh.rollout}"]').get_by_role("button", name=button, exact=True).press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=confirm).wait_for()
    words = dialog.inner_text()
    dialog.get_by_role("button", name=confirm).press("Enter")
    expect(dialog).to_have_count(0, timeout=60_000)
    return words


def test_a_rollout_is_paused_from_the_page_and_what_others_do_to_it_is_seen_there(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    with page_of(browser) as (page, _), mesh.plane.stubs() as operator:
        page.goto(mesh.login(f"/models/{MODEL}"))
        page.get_by_role("img", name=f"{NEXT} from device-1").locator("visible=true").wait_for()
        page.get_by_text("Rows answered").wait_for()
        words = ask(page, mesh, "Pause", "Pause rollout")
        assert "of 1 agent 1 was told to move" in words
        assert "device-1" in words
        page.locator(f'[data-rollout="{mesh.rollout}"][data-state="paused"]').wait_for()
        assert json.loads(mesh.plane.upriver("rollout", "status", mesh.rollout, "--json"))["state"] == "paused"
        operator.resume(mesh.rollout)
        page.locator(f'[data-rollout="{mesh.rollout}"][data-state="progressing"]').wait_for()


def test_what_the_service_refuses_stands_in_the_dialog_as_it_says_it(browser: Browser, mesh: ConsoleMesh) -> None:
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/models/{MODEL}"))
        page.locator(f'tr:has([data-version$="/{NEXT}"])').get_by_role("button", name="Roll out").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("4 agents match now").wait_for()
        dialog.get_by_label("Agents", exact=True).fill("tier=attic")
        dialog.get_by_label("Policy").fill("no such policy")
        dialog.get_by_text("0 agents match now").wait_for()
        dialog.get_by_role("button", name="Start rollout").click()
        dialog.get_by_role("alert").wait_for()
        assert "polic" in dialog.get_by_role("alert").inner_text()
        assert barriers(page) == []
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0, timeout=60_000)
