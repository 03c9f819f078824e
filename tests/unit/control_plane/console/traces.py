"""Traces made by hand, for drawings."""

from upriver.v1 import question_pb2 as pb

MS = 1_000_000
V7 = "sha256:" + "1" * 64


def escalated() -> pb.GetTraceResponse:
    """A device that is not sure asks a far edge that was late and, beside it, another, which answers."""
    told = pb.GetTraceResponse(
        why="far-2 (far-edge) answered, because it was sure enough: 0.91, where it takes 0.80. It took 20 ms.",
        missing=["the spans of far-1"],
        tickets=["tickets/q-7"],
        url="https://tempo.example/trace/" + "ab" * 16,
    )
    told.question.CopyFrom(
        pb.Question(
            trace="ab" * 16, question="q-7", agent="device-1", tier="device", model="digits", version=V7,
            answered_by="far-2", answered_tier="far-edge", reason="confident", score=0.91, threshold=0.8, rows=2,
            flags=[pb.QUESTION_FLAG_ESCALATED, pb.QUESTION_FLAG_HEDGED], weight=1,
        )
    )  # fmt: skip
    told.question.time.FromSeconds(1_700_000_000)
    told.question.latency.FromNanoseconds(20 * MS)
    device = told.hops.add(
        span="a" * 16, agent="device-1", tier="device", region="eu", version=V7, score=0.41, threshold=0.7,
        reason="confident", resolved=True, answered_by="far-2", bytes_up=1234, row_count=2, model="digits",
    )  # fmt: skip
    device.length.FromNanoseconds(20 * MS)
    device.infer.FromNanoseconds(2 * MS)
    device.rows.add(row=0, score=0.41, threshold=0.7, went_up=True)
    device.rows.add(row=1, score=0.93, threshold=0.7, reason="confident")
    late = device.tries.add(
        agent="far-1",
        tier="far-edge",
        cause="first",
        outcome="cancelled",
        message="another was faster",
        bytes=600,
        rows=1,
    )
    late.length.FromNanoseconds(15 * MS)
    device.tries.add(agent="far-2", tier="far-edge", cause="hedge", outcome="answered", bytes=634, rows=1)
    device.tries.add(agent="far-3", outcome="passed_over", reason="breaker_open")
    far = told.hops.add(
        span="b" * 16, agent="far-2", tier="far-edge", region="eu", score=0.91, threshold=0.8, reason="confident",
        resolved=True, answered_by="far-2", number=1, row_count=1, model="digits",
    )  # fmt: skip
    far.start.FromNanoseconds(9 * MS)
    far.length.FromNanoseconds(6 * MS)
    span(told, "a" * 16, "", "upriver.serve", "device-1", 0, 20, 0, {"upriver.tier": "device"})
    call = span(
        told, "c" * 16, "a" * 16, "upriver.escalate", "device-1", 8, 10, 1, {"upriver.upstream.agent": "far-2"}, 3
    )
    event = call.events.add(name="upriver.hedge")
    event.attributes["upriver.upstream.agent"] = "far-2"
    event.time_offset.FromNanoseconds(8 * MS)
    span(told, "b" * 16, "c" * 16, "upriver.serve", "far-2", 9, 6, 2, {"upriver.tier": "far-edge"})
    told.clocks.add(agent="far-2", estimated=True).offset.FromSeconds(-2)
    later = told.later.add(name="upriver.ticket", trace="cd" * 16, span="d" * 16, agent="device-1")
    later.time.FromSeconds(1_700_000_060)
    later.attributes["upriver.answered_by"] = "operator"
    return told


def span(
    told: pb.GetTraceResponse, name_id: str, parent: str, name: str, agent: str, start_ms: float, length_ms: float,
    depth: int, attributes: dict[str, str], kind: int = 2,
) -> pb.TraceSpan:  # fmt: skip
    made = told.spans.add(
        span=name_id, parent=parent, name=name, service="upriver-agent", agent=agent, depth=depth, kind=kind
    )
    made.start.FromNanoseconds(round(start_ms * MS))
    made.length.FromNanoseconds(round(length_ms * MS))
    made.attributes.update(attributes)
    return made
