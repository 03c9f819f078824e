"""The console's script in a browser, on a page whose list is drawn anew as the console draws its own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.browser import page_of
from upriver_control.console.site import STATIC

HERE = "http://127.0.0.1:9/"  # nobody serves it: the page is made here
PAGE = """<html lang="en"><head><title>page</title></head><body><p id="text">plain text</p>
<input id="q" data-search><section><div id="list"></div></section>
<script>
let drawn = 0;
window.clicks = [];
const draw = (ask = "PAUSE") => {
  drawn += 1;
  document.getElementById("list").innerHTML = `
    <table><tr data-key="a"><td><a href="#x" data-item>row ${drawn}</a></td></tr></table>
    <button type="button" data-ask="${ask}" data-name="r">${ask}</button>
    <svg width="40" height="40"><circle data-href="#circle" cx="20" cy="20" r="20"></circle></svg>`;
};
draw();
document.getElementById("list").addEventListener("click", (event) => {
  clicks.push(event.target.closest("a, [data-ask], [data-href]")?.textContent.trim() ?? "");
});
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    body = f"{PAGE}{(STATIC / 'console.js').read_text()}</script></body></html>"
    with page_of(browser) as (opened, _):
        opened.route(f"{HERE}*", lambda route: route.fulfill(body=body, content_type="text/html"))
        opened.goto(HERE)
        yield opened


def press(page: Page, where: Locator, meanwhile: str) -> list[str]:
    """Presses the mouse's button, lets something happen, and releases it; gives what the list was told."""
    where.hover()
    page.mouse.down()
    page.evaluate(meanwhile)
    page.mouse.up()
    seen: list[str] = page.evaluate("() => clicks.splice(0)")
    return seen


def test_a_click_is_not_lost_when_what_is_pressed_is_drawn_anew_before_it_is_released(page: Page) -> None:
    for meanwhile in ("0", "draw()"):
        assert press(page, page.locator("a"), meanwhile) == [page.locator("a").inner_text()], meanwhile
        assert page.url == f"{HERE}#x"
        assert press(page, page.locator("button"), meanwhile) == ["PAUSE"], meanwhile
        page.evaluate("() => { location.hash = '' }")
        assert press(page, page.locator("circle"), meanwhile) == [""], meanwhile
        assert page.url == f"{HERE}#circle"


def test_what_has_come_into_its_place_meanwhile_is_not_clicked(page: Page) -> None:
    assert press(page, page.locator("button"), "draw('RESUME')") == []


def redrawn(page: Page) -> None:
    """Draws the list anew, and waits until the script has seen it."""
    page.evaluate("() => { draw(); return new Promise((done) => setTimeout(done)); }")


def test_a_field_that_is_left_by_escape_is_left_for_good(page: Page) -> None:
    page.keyboard.press("/")
    redrawn(page)
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    redrawn(page)
    page.keyboard.press("j")
    assert page.evaluate("[document.activeElement.tagName, document.getElementById('q').value]") == ["A", ""]
    redrawn(page)
    assert page.evaluate("document.activeElement.tagName") == "A", "a row keeps the focus"


def test_what_is_left_by_a_click_on_plain_text_is_left_for_good(page: Page) -> None:
    for focused in ("#q", "a"):
        page.locator(focused).focus()
        page.locator("#text").click()
        redrawn(page)
        assert page.evaluate("document.activeElement.tagName") == "BODY", focused
