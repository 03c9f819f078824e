"""What the footer's page says of the store of spans."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.console.meshes import HOSTILE, Page
from upriver.v1 import fleet_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.console.drawing import about as drawing

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def store(**more: object) -> list[str]:
    return Page(drawing.store(pb.GetSpanStoreResponse(**more), NOW)).texts


def test_a_store_says_how_full_and_how_old_it_is() -> None:
    told = pb.GetSpanStoreResponse(spans=1_234, bytes=3 << 20, max_bytes=2 << 30)
    told.oldest_time.FromDatetime(datetime(2026, 3, 4, 3, 6, 7, tzinfo=UTC))
    said = Page(drawing.store(told, NOW)).texts
    for words in ("1,234 spans", "3 MiB of 2 GiB, 0.1 %", "2026-03-04 03:06:07 UTC, 2 h ago"):
        assert words in said


def test_what_came_again_and_what_was_refused_is_told_apart() -> None:
    said = store(spans=1, received=10, duplicates=2, rejected=3, refused=4)
    assert [said[said.index(what) + 1] for what in ("Came and were kept", "Came again", "Refused for good")] == [
        "10 spans", "2 spans", "3 spans",
    ]  # fmt: skip
    assert said[said.index("Told to come again") + 1] == "4 calls"
    assert "Refused for good are spans with wrong ids or more than 64 KiB." in said


def test_trouble_is_an_alert() -> None:
    drawn = Page(drawing.store(pb.GetSpanStoreResponse(trouble="the disk is full"), NOW))
    assert "the disk is full" in drawn.texts
    assert "alert" in drawn.attributes("role")


def test_pages_say_what_is_missing_while_nothing_can_be_kept_and_nothing_else() -> None:
    drawn = Page(drawing.missing(pb.GetSpanStoreResponse(trouble="the disk is full")))
    assert "No spans can be kept: the disk is full." in drawn.texts
    assert "alert" in drawn.attributes("role")
    assert drawing.missing(pb.GetSpanStoreResponse(spans=3)) == ""


def test_an_empty_store_says_what_fills_it() -> None:
    assert "No span has come yet: ask an agent something that it is not sure of." in store()


def test_forwarding_tells_what_waits_and_what_was_lost() -> None:
    said = store(forward="http://tempo:4317", forward_lag=12, forward_lost=5)
    for words in ("http://tempo:4317", "12 spans", "5 spans since this process began"):
        assert words in said
    assert "Nowhere: spans.forward is not set." in store()


def test_agents_without_spans_are_named_and_lead_to_their_pages() -> None:
    drawn = Page(drawing.store(pb.GetSpanStoreResponse(silent_agents=["till-1", "till/2"]), NOW))
    assert drawn.attributes("href") == ["/fleet/till-1", "/fleet/till%2F2"]
    assert "None: of every agent that was asked something there are some." in store()


def test_versions_of_programs_are_counted() -> None:
    agents = [fleet_pb2.Agent(program_version=version) for version in ("0.2.0", "0.1.0", "0.2.0", "")]
    said = Page(drawing.programs("0.2.0", agents, 9)).texts
    assert "0.2.0 (2), 0.1.0 (1), not told (1)" in said
    assert "Agents, the first 4 of 9" in said
    assert "none has joined" in Page(drawing.programs("0.2.0", [], 0)).texts


@given(st.lists(HOSTILE, max_size=3), HOSTILE, HOSTILE)
def test_whatever_names_say_the_page_is_words(agents: list[str], trouble: str, forward: str) -> None:
    told = pb.GetSpanStoreResponse(silent_agents=agents, trouble=trouble, forward=forward)
    drawn = [
        Page(drawing.store(told, NOW)),
        Page(drawing.programs(forward, [fleet_pb2.Agent(program_version=trouble)], 1)),
    ]
    for page in drawn:
        assert page.names <= {"div", "section", "h2", "dl", "dt", "dd", "p", "ul", "li", "a"}
        assert all(href.startswith("/fleet/") for href in page.attributes("href"))
