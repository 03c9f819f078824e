"""Whom to ask: always the nearest tier, then the own region, then whoever is less busy."""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from upriver.discovery.port import AgentRecord, ServedModel
from upriver.parameters import PROTOCOL, Mode, Reason
from upriver_agent.balance import MAX_PER_TIER, NOBODY, Avoid, candidates, obstacle, peers
from upriver_agent.envelope import DEFAULT_OPTIONS, CallerOptions
from upriver_agent.place import Place

TIERS = ("device", "far-edge", "near-edge", "cloud")
ME = Place("me", "device", "here", TIERS)
DIGITS = {"digits": ServedModel("1", "sha256:00")}
OTHERS = {"faces": ServedModel("1", "sha256:01")}

records = st.builds(
    AgentRecord,
    agent=st.sampled_from([*(f"agent-{number}" for number in range(20)), "me"]),
    tier=st.sampled_from([*TIERS, "elsewhere"]),
    region=st.sampled_from(["here", "there"]),
    address=st.just("127.0.0.1:1"),
    protocol=st.sampled_from([PROTOCOL - 1, PROTOCOL, PROTOCOL + 1]),
    models=st.sampled_from([{}, DIGITS, OTHERS]),
    load=st.just(0.0),
    healthy=st.booleans(),
)
meshes = st.lists(records, max_size=20, unique_by=lambda record: record.agent)
modes = st.sampled_from([Mode.AUTO, Mode.TOP])


def asked(
    agents: list[AgentRecord],
    options: CallerOptions = DEFAULT_OPTIONS,
    busy: dict[str, int] | None = None,
    chance: Random | None = None,
    escalate_to: str = "",
) -> list[AgentRecord]:
    outstanding = busy or {}
    pick = (chance or Random(1)).randrange  # noqa: S311 - chance for balance, not for secrets
    order = candidates(
        agents, ME, "digits", options, (), NOBODY, lambda agent: outstanding.get(agent, 0), pick, escalate_to
    )
    return list(order)


def upstream(agent: str, tier: str = "cloud", region: str = "here") -> AgentRecord:
    return AgentRecord(agent, tier, region, "127.0.0.1:1", PROTOCOL, DIGITS, 0.0)


@given(meshes, modes, st.booleans(), st.randoms(use_true_random=False))
def test_tiers_then_regions_are_asked_in_order_and_nobody_twice(
    agents: list[AgentRecord], mode: Mode, region_only: bool, chance: Random
) -> None:
    order = asked(agents, CallerOptions(mode=mode, region_only=region_only), chance=chance)
    ranks = [TIERS.index(record.tier) * (-1 if mode is Mode.TOP else 1) for record in order]
    keys = [(rank, record.region != "here") for rank, record in zip(ranks, order, strict=True)]
    assert keys == sorted(keys)
    assert len({record.agent for record in order}) == len(order)
    assert all(count <= MAX_PER_TIER for count in Counter(record.tier for record in order).values())
    if region_only:
        assert all(record.region == "here" for record in order)


@given(meshes, modes)
def test_only_healthy_agents_above_that_can_answer_are_asked(agents: list[AgentRecord], mode: Mode) -> None:
    able = {
        record.agent
        for record in agents
        if record.healthy
        and record.tier in TIERS[1:]
        and record.protocol >= PROTOCOL
        and record.models != OTHERS
        and record.agent != "me"
    }
    order = asked(agents, CallerOptions(mode=mode))
    assert {record.agent for record in order} <= able
    assert bool(order) == bool(able)
    assert (obstacle(agents, ME, "digits", DEFAULT_OPTIONS) is None) == bool(able)


