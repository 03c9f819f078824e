"""The fleet in tables: desired against reported, in words that are the terminal's."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.console.meshes import HOSTILE, Page
from upriver.v1 import fleet_pb2 as pb
from upriver.v1 import sync_pb2
from upriver_control.console.drawing import fleet as drawing
from upriver_control.console.drawing.choosing import choose
from upriver_control.console.pages import fleet as page

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WORDS = {
    "div", "section", "h2", "h3", "dl", "dt", "dd", "p", "ul", "li", "a", "span", "pre", "code",
    "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def report(**more: object) -> sync_pb2.SlotReport:
    made = sync_pb2.SlotReport(
        model="digits", state=sync_pb2.SLOT_STATE_ACTIVE, active={"version": "models/digits/versions/v3"},
        counters={"rows": 1200, "escalated_rows": 300, "failures": 2, "latency_buckets": {40: 95, 48: 5}},
    )  # fmt: skip
    made.active_for.seconds = 7200
    made.MergeFrom(sync_pb2.SlotReport(**more))
    return made


def slot(difference: str = "", **more: object) -> pb.AgentSlot:
    made = pb.AgentSlot(
        model="digits", desired={"version": "models/digits/versions/v4"}, rollout="rollouts/digits-1",
        difference=difference, reported=report(**more),
    )  # fmt: skip
    made.different_for.seconds = 300 if difference else 0
    return made


def agent(name: str, *slots: pb.AgentSlot, connected: bool = True) -> pb.Agent:
    return pb.Agent(
        name=f"agents/{name}", tier="device", region="eu", connected=connected, slots=slots, load=0.5,
        in_sync=not any(one.difference for one in slots), program_version="0.1.0",
    )  # fmt: skip


@settings(max_examples=40)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.integers(-(2**62), 2**62))
def test_whatever_names_say_the_pages_are_tables(name: str, model: str, why: str, version: str, seconds: int) -> None:
    odd = slot(why, reason=why, active={"version": version}, monitor={"note": why, "warnings": [why]})
    odd.model, odd.needs, odd.stale, odd.rollout = model, why, why, version
    odd.reported.monitor.alarm_time.seconds = seconds
    one = agent(name, odd)
    one.last_seen_time.seconds, one.labels[model], one.address = seconds, why, why
    drawn = [*page.draw_one(one, NOW), drawing.differing([one], 1), drawing.listing([one], 1), drawing.ways(name)]
    for markup in (*drawn, choose("/fleet", why)):
        assert Page(markup).names <= {*WORDS, "form", "label", "input", "button"}
    hrefs = [href for markup in drawn for href in Page(markup).attributes("href")]
    assert all(href.startswith(("/fleet", "/models/", "/questions?agent=")) for href in hrefs)


def test_a_slot_that_differs_says_what_runs_instead_why_since_when_and_what_it_needs() -> None:
    odd = slot("it runs v3: its files are being fetched")
    odd.needs = "room on its disk"
    said = Page(drawing.differing([agent("till-17", odd, slot())], 1)).texts
    for words in ("till-17", "digits v4", "v3", "it runs v3: its files are being fetched", "5 min", "room on its disk"):
        assert words in said
    assert said.count("digits v4") == 1  # the slot that is as desired is not among them


def test_a_fleet_that_is_as_desired_says_so() -> None:
    assert Page(drawing.differing([], 0)).texts == ["Every agent runs what it should."]


def test_agents_are_listed_with_the_way_to_the_next_ones() -> None:
    last = "b"
    answer = pb.ListAgentsResponse(agents=[agent("a"), agent("b", connected=False)], total_size=7, next_page_token=last)
    _, everyone = page.draw((pb.ListAgentsResponse(), answer), "tier=device,region=eu")
    tree = Page(everyone)
    assert "Agents by id: 2 of 7 agents" in tree.texts
    assert tree.attributes("href") == ["/fleet/a", "/fleet/b", "/fleet?selector=tier%3Ddevice%2Cregion%3Deu&after=b"]
    assert any(words.startswith("not connected, last seen ") for words in tree.texts)
    _, others = page.draw((pb.ListAgentsResponse(), pb.ListAgentsResponse(total_size=7)), "", "b")
    assert Page(others).attributes("href") == ["/fleet"]


def test_counters_have_units_and_the_time_that_they_are_over() -> None:
    said = Page(drawing.slots(agent("a", slot()))).texts
    for words in ("Counted since v3 became active 2 h ago", "1,200", "300 (25 %)", "2", "1.22 ms", "none"):
        assert words in said
    empty = pb.AgentSlot(model="digits", difference="it runs nothing: it has been told, and has not begun")
    assert "Nothing answers there." in Page(drawing.slots(agent("a", empty))).texts


def test_an_alarm_a_failure_and_a_stale_certificate_are_said_at_the_top() -> None:
    failed = slot("it runs v3", failure=sync_pb2.FAILURE_SELF_TEST, reason="it crashed", monitor={"watched": True})
    failed.reported.monitor.alarm_time.seconds = 1772600767
    failed.stale = "the top runs v9"
    one = agent("a", failed)
    said = Page(drawing.remarks(one)).texts
    assert said == [
        "digits: ALARM since 2026-03-04T05:06:07Z; 0 of 0 audits differ; everything goes up",
        "digits: self-test: it crashed",
        "digits: its certificate is stale: the top runs v9",
    ]
    assert "ALARM digits" in Page(drawing.state(one)).texts


def test_an_agent_without_slots_says_what_brings_it_a_version() -> None:
    assert "upriver rollout start MODEL/VERSION --selector agent=a" in drawing.slots(agent("a"))


def test_a_connected_agent_says_when_it_told_of_itself_last() -> None:
    one = agent("a")
    one.last_seen_time.FromDatetime(datetime(2026, 3, 4, 5, 5, 52, tzinfo=UTC))
    said = Page(drawing.about(one, NOW)).texts
    assert said[said.index("Last status") + 1] == "15 s ago"
    one.connected = False
    assert "Last status" not in Page(drawing.about(one, NOW)).texts
