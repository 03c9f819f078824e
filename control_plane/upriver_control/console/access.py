"""Who may see the console: whoever has shown the operator's token, from a page of its own.

The cookie says until when it holds, and is signed with the token: it outlives a restart, and another token ends it.
What is open when it ends, by time or by logging out, ends with it.
"""

import asyncio
import hashlib
import hmac
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upriver_control.console.drawing.svg import Markup
from upriver_control.console.settings import Settings

HOLDS_S: Final = 12 * 3600
MAX_BROWSERS: Final = 50
_LOOK_S: Final = 60.0
"""How often is looked whether a login still holds: clocks are set, and stand still while a machine sleeps."""
MAX_LEFT: Final = 1000
"""Logins that were left before their time are known, the newest."""
OPEN: Final = "/static/"
_LIBRARY: Final = "/_nicegui/"
"""Where NiceGUI has its files. Connections are elsewhere: one that is refused as a WebSocket comes again by polling."""
HELD: Final = "/login/held"
"""Whether the login still holds, for pages whose connection is refused."""
_BODY: Final = 4096
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
"""Vue compiles its templates in the browser, hence 'unsafe-eval'; nothing is loaded from, or sent to, elsewhere."""


_REFUSED: Final = {"type": "websocket.close", "code": 4403, "reason": "log in first"}


def sign(token: str, until: int, chance: str) -> str:
    """A cookie's value that holds until a time in seconds since 1970; `chance` tells it from others of that second."""
    said = f"{until}.{chance}"
    digest = hmac.new(hashlib.sha256(token.encode()).digest(), f"console {said}".encode(), hashlib.sha256)
    return f"{said}.{digest.hexdigest()}"


def holds(token: str, value: str, now: float) -> bool:
    """Whether a cookie's value was signed with this token and still holds."""
    until, _, rest = value.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12):
        return False
    return hmac.compare_digest(value.encode(), sign(token, int(until), rest.rpartition(".")[0]).encode()) and now < int(
        until
    )


def inside(target: str) -> str:
    """Where to go after the login: an address of this site, else `/`."""
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if plain else "/"


class _Live:
    """A live connection that ends with its login: who is behind sees the browser leave, and the browser is refused."""

    def __init__(self, receive: Receive, send: Send, left_s: Callable[[], float]) -> None:
        """`left_s` says for how many seconds the login still holds."""
        self._receive, self._send, self._left_s = receive, send, left_s
        self._is_left, self._has_ended = asyncio.Event(), False

    def leave(self) -> None:
        """The login is left before its time."""
        self._is_left.set()

    async def receive(self) -> Message:
        """What comes from the browser next; that it has gone, once the login does not hold any more."""
        if not self._has_ended:
            coming, leaving = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._is_left.wait())
            try:
                while (left_s := 0.0 if self._is_left.is_set() else self._left_s()) > 0:
                    if coming.done():
                        return coming.result()
                    waiting = (coming, leaving)
                    await asyncio.wait(waiting, timeout=min(left_s, _LOOK_S), return_when=asyncio.FIRST_COMPLETED)
            finally:
                coming.cancel()
                leaving.cancel()
            self._has_ended = True
            await self._send(_REFUSED)
        return {"type": "websocket.disconnect", "code": _REFUSED["code"]}

    async def send(self, message: Message) -> None:
        """Sends to the browser; what comes too late goes nowhere."""
        if not self._has_ended:
            await self._send(message)