@given(meshes, st.builds(CallerOptions, mode=modes, region_only=st.booleans()), st.data())
def test_the_obstacle_says_why_nobody_is_asked(
    agents: list[AgentRecord], options: CallerOptions, data: st.DataObject
) -> None:
    ids = st.lists(st.sampled_from([f"agent-{number}" for number in range(20)]))
    visited, avoid = data.draw(ids), data.draw(st.builds(Avoid, *[ids.map(frozenset)] * 3))
    order = list(candidates(agents, ME, "digits", options, visited, avoid, lambda agent: 0, lambda count: 0))
    reason = obstacle(agents, ME, "digits", options, visited, avoid)
    assert not {record.agent for record in order} & (avoid.broken | avoid.full)
    ejected = [record.agent in avoid.ejected for record in order]
    assert ejected == sorted(ejected)
    assert (reason is None) == bool(order)
    if reason is Reason.REGION:
        assert options.region_only
    if reason is Reason.BREAKER_OPEN:
        assert avoid.broken
    if reason is Reason.UPSTREAM_FULL:
        assert avoid.full


def test_the_peers_of_an_upstream_are_the_healthy_ones_of_its_tier() -> None:
    dead = replace(upstream("dead"), healthy=False)
    agents = [upstream("a"), upstream("b"), dead, upstream("c", tier="near-edge")]
    assert [record.agent for record in peers(agents, agents[0])] == ["a", "b"]


def test_of_two_the_less_busy_is_asked_first() -> None:
    agents = [upstream("a"), upstream("b")]
    for seed in range(20):
        chance = Random(seed)  # noqa: S311 - chance for balance, not for secrets
        assert [record.agent for record in asked(agents, busy={"a": 3, "b": 1}, chance=chance)] == ["b", "a"]


@given(st.integers(3, 12), st.randoms(use_true_random=False))
def test_of_many_the_busiest_is_never_asked_first(count: int, chance: Random) -> None:
    agents = [upstream(f"agent-{number}") for number in range(count)]
    busy = {f"agent-{number}": number for number in range(count)}
    assert asked(agents, busy=busy, chance=chance)[0].agent != f"agent-{count - 1}"


def test_equally_busy_upstreams_share_the_questions() -> None:
    agents = [upstream(f"agent-{number}") for number in range(4)]
    chance = Random(7)  # noqa: S311 - chance for balance, not for secrets
    first = Counter(asked(agents, chance=chance)[0].agent for _ in range(2000))
    assert len(first) == 4
    assert max(first.values()) < 2 * min(first.values())


@given(meshes, st.sampled_from(TIERS[1:]), st.booleans())
def test_a_policy_that_skips_tiers_has_those_above_asked_first_and_then_the_skipped_from_the_highest_down(
    agents: list[AgentRecord], escalate_to: str, region_only: bool
) -> None:
    options = CallerOptions(region_only=region_only)
    order = asked(agents, options, escalate_to=escalate_to)
    assert {record.agent for record in order} == {record.agent for record in asked(agents, options)}
    lowest = TIERS.index(escalate_to)
    ranks = [TIERS.index(record.tier) for record in order]
    keys = [(rank < lowest, rank if rank >= lowest else -rank) for rank in ranks]
    assert keys == sorted(keys)


def test_a_skipped_tier_is_asked_when_the_caller_allows_no_higher_one() -> None:
    agents = [upstream("a", "far-edge"), upstream("b", "near-edge"), upstream("c")]
    order = asked(agents, CallerOptions(max_tier="far-edge"), escalate_to="cloud")
    assert [record.agent for record in order] == ["a"]


def test_a_tier_to_escalate_to_that_is_not_above_counts_as_none() -> None:
    agents = [upstream("a", "far-edge"), upstream("b", "near-edge"), upstream("c")]
    for unknown in ("", "device", "basement"):
        assert [record.agent for record in asked(agents, escalate_to=unknown)] == ["a", "b", "c"]


def test_a_policy_that_names_no_tier_above_is_told_with_those_that_are() -> None:
    assert ME.skip_problem("") == ME.skip_problem("cloud") == ""
    assert "expected a tier above 'device' (far-edge, near-edge, cloud)" in ME.skip_problem("basement")
    assert "none, this is the top" in Place("top", "cloud", "here", TIERS).skip_problem("cloud")


def test_a_record_of_the_caller_is_left_as_it_was() -> None:
    agents = [upstream("a"), upstream("b"), upstream("c", tier="far-edge")]
    before = list(agents)
    asked(agents)
    assert agents == before
