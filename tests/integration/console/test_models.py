"""Models in a browser: a rollout is asked to pause, to end and to go back, and its versions stand side by side."""

import json
from typing import Any

from google.protobuf.duration_pb2 import Duration
from playwright.sync_api import Browser, Locator, Page, expect

from tests.agent_process import until
from tests.browser import barriers, page_of
from tests.console_mesh import MODEL, NEXT, ConsoleMesh
from upriver.v1 import rollout_pb2, sync_pb2


def ask(page: Page, where: Locator, button: str, confirm: str, reason: str = "") -> str:
    """Presses a button of a rollout by keyboard and confirms; gives what the dialog said would happen."""
    where.get_by_role("button", name=button, exact=True).press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=confirm).wait_for()
    words = dialog.inner_text()
    if reason:
        dialog.get_by_label("Why").fill(reason)
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
        words = ask(page, card(page, mesh.rollout), "Pause", "Pause rollout")
        assert "of 1 agent 1 was told to move" in words
        assert "device-1" in words
        page.locator(f'[data-rollout="{mesh.rollout}"][data-state="paused"]').wait_for()
        assert told(mesh, mesh.rollout)["state"] == "paused"
        operator.resume(mesh.rollout)
        page.locator(f'[data-rollout="{mesh.rollout}"][data-state="progressing"]').wait_for()


def card(page: Page, rollout: str) -> Locator:
    """What a rollout that is under way is drawn as."""
    return page.locator(f'section[data-rollout="{rollout}"]')


def told(mesh: ConsoleMesh, rollout: str) -> dict[str, Any]:
    """A rollout as the command line tells it."""
    return dict(json.loads(mesh.plane.upriver("rollout", "status", rollout, "--json")))


def test_a_rollout_is_cancelled_from_the_page_and_rolled_back_from_the_line_of_those_that_have_ended(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    version, beside = f"models/{MODEL}/versions/{NEXT}", sync_pb2.Activation(shadow_time=Duration(seconds=3600))
    strategy = rollout_pb2.Strategy(activation=beside, progress_deadline=Duration(seconds=7200))
    with page_of(browser) as (page, _), mesh.plane.stubs() as operator:
        page.goto(mesh.login(f"/models/{MODEL}"))
        name = operator.start(version, "tier=cloud", strategy).name
        until(
            lambda: sum(ring.released for ring in operator.rollout(name).rings) == 1,
            what="the agent to be told to move",
        )
        assert f"1 agent stays on {MODEL}/{NEXT}" in ask(page, card(page, name), "Cancel", "Cancel rollout")
        page.locator(f'tr [data-rollout="{name}"][data-state="cancelled"]').wait_for()
        assert told(mesh, name)["state"] == "cancelled"
        line = page.locator(f'tr:has([data-rollout="{name}"])')
        words = ask(page, line, "Roll back", "Roll back rollout", "it is too slow")
        assert "1 agent goes back to what ran there before" in words
        page.locator(f'tr [data-rollout="{name}"][data-state="rolled-back"]').wait_for()
        assert (told(mesh, name)["state"], told(mesh, name)["reason"]) == ("rolled-back", "it is too slow")
        assert told(mesh, mesh.rollout)["state"] == "progressing", "which is of other agents"

        def as_before() -> bool:
            slots = operator.agents()["cloud-1"].slots
            return all(slot.reported.active.version != version and not slot.difference for slot in slots)

        until(as_before, what="the agent to run what it ran before")


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
