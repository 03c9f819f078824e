"""The leader lock in Consul: a key held by a session that lives by being renewed.

Consul gives a session that is not renewed at least its whole time to live, so a holder that stops believing in its lock
before that time is over is never one of two. Source: https://developer.hashicorp.com/consul/docs/dynamic-app-config/sessions
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import httpx

from upriver.errors import NotAllowed, Unreachable

KEY: Final = "upriver/control-plane/leader"
MIN_TTL_S: Final = 10.0
"""Consul takes no shorter time to live."""
_CALL_S = 3.0
_LOCK_DELAY = "1s"


class ConsulLock:
    """Exclusive among all processes that use one Consul."""

    def __init__(
        self,
        address: str,
        token: str = "",
        key: str = KEY,
        ttl_s: float = MIN_TTL_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._key = key
        self._ttl_s = max(MIN_TTL_S, ttl_s)
        self._steady = steady
        self._session = ""
        self._holds = False
        self._renewed = 0.0
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={"X-Consul-Token": token} if token else {},
            timeout=_CALL_S,
            limits=httpx.Limits(max_connections=2),
            trust_env=False,
        )

    async def acquire(self) -> bool:
        """Tries to take it; raises Unreachable or NotAllowed."""
        if self._holds:
            return await self.held()
        if not self._session or not await self._renew():
            self._session = await self._make_session()
        asked = self._steady()
        self._holds = (await self._call("PUT", f"/v1/kv/{self._key}", {"acquire": self._session})).json() is True
        if self._holds and asked - self._renewed > self._ttl_s / 2:
            await self._renew()
        return self._holds

    async def held(self) -> bool:
        """Whether it is still ours, renewed after a third of its time to live."""
        if not self._holds:
            return False
        if self._steady() - self._renewed >= self._ttl_s / 3:
            try:
                self._holds = await self._renew() and await self._is_ours()
            except (Unreachable, NotAllowed):
                self._holds = self._steady() - self._renewed < 0.8 * self._ttl_s
        return self._holds

    async def release(self) -> None:
        """Gives it back by ending the session, as far as Consul can be reached."""
        session, self._session, self._holds = self._session, "", False
        if session:
            try:
                await self._call("PUT", f"/v1/kv/{self._key}", {"release": session})
                await self._call("PUT", f"/v1/session/destroy/{session}")
            except (Unreachable, NotAllowed):
                return  # it ends by itself when its time is over

    async def close(self) -> None:
        """Gives it back and closes the connections."""
        await self.release()
        await self._client.aclose()

    async def _make_session(self) -> str:
        begun = self._steady()
        body = {"Name": "upriver-control", "TTL": f"{self._ttl_s:g}s", "LockDelay": _LOCK_DELAY, "Behavior": "release"}
        answer = (await self._call("PUT", "/v1/session/create", json=body)).json()
        self._renewed = begun
        return str(answer["ID"])

    async def _renew(self) -> bool:
        begun = self._steady()
        response = await self._send("PUT", f"/v1/session/renew/{self._session}", {}, None)
        if response.status_code == httpx.codes.NOT_FOUND:
            self._session, self._holds = "", False
            return False
        _checked(response)
        self._renewed = begun
        return True

    async def _is_ours(self) -> bool:
        response = await self._send("GET", f"/v1/kv/{self._key}", {}, None)
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        return bool(_checked(response).json()[0].get("Session") == self._session)

    async def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, json: Any = None
    ) -> httpx.Response:
        return _checked(await self._send(method, path, query or {}, json))

    async def _send(self, method: str, path: str, query: dict[str, str], json: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(2 * _CALL_S):
                return await self._client.request(method, path, params=query, json=json)
        except (httpx.RequestError, httpx.InvalidURL, TimeoutError) as error:
            raise Unreachable(f"leader lock: Consul at {self._address}: {type(error).__name__}: {error}") from error


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code in (401, 403):
        raise NotAllowed(
            f"leader lock: Consul refuses the token ({response.status_code}: {response.text.strip()[:200]}); it must be"
            " allowed to write sessions and the lock's key"
        )
    if not response.is_success:
        raise Unreachable(f"leader lock: Consul answered {response.status_code}: {response.text.strip()[:200]}")
    return response
