"""MeshService's messages from agents, edges and rates."""

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.v1 import mesh_pb2 as pb
from upriver_control.history.recent import Rates
from upriver_control.observed import AgentFacts
from upriver_control.services.question_wire import duration, timestamp
from upriver_control.spans.histogram import BUCKETS, quantile_ns
from upriver_control.spans.looking import Edge
from upriver_control.spans.rates import RateRow

MAX_STEPS: Final = 1000
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400
_LATEST_S: Final = 2**33
_MAX_NAME: Final = 200


def read_span(request: pb.ListRatesRequest, now: float) -> tuple[int, int, int]:
    """The minutes since the epoch that rates are asked from and until, and how many one is over; raises InvalidInput.

    `now` is a Unix time.
    """
    for name in ("model", "region"):
        if len(getattr(request, name)) > _MAX_NAME or "\0" in getattr(request, name):
            raise InvalidInput(f"{name}: {getattr(request, name)[:40]!r}…; expected at most {_MAX_NAME} characters")
    until_s = _seconds("until_time", request.until_time) if request.HasField("until_time") else int(now) + 1
    from_s = _seconds("from_time", request.from_time) if request.HasField("from_time") else max(0, until_s - _DAY_S)
    if from_s >= until_s:
        raise InvalidInput(f"from_time is {from_s} and until_time {until_s}; expected an earlier and a later one")
    first, last = from_s // _MINUTE_S, -(-until_s // _MINUTE_S)
    # Steps begin at whole multiples of themselves, so that there may be one more than there is room for.
    shortest = 1 if last - first <= MAX_STEPS else -(-(last - first) // (MAX_STEPS - 1))
    if not request.HasField("step"):
        step = shortest
    else:
        step, rest = divmod(request.step.seconds, _MINUTE_S)
        if rest or request.step.nanos or not 1 <= step <= _LATEST_S:
            raise InvalidInput(f"step is {request.step.seconds} s and {request.step.nanos} ns; expected whole minutes")
        if step < shortest:
            raise InvalidInput(
                f"step is {step} min over {last - first} min; expected {shortest} min or more: {MAX_STEPS} steps"
            )
    return first, last, step


def write_rate(row: RateRow) -> pb.Rate:
    """A rate."""
    return pb.Rate(
        time=Timestamp(seconds=row.minute * _MINUTE_S),
        region=row.region,
        model=row.model,
        version=row.version,
        rows=row.rows,
        escalated_rows=row.escalated_rows,
        lessons=row.lessons,
    )


def write_agent(facts: AgentFacts, rates: Rates, in_sync: bool, sends_spans: bool) -> pb.MeshAgent:
    """An agent at work."""
    slots = sorted(facts.slots.items())
    return pb.MeshAgent(
        agent=facts.agent,
        tier=facts.tier,
        region=facts.region,
        connected=facts.connected,
        load=facts.load if facts.connected else 0.0,
        versions=[slot.active.version for _, slot in slots if slot.active is not None],
        rows_per_s=rates.rows_per_s,
        escalated_share=rates.escalated_share,
        p95=None if rates.p95_ns is None else duration(rates.p95_ns),
        alarms=[model for model, slot in slots if slot.active is not None and slot.monitor.alarm_since > 0],
        in_sync=in_sync,
        sends_spans=sends_spans,
        address=facts.address,
    )


def write_edges(edges: Iterable[Edge]) -> list[pb.MeshEdge]:
    """Edges, each of its buckets, by who asks and who is asked."""
    found: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
    for edge in edges:
        weights, failed = found.setdefault((edge.from_agent, edge.to_agent), ([0.0] * BUCKETS, [0]))
        weights[min(max(0, edge.bucket), BUCKETS - 1)] += edge.calls
        failed[0] += edge.failed
    return [
        pb.MeshEdge(
            from_agent=asks,
            to_agent=asked,
            escalations=round(sum(weights)),
            failed=failed[0],
            p95=None if (p95_ns := quantile_ns(weights, 0.95)) is None else duration(p95_ns),
        )
        for (asks, asked), (weights, failed) in sorted(found.items())
    ]


def ladder(agents: Iterable[AgentFacts]) -> Sequence[str]:
    """The tiers, lowest first: as the longest ladder has them that an agent tells, then those that it does not have."""
    known = sorted({facts.tiers for facts in agents}, key=lambda told: (-len(told), told))
    return list(dict.fromkeys(tier for told in known for tier in told))


def now_of(now: float) -> Timestamp:
    """A time."""
    return timestamp(int(now * 1e9))


def _seconds(name: str, told: Timestamp) -> int:
    if not 0 <= told.seconds <= _LATEST_S or not 0 <= told.nanos < 10**9:
        raise InvalidInput(f"{name} is {told.seconds} s and {told.nanos} ns; expected 0 to {_LATEST_S} s")
    return told.seconds + (1 if told.nanos and name == "until_time" else 0)
