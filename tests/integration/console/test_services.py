"""What the services that pages and commands read tell of real agents is what the agents told, to the last digit."""

from collections.abc import Iterator
from itertools import pairwise

import grpc
import pytest

from tests.agent_process import until
from tests.console_mesh import MODEL, RIDDLE, ConsoleMesh
from tests.control_plane_process import TIERS
from tests.question_server import MESH, QUESTIONS
from upriver.services import Stub
from upriver.v1 import mesh_pb2, question_pb2


class Services:
    """QuestionService and MeshService of a mesh, with the operator's token."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._questions, self._mesh = Stub(channel, QUESTIONS), Stub(channel, MESH)
        self._options = {"timeout": 60, "metadata": (("authorization", f"Bearer {token}"),)}

    def trace(self, name: str, hops: int) -> question_pb2.GetTraceResponse:
        """A trace, once all its agents' spans have come."""
        request = question_pb2.GetTraceRequest(trace=name)

        def whole():
            try:
                found = self._questions.GetTrace(request, **self._options)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return None
            return found if len(found.hops) == hops else None

        return until(whole, 30, f"the spans of {name}")

    def watch(self, **filter_: str):
        request = question_pb2.WatchQuestionsRequest(filter=question_pb2.QuestionFilter(**filter_))
        return self._questions.WatchQuestions(request, **self._options)

    def mesh(self) -> mesh_pb2.WatchMeshResponse:
        (seen,) = self._mesh.WatchMesh(mesh_pb2.WatchMeshRequest(once=True), **self._options)
        return seen

    def rates(self, model: str) -> dict[str, tuple[int, int]]:
        """Rows and those that went up, by the version."""
        found = self._mesh.ListRates(mesh_pb2.ListRatesRequest(model=model), **self._options).rates
        sums: dict[str, tuple[int, int]] = {}
        for rate in found:
            rows, escalated = sums.get(rate.version, (0, 0))
            sums[rate.version] = rows + rate.rows, escalated + rate.escalated_rows
        return sums


@pytest.fixture(scope="module")
def services(mesh: ConsoleMesh) -> Iterator[Services]:
    with grpc.insecure_channel(mesh.plane.address) as channel:
        yield Services(channel, mesh.plane.token)


def test_what_a_trace_tells_is_what_the_answer_told(mesh: ConsoleMesh, services: Services) -> None:
    answers = [answer for answer in mesh.told if answer["reason"] != "mode"]
    by_agent = {answer["agent"]: answer for answer in answers}
    assert len(by_agent) > 2
    for answer in by_agent.values():
        path = answer["path"].split(",")
        found = services.trace(answer["trace_id"], len(path))
        asked, hops = found.question, found.hops
        assert (asked.answered_by, asked.answered_tier) == (answer["agent"], answer["tier"])
        assert asked.score == answer["confidence"]
        assert (asked.reason, asked.agent, asked.trace) == (answer["reason"], "device-1", answer["trace_id"])
        assert [hop.agent for hop in hops] == path
        assert hops[-1].policy == answer["policy"]
        assert hops[-1].score == answer["confidence"]
        assert asked.threshold == hops[-1].threshold
        assert sum(hop.bytes_up for hop in hops) == answer.get("bytes_up", 0)
        for below, above in pairwise(hops):
            assert below.score < below.threshold
            assert [(one.agent, one.outcome) for one in below.tries] == [(above.agent, "answered")]
            assert below.bytes_up == below.tries[0].bytes > 14 * 14 * 4
            ended = below.start.ToNanoseconds() + below.length.ToNanoseconds()
            assert below.start.ToNanoseconds() < above.start.ToNanoseconds() < ended
        assert found.why.startswith(f"{answer['agent']} ({answer['tier']})")
        assert not found.missing
        assert not found.clocks


def test_a_question_with_a_ticket_is_found_by_it(mesh: ConsoleMesh, services: Services) -> None:
    answer = next(answer for answer in mesh.told if answer.get("ticket"))
    found = services.trace(f"tickets/{answer['ticket']}", len(answer["path"].split(",")))
    assert found.question.trace == answer["trace_id"]
    assert list(found.tickets) == [f"tickets/{answer['ticket']}"]
    assert question_pb2.QUESTION_FLAG_TICKETED in found.question.flags


def test_a_question_is_told_while_somebody_looks(mesh: ConsoleMesh, services: Services) -> None:
    watch = services.watch(agent="device-1", model=RIDDLE)
    next(watch)
    answer = mesh.ask(RIDDLE)
    seen: list[str] = []
    while answer["trace_id"] not in seen:
        seen += [one.trace for one in next(watch).questions]
    watch.cancel()


def test_the_mesh_is_told_as_it_is_and_rates_are_what_agents_counted(mesh: ConsoleMesh, services: Services) -> None:
    mesh.ask(mode="top")
    seen = until(lambda: told if (told := services.mesh()).edges else None, 30, "who asks whom")
    assert list(seen.tiers) == list(TIERS)
    assert [one.agent for one in seen.agents] == sorted(mesh.agents)
    assert all(one.connected and one.sends_spans and one.address for one in seen.agents)
    rungs = {f"{tier}-1": rung for rung, tier in enumerate(TIERS)}
    assert all(rungs[edge.from_agent] < rungs[edge.to_agent] for edge in seen.edges)

    def counted() -> bool:
        with mesh.plane.stubs() as operator:
            reported = [slot.reported for agent in operator.agents().values() for slot in agent.slots]
        counters = {
            slot.active.version_digest: (slot.counters.rows, slot.counters.escalated_rows)
            for slot in reported
            if slot.model == MODEL and slot.counters.rows
        }
        return bool(counters) and services.rates(MODEL) == counters

    until(counted, 60, "what agents counted")
