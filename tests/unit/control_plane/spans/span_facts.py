"""Spans as agents send them, for the tests of this folder: a mesh's, with times in milliseconds after an hour."""

from collections.abc import Mapping, Sequence

from upriver.tracing import Attribute, EventName, SpanName
from upriver_control.spans.facts import CLIENT, SERVER, EventFacts, SpanFacts, Value

HOUR_NS = 1_800_000_000 * 10**9
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
INTERNAL = 1


def at(ms: float) -> int:
    return HOUR_NS + round(ms * 1e6)


def span_id(name: str) -> bytes:
    """A readable id: the name, filled up; of a long one its first character and its last ones."""
    short = name if len(name) <= 8 else name[0] + name[-7:]
    return short.encode().ljust(8, b".") if name else b""


def span(
    name: str,
    own: str,
    parent: str = "",
    times: tuple[float, float] = (0, 10),
    agent: str = "device-1",
    attributes: Mapping[str, Value] | None = None,
    events: Sequence[EventFacts] = (),
    kind: int = INTERNAL,
    error: str = "",
) -> SpanFacts:
    return SpanFacts(
        trace=TRACE,
        span=span_id(own),
        parent=span_id(parent),
        name=name,
        kind=kind,
        start_ns=at(times[0]),
        end_ns=at(times[1]),
        attributes=attributes or {},
        events=tuple(events),
        failed=bool(error),
        error=error,
        service="upriver-agent",
        agent=agent,
        raw=b"raw",
    )


def serve(
    agent: str,
    parent: str = "",
    times: tuple[float, float] = (0, 10),
    events: Sequence[EventFacts] = (),
    error: str = "",
    **told: Value,
) -> SpanFacts:
    """A serve span, whose id is `s:` and the agent; attributes by their names without `upriver.`."""
    tier = agent.rpartition("-")[0]
    attributes: dict[str, Value] = {
        Attribute.AGENT: agent,
        Attribute.TIER: tier,
        Attribute.REGION: "home",
        Attribute.MODEL: "digits",
    }
    if not error:
        attributes |= {
            Attribute.ROWS: 1,
            Attribute.ANSWERED_BY: agent,
            Attribute.PATH: (agent,),
            Attribute.SCORE: 0.97,
            Attribute.REASON: "confident",
            Attribute.RESOLVED: True,
            Attribute.DEGRADED: False,
            Attribute.POLICY: "sha256:aa",
        }
    attributes |= {f"upriver.{name}": value for name, value in told.items()}
    return span(SpanName.SERVE, f"s:{agent}", parent, times, agent, attributes, events, SERVER, error)


def decide(
    agent: str, score: float, threshold: float, reason: str = "confident", times: tuple[float, float] = (2, 3)
) -> SpanFacts:
    row = EventFacts(
        EventName.ROW,
        at(times[1]),
        {
            Attribute.ROW: 0,
            Attribute.SCORE: score,
            Attribute.THRESHOLD: threshold,
            Attribute.REASON: reason,
        },
    )
    told: dict[str, Value] = {Attribute.THRESHOLD: threshold}
    return span(SpanName.DECIDE, f"d:{agent}", f"s:{agent}", times, agent, told, [row])


def infer(agent: str, times: tuple[float, float] = (1, 2)) -> SpanFacts:
    return span(SpanName.INFER, f"i:{agent}", f"s:{agent}", times, agent)


def escalate(
    agent: str,
    upstream: str,
    times: tuple[float, float] = (3, 9),
    error: str = "",
    **told: Value,
) -> SpanFacts:
    """A call of `agent`'s; its id is `e:` and the upstream."""
    attributes: dict[str, Value] = {
        Attribute.UPSTREAM_AGENT: upstream,
        Attribute.UPSTREAM_TIER: upstream.rpartition("-")[0],
        Attribute.ROWS: 1,
        Attribute.BYTES: 1000,
    }
    if error:
        attributes[Attribute.REASON] = "upstream_down"
    else:
        attributes |= {Attribute.ANSWERED_BY: upstream, Attribute.RESOLVED: True}
    attributes |= {f"upriver.{name}": value for name, value in told.items()}
    return span(SpanName.ESCALATE, f"e:{upstream}", f"s:{agent}", times, agent, attributes, (), CLIENT, error)


def event(name: EventName, upstream: str = "", ms: float = 3, reason: str = "") -> EventFacts:
    told: dict[str, Value] = {}
    if upstream:
        told[Attribute.UPSTREAM_AGENT] = upstream
    if reason:
        told[Attribute.REASON] = reason
    return EventFacts(name, at(ms), told)


def escalated(ahead_ms: float = 0) -> list[SpanFacts]:
    """A question of device-1's that far-1 answered, whose clock is ahead by so much."""
    return [
        serve("device-1", escalated=True, answered_by="far-1", path=("device-1", "far-1"), question="q-1", hop=0),
        infer("device-1"),
        decide("device-1", 0.41, 0.7, "upstream_down"),
        escalate("device-1", "far-1"),
        serve("far-1", "e:far-1", (4 + ahead_ms, 8 + ahead_ms), path=("device-1", "far-1"), question="q-1", hop=1),
        infer("far-1", (5 + ahead_ms, 6 + ahead_ms)),
        decide("far-1", 0.97, 0.9, times=(6 + ahead_ms, 7 + ahead_ms)),
    ]
