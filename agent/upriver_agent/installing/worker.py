"""One slot's worker: a thread that carries out what the slot's state machine asks for, one action at a time.

The thread runs only while there is something to do. Whoever assigns never waits for it, and a newer assignment cancels
what the thread is waiting for.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from upriver.backoff import full_jitter_s
from upriver.errors import (
    DeviceUnfit,
    DiskTrouble,
    GoldenMismatch,
    ManifestError,
    ModelInvalid,
    RuntimeMissing,
    Unreachable,
    Untrusted,
    UpriverError,
)
from upriver_agent.installing.supply import Staged, Supply
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.loader import Loader
from upriver_agent.serving.shadow import Shadow
from upriver_agent.serving.slots import Slots
from upriver_agent.serving.statistics import ModelCounters, count
from upriver_agent.serving.watch import WatchFacts
from upriver_agent.slot import (
    Action,
    Advanced,
    Assigned,
    Do,
    Event,
    Failed,
    Failure,
    Pair,
    Retry,
    Shadowed,
    Slot,
    State,
    recovered,
    step,
)
from upriver_agent.versions import VerifyReport

_LOG = logging.getLogger(__name__)
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
_FAILURES: tuple[tuple[type[UpriverError], Failure], ...] = (
    (DeviceUnfit, Failure.UNFIT),
    (Untrusted, Failure.UNTRUSTED),
    (DiskTrouble, Failure.DISK),
    (Unreachable, Failure.UNAVAILABLE),
    (GoldenMismatch, Failure.GOLDEN),
    (ModelInvalid, Failure.SELF_TEST),
    (ManifestError, Failure.SELF_TEST),
    (RuntimeMissing, Failure.UNFIT),
)


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What a slot reports: its state, what the active pair has done since it answers, and the last shadowing.

    `watch` is how the audits of what answers stand, None when there are none; then `unwatched` says why.
    """

    slot: Slot
    counters: ModelCounters
    shadow_rows: int
    shadow_agreed: int
    active_for_s: float
    watch: WatchFacts | None = None
    unwatched: str = ""


@dataclass(slots=True)
class _Live:
    """The active version and since when it answers."""

    pair: Pair
    loaded: LoadedVersion
    since: float
    before: ModelCounters


