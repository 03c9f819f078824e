"""Who is let in, without a server around it."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from upriver_control.console.access import HOLDS_S, MAX_BROWSERS, Access, holds, inside, sign
from upriver_control.console.drawing.svg import Markup
from upriver_control.console.settings import Settings

NOW, TOKEN = 1_800_000_000, "the-token"


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind: a page for http; a live connection stays open until it is told to end."""
    if scope["type"] == "http":
        await PlainTextResponse("page")(scope, receive, send)
    else:
        await send({"type": "websocket.accept"})
        await receive()


def access(token: str = TOKEN, listen: str = "127.0.0.1:8481") -> Access:
    return Access(page, Settings(listen, token, "1"), lambda _, wrong: Markup(), lambda: NOW)


def scope_of(kind: str = "http", path: str = "/mesh", host: str = "127.0.0.1:8481", **headers: str) -> Scope:
    told = [(name.encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    return {"type": kind, "method": "GET", "path": path, "query_string": b"", "headers": told}


def status(gate: Access, scope: Scope) -> int:
    first = answered(gate, scope)
    return int(first.get("status") or first.get("code") or 101)


def headers(gate: Access, scope: Scope) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in answered(gate, scope)["headers"]}


def answered(gate: Access, scope: Scope) -> Any:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    return sent[0]


def cookie(until: int = NOW + 1, token: str = TOKEN, port: str = "8481") -> str:
    return f"upriver-{port}={sign(token, until)}"


def test_a_cookie_holds_until_its_time_and_with_its_token_alone() -> None:
    assert holds(TOKEN, sign(TOKEN, NOW + HOLDS_S), NOW)
    assert not holds(TOKEN, sign(TOKEN, NOW), NOW)
    assert not holds("another", sign(TOKEN, NOW + 1), NOW)
    until, _, mark = sign(TOKEN, NOW + 1).partition(".")
    assert not holds(TOKEN, f"{int(until) + 9}.{mark}", NOW)


@given(st.text())
def test_no_other_text_is_a_cookie(value: str) -> None:
    assert not holds(TOKEN, value, NOW)


@given(st.text())
def test_the_login_leads_to_this_site_whatever_it_is_told(target: str) -> None:
    led = inside(target)
    assert led.startswith("/")
    assert not led.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, 303),
        ({"cookie": cookie()}, 200),
        ({"cookie": cookie(NOW)}, 303),
        ({"cookie": cookie(port="9000")}, 303),
        ({"cookie": "no cookie=;;"}, 303),
        ({"cookie": cookie(), "origin": "http://127.0.0.1:8481"}, 200),
        ({"cookie": cookie(), "origin": "http://127.0.0.1:9999"}, 403),
        ({"cookie": cookie(), "origin": "null"}, 403),
    ],
)
def test_a_page_wants_the_cookie_and_the_own_origin(told: dict[str, str], expected: int) -> None:
    assert status(access(), scope_of(**told)) == expected


def test_without_a_token_only_names_of_this_machine_are_served() -> None:
    # Else a site's own name that points here would be of the same origin as the console.
    assert status(access(token=""), scope_of()) == 200
    assert status(access(token=""), scope_of(host="localhost:8481")) == 200
    assert status(access(token=""), scope_of(host="evil.example:8481", origin="http://evil.example:8481")) == 403
    assert status(access(token="", listen="console.example:8481"), scope_of(host="console.example:8481")) == 200


def test_a_live_connection_is_refused_as_a_page_is() -> None:
    assert status(access(), scope_of("websocket")) == 4403
    assert status(access(), scope_of("websocket", cookie=cookie(), origin="http://evil.example")) == 4403
    assert status(access(), scope_of("websocket", cookie=cookie())) == 101


def test_only_so_many_browsers_may_look_and_who_leaves_makes_room() -> None:
    async def look() -> None:
        gate, ends = access(), asyncio.Event()

        async def receive() -> Any:
            await ends.wait()
            return {"type": "websocket.disconnect"}

        answers: list[Any] = []

        async def send(message: Any) -> None:
            answers.append(message)

        let_in = scope_of("websocket", cookie=cookie())
        looking = [asyncio.create_task(gate(dict(let_in), receive, send)) for _ in range(MAX_BROWSERS)]
        await asyncio.sleep(0)
        refused: list[Any] = []

        async def note(message: Any) -> None:
            refused.append(message)

        await gate(scope_of(cookie=cookie()), receive, note)
        assert refused[0]["status"] == 503
        ends.set()
        await asyncio.gather(*looking)
        refused.clear()
        await gate(scope_of(cookie=cookie()), receive, note)
        assert refused[0]["status"] == 200

    asyncio.run(look())


def test_the_login_and_what_it_needs_are_open() -> None:
    assert status(access(), scope_of(path="/login")) == 200
    assert status(access(), scope_of(path="/static/console.css")) == 200
    assert status(access(), scope_of(path="/login/held")) == 200


def test_a_link_on_another_site_leads_to_the_page_for_whoever_is_logged_in() -> None:
    # The browser shows the cookie only when this site asks, so it is made to ask again from here.
    assert (
        headers(access(), scope_of(path="/login", **{"sec-fetch-site": "cross-site"}))["refresh"]
        == "0; url=/login?next=/"
    )
    assert headers(access(), scope_of(path="/login", cookie=cookie()))["location"] == "/"
    assert "refresh" not in headers(access(), scope_of(path="/login", **{"sec-fetch-site": "same-origin"}))
