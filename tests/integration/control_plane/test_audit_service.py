"""AuditService over gRPC: agents bring audits with the join token, operators look at them with theirs."""

import asyncio
import math
import threading

import grpc
import grpc.aio
import pytest

from upriver.services import Stub, handlers
from upriver.v1 import audit_pb2 as pb
from upriver_control.services.audits import AuditServicer
from upriver_control.services.authentication import AgentTokens, OperatorTokens
from upriver_control.store.audits import AuditTable
from upriver_control.store.database import open_database
from upriver_control.telling.audits import interval

AUDITS = pb.DESCRIPTOR.services_by_name["AuditService"]
OPERATOR, JOIN = ((("authorization", f"Bearer {token}"),) for token in ("operator", "join"))
DIGEST = "sha256:" + "1" * 64


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('audits')}/control.db")
    loop = asyncio.new_event_loop()
    bound, ready, ended = [], threading.Event(), asyncio.Event()

    async def run():
        server = grpc.aio.server(interceptors=[OperatorTokens("operator"), AgentTokens("join", "operator")])
        servicer = AuditServicer(AuditTable(database), clock=lambda: 1000.25)
        server.add_generic_rpc_handlers((handlers(AUDITS, servicer),))
        bound.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        ready.set()
        await ended.wait()
        await server.stop(1.0)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(20)
    yield bound[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(60)
    loop.close()
    database.close()


@pytest.fixture(scope="module")
def stub(address):
    with grpc.insecure_channel(address) as channel:
        yield Stub(channel, AUDITS)


def audit(question: str, **fields) -> pb.Audit:
    plain = {
        "question": question,
        "agent": "till",
        "tier": "device",
        "region": "eu",
        "model": "digits",
        "version_digest": DIGEST,
        "policy_digest": DIGEST,
        "rules_digest": DIGEST,
        "confidence": 0.75,
        "features": {"margin": 0.5},
        "passes": True,
        "answered_here": True,
        "brought": True,
        "answer": "seven",
        "top_answer": "one",
        "top_agent": "cloud",
        "draw": 0.01,
        "rate": 0.02,
    }
    told = pb.Audit(**(plain | fields))
    told.asked_time.FromMilliseconds(1500)
    return told


def test_what_agents_submit_twice_is_shown_once_to_operators(stub):
    told = [audit("q-1"), audit("q-2", agrees=True, top_answer="seven")]
    unsure = audit("q-3", passes=False)
    unsure.ClearField("confidence")
    request = pb.SubmitAuditsRequest(audits=[*told, unsure])
    assert stub.SubmitAudits(request, metadata=JOIN).kept == 3
    assert stub.SubmitAudits(request, metadata=JOIN).kept == 0
    first = stub.ListAudits(pb.ListAuditsRequest(parent="models/digits", page_size=2), metadata=OPERATOR)
    rest = stub.ListAudits(
        pb.ListAuditsRequest(parent="models/digits", page_token=first.next_page_token), metadata=OPERATOR
    )
    assert [*first.audits, *rest.audits] == [unsure, told[1], told[0]]
    assert rest.next_page_token == ""
    (summary,) = stub.SummarizeAudits(pb.SummarizeAuditsRequest(parent="models/digits"), metadata=OPERATOR).summaries
    assert (summary.agent, summary.audits, summary.passed, summary.disagreements) == ("till", 3, 2, 1)
    assert summary.last_time.ToMilliseconds() == 1000_250


def test_tokens_are_asked_for(stub):
    for call, request, metadata in (
        (stub.SubmitAudits, pb.SubmitAuditsRequest(), ()),
        (stub.ListAudits, pb.ListAuditsRequest(parent="models/digits"), ()),
        (stub.ListAudits, pb.ListAuditsRequest(parent="models/digits"), JOIN),
        (stub.SummarizeAudits, pb.SummarizeAuditsRequest(parent="models/digits"), JOIN),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(request, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"question": ""}, "question"),
        ({"agent": "a" * 300}, "agent"),
        ({"version_digest": "sha256:1"}, "version_digest"),
        ({"top_policy_digest": "none"}, "top_policy_digest"),
        ({"answer": "x" * 400}, "answer"),
        ({"draw": 1.0}, "draw"),
        ({"row": -1}, "row"),
        ({"confidence": math.nan}, "finite"),
        ({"features": {str(number): 0.0 for number in range(20)}}, "features"),
    ],
)
def test_a_malformed_audit_is_refused_and_with_it_the_batch(stub, fields, named):
    request = pb.SubmitAuditsRequest(audits=[audit("q-good"), audit(**{"question": "q-bad", **fields})])
    with pytest.raises(grpc.RpcError, match=named) as refused:
        stub.SubmitAudits(request, metadata=JOIN)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    listed = stub.ListAudits(pb.ListAuditsRequest(parent="models/digits", page_size=1000), metadata=OPERATOR).audits
    assert not {"q-good", "q-bad"} & {one.question for one in listed}


def test_what_can_not_be_listed_is_refused(stub):
    for request in (
        pb.ListAuditsRequest(parent="digits"),
        pb.ListAuditsRequest(parent="models/digits", page_size=-1),
        pb.ListAuditsRequest(parent="models/digits", page_token="x"),  # noqa: S106 - a page, not a secret
    ):
        with pytest.raises(grpc.RpcError, match="expected"):
            stub.ListAudits(request, metadata=OPERATOR)


def test_an_interval_holds_the_share_and_of_nothing_is_everything():
    assert interval(0, 0) == (0.0, 1.0)
    low, high = interval(3, 100)
    assert low < 0.03 < high < 0.09
    assert interval(0, 1000)[0] == pytest.approx(0.0, abs=1e-12)
    assert interval(0, 1000)[1] < 0.005