class SlotWorker:
    """Works for one slot. `changed` is called on its thread after every step, when the slot has been replaced."""

    def __init__(
        self,
        slot: Slot,
        supply: Supply,
        loader: Loader,
        slots: Slots,
        trying: threading.Lock,
        changed: Callable[["SlotWorker"], None],
        fallback: Callable[[str], None],
    ) -> None:
        """`trying` is held while a version is verified or warmed, so that a small device does one at a time.

        `fallback` puts the configured version back, if there is one, when nothing is assigned any more.
        """
        self.slot = slot
        self._supply = supply
        self._loader = loader
        self._slots = slots
        self._trying = trying
        self._changed = changed
        self._fallback = fallback
        self._mailbox: SimpleQueue[Event | None] = SimpleQueue()
        self._cancelled = threading.Event()
        self._closed = False
        self._retry_at: float | None = None
        self._retries = 0
        self._staged: Staged | None = None
        self._report: VerifyReport | None = None
        self._loaded: LoadedVersion | None = None
        self._live: _Live | None = None
        self._retired: tuple[Pair, LoadedVersion] | None = None
        self._shadow: Shadow | None = None
        self._first: tuple[Action, ...] = ()
        self._thread = threading.Thread(target=self._work, name=f"upriver-slot-{slot.model}", daemon=True)

    def recover(self, harmful: str = "") -> None:
        """Loads the active pair of the record, or the previous one; before `start`, on the caller's thread.

        `harmful` says why the active pair is to be passed over: it may be what ended the process again and again.
        """
        slot = self.slot
        active = slot.active if not harmful or slot.previous is None else None
        works = self._reload(active)
        fallen_back = not works and self._reload(slot.previous)
        if slot.active is not None and not works:
            _LOG.error("%s: %s is not used: %s", slot.model, slot.active.version, harmful or "it can't be loaded")
        self.slot, self._first = recovered(slot, works, fallen_back or (works and slot.previous is not None), harmful)

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def assign(self, event: Assigned) -> None:
        """Takes in an assignment; never waits."""
        self._mailbox.put(event)
        if event.pair != self.slot.candidate and event.generation >= self.slot.generation:
            self._interrupt()

    def nudge(self) -> None:
        """Tries again now what waits for its next try: the network may be back."""
        if self.slot.state is State.FAILED and self.slot.failure in (Failure.UNAVAILABLE, Failure.UNTRUSTED):
            candidate = self.slot.candidate
            if candidate is not None:
                self._mailbox.put(Retry(candidate))

    def facts(self) -> SlotFacts:
        """What to report now."""
        live, shadow = self._live, self._shadow
        answering = None if live is None else self._slots.refined(self.slot.model) or live.loaded
        watch = None if answering is None else answering.watch
        return SlotFacts(
            slot=self.slot,
            counters=ModelCounters() if live is None else count(live.loaded).since(live.before),
            shadow_rows=0 if shadow is None else shadow.rows,
            shadow_agreed=0 if shadow is None else shadow.agreed,
            active_for_s=0.0 if live is None else time.monotonic() - live.since,
            watch=None if watch is None else watch.facts(),
            unwatched="" if answering is None else answering.unwatched,
        )

    def close(self, timeout_s: float) -> None:
        """Ends the thread, whatever it waits for."""
        self._closed = True
        self._mailbox.put(None)
        self._interrupt()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _interrupt(self) -> None:
        self._cancelled.set()
        shadow = self._shadow
        if shadow is not None:
            shadow.cancel()

    def _work(self) -> None:
        self._do(self._first)
        while not self._closed:
            event = self._next()
            if event is None:
                continue
            before = self.slot
            self.slot, actions = step(before, event)
            if self.slot.candidate != before.candidate or self.slot.state is State.ACTIVE:
                self._retries = 0
            if self.slot != before:
                self._changed(self)
            self._do(actions)

    def _do(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            follow = self._carry_out(action)
            if follow is not None:
                self._mailbox.put(follow)

    def _next(self) -> Event | None:
        try:
            if self._retry_at is None:
                return self._mailbox.get()
            return self._mailbox.get(timeout=max(0.0, self._retry_at - time.monotonic()))
        except Empty:
            self._retry_at = None
            return None if self.slot.candidate is None else Retry(self.slot.candidate)

    def _carry_out(self, action: Action) -> Event | None:
        pair = action.pair
        try:
            match action.do:
                case Do.STAGE:
                    return self._stage(pair)
                case Do.VERIFY:
                    return self._verify(pair)
                case Do.WARM:
                    return self._warm(pair)
                case Do.SHADOW:
                    return self._run_shadow(pair)
                case Do.ACTIVATE:
                    return self._activate(pair)
                case Do.RESTORE:
                    return self._restore(pair)
                case Do.UNLOAD:
                    self._unload()
                case Do.DISCARD:
                    self._discard()
                case Do.RETRY_LATER:
                    self._retry_later()
        except UpriverError as error:
            failure = next((kind for cls, kind in _FAILURES if isinstance(error, cls)), None)
            if failure is None:
                raise
            return self._refused(pair, failure, error)
        except OSError as error:
            return self._refused(pair, Failure.DISK, error)
        return None

    def _refused(self, pair: Pair, failure: Failure, error: Exception) -> Event:
        _LOG.warning("%s: %s: %s: %s", self.slot.model, pair.version, failure.value, error)
        return Failed(pair, failure, " ".join(str(error).split()))

    def _stage(self, pair: Pair) -> Event:
        self._retry_at = None
        self._cancelled.clear()
        if not self._mailbox.empty():
            self._cancelled.set()  # it was assigned something else before this began
        bases = [kept for kept in (self.slot.active, self.slot.previous) if kept is not None]
        self._staged = self._supply.obtain(self.slot.model, pair, bases, self._cancelled)
        found = self._staged.version.manifest.model
        if found != self.slot.model:
            raise ModelInvalid(f"it is a version of model {found!r}; expected one of {self.slot.model!r}")
        return Advanced(pair, State.STAGED)

    def _verify(self, pair: Pair) -> Event | None:
        if self._staged is None:
            return None
        with self._trying:
            self._report = self._loader.verify(self._staged.version)
        return Advanced(pair, State.VERIFIED)

    def _warm(self, pair: Pair) -> Event | None:
        if self._staged is None or self._report is None:
            return None
        with self._trying:
            self._loaded = self._made(self._staged, self._report)
        return Advanced(pair, State.WARMED)

    def _run_shadow(self, pair: Pair) -> Event | None:
        if self._loaded is None or self._live is None:
            return self._activate(pair)
        rules = self.slot.activation
        answering = self._slots.refined(self.slot.model) or self._live.loaded
        shadow = Shadow(answering, self._loaded, rules.shadow_rows, rules.shadow_s)
        self._shadow = shadow
        shadow.run()
        return Shadowed(pair, shadow.rows, shadow.agreed)

    def _activate(self, pair: Pair) -> Event | None:
        if self._loaded is None or self._staged is None:
            return None
        loaded, self._loaded = self._loaded, None
        self._answer_with(pair, loaded)
        return Advanced(pair, State.ACTIVE)

    def _restore(self, pair: Pair) -> Event:
        retired = self._retired
        if retired is not None and retired[0] == pair:
            loaded, self._retired = retired[1], None  # whole in memory: its files need not be read again
        else:
            staged = self._supply.reopen(pair)
            with self._trying:
                loaded = self._made(staged, self._loader.verify(staged.version))
        self._answer_with(pair, loaded)
        return Advanced(pair, State.ACTIVE)

    def _made(self, staged: Staged, report: VerifyReport) -> LoadedVersion:
        return self._loader.warm(staged.version, report, staged.policy, staged.head)

    def _answer_with(self, pair: Pair, loaded: LoadedVersion) -> None:
        before = count(loaded)
        self._slots.put(loaded, loaded.version.folder)
        if self._retired is not None:
            self._retired[1].close()
        self._retired = None if self._live is None else (self._live.pair, self._live.loaded)
        self._live = _Live(pair, loaded, time.monotonic(), before)
        _LOG.info("%s: %s answers now", self.slot.model, pair.version)

    def _unload(self) -> None:
        self._slots.take(self.slot.model, "nothing is assigned")
        for loaded in (self._live and self._live.loaded, self._retired and self._retired[1]):
            if loaded:
                loaded.close()
        self._live = self._retired = None
        self._fallback(self.slot.model)

    def _discard(self) -> None:
        self._retry_at = None
        if self._loaded is not None:
            self._loaded.close()
        self._staged = self._report = self._loaded = None

    def _retry_later(self) -> None:
        self._retries += 1
        wait_s = full_jitter_s(self._retries, FIRST_RETRY_S, LONGEST_RETRY_S, random.random)
        self._retry_at = time.monotonic() + wait_s

    def _reload(self, pair: Pair | None) -> bool:
        if pair is None:
            return False
        try:
            staged = self._supply.reopen(pair)
            loaded = self._made(staged, self._loader.verify(staged.version))
        except (ModelInvalid, ManifestError, RuntimeMissing) as error:
            _LOG.error("%s: %s can't be loaded: %s", self.slot.model, pair.version, error)
            return False
        self._answer_with(pair, loaded)
        return True