class Access:
    """Stands before the pages: refuses foreign origins, asks for the login, and bounds how many browsers look."""

    def __init__(
        self, app: ASGIApp, settings: Settings, login: Callable[[str, bool], Markup], clock: Callable[[], float]
    ) -> None:
        """`login` draws the login page: where to go then, and whether a token was shown that is not the one."""
        self.app = app
        self._settings, self._login, self._clock = settings, login, clock
        self._cookie = f"upriver-{settings.listen.rpartition(':')[2]}"
        self._browsers = 0
        self._live: dict[str, set[_Live]] = {}
        self._left: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of the server."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, _with_headers(send))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (self._own(scope) and self._let_in(scope)) or self._browsers >= MAX_BROWSERS:
            await receive()
            await send(_REFUSED)
            return
        shown = self._shown(scope)
        until = int(shown.partition(".")[0]) if self._settings.token else math.inf
        live = _Live(receive, send, lambda: until - self._clock())
        together = self._live.setdefault(shown, set())
        together.add(live)
        self._browsers += 1
        try:
            await self.app(scope, live.receive, live.send)
        finally:
            self._browsers -= 1
            together.discard(live)
            if not together:
                self._live.pop(shown, None)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        answer: Response | None = None
        if not self._own(scope):
            answer = PlainTextResponse("expected a request from a page of this console", 403)
        elif path == HELD:
            answer = PlainTextResponse("yes" if self._let_in(scope) else "no", headers={"cache-control": "no-store"})
        elif path == "/login":
            answer = await self._log_in(scope, receive)
        elif path == "/logout" and method == "POST":
            answer = RedirectResponse("/login", 303)
            answer.delete_cookie(self._cookie, path="/")
            self._leave(scope)
        elif not path.startswith(OPEN) and not self._let_in(scope):
            answer = self._log_in_first(scope)
        elif self._browsers >= MAX_BROWSERS and not path.startswith((_LIBRARY, OPEN)):
            answer = PlainTextResponse(f"{MAX_BROWSERS} browsers look at this console: close one, then try again", 503)
        await (self.app if answer is None else answer)(scope, receive, send)

    def _let_in(self, scope: Scope) -> bool:
        token, shown = self._settings.token, self._shown(scope)
        return not token or (holds(token, shown, self._clock()) and shown not in self._left)

    def _leave(self, scope: Scope) -> None:
        """Ends a login before its time, with what is open by it."""
        if not self._settings.token or not self._let_in(scope):
            return
        shown = self._shown(scope)
        self._left[shown] = None
        if len(self._left) > MAX_LEFT:
            self._left.popitem(last=False)
        for live in self._live.get(shown, ()):
            live.leave()

    def _shown(self, scope: Scope) -> str:
        try:
            cookie = SimpleCookie(_header(scope, b"cookie"))
        except CookieError:
            return ""
        return cookie[self._cookie].value if self._cookie in cookie else ""

    def _own(self, scope: Scope) -> bool:
        """Whether a page of this console asks, or no page.

        Without a token, a name that somebody made point here would open everything: then only ours are served.
        """
        host, origin = _header(scope, b"host"), _header(scope, b"origin")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return False
        name = urlsplit(f"//{host}").hostname or ""
        return bool(self._settings.token) or name in _LOOPBACK or name == self._settings.host

    def _log_in_first(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("log in first", 401)
        asked = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        return RedirectResponse(f"/login?next={quote(inside(asked), safe='/')}", 303)

    async def _log_in(self, scope: Scope, receive: Receive) -> Response:
        told = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "POST":
            told |= parse_qs((await _body(receive)).decode("utf-8", "replace"))
        target, given = inside(_first(told, "next") or "/"), _first(told, "token")
        if not self._settings.token:
            return RedirectResponse(target, 303)
        if scope["method"] == "GET" and not given:
            if self._let_in(scope):
                return RedirectResponse(target, 303)
            if _header(scope, b"sec-fetch-site") == "cross-site":
                # A link on another site brought it here, and then the browser keeps the cookie back. Asked for anew, by
                # this page and not by that one, it shows it if there is one.
                again = {"refresh": f"0; url=/login?next={quote(target, safe='/')}", "cache-control": "no-store"}
                return HTMLResponse("", 200, again)
        if not hmac.compare_digest(given.strip().encode(), self._settings.token.encode()):
            wrong = bool(given)
            return HTMLResponse(self._login(target, wrong), 403 if wrong else 200, {"cache-control": "no-store"})
        answer = RedirectResponse(target, 303, {"cache-control": "no-store"})
        value = sign(self._settings.token, int(self._clock()) + HOLDS_S, secrets.token_hex(8))
        answer.set_cookie(self._cookie, value, max_age=HOLDS_S, path="/", httponly=True, samesite="strict")
        return answer


def _header(scope: Scope, name: bytes) -> str:
    return b", ".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def _first(told: Mapping[str, list[str]], name: str) -> str:
    return told.get(name, [""])[0]


async def _body(receive: Receive) -> bytes:
    """A request's body, or its beginning where it is longer than any login."""
    body = b""
    while len(body) < _BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body[:_BODY]


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return with_headers
