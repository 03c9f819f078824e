"""The few calls of Consul's HTTP API that discovery makes. The only module that knows httpx."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from upriver.errors import NotAllowed, Unreachable

_CONNECT_S = 3.0
_CALL_S = 5.0
_WAIT_SLACK_S = 10.0


@dataclass(frozen=True, slots=True)
class ConsulOptions:
    """Which Consul, and how. A token in a file is read anew for every call, so that it can be rotated."""

    address: str = "http://127.0.0.1:8500"
    token: str = ""
    token_file: Path | None = None
    service: str = "upriver-agent"
    ttl_s: float = 10.0
    grpc_check: bool = False


class ConsulHttp:
    """One bounded pool of connections: one for the blocking query, one for everything else."""

    def __init__(self, options: ConsulOptions) -> None:
        self._options = options
        self._client = httpx.Client(
            base_url=options.address,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=2),
            timeout=httpx.Timeout(_CALL_S, connect=_CONNECT_S),
            trust_env=False,
        )

    def register(self, body: Mapping[str, Any]) -> None:
        """Registers a service; raises Unreachable or NotAllowed."""
        self._call("PUT", "/v1/agent/service/register", {"replace-existing-checks": "true"}, json=body)

    def deregister(self, service_id: str, timeout_s: float) -> None:
        """Deregisters it; raises Unreachable or NotAllowed."""
        self._call("PUT", f"/v1/agent/service/deregister/{service_id}", {}, timeout_s=timeout_s)

    def renew(self, check_id: str, status: str, note: str) -> bool:
        """Renews a TTL check (`pass` or `warn`); False when Consul does not know it any more."""
        response = self._send("PUT", f"/v1/agent/check/{status}/{check_id}", {"note": note}, None, _CALL_S)
        if response.status_code in (404, 500):  # 500 is how Consul before 1.12 says that it does not know the check
            return False
        _checked(response)
        return True

    def healthy(self, service: str, index: int, wait_s: float, tiers: Sequence[str]) -> tuple[list[Any], int]:
        """Blocks until the passing instances change or `wait_s` is over; gives them and the new index.

        `tiers` narrows it to those tiers; none is all. Raises Unreachable or NotAllowed.
        """
        query = {"passing": "true", "near": "_agent"}
        if index:
            query |= {"index": str(index), "wait": f"{round(wait_s * 1000)}ms"}
        if tiers:
            query["filter"] = " or ".join(f'Service.Meta.tier == "{tier}"' for tier in tiers)
        response = self._call("GET", f"/v1/health/service/{service}", query, timeout_s=wait_s + _WAIT_SLACK_S)
        try:
            entries, told = response.json(), int(response.headers.get("X-Consul-Index", "0"))
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{self._options.address} does not answer as Consul does: {error}") from error
        if not isinstance(entries, list):
            raise Unreachable(f"{self._options.address} does not answer as Consul does: {str(entries)[:200]}")
        return entries, told

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        json: Mapping[str, Any] | None = None,
        timeout_s: float = _CALL_S,
    ) -> httpx.Response:
        return _checked(self._send(method, path, query, json, timeout_s))

    def _send(
        self, method: str, path: str, query: Mapping[str, str], json: Mapping[str, Any] | None, timeout_s: float
    ) -> httpx.Response:
        token = self._token()
        headers = {"X-Consul-Token": token} if token else {}
        timeout = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
        try:
            return self._client.request(method, path, params=dict(query), json=json, headers=headers, timeout=timeout)
        except (httpx.RequestError, httpx.InvalidURL, RuntimeError) as error:  # RuntimeError: the client is closed
            raise Unreachable(f"Consul at {self._options.address}: {type(error).__name__}: {error}") from error

    def _token(self) -> str:
        if self._options.token_file is None:
            return _sendable(self._options.token, "discovery.consul.token")
        where = f"discovery.consul.token_file {str(self._options.token_file)!r}"
        try:
            return _sendable(self._options.token_file.read_text().strip(), where)
        except (OSError, UnicodeDecodeError) as error:
            raise NotAllowed(f"{where}: {error}") from error


def _sendable(token: str, where: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise NotAllowed(f"{where} holds characters that no header takes: expected printable ASCII")
    return token


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code in (401, 403):
        raise NotAllowed(
            f"Consul refuses the token ({response.status_code}: {response.text.strip()[:200]}); set"
            " discovery.consul.token or token_file to one that may write this service and read services and nodes"
        )
    if not response.is_success:  # a redirect has registered nobody
        raise Unreachable(f"Consul answered {response.status_code}: {response.text.strip()[:200]}")
    return response
