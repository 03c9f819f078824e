"""What pages do with what comes while they are open: the parts of them that need no browser."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.control_plane.console import learnt
from tests.unit.control_plane.console.markup import Seen
from tests.unit.control_plane.console.open_page import Anything, Part, Parts
from upriver.errors import InvalidInput
from upriver.v1 import audit_pb2, inbox_pb2, policy_pb2, rollout_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.console import rollout_dialogs
from upriver_control.console.drawing import desk
from upriver_control.console.drawing.svg import Markup
from upriver_control.console.pages import inspector, login, policy, tickets
from upriver_control.console.pictures import Pictures
from upriver_control.console.policy_news import Audits, Policies
from upriver_control.console.site import Frame, Site

DIGEST = "sha256:" + "ab" * 32


def test_audits_are_told_by_the_names_of_policies_that_are_known_only_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "ui", Anything())
    parts = Parts()
    page = policy._Page(cast("Frame", parts), "digits", "", -1)
    counted = audit_pb2.AuditSummary(agent="device-1", policy_digest=DIGEST)
    page.show_audits(Audits([], 0, [counted]))
    assert "p-7" not in parts.made[-1].content
    page.show(Policies([policy_pb2.Policy(name="models/digits/policies/p-7", digest=DIGEST)], [], None))
    assert "p-7" in parts.made[-1].content


def test_the_input_of_a_ticket_whose_agent_could_not_be_asked_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    asked: list[bool] = []

    class Inbox:
        async def ListOpenTickets(self, request: inbox_pb2.ListOpenTicketsRequest) -> Any:  # noqa: N802 - its name
            asked.append(request.include_input)
            away = not request.include_input or len([one for one in asked if one]) == 1
            told = learnt.open_ticket(1, problem="device-1 can't be asked" if away else "")
            return inbox_pb2.ListOpenTicketsResponse(tickets=[told])

    async def four() -> list[str]:
        shown = []
        remote = SimpleNamespace(remote=SimpleNamespace(inbox=Inbox()))
        async for inbox in tickets._news(cast("Site", remote), desk.Shelf(), Pictures("/p")):
            shown += [one.problem for one in inbox.tickets.values()]
            now[0] += 10.0
            if len(shown) == 4:
                break
        return shown

    monkeypatch.setattr(tickets, "_LONGEST_S", 0.0)
    monkeypatch.setattr(tickets, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert asyncio.run(four()) == ["device-1 can't be asked", "device-1 can't be asked", "", ""]
    assert asked == [False, True, False, False, True, False], "an input that is there is not asked for again"


def test_a_picture_that_had_to_make_room_is_there_again_while_its_ticket_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    pictures = Pictures("/p", max_bytes=10)

    class Inbox:
        async def ListOpenTickets(self, request: inbox_pb2.ListOpenTicketsRequest) -> Any:  # noqa: N802 - its name
            told = learnt.open_ticket(1)
            told.png = b"one" if request.include_input else b""
            return inbox_pb2.ListOpenTicketsResponse(tickets=[told])

    async def looked() -> list[bool]:
        kept = []
        remote = SimpleNamespace(remote=SimpleNamespace(inbox=Inbox()))
        async for inbox in tickets._news(cast("Site", remote), desk.Shelf(), pictures):
            (shown,) = inbox.tickets.values()
            kept.append(pictures.has(shown.picture))
            if len(kept) == 1:
                pictures.put(b"of another")
            if len(kept) == 3:
                break
            now[0] += 10.0
        return kept

    monkeypatch.setattr(tickets, "_LONGEST_S", 0.0)
    monkeypatch.setattr(tickets, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert asyncio.run(looked()) == [True, False, True]


@pytest.mark.parametrize("refused", [True, False])
def test_an_answer_to_one_dialog_leaves_another_alone_that_was_opened_meanwhile(
    monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    monkeypatch.setattr(rollout_dialogs, "ui", Anything())
    monkeypatch.setattr(rollout_dialogs, "Part", Part)
    calls = Anything()
    dialogs = rollout_dialogs.RolloutDialogs(calls)
    shown = cast("Any", dialogs)
    opened = shown._verbs(rollout_pb2.ROLLOUT_ACTION_CANCEL, "rollouts/2")

    async def slow(_: Any) -> None:
        shown._confirmed = opened
        if refused:
            raise InvalidInput("rollouts/1 is over")

    shown._confirmed = slow
    asyncio.run(shown._submitted(SimpleNamespace(args={})))
    assert shown._confirmed is opened
    assert shown._said.content == ""
    assert shown._dialog.close.called == []


def test_of_answers_to_asking_again_the_newest_stay_in_order_and_pressed_twice_it_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = Parts()
    told = pb.GetTraceResponse(question=pb.Question(trace="ab" * 16))

    class Questions:
        async def AskAgain(self, request: pb.AskAgainRequest, timeout_s: float) -> pb.AskAgainResponse:  # noqa: N802 - its name
            await asyncio.sleep(0 if request.tier != "t3" else 0.01)  # which the others overtake
            return pb.AskAgainResponse(label=f"answer of {request.tier}", answered_by="x")

        async def GetQuestionInput(  # noqa: N802 - its name
            self, request: pb.GetQuestionInputRequest, timeout_s: float
        ) -> pb.GetQuestionInputResponse:
            return pb.GetQuestionInputResponse(source="lesson", label="kept answer")

    site = SimpleNamespace(remote=SimpleNamespace(questions=Questions()))
    page = inspector._Inspector(cast("Site", site), cast("Frame", parts), told, 0)
    page._parts = {"input": cast("Any", parts.part()), "again": cast("Any", parts.part())}

    async def ask() -> None:
        await page._input()
        pressed = [*range(12), 11]
        await asyncio.gather(*(page._ask(f"Tier t{number}", "", f"t{number}") for number in pressed))

    asyncio.run(ask())
    texts = Seen(Markup(parts.made[-1].content)).texts
    assert [text for text in texts if text.startswith("answer of")] == [
        f"answer of t{number}" for number in range(2, 12)
    ]
    assert "kept answer" in texts, "which came with its input"


@pytest.mark.parametrize(("asked", "row"), [("3", 3), ("", 0), ("-1", 0), ("9999999999", 0), ("٣", 0), ("9" * 5000, 0)])
def test_a_row_that_no_question_has_is_the_first(asked: str, row: int) -> None:
    assert inspector.row_of(asked) == row
    pb.GetQuestionInputRequest(row=inspector.row_of(asked))


def test_the_login_says_where_the_token_is_whatever_the_state_folder_is_called() -> None:
    words = " ".join(" ".join(Seen(login.draw("/", False)).texts).split())
    assert "operator-token of the control plane's state folder" in words
    assert "where state.folder names no other" in words
