"""Sync's messages to and from the agent's own types. No other module of the agent reads these messages."""

from collections.abc import Callable, Iterable, Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.discovery.port import AgentRecord, ServedModel
from upriver.errors import InvalidInput
from upriver.listing import is_digest
from upriver.scores import ScoreKind
from upriver.trials import Trial, check_trial
from upriver.v1 import sync_pb2 as pb
from upriver_agent.installing.fit import Device
from upriver_agent.installing.worker import SlotFacts
from upriver_agent.pooling.pooler import PoolFacts
from upriver_agent.refinement import Standing
from upriver_agent.serving.watch import WatchFacts
from upriver_agent.slot import Activation, Assigned, Failure, Pair, State

_STATES = {
    State.EMPTY: pb.SLOT_STATE_UNSPECIFIED,
    State.STAGING: pb.SLOT_STATE_STAGING,
    State.STAGED: pb.SLOT_STATE_STAGED,
    State.VERIFIED: pb.SLOT_STATE_VERIFIED,
    State.WARMED: pb.SLOT_STATE_WARMED,
    State.ACTIVE: pb.SLOT_STATE_ACTIVE,
    State.FAILED: pb.SLOT_STATE_FAILED,
}
_FAILURES = {
    Failure.NONE: pb.FAILURE_UNSPECIFIED,
    Failure.UNFIT: pb.FAILURE_UNFIT,
    Failure.UNAVAILABLE: pb.FAILURE_UNAVAILABLE,
    Failure.UNTRUSTED: pb.FAILURE_UNTRUSTED,
    Failure.SELF_TEST: pb.FAILURE_SELF_TEST,
    Failure.GOLDEN: pb.FAILURE_GOLDEN,
    Failure.SHADOW: pb.FAILURE_SHADOW,
    Failure.DISK: pb.FAILURE_DISK,
}
MAX_REASON = 500
MAX_TRIALS = 32
_LEAST = -1e300
"""What stands for minus infinity."""


def read_assignments(message: pb.Assignments) -> dict[str, Assigned]:
    """The world by model; raises InvalidInput naming what is wrong."""
    world: dict[str, Assigned] = {}
    for assignment in message.assignments:
        model = assignment.model
        if not model or model in world:
            raise InvalidInput(f"assignment of model {model!r}: expected each model once, by its name")
        world[model] = Assigned(
            pair=_read_pair(model, assignment.pair) if assignment.HasField("pair") else None,
            generation=assignment.generation,
            rollout=assignment.rollout,
            activation=_read_activation(assignment.activation),
        )
    return world


def read_upstreams(message: pb.Upstreams) -> tuple[AgentRecord, ...]:
    """The agents that may be escalated to; raises InvalidInput for one without an address."""
    records = []
    for upstream in message.upstreams:
        if not (upstream.agent and upstream.tier and upstream.address):
            raise InvalidInput(f"upstream {upstream.agent!r}: expected an id, a tier and an address")
        records.append(
            AgentRecord(
                agent=upstream.agent,
                tier=upstream.tier,
                region=upstream.region,
                address=upstream.address,
                protocol=upstream.protocol,
                models={name: ServedModel(served.version, served.digest) for name, served in upstream.models.items()},
                load=0.0,
                tls=upstream.tls,
            )
        )
    return tuple(records)


def read_trials(message: pb.Trials) -> tuple[Trial, ...]:
    """Heads to be tried here; raises InvalidInput for more than MAX_TRIALS, and for what can't be tried."""
    if len(message.trials) > MAX_TRIALS:
        raise InvalidInput(f"{len(message.trials)} trials: expected at most {MAX_TRIALS}")
    return tuple(map(_read_trial, message.trials))


def write_slots(
    facts: Iterable[SlotFacts], standing: Callable[[str], Standing] = lambda _: Standing()
) -> list[pb.SlotReport]:
    """What the slots report; `standing` says what was refined of a model."""
    return [_write_slot(fact, standing(fact.slot.model)) for fact in facts]


def write_pooling(facts: PoolFacts, epsilon: float, delta: float) -> pb.PoolingReport:
    """How what is learnt here is pooled, and how one lesson is hidden in it."""
    return pb.PoolingReport(
        parent=facts.parent,
        standing=facts.standing,
        children=facts.children,
        agents=facts.agents,
        trouble=facts.trouble[:MAX_REASON],
        epsilon=epsilon,
        delta=delta,
    )


