"""What the services that pages and commands read tell of real agents is what the agents told, to the last digit."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from typing import Any

import grpc
import pytest

from tests.agent_process import until
from tests.console_mesh import MODEL, RIDDLE, ConsoleMesh
from tests.control_plane_process import TIERS
from tests.question_server import Asker
from upriver.v1 import question_pb2


class Services(Asker):
    """QuestionService and MeshService of a mesh."""

    def whole(self, name: str, path: Collection[str]) -> question_pb2.GetTraceResponse:
        """A trace, once the spans of all agents on its answer's path have come."""

        def found():
            try:
                told = self.trace(name)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return None
            return told if {hop.agent for hop in told.hops} >= {*path} else None

        return until(found, 60, f"the spans of {name}")

    def counted(self, model: str) -> dict[str, tuple[int, int]]:
        """Rows and those that went up, by the version."""
        sums: dict[str, tuple[int, int]] = {}
        for rate in self.rates(model=model):
            rows, escalated = sums.get(rate.version, (0, 0))
            sums[rate.version] = rows + rate.rows, escalated + rate.escalated_rows
        return sums


@pytest.fixture(scope="module")
def services(mesh: ConsoleMesh) -> Iterator[Services]:
    with grpc.insecure_channel(mesh.plane.address) as channel:
        yield Services(channel, mesh.plane.token)


def test_what_a_trace_tells_is_what_the_answer_told(mesh: ConsoleMesh, services: Services) -> None:
    checked = set()
    for answer in mesh.told:
        path = answer["path"].split(",")
        if answer["agent"] in checked or answer["reason"] != "confident":
            continue
        found = services.whole(answer["trace_id"], path)
        if [hop.agent for hop in found.hops] != path:
            continue  # a second one was asked beside one that was late, which a busy machine brings about
        check(answer, found)
        checked.add(answer["agent"])
    assert len(checked) > 1


def check(answer: Mapping[str, Any], found: question_pb2.GetTraceResponse) -> None:
    asked, hops = found.question, found.hops
    assert (asked.answered_by, asked.answered_tier) == (answer["agent"], answer["tier"])
    assert asked.score == answer["confidence"]
    assert (asked.reason, asked.agent, asked.trace) == (answer["reason"], "device-1", answer["trace_id"])
    assert [hop.number for hop in hops] == list(range(len(hops)))
    last = hops[-1]
    assert (last.policy, last.score, last.threshold) == (answer["policy"], answer["confidence"], asked.threshold)
    assert sum(hop.bytes_up for hop in hops) == answer.get("bytes_up", 0)
    for below, above in pairwise(hops):
        assert below.score < below.threshold
        (call,) = below.tries
        assert (call.agent, call.outcome) == (above.agent, "answered")
        assert call.bytes > 14 * 14 * 4
        began, length = above.start.ToNanoseconds(), above.length.ToNanoseconds()
        assert call.start.ToNanoseconds() < began
        assert began + length < call.start.ToNanoseconds() + call.length.ToNanoseconds()
    assert found.why.startswith(f"{answer['agent']} ({answer['tier']})")
    assert not found.missing
    assert not found.clocks


def test_a_question_with_a_ticket_is_found_by_it(mesh: ConsoleMesh, services: Services) -> None:
    answer = next(answer for answer in mesh.told if answer.get("ticket"))
    found = services.whole(f"tickets/{answer['ticket']}", answer["path"].split(","))
    assert found.question.trace == answer["trace_id"]
    assert list(found.tickets) == [f"tickets/{answer['ticket']}"]
    assert question_pb2.QUESTION_FLAG_TICKETED in found.question.flags


def test_a_question_is_told_while_somebody_looks(mesh: ConsoleMesh, services: Services) -> None:
    watch = services.watch(question_pb2.QuestionFilter(agent="device-1", model=RIDDLE))
    next(watch)
    answer = mesh.ask(RIDDLE)
    seen: list[str] = []
    while answer["trace_id"] not in seen:
        seen += [one.trace for one in next(watch).questions]
    watch.cancel()


def test_the_mesh_is_told_as_it_is_and_rates_are_what_agents_counted(mesh: ConsoleMesh, services: Services) -> None:
    mesh.ask(mode="top")
    seen = until(lambda: told if (told := next(services.mesh(once=True))).edges else None, 30, "who asks whom")
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
        return bool(counters) and services.counted(MODEL) == counters

    until(counted, 60, "what agents counted")


def test_while_the_span_store_is_locked_agents_answer_as_ever_and_its_spans_come_later(
    mesh: ConsoleMesh, services: Services
) -> None:
    with closing(sqlite3.connect(mesh.plane.state / "spans.sqlite", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        answer = mesh.ask(mode="top")
        assert answer["agent"] == "cloud-1"
        until(lambda: "locked" in services.span_store().trouble, 60, "that it is told")
        assert services.list().questions  # what is kept is shown
        assert next(services.mesh(once=True)).agents
        holder.execute("ROLLBACK")
    services.whole(answer["trace_id"], answer["path"].split(","))
