"""Sync's messages to and from the control plane's own values."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from itertools import islice

from google.protobuf.duration_pb2 import Duration

from upriver.errors import InvalidInput
from upriver.policies import MAX_BYTES as MAX_POLICY
from upriver.trials import Trial
from upriver.v1 import sync_pb2 as pb
from upriver_control.observed import (
    Activation,
    AgentFacts,
    Counters,
    Desired,
    Failure,
    Hardware,
    MonitorFacts,
    Pair,
    PoolingFacts,
    RefinedFacts,
    SlotFacts,
    SlotState,
    Traffic,
)

MAX_LABELS = 64
MAX_TEXT = 256
MAX_SLOTS = 64
LATENCY_BUCKETS = 128
"""Of a model's runs, as agents count them; the last one is open."""
MAX_WARNINGS = 8
MAX_DECISIONS = 64
MAX_DECISION_NAME = 64
MAX_REASON = 500
_MOST = 2**63 - 1  # what a count may be when it is told again
_STATES = {getattr(pb, f"SLOT_STATE_{state.name}"): state for state in SlotState if state is not SlotState.EMPTY}
_FAILURES = {getattr(pb, f"FAILURE_{failure.name}"): failure for failure in Failure if failure is not Failure.NONE}


def read_hello(hello: pb.Hello, now: float) -> AgentFacts:
    """Who an agent says it is; raises InvalidInput naming what is missing or too large."""
    problems = [f"{name} is empty" for name in ("agent", "tier", "region", "boot") if not getattr(hello, name)]
    texts = {**hello.labels, "agent": hello.agent, "tier": hello.tier, "region": hello.region, "boot": hello.boot}
    problems += [f"{name[:40]!r} is longer than {MAX_TEXT}" for name, text in texts.items() if len(text) > MAX_TEXT]
    if len(hello.labels) > MAX_LABELS:
        problems.append(f"{len(hello.labels)} labels; at most {MAX_LABELS}")
    if hello.tier not in hello.tiers:
        problems.append(f"tier {hello.tier!r} is not in its own ladder")
    if problems:
        raise InvalidInput(f"hello of agent {hello.agent[:64]!r}: {'; '.join(problems)}")
    hardware = hello.hardware
    return AgentFacts(
        agent=hello.agent,
        labels={**hello.labels, "agent": hello.agent, "tier": hello.tier, "region": hello.region},
        connected=True,
        last_seen=now,
        connected_since=now,
        slots=read_slots(hello.status),
        tiers=tuple(hello.tiers),
        address=hello.address,
        tls=hello.tls,
        protocol=hello.protocol,
        program_version=hello.program_version,
        boot=hello.boot,
        hardware=Hardware(
            machine=hardware.machine,
            cores=hardware.cores,
            memory_bytes=hardware.memory_bytes,
            disk_budget_bytes=hardware.disk_budget_bytes,
            runtime=hardware.runtime,
            runtime_version=hardware.runtime_version,
        ),
        load=hello.status.load,
        draining=hello.status.draining,
        traffic=read_traffic(hello.status),
        decisions=read_decisions(hello.status),
        pooling=read_pooling(hello.status),
        lessons=read_lessons(hello.status),
    )


def read_slots(status: pb.Status) -> Mapping[str, SlotFacts]:
    """What an agent's slots report; raises InvalidInput for more than MAX_SLOTS."""
    if len(status.slots) > MAX_SLOTS:
        raise InvalidInput(f"status: {len(status.slots)} slots; at most {MAX_SLOTS}")
    return {report.model: _read_slot(report) for report in status.slots}


def read_traffic(status: pb.Status) -> Traffic:
    """What an agent has received."""
    return Traffic(status.fetched_control_plane_bytes, status.fetched_agent_bytes, status.delta_saved_bytes)


def read_decisions(status: pb.Status) -> Mapping[str, int]:
    """How often an agent decided what about its upstreams and callers; what is beyond the bounds is left out."""
    told = ((name, count) for name, count in sorted(status.decisions.items()) if len(name) <= MAX_DECISION_NAME)
    return dict(islice(told, MAX_DECISIONS))


def read_lessons(status: pb.Status) -> Mapping[str, int]:
    """How many lessons an agent keeps of which model, of the models of its slots; no more are told than it has."""
    models = {report.model for report in status.slots}
    return {model: count for model, count in status.lessons.items() if model in models and count > 0}


def read_pooling(status: pb.Status) -> PoolingFacts:
    """How an agent pools what was learnt."""
    told = status.pooling
    return PoolingFacts(
        parent=told.parent[:MAX_TEXT],
        standing=told.standing[:MAX_TEXT],
        children=told.children,
        agents=told.agents,
        trouble=told.trouble[:MAX_REASON],
        epsilon=told.epsilon if math.isfinite(told.epsilon) else 0.0,
        delta=told.delta if math.isfinite(told.delta) else 0.0,
    )


def write_pooling(facts: PoolingFacts) -> pb.PoolingReport:
    """The same as it was told."""
    return pb.PoolingReport(
        parent=facts.parent,
        standing=facts.standing,
        children=facts.children,
        agents=facts.agents,
        trouble=facts.trouble,
        epsilon=facts.epsilon,
        delta=facts.delta,
    )


