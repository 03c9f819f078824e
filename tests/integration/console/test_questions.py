"""Questions in a browser: found by filters and by search, looked into, followed as they come."""

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import page_of
from tests.console_mesh import RIDDLE, ConsoleMesh


def rows(page: Page) -> list[str]:
    """The traces of the questions that are listed, newest first."""
    keys = page.locator("main tr[data-key]").evaluate_all("rows => rows.map(row => row.dataset.key)")
    return [key.split()[0] for key in keys]


def test_a_filter_leaves_what_it_says_and_is_in_the_address(browser: Browser, mesh: ConsoleMesh) -> None:
    wanted = {told["trace_id"] for told in mesh.told if told["tier"] == "far-edge"}
    other = {told["trace_id"] for told in mesh.told} - wanted
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/questions"))
        page.get_by_label("Answered by").select_option("far-edge")
        page.wait_for_url(re.compile(r"[?&]answered=far-edge\b"))
        expect(page.locator("main tr[data-key]").first).to_be_visible()
        shown = rows(page)
        assert wanted <= set(shown)
        assert not other & set(shown)
        page.reload()
        assert rows(page) == shown
        expect(page.get_by_label("Answered by")).to_have_value("far-edge")


def test_a_question_is_found_by_its_trace_and_others_by_keyboard(browser: Browser, mesh: ConsoleMesh) -> None:
    trace = mesh.told[0]["trace_id"]
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/questions?model=pattern"))
        expect(page.locator("main tr[data-key]").first).to_be_visible()
        second = rows(page)[1]
        page.locator("body").press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/questions/{second}")
        page.go_back()
        page.keyboard.press("/")
        page.keyboard.type(trace)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/questions/{trace}")
        expect(page.get_by_role("main")).to_contain_text(trace)


def test_the_numbers_of_an_inspected_question_are_those_of_its_response(browser: Browser, mesh: ConsoleMesh) -> None:
    told = next(told for told in mesh.told if told["path"].count(",") == 1 and told["resolved"])
    path = told["path"].split(",")
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/questions/{told['trace_id']}"))
        way = page.get_by_role("list", name="The question's way").get_by_role("listitem")
        expect(way).to_have_count(len(path))
        assert [way.nth(hop).get_by_role("link").inner_text() for hop in range(len(path))] == path
        expect(way.last).to_contain_text("answered")
        confidence = f"confidence {told['confidence']:.3f}"
        expect(way.last.get_by_role("img")).to_have_attribute("aria-label", re.compile(re.escape(confidence)))
        cards = page.get_by_role("article")
        expect(cards).to_have_count(len(path))
        expect(cards.first).to_contain_text(f"{told['bytes_up']} B")
        expect(cards.last.locator(f'[title="{told["policy"]}"]')).to_be_visible()
        expect(cards.last).to_contain_text(told["reason"])
        check_waterfall(page, path)


def check_waterfall(page: Page, path: list[str]) -> None:
    """One bar for each hop in order, each within the one above it, as long as its figure says."""
    bars = page.get_by_role("list", name="Spans").locator("li.serve")
    expect(bars).to_have_count(len(path))
    drawn = bars.evaluate_all(
        """rows => rows.map(row => {
            const bar = row.querySelector(".wf-bar").getBoundingClientRect();
            const name = row.querySelector(".wf-name").innerText;
            return [name, bar.left, bar.right, row.querySelector(".wf-took").lastChild.textContent];
        })"""
    )
    assert [name.split()[0] for name, *_ in drawn] == path
    (_, left, right, whole), *inner = drawn
    for _, begins, ends, took in inner:
        assert left <= begins <= ends <= right + 1
        share, width = number(took) / number(whole), (ends - begins) / (right - left)
        assert width == pytest.approx(share, abs=0.03), "a bar is as long as its figure says"
        left, right, whole = begins, ends, took


def number(text: str) -> float:
    """`6.22 ms` as 6.22."""
    value, unit = text.split()
    assert unit == "ms", text
    return float(value)


def test_a_question_that_comes_is_seen_without_reloading(browser: Browser, mesh: ConsoleMesh) -> None:
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/questions?model={RIDDLE}"))
        expect(page.locator("main tr[data-key]").first).to_be_visible()
        page.evaluate("() => { window.before = true; }")
        told = mesh.ask(RIDDLE)
        row = page.locator(f'main tr[data-key^="{told["trace_id"]}"]')
        expect(row).to_be_visible()
        expect(row).to_contain_text("cloud-1")
        expect(row).to_contain_text("ticketed")
        assert page.evaluate("() => window.before")


def test_a_question_that_is_not_kept_is_said_to_be_so(browser: Browser, mesh: ConsoleMesh) -> None:
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/questions/{'0' * 31}1"))
        expect(page.locator("h1")).to_have_count(1)
        expect(page.get_by_role("main")).to_contain_text(re.compile("not|no span", re.IGNORECASE))


def test_while_the_span_store_is_locked_pages_say_what_is_missing_and_it_comes_later(
    browser: Browser, mesh: ConsoleMesh
) -> None:
    before = mesh.ask(mode="top")
    with page_of(browser) as (page, _):
        page.goto(mesh.login("/questions"))
        expect(page.locator(f'main tr[data-key^="{before["trace_id"]}"]')).to_be_visible()
        alert = page.get_by_role("alert").filter(has_text="No spans can be kept")
        expect(alert).to_have_count(0)
        with closing(sqlite3.connect(mesh.plane.state / "spans.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            told = mesh.ask(mode="top")
            assert told["agent"] == "cloud-1"
            expect(alert).to_contain_text("locked", timeout=30_000)
            page.goto(f"{mesh.plane.console}/questions/{before['trace_id']}")
            expect(alert).to_contain_text("locked")
            expect(page.get_by_role("main")).to_contain_text("cloud-1")
            holder.execute("ROLLBACK")
        expect(alert).to_have_count(0, timeout=30_000)
        page.goto(f"{mesh.plane.console}/questions")
        expect(page.locator(f'main tr[data-key^="{told["trace_id"]}"]')).to_be_visible(timeout=30_000)
