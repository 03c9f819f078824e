"""What a browser shows when the control plane ends under it and comes back, or its login ends."""

from urllib.parse import quote

from playwright.sync_api import Browser, expect

from tests.agent_process import until
from tests.browser import page_of
from tests.console_mesh import ConsoleMesh

REFUSED = ("ERR_CONNECTION_REFUSED", "WebSocket connection to .* failed", "ERR_CONNECTION_RESET")


def all_back(mesh: ConsoleMesh) -> None:
    """Waits for the agents, so that the next test finds the mesh whole."""
    with mesh.plane.stubs() as operator:
        until(lambda: all(agent.connected for agent in operator.agents().values()), what="the agents to be back")


def test_a_page_says_that_nobody_answers_and_goes_on_by_itself_when_the_control_plane_is_back(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    path = "/mesh?selector=tier=device"
    with page_of(browser) as (page, faults):
        page.goto(mesh.login(quote(path)))
        device = page.locator('[data-agent="device-1"]:visible').first
        expect(device).to_be_visible()
        page.evaluate("() => { window.before = true; }")
        with faults.excuse(*REFUSED):
            mesh.plane.terminate()
            expect(page.get_by_text("No news since").first).to_be_visible()
            mesh.plane.start()
            page.wait_for_function("() => !('before' in window)")
            expect(device).to_be_visible()
        assert page.url == mesh.plane.console + path, "what was looked at is in the address, and the login still holds"
        all_back(mesh)


def test_a_page_whose_login_has_ended_leads_to_the_login_when_the_control_plane_is_back(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    with page_of(browser) as (page, faults):
        page.goto(mesh.login("/about"))
        expect(page.get_by_role("main")).to_contain_text("of 2 GiB")
        with faults.excuse(*REFUSED, "403"):
            mesh.plane.terminate()
            expect(page.get_by_text("No news since").first).to_be_visible()
            page.context.clear_cookies()
            mesh.plane.start()
            page.wait_for_url("**/login?next=/about")
            expect(page.get_by_label("token")).to_be_visible()
        all_back(mesh)


def test_a_page_that_is_open_when_its_login_is_left_in_another_one_leads_to_the_login(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    with page_of(browser) as (page, faults):
        page.goto(mesh.login("/about"))
        expect(page.get_by_role("main")).to_contain_text("of 2 GiB")
        with faults.excuse("403", "WebSocket connection to .* failed"):
            page.request.post(f"{mesh.plane.console}/logout")
            page.wait_for_url("**/login?next=/about")
            expect(page.get_by_label("token")).to_be_visible()
