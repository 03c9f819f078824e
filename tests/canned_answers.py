"""Answers of QuestionService and MeshService for tests of what shows them: one question over three agents, a mesh."""

from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.services import handlers
from upriver.v1 import mesh_pb2, question_pb2
from upriver.v1 import question_pb2 as pb

TRACE = "4a38cd47e10fa759e1059be4b05c73ed"
TIME = Timestamp(seconds=1_800_000_000, nanos=250_000_000)
WHY = "cloud-1 (cloud) answered, though it was not sure enough (0.13, where it takes 2.00): it is the top."


def ms(value: float) -> Duration:
    return Duration(nanos=round(value * 1e6))


def a_question(trace: str = TRACE, **more: Any) -> pb.Question:
    facts: dict[str, Any] = {
        "question": "q-1", "agent": "device-1", "tier": "device", "region": "eu", "model": "pattern",
        "answered_by": "cloud-1", "answered_tier": "cloud", "reason": "top", "score": 0.13, "threshold": 2.0, "rows": 1,
        "flags": [pb.QUESTION_FLAG_ESCALATED, pb.QUESTION_FLAG_UNRESOLVED], "weight": 1.0,
    }  # fmt: skip
    return pb.Question(trace=trace, time=TIME, latency=ms(12.4), **(facts | more))


def a_trace() -> pb.GetTraceResponse:
    """The device is unsure and asks the far edge, which fails, and the cloud; the cloud is unsure too."""
    answer = pb.GetTraceResponse(
        question=a_question(), why=WHY, missing=["the far edge's spans"], tickets=["tickets/t-1"]
    )

    def span(name: str, number: int, depth: int, start: float, length: float, agent: str, error: str = "") -> str:
        made = answer.spans.add(
            name=f"upriver.{name}",
            span=f"{number:016x}",
            depth=depth,
            service="upriver-agent",
            agent=agent,
            error=error,
        )
        made.start.CopyFrom(ms(start))
        made.length.CopyFrom(ms(length))
        return made.span

    device = span("serve", 1, 0, 0, 12.4, "device-1")
    span("infer", 2, 1, 0.1, 0.4, "device-1")
    span("decide", 3, 1, 0.5, 0.05, "device-1")
    first = span("escalate", 4, 1, 0.6, 3.0, "device-1", error="far-edge-1 can't be reached")
    second = span("escalate", 5, 1, 3.7, 8.5, "device-1")
    cloud = span("serve", 6, 2, 5.0, 6.0, "cloud-1")
    span("infer", 7, 3, 5.2, 5.0, "cloud-1")
    hop = answer.hops.add(
        span=device, agent="device-1", tier="device", region="eu", score=0.41, threshold=0.7, reason="top"
    )
    tried = {"agent": "far-edge-1", "tier": "far-edge", "cause": "first", "outcome": "failed", "bytes": 1002}
    hop.tries.add(span=first, message="far-edge-1 can't be reached", **tried)
    hop.tries.add(span=second, agent="cloud-1", tier="cloud", cause="retry", outcome="answered", bytes=1002)
    answer.hops.add(span=cloud, agent="cloud-1", tier="cloud", score=0.13, threshold=2.0, reason="top", number=1)
    later = answer.later.add(name="upriver.ticket", trace="f" * 32, agent="device-1", time=TIME)
    later.attributes["upriver.answered_by"] = "person"
    answer.clocks.add(agent="cloud-1", offset=Duration(seconds=2, nanos=300_000_000), estimated=True)
    return answer


def a_mesh(rate: float = 2.0, alarm: bool = False) -> mesh_pb2.WatchMeshResponse:
    mesh = mesh_pb2.WatchMeshResponse(time=TIME, tiers=["device", "cloud"])
    mesh.agents.add(
        agent="cloud-1", tier="cloud", region="eu", connected=True, versions=["models/pattern/versions/cloud-1"],
        rows_per_s=0.4, p95=ms(5), in_sync=True,
    )  # fmt: skip
    mesh.agents.add(
        agent="device-1", tier="device", region="eu", connected=True, versions=["models/pattern/versions/device-1"],
        rows_per_s=rate, escalated_share=0.2, p95=ms(0.4), in_sync=True, load=0.125,
        alarms=["pattern"] if alarm else [],
    )  # fmt: skip
    mesh.edges.add(from_agent="device-1", to_agent="cloud-1", escalations=24, failed=1, p95=ms(9))
    return mesh


class CannedQuestions:
    """QuestionService with one trace, and questions that come."""

    def __init__(self, coming: Sequence[pb.WatchQuestionsResponse] = ()) -> None:
        self.coming = coming
        self.asked: list[Any] = []

    def get_trace(self, request: pb.GetTraceRequest, context: grpc.ServicerContext) -> pb.GetTraceResponse:
        if request.trace not in (TRACE, "last"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no span of {request.trace} is here")
        return a_trace()

    def list_questions(self, request: pb.ListQuestionsRequest, _: Any) -> pb.ListQuestionsResponse:
        self.asked.append(request)
        return pb.ListQuestionsResponse(questions=[one for come in self.coming for one in come.questions])

    def watch_questions(self, request: pb.WatchQuestionsRequest, _: Any) -> Iterator[pb.WatchQuestionsResponse]:
        self.asked.append(request)
        yield from self.coming

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _unimplemented


class CannedMesh:
    """MeshService that sends what it was given."""

    def __init__(self, coming: Sequence[mesh_pb2.WatchMeshResponse]) -> None:
        self.coming = coming

    def watch_mesh(self, request: mesh_pb2.WatchMeshRequest, _: Any) -> Iterator[mesh_pb2.WatchMeshResponse]:
        yield from self.coming[:1] if request.once else self.coming

    def list_rates(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _unimplemented(request, context)


def _unimplemented(_: Any, context: grpc.ServicerContext) -> Any:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has canned answers only")


@contextmanager
def canned(questions: CannedQuestions, mesh: CannedMesh) -> Iterator[str]:
    """A server with both; gives its address."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((
        handlers(question_pb2.DESCRIPTOR.services_by_name["QuestionService"], questions),
        handlers(mesh_pb2.DESCRIPTOR.services_by_name["MeshService"], mesh),
    ))  # fmt: skip
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(30)
