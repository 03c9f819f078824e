"""*Learning* in a browser, over a mesh that runs: a ticket is labelled by keyboard, and its client has the answer."""

from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import Browser, Page, expect

from tests.browser import page_of
from tests.console_mesh import RIDDLE, ConsoleMesh
from tests.versions import LABELS
from upriver import Client, Reason
from upriver_control.console.pages.tickets import PAGE

WAIT_S = 60


def opened(page: Page, mesh: ConsoleMesh) -> None:
    page.goto(mesh.login("/learning"))
    expect(page.locator("[data-desk]")).to_be_focused(timeout=WAIT_S * 1000)


def walked_to(page: Page, ticket: str) -> None:
    """Goes down the list by the arrow, as far as it takes."""
    wanted = page.locator(f'[data-ticket="tickets/{ticket}"]')
    expect(wanted).to_be_attached(timeout=WAIT_S * 1000)
    places = page.locator("[data-ticket]").evaluate_all("all => all.map((one) => one.dataset.ticket)")
    for place in range(1, places.index(f"tickets/{ticket}") + 1):
        page.keyboard.press("ArrowDown")
        expect(page.locator("[data-ticket]").nth(place)).to_have_attribute("aria-current", "true")
    expect(wanted).to_have_attribute("aria-selected", "true")
    expect(wanted).to_be_in_viewport()


def test_a_ticket_is_labelled_by_keyboard_and_who_waits_for_it_gets_the_answer(mesh: ConsoleMesh, browser: Browser):
    ticket = [mesh.ask(RIDDLE)["ticket"] for _ in range(5)][-1]  # more than fit into the list
    with Client(mesh.device.address, timeout=WAIT_S) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.ticket(ticket).result, 2 * WAIT_S)
        with page_of(browser) as (page, _):
            opened(page, mesh)
            walked_to(page, ticket)
            picture = page.get_by_alt_text("The picture that was asked about")
            expect(picture).to_be_visible()
            expect(picture).to_have_js_property("naturalWidth", 14)
            pressed = page.locator("[aria-pressed=true]")
            page.keyboard.press("3")
            expect(pressed).to_have_attribute("data-value", LABELS[2])
            page.keyboard.press("u")
            expect(pressed).to_have_count(0)
            page.keyboard.press("Enter")
            expect(page.get_by_text("Choose a label first")).to_be_visible()
            assert not waiting.done(), "what was taken back was not sent"
            page.keyboard.type(LABELS[6])
            expect(pressed).to_have_attribute("data-value", LABELS[6])
            page.keyboard.press("Enter")
            expect(page.get_by_text(f"{ticket} is answered: {LABELS[6]}.")).to_be_visible()
            expect(page.locator(f'[data-ticket="tickets/{ticket}"]')).to_have_count(0)
        answer = waiting.result(WAIT_S)
    assert (answer.label, answer.reason, answer.resolved) == (LABELS[6], Reason.ANSWERED, True)
    assert answer.agent == "person"


def test_tickets_that_are_not_among_the_oldest_are_a_link_away_and_so_is_the_way_back(
    mesh: ConsoleMesh, browser: Browser
):
    last = [mesh.ask(RIDDLE)["ticket"] for _ in range(PAGE + 1)][-1]
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/learning"))
        tickets, newest = page.locator("[data-ticket]"), page.locator(f'[data-ticket="tickets/{last}"]')
        expect(tickets).to_have_count(PAGE)
        oldest = tickets.first.get_attribute("data-ticket")
        expect(newest).to_have_count(0)
        page.get_by_role("link", name="The next ones").click()
        expect(newest).to_be_attached()
        page.get_by_role("link", name="The oldest").click()
        expect(tickets.first).to_have_attribute("data-ticket", oldest or "")
