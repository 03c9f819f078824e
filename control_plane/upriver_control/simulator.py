"""A fleet in virtual time: rollouts stepped over agents that fail, restart, vanish, lag and join late.

Everything happens through one queue of events and one source of chance, so a seed gives the same run again. What an
agent does with its slot is behind a port: the agent's own state machine can be run in it. The control plane's part is
the real one: `step`, `Intent` and supersession, on nothing but what has arrived.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

from upriver_control.intent import Intent, superseded_by
from upriver_control.observed import AgentFacts, Counters, Desired, Failure, Pair, SlotFacts
from upriver_control.rollout import Command, Rollout, step, supersede


class SlotMachine(Protocol):
    """An agent's slot of one model, as a state machine that the simulator gives time and chance to."""

    def assign(self, desired: Desired) -> None:
        """Takes in what the control plane wants."""

    def work(self) -> tuple[str, Pair] | None:
        """What it is at, and for which pair; None when it rests. `retry` is a wait before the next try."""

    def done(self, failure: Failure) -> None:
        """The work that it is at has ended, well or with a failure."""

    def restart(self) -> None:
        """The agent's process was killed, and starts again from what it had kept."""

    def facts(self) -> SlotFacts:
        """What it reports, without figures."""


@dataclass(frozen=True, slots=True)
class Nature:
    """How a pair behaves. `failures` are chances by kind, `work` the one that they happen at."""

    failures: Mapping[Failure, float] = field(default_factory=dict)
    latency_bucket: int = 40
    escalation_rate: float = 0.1


@dataclass(frozen=True, slots=True)
class Weather:
    """What the world does. Rates are events per agent and second; times are means in seconds."""

    delay_s: float = 0.05
    loss: float = 0.0
    cuts_per_s: float = 0.0
    away_s: float = 30.0
    noticed_s: float = 10.0
    restarts_per_s: float = 0.0
    work_s: float = 2.0
    slowest: float = 3.0
    """An agent's clock and speed are off by a factor of up to this, either way."""


CALM = Weather()
_FAILS_AT = {
    Failure.UNFIT: "stage",
    Failure.UNAVAILABLE: "stage",
    Failure.UNTRUSTED: "stage",
    Failure.DISK: "stage",
    Failure.SELF_TEST: "verify",
    Failure.GOLDEN: "verify",
    Failure.SHADOW: "shadow",
}
_RETRY_S = 30.0


class _Kind(IntEnum):
    TOLD = 0
    WORKED = 1
    REPORTED = 2
    CUT = 3
    NOTICED = 4
    BACK = 5
    KILLED = 6


@dataclass(slots=True)
class SimulatedAgent:
    """One agent. `link` counts its connections: what was under way on an older one is lost."""

    name: str
    labels: Mapping[str, str]
    machine: SlotMachine
    speed: float
    is_up: bool = False
    link: int = 0
    working: int = 0
    told: Desired | None = None
    told_at: float = 0.0
    is_reporting: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    link: int
    desired: Desired


