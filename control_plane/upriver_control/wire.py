"""Messages of rollouts and of the fleet, to and from the control plane's own values. Those of Sync are in sync_wire."""

import math
from collections.abc import Iterable
from itertools import pairwise

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.v1 import fleet_pb2, rollout_pb2, sync_pb2
from upriver_control.fleet import SlotView, in_sync
from upriver_control.observed import (
    Activation,
    AgentFacts,
    Failure,
    Hardware,
    MonitorFacts,
    RefinedFacts,
    SlotFacts,
    SlotState,
)
from upriver_control.rollout import Action, Gates, Ring, RingStatus, Rollout, RolloutState, Strategy, actions
from upriver_control.rollout.model import PROGRESS_DEADLINE_S
from upriver_control.sync_wire import duration, write_activation, write_pair, write_pooling

MAX_RINGS = 32
MAX_S = 366 * 86400.0
_STATES = {state: getattr(rollout_pb2, f"ROLLOUT_STATE_{state.name}") for state in RolloutState}
_ACTIONS = {action: getattr(rollout_pb2, f"ROLLOUT_ACTION_{action.name}") for action in Action}
_SLOT_STATES: dict[SlotState, sync_pb2.SlotState] = {
    state: getattr(sync_pb2, f"SLOT_STATE_{state.name}") for state in SlotState if state is not SlotState.EMPTY
}
_FAILURES: dict[Failure, sync_pb2.Failure] = {
    failure: getattr(sync_pb2, f"FAILURE_{failure.name}") for failure in Failure if failure is not Failure.NONE
}


def read_strategy(message: rollout_pb2.Strategy) -> Strategy:
    """How a rollout is to go; raises InvalidInput that names everything that is wrong."""
    problems: list[str] = []
    strategy = Strategy(
        rings=_read_rings(message, problems),
        max_unavailable=_at_least(0, message.max_unavailable, "max_unavailable", problems),
        soak_s=_read_duration(message.soak_time, "soak_time", problems),
        failure_limit=_share(message.failure_limit, "failure_limit", problems),
        min_sample=max(1, _at_least(0, message.min_sample, "min_sample", problems)),
        progress_deadline_s=_read_duration(message.progress_deadline, "progress_deadline", problems)
        or PROGRESS_DEADLINE_S,
        gates=_read_gates(message.gates, problems),
        activation=Activation(
            shadow_s=_read_duration(message.activation.shadow_time, "activation.shadow_time", problems),
            shadow_rows=_at_least(0, message.activation.shadow_rows, "activation.shadow_rows", problems),
            min_agreement=_share(message.activation.min_agreement, "activation.min_agreement", problems),
        ),
    )
    if strategy.activation.shadow_s >= strategy.progress_deadline_s:
        problems.append(
            f"activation.shadow_time is {strategy.activation.shadow_s:g} s, which the progress_deadline of"
            f" {strategy.progress_deadline_s:g} s leaves no time for"
        )
    if problems:
        raise InvalidInput(f"strategy: {'; '.join(problems)}")
    return strategy


def write_rollout(rollout: Rollout) -> rollout_pb2.Rollout:
    """A rollout."""
    return rollout_pb2.Rollout(
        name=f"rollouts/{rollout.id}",
        pair=write_pair(rollout.pair),
        selector=rollout.selector,
        strategy=write_strategy(rollout.strategy),
        state=_STATES[rollout.state],
        reason=rollout.reason,
        ring=rollout.ring,
        rings=[_write_ring_status(ring) for ring in _rings(rollout)],
        generation=rollout.generation,
        create_time=timestamp(rollout.created),
        update_time=timestamp(rollout.updated or rollout.created),
        end_time=None if rollout.ended is None else timestamp(rollout.ended),
        revision=rollout.revision,
        actions=[_ACTIONS[action] for action in actions(rollout)],
    )


def carefully(soak_s: float) -> rollout_pb2.Strategy:
    """How what nobody watches is rolled out: to one agent, to a tenth, to all, each watched for `soak_s`."""
    rings = [rollout_pb2.Ring(count=1), rollout_pb2.Ring(percent=10), rollout_pb2.Ring(percent=100)]
    return rollout_pb2.Strategy(rings=rings, soak_time=duration(soak_s), failure_limit=0.1, min_sample=5)


