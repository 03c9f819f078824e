"""The mesh as a picture and in words: nothing is lost, nothing gets out of its place, whatever names say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.console.meshes import Page, agent, mesh, meshes
from upriver.v1 import mesh_pb2 as pb
from upriver_control.console.drawing import mesh as drawing
from upriver_control.console.drawing import mesh_words
from upriver_control.console.drawing.mesh_layout import MAX_NODES, edges, lay_out, natural, nodes

PICTURE = {"svg", "title", "g", "path", "circle", "text"}
WORDS = {
    "div", "dl", "dt", "dd", "p", "h2", "ul", "li", "a", "span", "table", "caption", "thead", "tbody", "tr", "th",
    "td", "pre", "code",
}  # fmt: skip
WIDTHS = st.sampled_from([340.0, 1080.0])


def edge(source: str, target: str, escalations: int, failed: int = 0) -> pb.MeshEdge:
    return pb.MeshEdge(from_agent=source, to_agent=target, escalations=escalations, failed=failed)


@settings(max_examples=40)
@given(meshes(), WIDTHS)
def test_whatever_names_say_the_picture_is_a_picture(told: pb.WatchMeshResponse, width: float) -> None:
    tree = Page(drawing.draw(told, width))
    assert tree.names <= PICTURE
    assert all(href.startswith("/fleet") and not href.startswith("//") for href in tree.attributes("data-href"))


@settings(max_examples=40)
@given(meshes())
def test_whatever_names_say_the_words_are_words(told: pb.WatchMeshResponse) -> None:
    for drawn in (mesh_words.summary(told), mesh_words.legend(told), mesh_words.rows(told)):
        tree = Page(drawn)
        assert tree.names <= WORDS
        assert all(href.startswith(("/fleet/", "/questions?agent=")) for href in tree.attributes("href"))


@settings(max_examples=40)
@given(meshes(), WIDTHS)
def test_nothing_is_drawn_beside_the_picture(told: pb.WatchMeshResponse, width: float) -> None:
    layout = lay_out(told, width)
    assert all(0 <= spot.x <= width and 0 <= spot.y <= layout.height for spot in layout.spots)
    assert sum(band.agents for band in layout.bands) == len(told.agents)


@settings(max_examples=40)
@given(meshes(), WIDTHS)
def test_every_escalation_is_in_a_line_or_among_those_that_are_not_shown(
    told: pb.WatchMeshResponse, width: float
) -> None:
    layout = lay_out(told, width)
    drawn = sum(edge.escalations for edge in layout.edges)
    assert drawn + layout.strangers == sum(edge.escalations for edge in told.edges)


@pytest.mark.parametrize("width", [340, 1080])
def test_what_is_wrong_is_said_in_the_picture_and_not_by_colour_alone(width: int) -> None:
    told = mesh(
        agent("device-1", connected=False),
        agent("device-2", alarms=["digits"]),
        agent("device-3", in_sync=False),
        agent("far-1", "far-edge", load=0.97),
    )
    said = Page(drawing.draw(told, width)).texts
    for words in ("not connected", "ALARM digits", "not as desired", "busy: 97% taken"):
        assert words in said


def test_what_needs_a_look_is_named_first_the_worst_before_the_others() -> None:
    told = mesh(
        agent("device-1"),
        agent("device-2", in_sync=False),
        agent("device-10", connected=False),
        agent("device-9", alarms=["digits"]),
    )
    tree = Page(mesh_words.summary(told))
    assert "3 agents need a look" in tree.texts
    assert tree.attributes("href") == ["/fleet/device-9", "/fleet/device-10", "/fleet/device-2"]
    assert "Nothing is degraded, and no alarm rings." in Page(mesh_words.summary(mesh(agent("device-1")))).texts


def test_each_agent_has_a_row_that_leads_to_its_page_and_its_questions() -> None:
    told = mesh(agent("device 1/a"), agent("cloud-1", "cloud"), edges=(edge("device 1/a", "cloud-1", 42, 3),))
    tree = Page(mesh_words.rows(told))
    assert tree.attributes("href") == [
        "/fleet/device%201%2Fa", "/questions?agent=device%201%2Fa", "/fleet/cloud-1", "/questions?agent=cloud-1",
    ]  # fmt: skip
    said = tree.texts
    for words in ("25 %", "12/s", "8 ms", "digits v3", "cloud-1 42 (3 failed)", "nobody", "well"):
        assert words in said


def test_of_an_agent_that_is_gone_or_sends_no_spans_no_number_is_made_up() -> None:
    said = Page(mesh_words.rows(mesh(agent("device-1", connected=False, sends_spans=False, p95=None)))).texts
    assert "12/s" not in said
    assert "25 %" not in said
    assert "not known: it sends no spans" in said


def test_a_line_is_as_wide_as_its_escalations_and_seen_when_there_are_few() -> None:
    assert drawing.thickness(600, 600) == 12.0
    assert drawing.thickness(300, 600) == 6.0
    assert drawing.thickness(1, 600) == drawing.thickness(0, 0) == 1.25
    assert drawing.thickness(5, 5) == 1.25  # few of few are still few


def test_a_line_says_how_much_and_that_some_failed() -> None:
    told = mesh(agent("device-1"), agent("cloud-1", "cloud"), edges=(edge("device-1", "cloud-1", 40, 7),))
    tree = Page(drawing.draw(told, 1080))
    assert "40/min, 7 failed" in tree.texts
    assert "device-1 to cloud-1: 40 escalations, 7 failed in the last minute" in tree.texts
    assert tree.attributes("data-from") == ["device-1"]
    assert tree.attributes("data-to") == ["cloud-1"]


def test_a_tier_of_many_is_drawn_by_region_and_its_lines_are_added_up() -> None:
    many = [agent(f"d{number}", region=f"r{number % 3}", connected=number != 4) for number in range(MAX_NODES + 1)]
    calls = tuple(edge(one.agent, "cloud-1", 2) for one in many)
    told = mesh(*many, agent("cloud-1", "cloud"), edges=calls)
    layout = lay_out(told, 1080)
    assert [spot.node.label for spot in layout.spots] == ["r0", "r1", "r2", "cloud-1"]
    assert sum(one.escalations for one in layout.edges) == 2 * len(many)
    tree = Page(drawing.draw(told, 1080))
    assert "1 not connected" in tree.texts
    assert "/fleet?selector=tier%3Ddevice%2Cregion%3Dr1" in tree.attributes("data-href")
    assert len(Page(mesh_words.rows(told)).attributes("data-key")) == len(many) + 1


def test_a_tier_never_has_more_nodes_than_can_be_seen() -> None:
    many = [agent(f"d{number}", region=f"r{number}") for number in range(5 * MAX_NODES)]
    found = nodes("device", many)
    assert len(found) == MAX_NODES
    assert found[-1].label == f"{4 * MAX_NODES + 1} more regions"
    assert sum(len(node.agents) for node in found) == len(many)


def test_a_table_of_very_many_says_how_many_it_leaves_out() -> None:
    many = [agent(f"d{number}") for number in range(mesh_words.MAX_ROWS + 7)]
    assert "7 more agents; choose a tier or a region to see them." in Page(mesh_words.rows(mesh(*many))).texts


def test_agents_that_are_not_shown_and_agents_without_spans_are_told_of() -> None:
    told = mesh(agent("device-1", sends_spans=False), edges=(edge("device-1", "gone", 5),))
    (said,) = Page(mesh_words.legend(told)).texts
    assert "there were none" in said
    assert "5 escalations went from or to agents that are not shown here" in said
    assert "without lines: 1 of those connected" in said


def test_what_the_service_knows_to_be_missing_is_said() -> None:
    told = mesh(agent("device-1"))
    told.missing.append("who asks whom, which can't be read")
    assert "Missing: who asks whom, which can't be read" in Page(mesh_words.summary(told)).texts


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_names_have_an_order(some: list[str]) -> None:
    assert len(sorted(some, key=natural)) == len(some)


def test_names_are_ordered_by_their_numbers() -> None:
    assert sorted(["device-10", "device-2", "cloud"], key=natural) == ["cloud", "device-2", "device-10"]


def test_lines_between_the_same_two_groups_are_one() -> None:
    shown = [*nodes("device", [agent("a"), agent("b")]), *nodes("cloud", [agent("c", "cloud")])]
    found, strangers = edges([edge("a", "c", 1), edge("a", "c", 2, 1), edge("b", "c", 4)], shown)
    assert [(one.source, one.target, one.escalations, one.failed) for one in found] == [(0, 2, 3, 1), (1, 2, 4, 0)]
    assert strangers == 0


def test_without_agents_the_page_says_what_brings_one() -> None:
    assert "upriver-control join" in mesh_words.empty("")
    assert "No agent matches tier=x." in mesh_words.empty("tier=x")