def write_hardware(device: Device) -> pb.Hardware:
    """What the agent runs on."""
    return pb.Hardware(
        machine=device.machine,
        cores=device.cores,
        memory_bytes=device.memory_bytes,
        disk_budget_bytes=device.disk_budget_bytes,
        runtime=device.runtime,
        runtime_version=device.runtime_version,
    )


def write_hello(
    me: AgentRecord, tiers: Iterable[str], labels: Mapping[str, str], device: Device, program: str, boot: str
) -> pb.Hello:
    """Who connects; without resource versions and status."""
    return pb.Hello(
        agent=me.agent,
        tier=me.tier,
        tiers=tiers,
        region=me.region,
        labels=labels,
        hardware=write_hardware(device),
        address=me.address,
        tls=me.tls,
        protocol=me.protocol,
        program_version=program,
        boot=boot,
    )


def _read_trial(message: pb.Trial) -> Trial:
    if message.score not in list(ScoreKind):
        raise InvalidInput(f"trial of {message.model[:80]!r}: score {message.score[:80]!r} is not known here")
    trial = Trial(
        message.model,
        message.version_digest,
        message.region,
        message.head_digest,
        message.top_version_digest,
        ScoreKind(message.score),
        tuple(message.temperatures),
        tuple(message.thresholds),
    )
    check_trial(trial)
    return trial


def _read_pair(model: str, message: pb.Pair) -> Pair:
    if not is_digest(message.version_digest):
        raise InvalidInput(f"assignment of model {model!r}: digest {message.version_digest!r}; expected sha256:<hex>")
    parts = message.version.split("/")
    if len(parts) != 4 or parts[::2] != ["models", "versions"] or parts[1] != model or not parts[3]:
        raise InvalidInput(
            f"assignment of model {model!r}: version {message.version!r}; expected models/{model}/versions/<version>"
        )
    return Pair(message.version, message.version_digest, message.policy_document)


def _read_activation(message: pb.Activation) -> Activation:
    shadow_s = message.shadow_time.seconds + message.shadow_time.nanos / 1e9
    return Activation(max(0.0, shadow_s), max(0, message.shadow_rows), message.min_agreement)


def _write_slot(fact: SlotFacts, standing: Standing) -> pb.SlotReport:
    slot, counters = fact.slot, fact.counters
    report = pb.SlotReport(
        model=slot.model,
        state=_STATES[slot.state],
        failure=_FAILURES[slot.failure],
        reason=slot.reason[:MAX_REASON],
        generation=slot.generation,
        counters=pb.Counters(
            rows=counters.rows,
            escalated_rows=counters.escalated_rows,
            failures=counters.failures,
            latency_buckets=counters.latency,
        ),
        shadow=pb.Shadow(rows=fact.shadow_rows, agreed=fact.shadow_agreed),
        active_for=Duration(nanos=round(fact.active_for_s % 1 * 1e9) % 10**9, seconds=int(fact.active_for_s)),
    )
    if fact.watch is not None:
        report.monitor.CopyFrom(_write_monitor(fact.watch))
    elif fact.unwatched:
        report.monitor.note = fact.unwatched
    for field, pair in (("active", slot.active), ("previous", slot.previous), ("candidate", slot.candidate)):
        if pair is not None:
            told = pb.Pair(version=pair.version, version_digest=pair.digest, policy_document=pair.policy)
            getattr(report, field).CopyFrom(told)
    refined = standing.refined
    if refined is not None:
        report.refined.policy_document = refined.document
        report.refined.lessons, report.refined.attempt = refined.lessons, refined.attempt
        report.refined.since_time.FromMilliseconds(int(1000 * refined.since))
    elif standing.ended is not None:
        report.unrefined = standing.ended.why[:MAX_REASON]
    return report


def _write_monitor(facts: WatchFacts) -> pb.Monitor:
    told = facts.report
    return pb.Monitor(
        note=told.note,
        watched=told.watched,
        audits=told.audits,
        disagreements=told.disagreements,
        log_e_value=max(_LEAST, told.log_e_value),
        log_shiryaev_roberts=max(_LEAST, told.log_shiryaev_roberts),
        alarm_time=Timestamp(seconds=int(told.alarm_since)) if told.alarm_since else None,
        rate=told.rate,
        warnings=told.warnings,
        waiting=facts.waiting,
        dropped=facts.dropped,
        trouble=facts.trouble[:MAX_REASON],
    )