def write_strategy(strategy: Strategy) -> rollout_pb2.Strategy:
    """How a rollout goes."""
    return rollout_pb2.Strategy(
        rings=[
            rollout_pb2.Ring(count=ring.count) if ring.count else rollout_pb2.Ring(percent=ring.percent)
            for ring in strategy.rings
        ],
        max_unavailable=strategy.max_unavailable,
        soak_time=duration(strategy.soak_s),
        failure_limit=strategy.failure_limit,
        min_sample=strategy.min_sample,
        progress_deadline=duration(strategy.progress_deadline_s),
        gates=rollout_pb2.Gates(
            min_agreement=strategy.gates.min_agreement,
            max_latency_ratio=strategy.gates.max_latency_ratio,
            max_escalation_increase=strategy.gates.max_escalation_increase,
        ),
        activation=write_activation(strategy.activation),
    )


def write_agent(facts: AgentFacts, views: tuple[SlotView, ...]) -> fleet_pb2.Agent:
    """An agent with its slots, desired against reported."""
    return fleet_pb2.Agent(
        name=f"agents/{facts.agent}",
        tier=facts.tier,
        region=facts.region,
        labels=dict(facts.labels),
        hardware=write_hardware(facts.hardware),
        address=facts.address,
        program_version=facts.program_version,
        connected=facts.connected,
        last_seen_time=timestamp(facts.last_seen),
        slots=[_write_view(view) for view in views],
        in_sync=in_sync(views),
        load=facts.load,
        fetched_control_plane_bytes=facts.traffic.from_control_plane,
        fetched_agent_bytes=facts.traffic.from_agents,
        delta_saved_bytes=facts.traffic.saved_by_deltas,
        decisions=facts.decisions,
        pooling=write_pooling(facts.pooling) if facts.pooling.agents else None,
    )


def write_hardware(hardware: Hardware) -> sync_pb2.Hardware:
    """What an agent runs on."""
    return sync_pb2.Hardware(
        machine=hardware.machine,
        cores=hardware.cores,
        memory_bytes=hardware.memory_bytes,
        disk_budget_bytes=hardware.disk_budget_bytes,
        runtime=hardware.runtime,
        runtime_version=hardware.runtime_version,
    )


def write_slot(model: str, slot: SlotFacts) -> sync_pb2.SlotReport:
    """What an agent reports of a slot."""
    return sync_pb2.SlotReport(
        model=model,
        active=None if slot.active is None else write_pair(slot.active),
        previous=None if slot.previous is None else write_pair(slot.previous),
        candidate=None if slot.candidate is None else write_pair(slot.candidate),
        state=_SLOT_STATES.get(slot.state, sync_pb2.SLOT_STATE_UNSPECIFIED),
        failure=_FAILURES.get(slot.failure, sync_pb2.FAILURE_UNSPECIFIED),
        reason=slot.reason,
        generation=slot.generation,
        counters=sync_pb2.Counters(
            rows=slot.counters.rows,
            escalated_rows=slot.counters.escalated_rows,
            failures=slot.counters.failures,
            latency_buckets=dict(slot.counters.latency_buckets),
        ),
        shadow=sync_pb2.Shadow(rows=slot.shadow_rows, agreed=slot.shadow_agreed),
        active_for=duration(slot.active_for_s),
        monitor=None if slot.monitor == MonitorFacts() else write_monitor(slot.monitor),
        refined=None if slot.refined is None else _write_refined(slot.refined),
        unrefined=slot.unrefined,
    )


def _write_refined(refined: RefinedFacts) -> sync_pb2.Refined:
    return sync_pb2.Refined(
        policy_document=refined.policy_document,
        lessons=refined.lessons,
        attempt=refined.attempt,
        since_time=timestamp(refined.since),
    )


