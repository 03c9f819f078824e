"""To whom lessons go."""

from upriver.discovery.port import AgentRecord
from upriver_agent.handing_up.route import PAST_AGENTS, Route, Way, ways
from upriver_agent.place import Place

TIERS = ("device", "far-edge", "cloud")
PLACE = Place("me", "device", "north", TIERS)


def agent(name, tier, region="north", healthy=True):
    return AgentRecord(name, tier, region, f"{name}:1", 1, {}, 0.0, healthy)


def test_the_next_tier_comes_first_then_the_region_and_the_control_plane_last():
    agents = [
        agent("c", "cloud"), agent("south", "far-edge", "south"), agent("b", "far-edge"), agent("a", "far-edge"),
        agent("me", "device"), agent("peer", "device"), agent("x", "unknown"), agent("0", "far-edge", healthy=False),
    ]  # fmt: skip
    assert [way.name for way in ways(PLACE, agents, ["cp:1"])] == ["a", "b", "0", "south", "c", "control plane cp:1"]


def test_a_way_stays_until_it_fails_and_all_are_tried_before_one_is_tried_again():
    route, found = Route(), [Way(name, name, True) for name in "abc"]
    assert route.choose(found).name == "a"
    route.failed(found[0])
    assert route.choose(found).name == "b"
    route.took(found[1])
    assert route.choose(found).name == "b"  # although a is better
    assert route.choose(found[:1]).name == "a"  # b is gone
    for way in found:
        route.failed(way)
    assert route.choose(found).name == "a"
    assert Route().choose([]) is None


def test_the_control_plane_is_used_only_while_no_agent_takes_any():
    route, found = Route(), [Way("a", "a", True), Way("control plane", "c", False)]
    route.failed(route.choose(found))
    for _ in range(PAST_AGENTS):
        way = route.choose(found)
        assert way.name == "control plane"
        route.took(way)
    assert route.choose(found).name == "a"
    assert route.choose([*found, Way("b", "b", True)]).name == "a"
