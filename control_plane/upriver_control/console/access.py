"""Who may see the console: whoever has shown the operator's token, from a page of its own.

The cookie says until when it holds, and is signed with the token: it outlives a restart, and another token ends it.
"""

import hashlib
import hmac
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
OPEN: Final = "/static/"
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


def sign(token: str, until: int) -> str:
    """A cookie's value that holds until a time in seconds since 1970."""
    digest = hmac.new(hashlib.sha256(token.encode()).digest(), f"console {until}".encode(), hashlib.sha256)
    return f"{until}.{digest.hexdigest()}"


def holds(token: str, value: str, now: float) -> bool:
    """Whether a cookie's value was signed with this token and still holds."""
    until, _, _ = value.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12):
        return False
    return hmac.compare_digest(value.encode(), sign(token, int(until)).encode()) and now < int(until)


def inside(target: str) -> str:
    """Where to go after the login: an address of this site, else `/`."""
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if plain else "/"


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
            await send({"type": "websocket.close", "code": 4403, "reason": "log in first"})
            return
        self._browsers += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._browsers -= 1

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
        elif not path.startswith(OPEN) and not self._let_in(scope):
            answer = self._log_in_first(scope)
        elif self._browsers >= MAX_BROWSERS and not path.startswith(("/_nicegui", OPEN)):
            answer = PlainTextResponse(f"{MAX_BROWSERS} browsers look at this console: close one, then try again", 503)
        await (self.app if answer is None else answer)(scope, receive, send)

    def _let_in(self, scope: Scope) -> bool:
        token = self._settings.token
        return not token or holds(token, self._shown(scope), self._clock())

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
        value = sign(self._settings.token, int(self._clock()) + HOLDS_S)
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
