"""Agents and their slots in words: what the terminal and the console both say of the fleet."""

from collections.abc import Iterable

from upriver.errors import ManifestError
from upriver.policies import PolicyDocument, read_policy
from upriver.v1 import fleet_pb2, sync_pb2
from upriver_control.telling.names import short
from upriver_control.telling.times import moment


def agent_id(agent: fleet_pb2.Agent) -> str:
    """Its id without `agents/`."""
    return agent.name.removeprefix("agents/")


def seen(agent: fleet_pb2.Agent) -> str:
    """When it was last heard of."""
    return moment(agent.last_seen_time)


def contact(agent: fleet_pb2.Agent) -> str:
    """Whether it is connected, and else when it last was."""
    return "connected" if agent.connected else f"not connected, last seen {seen(agent)}"


def about(agent: fleet_pb2.Agent) -> tuple[tuple[str, str], ...]:
    """What an agent is, slots aside, as pairs of a name and what is to be said."""
    hardware = agent.hardware
    return (
        ("tier", agent.tier),
        ("region", agent.region),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(agent.labels.items()))),
        ("address", agent.address or "nobody calls it"),
        ("seen", contact(agent)),
        ("program", agent.program_version),
        ("machine", f"{hardware.machine}, {hardware.cores} cores, {hardware.memory_bytes / 2**20:.0f} MiB of memory"),
        ("runtime", f"{hardware.runtime} {hardware.runtime_version}"),
        ("fetched", fetched(agent)),
        ("pools", pooling(agent.pooling) if agent.HasField("pooling") else "nothing yet"),
        ("decided", ", ".join(f"{name} {count:,}" for name, count in sorted(agent.decisions.items())) or "nothing yet"),
    )


def fetched(agent: fleet_pb2.Agent) -> str:
    """What it received of blobs since its process started, and from whom."""
    told = f"{agent.fetched_control_plane_bytes:,} bytes from the control plane, {agent.fetched_agent_bytes:,} from"
    return f"{told} agents; {agent.delta_saved_bytes:,} saved by deltas"


def different(agent: fleet_pb2.Agent) -> list[fleet_pb2.AgentSlot]:
    """Its slots that are not as desired."""
    return [slot for slot in agent.slots if slot.difference]


def lasting(slots: Iterable[fleet_pb2.AgentSlot]) -> str:
    """How long the one of them has differed that has differed longest; empty when none does."""
    return span(max((slot.different_for.seconds for slot in slots if slot.difference), default=0))


def counted(agents: Iterable[fleet_pb2.Agent]) -> str:
    """How many there are, are connected, and are not as desired."""
    known = list(agents)
    connected, differing = sum(agent.connected for agent in known), sum(not agent.in_sync for agent in known)
    return f"{len(known)} agents, {connected} connected, {differing} not as desired"


def runs(slot: fleet_pb2.AgentSlot) -> str:
    """The model and what answers, and whether its alarm rings."""
    return f"{slot.model} {answering(slot)}{' ALARM' if slot.reported.monitor.HasField('alarm_time') else ''}"


def answering(slot: fleet_pb2.AgentSlot) -> str:
    """The version that answers, `-` for none."""
    reported = slot.reported
    if not reported.HasField("active"):
        return "-"
    version = short(reported.active.version)
    return f"{version} refined" if reported.HasField("refined") else version


def wanted(slot: fleet_pb2.AgentSlot) -> str:
    """The version that is desired, `-` for none."""
    return short(slot.desired.version) if slot.HasField("desired") else "-"


def state(report: sync_pb2.SlotReport) -> str:
    """`active`, `staging` and so on; `empty` where there is nothing."""
    return sync_pb2.SlotState.Name(report.state).removeprefix("SLOT_STATE_").lower().replace("unspecified", "empty")


def slowest_s(counters: sync_pb2.Counters, share: float) -> float | None:
    """How long this share of the model's runs took at most, in seconds: the upper end of a bucket; None of no runs."""
    buckets = sorted(counters.latency_buckets.items())
    left = share * sum(count for _, count in buckets)
    for bucket, count in buckets:
        left -= count
        if left <= 0:
            return float(2.0 ** ((bucket + 1) / 4) / 1e6)
    return None


def failure(report: sync_pb2.SlotReport) -> str | None:
    """`self-test` and so on; None where nothing failed."""
    name = sync_pb2.Failure.Name(report.failure).removeprefix("FAILURE_").lower().replace("_", "-")
    return None if name == "unspecified" else name


def refined(report: sync_pb2.SlotReport) -> str:
    """A slot's refined pair in a few words, or why there is none any more; empty where there was none."""
    if not report.HasField("refined"):
        return f"what it had refined answers no more: {report.unrefined}" if report.unrefined else ""
    told = report.refined
    since = moment(told.since_time)
    made = f"refined there from {told.lessons:,} lessons, attempt {told.attempt}, since {since}"
    policy = refined_policy(told)
    if policy is None:
        return f"{made}; its policy can't be read"
    certificate = policy.certificate
    if certificate is None:
        return f"{made}; head {policy.head[7:19]}, not certified"
    return (
        f"{made}; head {policy.head[7:19]}, threshold {policy.threshold:.4g}, at most {certificate.epsilon:.2%} lost "
        f"with {1.0 - certificate.delta:.4%} confidence ({certificate.losses:g} of {certificate.questions:,})"
    )


def refined_policy(told: sync_pb2.Refined) -> PolicyDocument | None:
    """Its policy; None when it can't be read."""
    try:
        return read_policy(told.policy_document)
    except ManifestError:
        return None


def pooling(told: sync_pb2.PoolingReport) -> str:
    """How an agent pools what it has learnt, in a line."""
    if not told.parent:
        return f"with nobody so far{f': {told.trouble}' if told.trouble else ''}"
    told_to = f"with {told.parent}, for {told.agents} agents" if told.agents > 1 else f"with {told.parent}"
    hidden = f", lessons hidden by noise: epsilon {told.epsilon:.3g} at delta {told.delta:g}" if told.epsilon else ""
    trouble = f"; {told.trouble}" if told.trouble else ""
    return f"{told_to} ({told.standing or 'nothing was sent yet'}){hidden}{trouble}"


def span(seconds: int) -> str:
    """How long, in the largest unit that there are two of; empty for nothing."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s" if seconds else ""
