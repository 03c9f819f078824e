"""QuestionService and MeshService on a server of their own, over a span store that a test fills, without processes."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import grpc.aio

from bench.many_spans import export
from upriver.services import Stub, handlers
from upriver.v1 import mesh_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.history.recording import History
from upriver_control.intent import Intent
from upriver_control.services.authentication import OperatorTokens
from upriver_control.services.mesh import Edges, MeshServicer
from upriver_control.services.questions import QuestionServicer
from upriver_control.services.span_standing import SpanStanding
from upriver_control.services.trace_views import TraceViews
from upriver_control.spans.following import Following
from upriver_control.spans.intake import Intake
from upriver_control.spans.rates import RateTable
from upriver_control.spans.store import SpanStore, open_spans
from upriver_control.store.audits import AuditTable
from upriver_control.store.database import open_database

MESH = mesh_pb2.DESCRIPTOR.services_by_name["MeshService"]
QUESTIONS = pb.DESCRIPTOR.services_by_name["QuestionService"]
TOKEN = "operator"  # noqa: S105 - of a server that lives as long as a test


class QuestionServer:
    """Composed as `watching` does; `agents`, what they are to run and the clock of rates may be changed by the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents = {}
        self.intent = Intent(())
        self.now = 1_750_000_000.0
        self.database = open_spans(f"sqlite:///{folder}/spans.sqlite")
        self.main = open_database(f"sqlite:///{folder}/control.db")
        self.store = SpanStore(self.database)
        self.audits = AuditTable(self.main)
        self.intake = Intake(self.store)
        self.rates = RateTable(self.database)
        self.history = History(self.rates, lambda: self.agents, lambda: self.now)
        self.following: Following | None = None
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._ready, self._ended = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    @property
    def file(self) -> Path:
        return self.folder / "spans.sqlite"

    def report(self, facts) -> None:
        """An agent reports now; and it is recorded."""
        facts = dataclasses.replace(facts, last_seen=self.now)
        self.agents = {**self.agents, facts.agent: facts}
        self.history.heard(facts, True)
        asyncio.run_coroutine_threadsafe(self.history.once(), self._loop).result(30)

    def keep(self, agent: str, spans: Sequence[object], offset_ns: int = 0):
        """Has an agent's spans kept."""
        return self.intake.offer(export(agent, spans).SerializeToString(), offset_ns).result(30)

    def start(self) -> None:
        self.intake.start()
        self._thread.start()
        assert self._ready.wait(20)

    def close(self) -> None:
        self.intake.close()
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(60)
        self._loop.close()
        self.database.close()
        self.main.close()

    async def _run(self) -> None:
        self.following = following = Following(self.store, self.intake)
        standing = SpanStanding(self.store, self.intake, None, "", 1 << 30, lambda: self.agents)
        views = TraceViews(self.store, self.audits, lambda: self.intake.trouble, "http://tempo/trace/{trace_id}")
        server = grpc.aio.server(interceptors=[OperatorTokens(TOKEN)])
        server.add_generic_rpc_handlers((handlers(QUESTIONS, QuestionServicer(views, following, standing)),))
        edges = Edges(self.store, lambda: round(self.now * 1e9))
        mesh = MeshServicer(
            lambda: self.agents, lambda: self.intent, self.history.recent, edges, self.rates, lambda: self.now
        )
        server.add_generic_rpc_handlers((handlers(MESH, mesh),))
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        running = asyncio.create_task(following.run())
        self._ready.set()
        await self._ended.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop(1.0)


@contextmanager
def question_server(folder: Path) -> Iterator[QuestionServer]:
    server = QuestionServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def asking(server: QuestionServer) -> Iterator["Asker"]:
    with grpc.insecure_channel(server.address) as channel:
        yield Asker(channel)


class Asker:
    """Calls with the operator's token."""

    def __init__(self, channel: grpc.Channel, token: str = TOKEN) -> None:
        self._stub, self._mesh = Stub(channel, QUESTIONS), Stub(channel, MESH)
        self._operator = (("authorization", f"Bearer {token}"),)

    def list(self, filter_=None, **more):
        request = pb.ListQuestionsRequest(filter=filter_, **more)
        return self._stub.ListQuestions(request, timeout=30, metadata=self._operator)

    def summarize(self, filter_=None):
        request = pb.SummarizeQuestionsRequest(filter=filter_)
        return self._stub.SummarizeQuestions(request, timeout=30, metadata=self._operator)

    def trace(self, trace, raw=False):
        return self._stub.GetTrace(pb.GetTraceRequest(trace=trace, raw=raw), timeout=30, metadata=self._operator)

    def span_store(self):
        return self._stub.GetSpanStore(pb.GetSpanStoreRequest(), timeout=30, metadata=self._operator)

    def watch(self, filter_=None):
        request = pb.WatchQuestionsRequest(filter=filter_)
        return self._stub.WatchQuestions(request, timeout=60, metadata=self._operator)

    def mesh(self, **more):
        return self._mesh.WatchMesh(mesh_pb2.WatchMeshRequest(**more), timeout=60, metadata=self._operator)

    def rates(self, **more):
        return self._mesh.ListRates(mesh_pb2.ListRatesRequest(**more), timeout=30, metadata=self._operator).rates
