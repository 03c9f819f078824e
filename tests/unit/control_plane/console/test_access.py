"""Who is let in, without a server around it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

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


def access(
    token: str = TOKEN, listen: str = "127.0.0.1:8481", app: ASGIApp = page, clock: Callable[[], float] = lambda: NOW
) -> Access:
    return Access(app, Settings(listen, token, "1"), lambda _, wrong: Markup(), clock)


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


def cookie(until: int = NOW + 1, token: str = TOKEN, port: str = "8481", chance: str = "a") -> str:
    return f"upriver-{port}={sign(token, until, chance)}"


def test_a_cookie_holds_until_its_time_and_with_its_token_alone() -> None:
    assert holds(TOKEN, sign(TOKEN, NOW + HOLDS_S, "a"), NOW)
    assert not holds(TOKEN, sign(TOKEN, NOW, "a"), NOW)
    assert not holds("another", sign(TOKEN, NOW + 1, "a"), NOW)
    until, _, mark = sign(TOKEN, NOW + 1, "a").partition(".")
    assert not holds(TOKEN, f"{int(until) + 9}.{mark}", NOW)
    assert not holds(TOKEN, f"{until}.b{mark[1:]}", NOW)


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
        refused.clear()
        polling = "/_nicegui_ws/socket.io/"
        await gate(scope_of(path=polling, cookie=cookie()), receive, note)
        assert refused[0]["status"] == 503, "nor by another way"
        refused.clear()
        await gate(scope_of(path="/_nicegui/3/vue.js", cookie=cookie()), receive, note)
        assert refused[0]["status"] == 200
        ends.set()
        await asyncio.gather(*looking)
        refused.clear()
        await gate(scope_of(cookie=cookie()), receive, note)
        assert refused[0]["status"] == 200

    asyncio.run(look())


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind: says what it hears, that its browser has gone too."""
    if scope["type"] == "http":
        await PlainTextResponse("page")(scope, receive, send)
        return
    await send({"type": "websocket.accept"})
    heard: Any = {}
    while heard.get("type") != "websocket.disconnect":
        heard = await receive()
        await send({"type": "websocket.send", "text": heard.get("text", "too late")})


class Browser:
    """A live connection: what is said to it, and what it says."""

    def __init__(self, gate: Access, shown: str) -> None:
        self.told: list[Any] = []
        self.says: asyncio.Queue[Any] = asyncio.Queue()
        self.answered = asyncio.Event()
        self.looks = asyncio.create_task(gate(scope_of("websocket", cookie=shown), self.says.get, self._tell))

    async def _tell(self, message: Any) -> None:
        self.told.append(message.get("text") or message.get("code") or message["type"])
        if message["type"] != "websocket.accept":
            self.answered.set()

    async def asks(self, text: str) -> list[Any]:
        """Says something; gives all that it was told until that was answered, or refused."""
        self.answered.clear()
        self.says.put_nowait({"type": "websocket.receive", "text": text})
        await self.answered.wait()
        return self.told


def test_a_live_connection_ends_when_its_login_does() -> None:
    now = [float(NOW)]

    async def look() -> None:
        browser = Browser(access(app=echo, clock=lambda: now[0]), cookie(NOW + 9))
        now[0] += 8
        assert await browser.asks("pause") == ["websocket.accept", "pause"]
        now[0] += 1
        assert await browser.asks("cancel") == ["websocket.accept", "pause", 4403]
        await browser.looks

    asyncio.run(asyncio.wait_for(look(), 60))


def test_a_live_connection_whose_browser_says_nothing_ends_too_when_its_login_does() -> None:
    async def look() -> None:
        began = asyncio.get_running_loop().time()
        gate = access(app=echo, clock=lambda: NOW + 0.95 + asyncio.get_running_loop().time() - began)
        browser = Browser(gate, cookie(NOW + 1))
        await browser.looks
        assert browser.told == ["websocket.accept", 4403]

    asyncio.run(asyncio.wait_for(look(), 60))


def test_who_logs_out_ends_what_is_open_by_that_login_which_lets_nobody_in_again_and_no_other() -> None:
    async def look() -> None:
        gate = access(app=echo)
        left, again, other = (Browser(gate, shown) for shown in (cookie(), cookie(), cookie(chance="b")))
        for browser in (left, again, other):
            assert await browser.asks("here") == ["websocket.accept", "here"]
        told: list[Any] = []

        async def note(message: Any) -> None:
            told.append(message.get("status"))

        async def nothing() -> Any:
            return {"type": "http.request", "body": b""}

        await gate(scope_of(path="/logout", cookie=cookie()) | {"method": "POST"}, nothing, note)
        await asyncio.gather(left.looks, again.looks)
        assert left.told == again.told == ["websocket.accept", "here", 4403]
        assert (await other.asks("still"))[-1] == "still"
        other.looks.cancel()
        await gate(scope_of(cookie=cookie()), nothing, note)
        await gate(scope_of(cookie=cookie(chance="b")), nothing, note)
        assert [status for status in told if status] == [303, 303, 200]

    asyncio.run(asyncio.wait_for(look(), 60))


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
