"""Discovery through Consul: two background threads, one that keeps us registered, one that watches the others.

Nobody waits for them: `agents()` reads the last known answer. When Consul is gone that answer stays; when it comes back
with nothing, we register again and the agents it forgot are believed in for a while longer.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from upriver.discovery import snapshot
from upriver.discovery.consul_http import ConsulHttp, ConsulOptions
from upriver.discovery.memory import Memory, backoff_s, next_index
from upriver.discovery.port import AgentRecord
from upriver.discovery.records import EntryInvalid, from_entry, to_registration, ttl_check_id
from upriver.errors import NotAllowed, Unreachable

__all__ = ["ConsulDiscovery", "ConsulOptions", "list_agents"]

_LOG = logging.getLogger(__name__)
_WAIT_S = 30.0
_PAUSE_S = 0.05  # between answers: a registry in turmoil must not keep a core busy
_REFUSED_PAUSE_S = 10.0
_DEREGISTER_S = 1.0
_GRACE_TTLS = 6


def list_agents(options: ConsulOptions) -> tuple[AgentRecord, ...]:
    """All agents that are passing now; raises Unreachable or NotAllowed."""
    http = ConsulHttp(options)
    try:
        entries, _ = http.healthy(options.service, 0, 0.0, ())
    finally:
        http.close()
    return _read(entries, set())


class ConsulDiscovery:
    """`tiers` narrows the watch to agents of those tiers; none is all."""

    def __init__(self, options: ConsulOptions, state_dir: Path, tiers: Sequence[str] = ()) -> None:
        self._options = options
        self._tiers = tuple(tiers)
        self._file = state_dir / "discovery.json"
        self._http = ConsulHttp(options)
        self._memory = Memory(snapshot.load(self._file))
        self._me: AgentRecord | None = None
        self._registered: AgentRecord | None = None
        self._draining = False
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._told: set[str] = set()
        self._threads = (
            threading.Thread(target=self._keep, name="upriver-consul-keep", daemon=True),
            threading.Thread(target=self._watch, name="upriver-consul-watch", daemon=True),
        )

    def start(self, me: AgentRecord) -> None:
        """Registers `me` and begins to watch, in the background."""
        self._me = me
        for thread in self._threads:
            thread.start()

    def update(self, me: AgentRecord) -> None:
        """Registers anew with what has changed."""
        self._me = me
        self._wake.set()

    def draining(self) -> None:
        """Sets the check to warning: others stop asking us, and Consul does not deregister us for it."""
        self._draining = True
        self._wake.set()

    def agents(self) -> Sequence[AgentRecord]:
        """The last known agents, ourselves included where our tier is watched."""
        return self._memory.records

    def close(self) -> None:
        """Deregisters; takes at most about two seconds whatever Consul does."""
        self._closed.set()
        self._wake.set()
        if self._threads[0].ident is not None:
            self._threads[0].join(_DEREGISTER_S)
        if self._registered is not None:
            # In a thread: the client's time-outs are for each read, and an answer can come a byte at a time.
            last = threading.Thread(
                target=self._deregister, args=(self._registered.agent,), name="upriver-consul-leave", daemon=True
            )
            last.start()
            last.join(_DEREGISTER_S)
        self._http.close()

    def _deregister(self, agent: str) -> None:
        try:
            self._http.deregister(agent, _DEREGISTER_S)
        except (Unreachable, NotAllowed) as error:
            _LOG.warning("not deregistered, the check will expire instead: %s", error)

    def _keep(self) -> None:
        failures = 0
        while not self._closed.is_set():
            self._wake.clear()
            try:
                if self._renew():
                    failures = 0
                    self._told.discard("keep")
                    pause_s = self._options.ttl_s / 3 * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
                else:  # at once, unless Consul forgets us again and again
                    failures += 1
                    pause_s = 0.0 if failures == 1 else backoff_s(failures, random.random)
            except Unreachable as error:
                failures += 1
                self._tell_once("keep", "not registered: %s", error)
                pause_s = backoff_s(failures, random.random)
            except NotAllowed as error:
                self._tell_once("keep", "not registered: %s", error)
                pause_s = _REFUSED_PAUSE_S
            self._wake.wait(pause_s)

    def _renew(self) -> bool:
        """Registers when that is due and renews the check; False when Consul has forgotten us."""
        me = self._me
        if me is None:
            raise AssertionError("started without a record")
        if self._registered != me:
            self._http.register(
                to_registration(me, self._options.service, self._options.ttl_s, self._options.grpc_check)
            )
            self._registered = me
        status, note = ("warn", "draining") if self._draining else ("pass", "serving")
        if self._http.renew(ttl_check_id(me.agent), status, note):
            return True
        _LOG.info("Consul has forgotten this agent: registering again")
        self._registered = None
        return False

    def _watch(self) -> None:
        index = failures = 0
        while not self._closed.is_set():
            try:
                wait_s = _WAIT_S * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
                entries, told = self._http.healthy(self._options.service, index, wait_s, self._tiers)
                forgot = failures > 0 or told < index  # it was away, or its index went backwards: it may be a new one
                index = next_index(index, told)
                self._hear(_read(entries, self._told), forgot)
                failures = 0
                self._told.discard("watch")
                pause_s = _PAUSE_S
            except Unreachable as error:
                failures += 1
                index = 0
                self._tell_once("watch", "going on with the last known agents: %s", error)
                pause_s = backoff_s(failures, random.random)
            except NotAllowed as error:
                self._tell_once("watch", "going on with the last known agents: %s", error)
                pause_s = _REFUSED_PAUSE_S
            self._closed.wait(pause_s)

    def _hear(self, answer: tuple[AgentRecord, ...], forgot: bool) -> None:
        before = self._memory
        grace_s = self._options.ttl_s * _GRACE_TTLS
        self._memory = before.hear(answer, forgot, time.monotonic(), grace_s)
        if self._memory.records != before.records:
            snapshot.save(self._file, self._memory.records)

    def _tell_once(self, what: str, message: str, error: Exception) -> None:
        if what not in self._told and not self._closed.is_set():
            self._told.add(what)
            _LOG.warning(message, error)


def _read(entries: Sequence[object], told: set[str]) -> tuple[AgentRecord, ...]:
    """The entries that describe agents; the others are told of once each, up to a bound."""
    records = []
    for entry in entries:
        try:
            if not isinstance(entry, dict):
                raise EntryInvalid(f"not an agent's entry: {str(entry)[:80]}")
            records.append(from_entry(entry))
        except EntryInvalid as error:
            if str(error) not in told and len(told) < 100:
                told.add(str(error))
                _LOG.warning("ignoring an entry in Consul: %s", error)
    return tuple(records)
