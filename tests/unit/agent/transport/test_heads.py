"""HeadService over a real learner: what it tells, what it does, and to whom."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest

from tests.unit.agent.learning.world import MODEL, World
from upriver.cli.head_tables import heads_document, print_heads
from upriver.v1 import head_pb2 as pb
from upriver_agent.transport.heads import HeadServicer


class Refused(Exception):
    """What a call ended with."""


class Caller:
    """A call's context: who calls, and how it ended."""

    def __init__(self, proven: bool = True) -> None:
        self.proven = proven

    def peer_identities(self) -> list[bytes] | None:
        return [b"somebody"] if self.proven else None

    def set_trailing_metadata(self, metadata: Any) -> None:
        """What a program reads of the refusal."""

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        raise Refused(code, message)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def service(world: World, off: str = "") -> HeadServicer:
    return HeadServicer(world.learner, lambda: [MODEL], off, "authenticated", nullcontext)


def test_it_tells_of_every_head_that_was_tried(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.learn()
    found = service(world).list_heads(pb.ListHeadsRequest(), Caller())
    (told,) = heads_document(found)["models"]
    assert (told["lessons"], told["held_out"], told["attempts"], told["held"]) == (60, 260, 1, False)
    (trial,) = told["trials"]
    assert trial["answers"]
    assert trial["promoted"]
    assert trial["head"] == world.answering.policy.document.head
    assert trial["threshold"] == world.answering.policy.threshold
    print_heads(found)
    printed = capsys.readouterr().out
    assert "60 lessons, 260 questions held out, 1 attempts" in printed
    assert "answers" in printed


def test_it_has_heads_go_back_and_learning_stand_still_and_go_on(world: World) -> None:
    world.learn()
    heads = service(world)
    heads.revert_head(pb.RevertHeadRequest(model=MODEL), Caller())
    assert not world.learnt
    (told,) = heads.list_heads(pb.ListHeadsRequest(model=MODEL), Caller()).models
    assert told.held
    assert told.ended == "an operator wants it so"
    heads.hold_learning(pb.HoldLearningRequest(model=MODEL, resume=True), Caller())
    assert not heads.list_heads(pb.ListHeadsRequest(), Caller()).models[0].held


@pytest.mark.parametrize(
    "call",
    [
        lambda heads, context: heads.list_heads(pb.ListHeadsRequest(), context),
        lambda heads, context: heads.revert_head(pb.RevertHeadRequest(model=MODEL), context),
        lambda heads, context: heads.hold_learning(pb.HoldLearningRequest(model=MODEL), context),
    ],
)
def test_strangers_are_refused_and_where_nothing_is_learnt_all_are(
    world: World, call: Callable[[HeadServicer, Caller], object]
) -> None:
    with pytest.raises(Refused, match=r"learning\.access"):
        call(service(world), Caller(proven=False))
    with pytest.raises(Refused, match="this agent learns no heads: it is the top"):
        call(service(world, off="it is the top"), Caller())


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT),
        ("stranger", grpc.StatusCode.NOT_FOUND),
        (MODEL, grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_what_can_not_go_back_is_refused_with_the_reason(world: World, model: str, code: grpc.StatusCode) -> None:
    with pytest.raises(Refused) as refused:
        service(world).revert_head(pb.RevertHeadRequest(model=model), Caller())
    assert refused.value.args[0] is code