class Simulation:
    """One model's fleet and its control plane. Run it with `run`; look at `agents`, `rollouts` and `seen`."""

    def __init__(
        self,
        chance: random.Random,
        machine: Callable[[], SlotMachine],
        natures: Mapping[str, Nature],
        weather: Weather = CALM,
        model: str = "digits",
        round_s: float = 1.0,
    ) -> None:
        """`natures` are by version digest; a pair that has none is good. Rollouts are stepped every `round_s`."""
        self.now = 0.0
        self.agents: dict[str, SimulatedAgent] = {}
        self.rollouts: dict[str, Rollout] = {}
        self.seen: dict[str, AgentFacts] = {}
        self.weather = weather
        self._chance = chance
        self._machine = machine
        self._natures = natures
        self._model = model
        self._round_s = round_s
        self._events: list[tuple[float, int, _Kind, SimulatedAgent, object]] = []
        self._count = 0
        self._intent = Intent(())
        self._intent_is_new = False

    def add(self, labels: Iterable[Mapping[str, str]], within_s: float = 0.0) -> None:
        """Adds agents that connect at some time within `within_s`."""
        for one in labels:
            name = f"a{len(self.agents):06d}"
            speed = self.weather.slowest ** self._chance.uniform(-1.0, 1.0)
            agent = SimulatedAgent(name, {**one, "agent": name}, self._machine(), speed)
            self.agents[name] = agent
            self._at(self._chance.uniform(0.0, within_s), _Kind.BACK, agent)
            self._plan(_Kind.CUT, self.weather.cuts_per_s, agent)
            self._plan(_Kind.KILLED, self.weather.restarts_per_s, agent)

    def start(self, rollout: Rollout) -> Rollout:
        """Starts a rollout now, and gives it with its generation."""
        generation = 1 + max((one.generation for one in self.rollouts.values()), default=0)
        made = replace(rollout, generation=generation, created=self.now, model=self._model)
        self.put(made)
        return made

    def put(self, rollout: Rollout) -> None:
        """Puts a rollout in the place of the one with its id: a person has changed it."""
        self.rollouts[rollout.id] = rollout
        self._intent_is_new = True

    def run(self, until: float, after: Callable[[Rollout, Rollout, tuple[Command, ...]], None] | None = None) -> None:
        """Goes on until a time. `after` is called with each rollout before and after its step."""
        while self.now < until:
            following = min(until, self.now + self._round_s)
            while self._events and self._events[0][0] <= following:
                self.now, _, kind, agent, what = heapq.heappop(self._events)
                self._happens(kind, agent, what)
            self.now = following
            self._round(after)

    def calm_down(self) -> None:
        """From now on nothing breaks any more, and every agent comes back."""
        self.weather = replace(CALM, delay_s=self.weather.delay_s, work_s=self.weather.work_s)
        for agent in self.agents.values():
            if not agent.is_up:
                self._at(0.0, _Kind.BACK, agent)

    def desired(self, agent: str) -> Desired | None:
        """What an agent should run, by what the control plane knows."""
        return self._intent.desired(self.seen[agent]).get(self._model)

    def _round(self, after: Callable[[Rollout, Rollout, tuple[Command, ...]], None] | None) -> None:
        for newer in list(self.rollouts.values()):
            if not newer.is_withdrawn:
                for older in superseded_by(newer, self.rollouts.values()):
                    self.put(supersede(older, newer, self.now))
        for rollout in list(self.rollouts.values()):
            stepped, commands = step(rollout, self.seen, self.now)
            if after is not None:
                after(rollout, stepped, commands)
            self.rollouts[rollout.id] = stepped
            self._intent_is_new |= bool(commands) or stepped.state is not rollout.state
        if self._intent_is_new:
            self._intent_is_new = False
            self._intent = Intent(self.rollouts.values())
            for facts in self.seen.values():
                if facts.connected:
                    self._tell(self.agents[facts.agent], facts)

    def _tell(self, agent: SimulatedAgent, facts: AgentFacts) -> None:
        desired = self._intent.desired(facts).get(self._model)
        if desired is None or desired == agent.told:
            return
        agent.told = desired
        # A stream keeps the order of what is sent on it.
        agent.told_at = max(agent.told_at, self.now + self._delay())
        self._at(agent.told_at - self.now, _Kind.TOLD, agent, _Told(agent.link, desired))

    def _happens(self, kind: _Kind, agent: SimulatedAgent, what: object) -> None:
        match kind:
            case _Kind.TOLD:
                self._hears(agent, what)
            case _Kind.WORKED:
                if what == agent.working:
                    self._works(agent)
            case _Kind.REPORTED:
                self._reports(agent, what)
            case _Kind.CUT:
                self._cut(agent)
                self._plan(_Kind.CUT, self.weather.cuts_per_s, agent)
            case _Kind.NOTICED:
                if agent.link == what and not agent.is_up:
                    self._gone(agent)
            case _Kind.BACK:
                self._back(agent)
            case _Kind.KILLED:
                agent.machine.restart()
                self._cut(agent)
                self._go_on(agent)
                self._plan(_Kind.KILLED, self.weather.restarts_per_s, agent)

    def _hears(self, agent: SimulatedAgent, what: object) -> None:
        if not isinstance(what, _Told) or what.link != agent.link or not agent.is_up:
            return
        if self._chance.random() < self.weather.loss:
            self._cut(agent)  # a stream that loses a message has broken
            return
        agent.machine.assign(what.desired)
        self._go_on(agent)

    def _works(self, agent: SimulatedAgent) -> None:
        at = agent.machine.work()
        if at is None:
            return
        agent.machine.done(self._failure(*at))
        self._go_on(agent)

    def _failure(self, work: str, pair: Pair) -> Failure:
        nature = self._natures.get(pair.version_digest)
        if nature is not None:
            for failure, likely in nature.failures.items():
                if _FAILS_AT[failure] == work and self._chance.random() < likely:
                    return failure
        return Failure.NONE

    def _go_on(self, agent: SimulatedAgent) -> None:
        agent.working += 1
        at = agent.machine.work()
        if at is not None:
            mean_s = _RETRY_S if at[0] == "retry" else self.weather.work_s
            self._at(self._chance.expovariate(1 / mean_s) * agent.speed, _Kind.WORKED, agent, agent.working)
        if at is None or at[0] == "retry":  # what is between is not judged, and would be most of all events
            self._report(agent)

    def _report(self, agent: SimulatedAgent) -> None:
        if agent.is_up and not agent.is_reporting:
            agent.is_reporting = True
            self._at(self._delay(), _Kind.REPORTED, agent, agent.link)

    def _reports(self, agent: SimulatedAgent, link: object) -> None:
        agent.is_reporting = False
        if link == agent.link and agent.is_up:
            self.seen[agent.name] = replace(self.seen[agent.name], slots=self._slots(agent), last_seen=self.now)
        elif agent.is_up:
            self._report(agent)

    def _slots(self, agent: SimulatedAgent) -> Mapping[str, SlotFacts]:
        slot = agent.machine.facts()
        if slot.active is None:
            return {self._model: slot}
        nature = self._natures.get(slot.active.version_digest, Nature())
        figures = Counters(100, round(100 * nature.escalation_rate), 0, {nature.latency_bucket: 100})
        return {self._model: replace(slot, counters=figures)}

    def _cut(self, agent: SimulatedAgent) -> None:
        if agent.is_up:
            agent.is_up = False
            self._at(self._chance.expovariate(1 / self.weather.noticed_s), _Kind.NOTICED, agent, agent.link)
            self._at(self._chance.expovariate(1 / self.weather.away_s) * agent.speed, _Kind.BACK, agent)

    def _gone(self, agent: SimulatedAgent) -> None:
        self.seen[agent.name] = replace(self.seen[agent.name], connected=False, last_seen=self.now)

    def _back(self, agent: SimulatedAgent) -> None:
        if agent.is_up:
            return
        agent.is_up, agent.link, agent.told = True, agent.link + 1, None
        facts = AgentFacts(
            agent.name, agent.labels, True, self.now, self._slots(agent), connected_since=self.now, boot=str(agent.link)
        )
        self.seen[agent.name] = facts
        self._tell(agent, facts)

    def _plan(self, kind: _Kind, rate: float, agent: SimulatedAgent) -> None:
        if rate > 0:
            self._at(self._chance.expovariate(rate), kind, agent)

    def _delay(self) -> float:
        return self._chance.expovariate(1 / self.weather.delay_s)

    def _at(self, after_s: float, kind: _Kind, agent: SimulatedAgent, what: object = None) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + after_s, self._count, kind, agent, what))
