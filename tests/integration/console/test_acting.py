"""What an operator does from the pages, and what comes of it."""

from playwright.sync_api import Browser, expect

from tests.agent_process import until
from tests.browser import barriers, page_of
from tests.console_mesh import ConsoleMesh
from upriver.v1 import rollout_pb2


def test_a_rollout_is_paused_from_its_page_and_goes_on_from_there(browser: Browser, mesh: ConsoleMesh) -> None:
    def state() -> int:
        with mesh.plane.stubs() as operator:
            return operator.rollout(mesh.rollout).state

    with page_of(browser) as (page, _):
        page.goto(mesh.login("/models/pattern"))
        rollout = page.locator(f'[data-rollout="{mesh.rollout}"]')
        rollout.get_by_role("button", name="Pause").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("device-2")
        assert barriers(page) == []
        dialog.get_by_role("button", name="Leave it").click()
        expect(dialog).to_be_hidden()
        assert state() == rollout_pb2.ROLLOUT_STATE_PROGRESSING, "nothing is done before it is confirmed"
        rollout.get_by_role("button", name="Pause").click()
        dialog.get_by_role("button", name="Pause rollout").click()
        expect(rollout).to_have_attribute("data-state", "paused")
        until(lambda: state() == rollout_pb2.ROLLOUT_STATE_PAUSED, what="the rollout to be paused")
        rollout.get_by_role("button", name="Resume").click()
        dialog.get_by_role("button", name="Resume rollout").click()
        expect(rollout).to_have_attribute("data-state", "progressing")