def write_assignments(desired: Mapping[str, Desired]) -> pb.Assignments:
    """The world of one agent, by model."""
    world = pb.Assignments()
    for model in sorted(desired):
        wanted = desired[model]
        assignment = world.assignments.add(
            model=model, rollout=f"rollouts/{wanted.rollout}", generation=wanted.generation
        )
        if wanted.pair is not None:
            assignment.pair.CopyFrom(write_pair(wanted.pair))
        assignment.activation.CopyFrom(write_activation(wanted.activation))
    return world


def write_upstream(agent: AgentFacts) -> pb.Upstream:
    """An agent as those below it see it."""
    upstream = pb.Upstream(
        agent=agent.agent,
        tier=agent.tier,
        region=agent.region,
        address=agent.address,
        protocol=agent.protocol,
        tls=agent.tls,
    )
    for model, slot in agent.slots.items():
        if slot.active is not None:
            served = upstream.models[model]
            served.version, served.digest = slot.active.version.rpartition("/")[2], slot.active.version_digest
    return upstream


def write_trials(trials: Iterable[Trial]) -> pb.Trials:
    """Heads that are to be tried."""
    return pb.Trials(
        trials=[
            pb.Trial(
                model=trial.model,
                version_digest=trial.version_digest,
                region=trial.region,
                head_digest=trial.head,
                top_version_digest=trial.top,
                score=trial.score,
                temperatures=trial.temperatures,
                thresholds=trial.thresholds,
            )
            for trial in trials
        ]
    )


def content_version(message: pb.Assignments | pb.Upstreams | pb.Trials) -> str:
    """Names a resource's content: the same content has the same version in every process."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:24]


def read_pair(message: pb.Pair) -> Pair:
    """A pair."""
    return Pair(message.version, message.version_digest, message.policy_document)


def write_pair(pair: Pair) -> pb.Pair:
    """A pair."""
    return pb.Pair(version=pair.version, version_digest=pair.version_digest, policy_document=pair.policy_document)


def write_activation(activation: Activation) -> pb.Activation:
    """How a pair becomes active."""
    return pb.Activation(
        shadow_time=duration(activation.shadow_s),
        shadow_rows=activation.shadow_rows,
        min_agreement=activation.min_agreement,
    )


def duration(seconds: float) -> Duration:
    """Seconds as a Duration."""
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def _read_slot(report: pb.SlotReport) -> SlotFacts:
    counters = report.counters
    return SlotFacts(
        active=read_pair(report.active) if report.HasField("active") else None,
        previous=read_pair(report.previous) if report.HasField("previous") else None,
        candidate=read_pair(report.candidate) if report.HasField("candidate") else None,
        state=_STATES.get(report.state, SlotState.EMPTY),
        failure=_FAILURES.get(report.failure, Failure.NONE),
        reason=report.reason,
        generation=report.generation,
        counters=Counters(
            rows=counters.rows,
            escalated_rows=counters.escalated_rows,
            failures=counters.failures,
            latency_buckets=_read_latency(counters.latency_buckets),
        ),
        shadow_rows=report.shadow.rows,
        shadow_agreed=report.shadow.agreed,
        active_for_s=report.active_for.seconds + report.active_for.nanos / 1e9,
        monitor=_read_monitor(report.monitor) if report.HasField("monitor") else MonitorFacts(),
        refined=_read_refined(report.refined) if report.HasField("refined") else None,
        unrefined=report.unrefined[:MAX_REASON],
    )


def _read_latency(told: Mapping[int, int]) -> Mapping[int, int]:
    """Runs by bucket, each of those that there are; what is said of any other counts as slow as can be."""
    found: dict[int, int] = {}
    for bucket, count in told.items():
        known = bucket if 0 <= bucket < LATENCY_BUCKETS else LATENCY_BUCKETS - 1
        found[known] = min(_MOST, found.get(known, 0) + max(0, count))
    return found


def _read_refined(refined: pb.Refined) -> RefinedFacts:
    since = refined.since_time.seconds + refined.since_time.nanos / 1e9
    return RefinedFacts(refined.policy_document[:MAX_POLICY], refined.lessons, refined.attempt, since)


def _read_monitor(monitor: pb.Monitor) -> MonitorFacts:
    numbers = (monitor.log_e_value, monitor.log_shiryaev_roberts, monitor.rate)
    log_e_value, log_shiryaev_roberts, rate = (number if math.isfinite(number) else 0.0 for number in numbers)
    return MonitorFacts(
        note=monitor.note[:MAX_TEXT],
        watched=monitor.watched,
        audits=monitor.audits,
        disagreements=monitor.disagreements,
        log_e_value=log_e_value,
        log_shiryaev_roberts=log_shiryaev_roberts,
        alarm_since=float(monitor.alarm_time.seconds) if monitor.HasField("alarm_time") else 0.0,
        rate=rate,
        warnings=tuple(text[:MAX_TEXT] for text in monitor.warnings[:MAX_WARNINGS]),
        waiting=monitor.waiting,
        dropped=monitor.dropped,
        trouble=monitor.trouble[:MAX_TEXT],
    )
