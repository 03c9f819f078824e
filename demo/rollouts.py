"""A rollout in the middle of the stream: published, watched to its end, and told for the table and the summary.

Everything goes through the control plane's own services, with the settings that an operator would give:

    upriver rollout start digits/VERSION --selector tier=device --rings 1,2,100% --soak 2s --shadow 15s \\
        --shadow-rows 150 --min-agreement 90% --max-escalation-increase 10% --min-sample 50 --failure-limit 0 \\
        --progress-deadline 90s
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration

from demo.candidates import Candidate
from demo.control import ControlPlane, active_version
from upriver.errors import UpriverError
from upriver.v1 import fleet_pb2, rollout_pb2, sync_pb2
from upriver_control.telling.rollouts import ENDED, state_name

DEVICES = 3
LIMIT_S = 180.0
"""A rollout that has not ended by then has failed, as far as the demo goes."""
_LOOK_S = 0.1
_SETTLE_S = (
    2.0  # a relay tells what it passed on within a second; meanwhile questions show what the rollout made better
)
_MODEL = "digits"


def strategy() -> rollout_pb2.Strategy:
    """How the demo rolls out. p95 is no gate: eight processes that share two cores say little about it."""
    made = rollout_pb2.Strategy(
        rings=[rollout_pb2.Ring(count=1), rollout_pb2.Ring(count=2), rollout_pb2.Ring(percent=100)],
        soak_time=Duration(seconds=2),
        min_sample=50,
        progress_deadline=Duration(seconds=90),
        gates=rollout_pb2.Gates(min_agreement=0.9, max_escalation_increase=0.1),
    )
    made.activation.shadow_time.CopyFrom(Duration(seconds=15))
    made.activation.shadow_rows = 150
    made.activation.min_agreement = 0.9
    return made


@dataclass(frozen=True)
class DeviceRow:
    """A device as it last reported: what answers, its rows since then, how many went up, what is on its way."""

    agent: str
    version: str
    rows: int
    escalated: float
    coming: str


@dataclass
class RolloutStory:
    """One rollout on a thread of its own. `failed` gives how many questions have failed so far, `asked` how many ended.

    `notes` are its events in words, `devices` and `headline` how it stands; `record` is for the summary, and None
    before its end.
    """

    candidate: Candidate
    control: ControlPlane
    folder: Path
    asked: Callable[[], int]
    failed: Callable[[], int]
    stop: threading.Event
    notes: list[str] = field(default_factory=list)
    devices: list[DeviceRow] = field(default_factory=list)
    headline: str = ""
    record: Mapping[str, Any] | None = None
    has_begun: bool = False
    is_over: bool = False
    is_as_meant: bool = False

    def begin(self) -> None:
        """Publishes and rolls out, in the background."""
        self.has_begun = True
        threading.Thread(target=self._run, name="demo-rollout", daemon=True).start()

    def _run(self) -> None:
        try:
            self._tell()
        except UpriverError as error:
            self.notes.append(f"the rollout went wrong: {error}")
        finally:
            self.is_over = True

    def _tell(self) -> None:
        before, failed_before = self.control.agents(), self.failed()
        runs_before = {name: active_version(agent, _MODEL) for name, agent in _devices(before).items()}
        version = self.control.publish(self.folder)
        short = version.rpartition("/")[2]
        self._note(f"{short} is published: {self.candidate.what}")
        rollout = self._watch(self.control.roll_out(version, "tier=device", strategy()), runs_before)
        failed = self.failed() - failed_before
        if state_name(rollout) not in ENDED:
            self._note(f"the rollout has not ended after {LIMIT_S:.0f} s")
        self.stop.wait(_SETTLE_S)
        after = self.control.agents()
        self.record = record(rollout, failed, before, after, (self.folder / "model.tflite").stat().st_size)
        wanted = {name: short if self.candidate.ends == "completed" else runs for name, runs in runs_before.items()}
        runs_now = {name: active_version(agent, _MODEL) for name, agent in _devices(after).items()}
        self.is_as_meant = state_name(rollout) == self.candidate.ends and runs_now == wanted

    def _watch(self, name: str, runs: Mapping[str, str]) -> rollout_pb2.Rollout:
        runs, deadline = dict(runs), time.monotonic() + LIMIT_S
        while True:
            rollout, agents = self.control.rollout(name), self.control.agents()
            state = state_name(rollout)
            ring = f"ring {rollout.ring + 1} of {len(rollout.rings)}, " if state not in ENDED else ""
            self.headline = f"{name.removeprefix('rollouts/')}: {ring}{state}"
            self.devices = [device_row(agent) for _, agent in sorted(_devices(agents).items())]
            for row in self.devices:
                if row.version != runs.get(row.agent):
                    back = " again" if state in ("rolling-back", "rolled-back") else ""
                    self._note(f"{row.agent} answers with {row.version}{back}")
                    runs[row.agent] = row.version
            if state in ENDED:
                self._note(f"the rollout {state.replace('-', ' ')}: {rollout.reason}".rstrip(": "))
                return rollout
            if time.monotonic() > deadline or self.stop.is_set():
                return rollout
            time.sleep(_LOOK_S)

    def _note(self, text: str) -> None:
        self.notes.append(f"after {self.asked():,} questions: {text}")


def record(
    rollout: rollout_pb2.Rollout,
    failed: int,
    before: Mapping[str, fleet_pb2.Agent],
    after: Mapping[str, fleet_pb2.Agent],
    size_bytes: int,
) -> dict[str, Any]:
    """What `--json` tells of a rollout.

    Bytes are those of blobs that agents of all tiers received between two looks at the fleet, by who sent them; what
    passes through a relay counts at every hop. `delta_ratio` is what devices received of the model's `size_bytes`, on
    average over those that were sent a delta; None when none was.
    """
    control = _grown(before, after, lambda agent: agent.fetched_control_plane_bytes)
    agents = _grown(before, after, lambda agent: agent.fetched_agent_bytes)
    saved = [one for one in _grown(before, after, lambda agent: agent.delta_saved_bytes) if one > 0]
    state = state_name(rollout)
    return {
        "state": state,
        "rings": [
            {"agents": ring.agents, "active": ring.active, "failed": ring.failed, "offline": ring.offline}
            for ring in rollout.rings
        ],
        "failed_requests": failed,
        "rolled_back": state == "rolled-back",
        "reason": rollout.reason,
        "bytes_from_control_plane": sum(control),
        "bytes_from_agents": sum(agents),
        "delta_ratio": round(1 - sum(saved) / (len(saved) * size_bytes), 4) if saved else None,
    }


def _grown(
    before: Mapping[str, fleet_pb2.Agent],
    after: Mapping[str, fleet_pb2.Agent],
    counter: Callable[[fleet_pb2.Agent], int],
) -> Iterable[int]:
    return [counter(agent) - counter(before.get(name, fleet_pb2.Agent())) for name, agent in after.items()]


def _devices(agents: Mapping[str, fleet_pb2.Agent]) -> Mapping[str, fleet_pb2.Agent]:
    return {name: agent for name, agent in agents.items() if agent.tier == "device"}


def device_row(agent: fleet_pb2.Agent) -> DeviceRow:
    """A device as it last reported."""
    name = agent.name.removeprefix("agents/")
    slot = next((slot.reported for slot in agent.slots if slot.model == _MODEL), sync_pb2.SlotReport())
    counters = slot.counters
    escalated = counters.escalated_rows / counters.rows if counters.rows else 0.0
    return DeviceRow(name, active_version(agent, _MODEL), counters.rows, escalated, _coming(slot))


def _coming(slot: sync_pb2.SlotReport) -> str:
    """What is on its way in a slot, in words; empty for nothing."""
    if not slot.HasField("candidate"):
        return ""
    version = slot.candidate.version.rpartition("/")[2]
    if slot.state == sync_pb2.SLOT_STATE_WARMED and slot.shadow.rows:
        share = slot.shadow.agreed / slot.shadow.rows
        return f"{version} shadows: agrees on {share:.0%} of {slot.shadow.rows} rows"
    if slot.state == sync_pb2.SLOT_STATE_FAILED:
        return f"{version} failed: {slot.reason}"
    return f"{version} {sync_pb2.SlotState.Name(slot.state).removeprefix('SLOT_STATE_').lower()}"
