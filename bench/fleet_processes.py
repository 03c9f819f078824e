"""The simulated agents of `scripts/bench fleet`, in several processes: started, told, asked, ended."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.fleet_control import FleetFailed
from upriver_agent.sync.session import LONGEST_BACKOFF_S

SPARE_FILES = 256
"""What a process has open besides one connection for each agent."""
MAX_PER_PROCESS = 1_250


@dataclass(frozen=True)
class State:
    """All agents' processes together; times are of CLOCK_MONOTONIC, the latest counts."""

    attached: int = 0
    attached_at: float = 0.0
    dials: int = 0
    turned_away: int = 0
    refused: int = 0
    broken: int = 0
    cpu_s: float = 0.0

    def with_process(self, told: dict[str, Any]) -> "State":
        """Adds what one process told."""
        sums = {name: getattr(self, name) + told[name] for name in told if name != "attached_at"}
        return replace(self, attached_at=max(self.attached_at, told["attached_at"]), **sums)


def raise_file_limit(agents: int) -> None:
    """Lets this process and those that it starts open as many files as they need; raises FleetFailed if they may not.

    The control plane needs the most: one for each agent.
    """
    needed = agents + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise FleetFailed(
            f"{agents} agents need {needed} open files in one process, and the hard limit is {hard}:"
            f" raise it (ulimit -Hn, LimitNOFILE=, nofile in limits.conf), or take at most {hard - SPARE_FILES} agents"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Agents:
    """The processes that simulated agents live in."""

    def __init__(self, agents: int, processes: int, log: Path, longest_backoff_s: float = LONGEST_BACKOFF_S) -> None:
        """`processes` 0 is as many as the agents need."""
        self._longest_backoff_s = longest_backoff_s
        self.agents = agents
        self._processes = min(agents, processes or max(2, -(-agents // MAX_PER_PROCESS)))
        self._log = log
        self._running: list[subprocess.Popen[str]] = []

    @property
    def processes(self) -> int:
        """How many."""
        return self._processes

    def start(self, address: str, token: str) -> None:
        """Makes the agents; they dial when `go` is called."""
        for number in range(self._processes):
            first, after = (self.agents * (number + place) // self._processes for place in (0, 1))
            options = {
                "address": address,
                "token": token,
                "first": first,
                "agents": after - first,
                "longest_backoff_s": self._longest_backoff_s,
            }
            with self._log.open("ab") as out:
                self._running.append(
                    subprocess.Popen(  # noqa: S603 - our own module
                        [sys.executable, "-m", "bench.fleet_agents", json.dumps(options)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=out,
                        text=True,
                    )
                )
        self.state()  # once each has answered, all are made

    def go(self) -> float:
        """Has all dial at once; gives when."""
        began = time.monotonic()
        self._ask({"do": "go"})
        return began

    def state(self) -> State:
        """How all are."""
        state = State()
        for told in self._ask({"do": "state"}):
            state = state.with_process(told)
        return state

    def received(self, rollout: str) -> list[float]:
        """When agents got their assignment of a rollout."""
        return [at for told in self._ask({"do": "received", "rollout": rollout}) for at in told]

    def arrivals(self) -> list[float]:
        """When agents were attached, again after each reconnect; in order."""
        return sorted(at for told in self._ask({"do": "arrivals"}) for at in told)

    def troubles(self) -> dict[str, int]:
        """Why streams ended or did not begin, other than by a port where nobody listens, each with how often."""
        told: dict[str, int] = {}
        for troubles in self._ask({"do": "troubles"}):
            for trouble, times in troubles.items():
                told[trouble] = told.get(trouble, 0) + times
        return told

    def wait(
        self, done: Callable[[State], bool], what: str, timeout_s: float, told: Callable[[State], None] = lambda _: None
    ) -> State:
        """Looks every 50 ms until `done`; raises FleetFailed after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = self.state()
            told(state)
            if state.broken:
                raise FleetFailed(f"{state.broken} simulated agents have failed: {self._last_words()}")
            if done(state):
                return state
            if time.monotonic() > deadline:
                raise FleetFailed(f"{what}: {state} after {timeout_s:.0f} s: {self._last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the processes."""
        for process in self._running:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._running.clear()

    def _ask(self, command: dict[str, str]) -> list[Any]:
        line = json.dumps(command) + "\n"
        answers = []
        try:
            for process in self._running:
                assert process.stdin is not None  # noqa: S101 - opened with pipes above
                process.stdin.write(line)
                process.stdin.flush()
            for process in self._running:
                assert process.stdout is not None  # noqa: S101 - opened with pipes above
                answers.append(json.loads(process.stdout.readline()))
        except (OSError, ValueError) as error:
            raise FleetFailed(f"a process of agents has ended: {self._last_words()}") from error
        return answers

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1500:].strip() or "it said nothing"
