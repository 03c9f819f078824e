"""All agents: those connected here by their streams, those connected elsewhere as the database tells.

Lives on one event loop; nothing here is called from other threads.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from upriver.trials import Trial
from upriver.v1 import sync_pb2 as pb
from upriver_control.observed import AgentFacts, Desired, SlotFacts
from upriver_control.sessions.session import Kind, Session
from upriver_control.sync_wire import (
    content_version,
    read_decisions,
    read_lessons,
    read_pooling,
    read_slots,
    read_traffic,
    write_assignments,
    write_trials,
    write_upstream,
)

_LOG = logging.getLogger(__name__)
MAX_UPSTREAMS = 32
"""Upstreams of one tier that an agent is told of."""
REPORT_S = 15.0
"""Also what agents do that were told nothing."""
BUSY_REPORT_S = 1.0
REPORTS_PER_S = 1000.0
"""Reports that a process takes: with more agents than that each reports less often."""
UPSTREAMS_PER_S = 1000.0
"""Agents that are told of changed upstreams: with more agents than that more changes are one message."""
QUIET_S = 60.0
BUSY_QUIET_S = 5.0
"""A report that only counts on is written to the database after so long; the latter while a rollout watches it."""

Wanted = Callable[[AgentFacts], Mapping[str, Desired]]
Busy = Callable[[AgentFacts], bool]
Tried = Callable[[str], Sequence[Trial]]


class Sessions:
    """Knows every agent and keeps those that are connected here up to date.

    `wanted` gives an agent's desired slots, `busy` whether a rollout is watching it; both are asked again whenever
    `intent_changed` is called.
    """

    def __init__(
        self, wanted: Wanted, busy: Busy, clock: Callable[[], float] = time.time, trials: Tried = lambda _: ()
    ) -> None:
        """`trials` gives the heads that are tried in a region; asked again when `trials_changed` is called."""
        self._wanted = wanted
        self._trials = trials
        self._busy = busy
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._elsewhere: dict[str, AgentFacts] = {}
        self._worlds: dict[tuple[tuple[str, Desired], ...], tuple[str, pb.Assignments]] = {}
        self._ladders: dict[tuple[str, ...], tuple[str, pb.Upstreams]] = {}
        self._serving: dict[str, tuple[object, ...]] = {}
        self._asked_tiers: set[str] = set()
        self._upstreams_stale = False
        self._off_rhythm: dict[str, None] = {}
        self._dirty: set[str] = set()
        self._changed_agents: dict[asyncio.Event, set[str]] = {}
        self.on_report: Callable[[AgentFacts, bool], None] = _nobody
        """Called with what agents report, and whether they are connected to this process."""

    def agents(self) -> Mapping[str, AgentFacts]:
        """Every agent that is known, by id."""
        return self._elsewhere | {agent: session.facts for agent, session in self._sessions.items()}

    def agent(self, agent: str) -> AgentFacts | None:
        """One agent; None when it was never seen."""
        session = self._sessions.get(agent)
        return session.facts if session is not None else self._elsewhere.get(agent)

    def connected(self) -> int:
        """How many agents are connected to this process."""
        return len(self._sessions)

    def listen(self) -> asyncio.Event:
        """An event that is set whenever an agent has changed; `changes` tells which. End with `unlisten`."""
        event = asyncio.Event()
        self._changed_agents[event] = set()
        return event

    def changes(self, event: asyncio.Event) -> set[str]:
        """The agents that have changed since the last call, and clears the event."""
        changed, self._changed_agents[event] = self._changed_agents[event], set()
        event.clear()
        return changed

    def unlisten(self, event: asyncio.Event) -> None:
        """Ends listening."""
        self._changed_agents.pop(event, None)

    def attach(self, facts: AgentFacts, has: Mapping[str, str]) -> Session:
        """Takes in a stream; one that the agent had before ends."""
        before = self._sessions.get(facts.agent)
        if before is not None:
            if before.facts.boot != facts.boot:
                _LOG.warning("agent %s has connected anew as another process", facts.agent)
            before.end()
        session = Session(facts, dict(has), REPORT_S)
        self._sessions[facts.agent] = session
        self._elsewhere.pop(facts.agent, None)
        self.on_report(facts, True)
        self._changed(session)
        self._direct(session)
        self._refresh(session)
        if self._send_upstreams(session):
            session.wants(Kind.UPSTREAMS)
        if self._send_trials(session):
            session.wants(Kind.TRIALS)
        if not session.pending:
            session.wants(Kind.DIRECTIONS)  # it has everything: this tells it that it is connected
        return session

    def detach(self, session: Session) -> None:
        """The stream has ended."""
        session.end()
        if self._sessions.get(session.facts.agent) is session:
            del self._sessions[session.facts.agent]
            gone = replace(session.facts, connected=False, last_seen=self._clock())
            self._elsewhere[gone.agent] = gone
            self._note(gone)

    def heard(self, session: Session, status: pb.Status) -> None:
        """Takes in what an agent reports; raises InvalidInput.

        Other processes learn at once what has happened, and figures every now and then: with many agents most reports
        say nothing else, and writing them all would cost more than taking them.
        """
        before = session.facts
        session.facts = replace(
            before,
            slots=read_slots(status),
            load=status.load,
            draining=status.draining,
            last_seen=self._clock(),
            traffic=read_traffic(status),
            decisions=read_decisions(status),
            pooling=read_pooling(status),
            lessons=read_lessons(status),
        )
        self.on_report(session.facts, True)
        if _has_happened(before, session.facts) or self._is_quiet_too_long(session):
            self._changed(session)
        else:
            self._note(session.facts, dirty=False)

    def acknowledged(self, session: Session, message: pb.Acknowledgement) -> None:
        """Takes in an answer to what was sent."""
        before = session.facts
        if session.acknowledged(message.nonce, message.refusal) and session.facts is not before:
            _LOG.warning("agent %s refused what it was sent: %s", session.facts.agent, message.refusal)
            self._changed(session)

    def told_elsewhere(self, agents: Iterable[AgentFacts]) -> None:
        """Takes in what other processes have written of agents that are not connected here."""
        for facts in agents:
            if facts.agent not in self._sessions and self._elsewhere.get(facts.agent) != facts:
                self._elsewhere[facts.agent] = facts
                self.on_report(facts, False)
                self._note(facts, dirty=False)

    def forget(self, agent: str) -> None:
        """Drops an agent that is not connected."""
        self._elsewhere.pop(agent, None)
        self._serving.pop(agent, None)

    def dirty(self) -> list[AgentFacts]:
        """The agents of this process that have changed since the last call: what is to be written to the database."""
        names, self._dirty = self._dirty, set()
        return [facts for name in names if (facts := self.agent(name)) is not None]

    def still_dirty(self, agents: Iterable[AgentFacts]) -> None:
        """They could not be written: the next `dirty` gives them again."""
        self._dirty.update(facts.agent for facts in agents)

    def still_here(self) -> None:
        """Other processes took this one for dead: the next `dirty` gives every agent that is connected here."""
        self._dirty.update(self._sessions)

    def intent_changed(self) -> None:
        """Looks at every connected agent again, and has what differs sent."""
        self._worlds.clear()
        for session in self._sessions.values():
            self._refresh(session)

    def rhythm_changed(self, seconds: float) -> None:
        """Tells agents how often to report, where that has changed; called every `seconds`.

        Each of them answers with a report: no more are told at once than reports are taken in that time.
        """
        for _ in range(min(len(self._off_rhythm), max(1, round(REPORTS_PER_S * seconds)))):
            agent = next(iter(self._off_rhythm))
            del self._off_rhythm[agent]
            session = self._sessions.get(agent)
            if session is not None:
                self._direct(session)

    def upstreams_changed(self) -> float:
        """Has changed upstreams sent; called every now and then, so that many changes are one message.

        Gives the seconds in which it need not be called again: the messages may be as many as there are agents.
        """
        if not self._upstreams_stale:
            return 0.0
        self._upstreams_stale = False
        self._ladders.clear()
        for session in self._sessions.values():
            if self._send_upstreams(session):
                session.wants(Kind.UPSTREAMS)
        return len(self._sessions) / UPSTREAMS_PER_S

    def trials_changed(self) -> None:
        """Has heads that are to be tried sent to those that try others."""
        for session in self._sessions.values():
            if self._send_trials(session):
                session.wants(Kind.TRIALS)

    def compose(self, session: Session, kind: Kind) -> pb.SyncResponse | None:
        """What is to be sent of a kind now; None when the agent has it already."""
        match kind:
            case Kind.ASSIGNMENTS:
                version, world = self._world(session.facts)
                if session.sent.get(kind) == version:
                    return None
                response = session.response(kind, version)
                response.assignments.CopyFrom(world)
            case Kind.UPSTREAMS:
                version, upstreams = self._upstreams(session.facts)
                if session.sent.get(kind) == version:
                    return None
                response = session.response(kind, version)
                response.upstreams.CopyFrom(upstreams)
            case Kind.TRIALS:
                version, trials = self._tried(session.facts)
                if session.sent.get(kind) == version:
                    return None
                response = session.response(kind, version)
                response.trials.CopyFrom(trials)
            case Kind.DIRECTIONS:
                response = pb.SyncResponse()
                response.directions.report_interval.FromMilliseconds(round(session.interval_s * 1000))
        return response

    def _refresh(self, session: Session) -> None:
        version, _ = self._world(session.facts)
        if session.sent.get(Kind.ASSIGNMENTS) != version:
            session.wants(Kind.ASSIGNMENTS)
        if self._is_off_rhythm(session, self._interval_s(session)):
            self._off_rhythm[session.facts.agent] = None

    def _direct(self, session: Session) -> None:
        interval_s = self._interval_s(session)
        if self._is_off_rhythm(session, interval_s):
            session.interval_s = interval_s
            session.wants(Kind.DIRECTIONS)

    def _interval_s(self, session: Session) -> float:
        spread_s = len(self._sessions) / REPORTS_PER_S
        return max(BUSY_REPORT_S, spread_s) if self._busy(session.facts) else max(REPORT_S, 4 * spread_s)

    @staticmethod
    def _is_off_rhythm(session: Session, interval_s: float) -> bool:
        return not 0.5 <= interval_s / session.interval_s <= 2

    def _is_quiet_too_long(self, session: Session) -> bool:
        silent_s = session.facts.last_seen - session.told_at
        return silent_s >= BUSY_QUIET_S and (silent_s >= QUIET_S or self._busy(session.facts))

    def _world(self, facts: AgentFacts) -> tuple[str, pb.Assignments]:
        # Agents that are to run the same share one message: with one rollout that is all of them.
        desired = self._wanted(facts)
        key = tuple(sorted(desired.items(), key=_model))
        known = self._worlds.get(key)
        if known is None:
            world = write_assignments(desired)
            known = self._worlds[key] = (content_version(world), world)
        return known

    def _send_upstreams(self, session: Session) -> bool:
        version, _ = self._upstreams(session.facts)
        return session.sent.get(Kind.UPSTREAMS) != version

    def _send_trials(self, session: Session) -> bool:
        has = session.sent.get(Kind.TRIALS)  # None: an older program, which does not know of them
        return has is not None and has != self._tried(session.facts)[0]

    def _tried(self, facts: AgentFacts) -> tuple[str, pb.Trials]:
        trials = write_trials(self._trials(facts.region))
        return (content_version(trials) if trials.trials else ""), trials

    def _upstreams(self, facts: AgentFacts) -> tuple[str, pb.Upstreams]:
        above = facts.tiers[facts.tiers.index(facts.tier) + 1 :]
        key = (facts.region, *above)
        known = self._ladders.get(key)
        if known is None:
            self._asked_tiers.update(above)
            known = self._ladders[key] = self._make_upstreams(facts.region, above)
        return known

    def _make_upstreams(self, region: str, tiers: tuple[str, ...]) -> tuple[str, pb.Upstreams]:
        upstreams = pb.Upstreams()
        for tier in tiers:
            found = [
                facts
                for facts in self.agents().values()
                if facts.tier == tier and facts.connected and facts.address and not facts.draining
            ]
            # The own region first; of many, each region is told of others, so that no few get everybody.
            found.sort(key=lambda facts: (facts.region != region, _share(region, facts.agent)))
            chosen = sorted(found[:MAX_UPSTREAMS], key=lambda facts: facts.agent)
            upstreams.upstreams.extend(write_upstream(facts) for facts in chosen)
        return content_version(upstreams), upstreams

    def _changed(self, session: Session) -> None:
        session.told_at = session.facts.last_seen
        self._note(session.facts)

    def _note(self, facts: AgentFacts, dirty: bool = True) -> None:
        if dirty:
            self._dirty.add(facts.agent)
        for event, changed in self._changed_agents.items():
            changed.add(facts.agent)
            event.set()
        if facts.tier not in self._asked_tiers:
            return  # nobody is told of it
        serving = (
            facts.connected,
            facts.draining,
            facts.address,
            tuple((model, slot.active) for model, slot in facts.slots.items()),
        )
        if self._serving.get(facts.agent) != serving:
            self._serving[facts.agent] = serving
            if facts.address:
                self._upstreams_stale = True


def _has_happened(before: AgentFacts, after: AgentFacts) -> bool:
    """Whether a report says more than that its agent is there and counts on."""
    if before.draining != after.draining or before.slots.keys() != after.slots.keys():
        return True
    return any(_at_rest(before.slots[model]) != _at_rest(slot) for model, slot in after.slots.items())


def _at_rest(slot: SlotFacts) -> tuple[object, ...]:
    """All of a slot but its figures."""
    pairs = (slot.active, slot.previous, slot.candidate)
    return (*pairs, slot.state, slot.failure, slot.reason, slot.generation)


def _model(item: tuple[str, Desired]) -> str:
    return item[0]


def _share(region: str, agent: str) -> bytes:
    return hashlib.sha256(f"{region}/{agent}".encode()).digest()


def _nobody(facts: AgentFacts, here: bool) -> None:
    """Nobody wants to know."""