def write_monitor(monitor: MonitorFacts) -> sync_pb2.Monitor:
    """What an agent's audits say."""
    return sync_pb2.Monitor(
        note=monitor.note,
        watched=monitor.watched,
        audits=monitor.audits,
        disagreements=monitor.disagreements,
        log_e_value=monitor.log_e_value,
        log_shiryaev_roberts=monitor.log_shiryaev_roberts,
        alarm_time=timestamp(monitor.alarm_since) if monitor.alarm_since else None,
        rate=monitor.rate,
        warnings=monitor.warnings,
        waiting=monitor.waiting,
        dropped=monitor.dropped,
        trouble=monitor.trouble,
    )


def timestamp(seconds: float) -> Timestamp:
    """Unix seconds as a Timestamp, to the microsecond."""
    return Timestamp(seconds=math.floor(seconds), nanos=int(seconds % 1 * 1e6) * 1000)


def _write_view(view: SlotView) -> fleet_pb2.AgentSlot:
    return fleet_pb2.AgentSlot(
        model=view.model,
        desired=None if view.desired is None else write_pair(view.desired),
        rollout=f"rollouts/{view.rollout}" if view.rollout else "",
        reported=write_slot(view.model, view.reported),
        difference=view.difference,
        different_for=duration(view.different_for_s) if view.difference else None,
        needs=view.needs,
    )


def _rings(rollout: Rollout) -> Iterable[RingStatus]:
    return rollout.rings or tuple(RingStatus() for _ in rollout.strategy.rings)


def _write_ring_status(status: RingStatus) -> rollout_pb2.RingStatus:
    return rollout_pb2.RingStatus(
        agents=status.agents,
        released=status.released,
        active=status.active,
        failed=status.failed,
        offline=status.offline,
        failures=dict(status.failures),
        agreement=_or_nan(status.agreement),
        latency_ratio=_or_nan(status.latency_ratio),
        escalation_rate=_or_nan(status.escalation_rate),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _read_rings(message: rollout_pb2.Strategy, problems: list[str]) -> tuple[Ring, ...]:
    if len(message.rings) > MAX_RINGS:
        problems.append(f"{len(message.rings)} rings; at most {MAX_RINGS}")
    rings = []
    for number, ring in enumerate(message.rings[:MAX_RINGS]):
        where = f"rings[{number}]"
        match ring.WhichOneof("size"):
            case "count":
                rings.append(Ring(count=max(1, _at_least(1, ring.count, f"{where}.count", problems))))
            case "percent":
                if not 0 < ring.percent <= 100:
                    problems.append(f"{where}.percent is {ring.percent:g}; expected above 0 and at most 100")
                rings.append(Ring(percent=ring.percent))
            case _:
                problems.append(f"{where} has no size; expected a count or a percent")
    for number, (one, two) in enumerate(pairwise(rings)):
        grows = two.count > one.count if one.count and two.count else two.percent > one.percent
        if bool(one.count) == bool(two.count) and not grows:
            problems.append(
                f"rings[{number + 1}] is {two}, not more than the {one} before; a ring counts those before it"
            )
    return tuple(rings) or (Ring(percent=100.0),)


def _read_gates(message: rollout_pb2.Gates, problems: list[str]) -> Gates:
    agreement = message.min_agreement if message.HasField("min_agreement") else None
    ratio = message.max_latency_ratio if message.HasField("max_latency_ratio") else None
    increase = message.max_escalation_increase if message.HasField("max_escalation_increase") else None
    if agreement is not None:
        _share(agreement, "gates.min_agreement", problems)
    if increase is not None:
        _share(increase, "gates.max_escalation_increase", problems)
    if ratio is not None and not (math.isfinite(ratio) and ratio > 0):
        problems.append(f"gates.max_latency_ratio is {ratio:g}; expected a number above 0")
    return Gates(agreement, ratio, increase)


def _read_duration(message: Duration, name: str, problems: list[str]) -> float:
    seconds = message.seconds + message.nanos / 1e9
    if not 0 <= seconds <= MAX_S:
        problems.append(f"{name} is {seconds:g} s; expected 0 to {MAX_S:.0f}")
    return seconds


def _share(value: float, name: str, problems: list[str]) -> float:
    if not 0 <= value <= 1:
        problems.append(f"{name} is {value:g}; expected 0 to 1")
    return value


def _at_least(least: int, value: int, name: str, problems: list[str]) -> int:
    if value < least:
        problems.append(f"{name} is {value}; expected at least {least}")
    return value
