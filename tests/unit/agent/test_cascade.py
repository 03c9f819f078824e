"""The decision: what ends where, why, and that no mesh, however forged, keeps a question for ever."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from upriver.discovery.port import AgentRecord
from upriver.errors import DeadlineExpired, InvalidInput, QueueFull, Unreachable, UpriverError
from upriver.parameters import DEGRADED_REASONS, PROTOCOL, Mode, Reason
from upriver_agent.balance import Avoid, candidates
from upriver_agent.cascade import LOCAL_ONE, Decision, Upward, decide, decide_alone, failed_escalation, stay
from upriver_agent.envelope import (
    DEFAULT_OPTIONS,
    MAX_VISITED,
    CallerOptions,
    Envelope,
    first_envelope,
    next_envelope,
)
from upriver_agent.place import Place

TIERS = ("device", "far-edge", "near-edge", "cloud")
MODEL = "digits"


def record(agent: str, tier: str, region: str = "here", healthy: bool = True) -> AgentRecord:
    return AgentRecord(agent, tier, region, "127.0.0.1:1", PROTOCOL, {}, 0.0, healthy)


LADDER = tuple(record(f"{tier}-1", tier) for tier in TIERS)
OPEN = Upward(agents=LADDER, avoid=Avoid(), time_left_s=None, reserve_s=0.02, row_bytes=100)
FRESH = first_envelope("q", "device-1", max_hops=8, byte_budget=None)


def at(tier: str, tiers: tuple[str, ...] = TIERS) -> Place:
    return Place(f"{tier}-1", tier, "here", tiers)


def decided(
    confidence: list[float],
    threshold: float = 0.9,
    options: CallerOptions = DEFAULT_OPTIONS,
    envelope: Envelope = FRESH,
    place: Place | None = None,
    upward: Upward = OPEN,
) -> Decision:
    return decide(np.array(confidence), threshold, options, envelope, place or at("device"), MODEL, upward)


confidences = st.lists(st.floats(max_value=1e6, allow_nan=False), min_size=1, max_size=8)
thresholds = st.floats(allow_nan=False)
places = st.sampled_from(TIERS).map(at)
options = st.builds(
    CallerOptions,
    mode=st.sampled_from(Mode),
    max_tier=st.none() | st.sampled_from(TIERS),
    region_only=st.booleans(),
)
envelopes = st.builds(
    Envelope,
    question=st.just("q"),
    touch_point=st.just("device-1"),
    visited=st.lists(st.sampled_from(["device-1", *(f"agent-{number}" for number in range(6))]), max_size=3).map(tuple),
    hops_left=st.integers(0, 8),
    byte_budget=st.none() | st.integers(0, 1000),
)
records = st.builds(
    record,
    st.sampled_from([f"agent-{number}" for number in range(6)]),
    st.sampled_from([*TIERS, "elsewhere"]),
    st.sampled_from(["here", "there"]),
    st.booleans(),
)
upwards = st.builds(
    Upward,
    agents=st.lists(records, max_size=6, unique_by=lambda entry: entry.agent),
    avoid=st.builds(
        Avoid,
        st.frozensets(st.sampled_from(["agent-0", "agent-1"])),
        st.frozensets(st.sampled_from(["agent-1", "agent-2"])),
        st.frozensets(st.sampled_from(["agent-2", "agent-3"])),
    ),
    time_left_s=st.none() | st.floats(-1, 10),
    reserve_s=st.floats(0.001, 1),
    row_bytes=st.integers(0, 1000),
)
situations = st.tuples(confidences, thresholds, options, envelopes, places, upwards)
Situation = tuple[list[float], float, CallerOptions, Envelope, Place, Upward]


@given(situations)
def test_every_row_either_ends_here_with_a_reason_or_goes_up(situation: Situation) -> None:
    decision = decided(*situation)
    rows = len(situation[0])
    assert len(decision.reasons) == len(decision.resolved) == rows
    ended = [row for row in range(rows) if decision.reasons[row] is not None]
    assert sorted([*ended, *decision.escalate.tolist()]) == list(range(rows))
    assert decision.escalate.tolist() == sorted(decision.escalate.tolist())


@given(situations)
def test_a_row_that_passed_is_not_sent_up_and_one_that_failed_is_not_resolved(situation: Situation) -> None:
    confidence, threshold, wanted, *_ = situation
    decision = decided(*situation)
    passed = [value >= threshold and value > -math.inf for value in confidence]
    assert decision.resolved.tolist() == passed
    for row in decision.escalate.tolist():
        assert not passed[row] or wanted.mode is Mode.TOP
    for row, reason in enumerate(decision.reasons):
        if reason is Reason.CONFIDENT:
            assert passed[row]
        if wanted.mode is Mode.AUTO and passed[row]:
            assert reason is Reason.CONFIDENT


@given(situations)
def test_what_goes_up_has_an_upstream_of_a_higher_allowed_tier_to_go_to(situation: Situation) -> None:
    *_, wanted, envelope, place, upward = situation
    decision = decided(*situation)
    upstreams = list(
        candidates(
            upward.agents, place, MODEL, wanted, envelope.visited, upward.avoid, lambda agent: 0, lambda count: 0
        )
    )
    for upstream in upstreams:
        assert TIERS.index(upstream.tier) > place.rank
        assert wanted.max_tier is None or TIERS.index(upstream.tier) <= TIERS.index(wanted.max_tier)
        assert upstream.region == place.region or not wanted.region_only
        assert upstream.healthy
        assert upstream.agent not in {*envelope.visited, *upward.avoid.broken, *upward.avoid.full}
    if len(decision.escalate):
        assert upstreams


@given(situations, thresholds)
def test_a_higher_threshold_never_sends_fewer_rows_up(situation: Situation, other: float) -> None:
    confidence, threshold, wanted, envelope, place, upward = situation
    envelope = replace(envelope, byte_budget=None)  # a budget may allow few rows and forbid many
    low, high = sorted([threshold, other])
    fewer = decided(confidence, low, wanted, envelope, place, upward).escalate.tolist()
    more = decided(confidence, high, wanted, envelope, place, upward).escalate.tolist()
    assert set(fewer) <= set(more)


@given(confidences, thresholds, options, places, upwards)
def test_the_short_way_decides_as_the_long_one(
    confidence: list[float], threshold: float, wanted: CallerOptions, place: Place, upward: Upward
) -> None:
    short = decide_alone(np.array(confidence), threshold, wanted)
    if short is None:
        return
    long = decided(confidence, threshold, wanted, FRESH, place, upward)
    assert short.reasons == long.reasons
    assert short.resolved.tolist() == long.resolved.tolist()
    assert not len(short.escalate)
    assert not len(long.escalate)


def test_one_confident_row_costs_no_new_objects_and_can_not_be_changed() -> None:
    assert decide_alone(np.array([0.9]), 0.9, DEFAULT_OPTIONS) is LOCAL_ONE
    assert decide_alone(np.array([0.89]), 0.9, DEFAULT_OPTIONS) is None
    with pytest.raises(ValueError, match="read-only"):
        LOCAL_ONE.resolved[0] = False


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_never_confident_fails_every_threshold(value: float) -> None:
    for confidence in ([value], [value, value]):
        assert decide_alone(np.array(confidence), -math.inf, DEFAULT_OPTIONS) is None
        decision = decided(confidence, -math.inf)
        assert decision.escalate.tolist() == list(range(len(confidence)))
        assert not decision.resolved.any()


ABOVE_MAX = CallerOptions(max_tier="device")
HERE = CallerOptions(region_only=True)
LATE = replace(OPEN, time_left_s=0.02)
NOBODY = replace(OPEN, agents=())
ABROAD = replace(OPEN, agents=(record("cloud-9", "cloud", region="there"),))
IDS = frozenset(entry.agent for entry in LADDER)
BROKEN = replace(OPEN, avoid=Avoid(broken=IDS))
FULL = replace(OPEN, avoid=Avoid(broken=frozenset({"cloud-1"}), full=IDS - {"cloud-1"}))


@pytest.mark.parametrize(
    ("reason", "wanted", "envelope", "place", "upward"),
    [
        (Reason.MODE, CallerOptions(mode=Mode.LOCAL), FRESH, at("device"), OPEN),
        (Reason.TOP, DEFAULT_OPTIONS, FRESH, at("cloud"), OPEN),
        (Reason.TOP, DEFAULT_OPTIONS, FRESH, at("device", ("device",)), OPEN),
        (Reason.MAX_TIER, ABOVE_MAX, FRESH, at("device"), OPEN),
        (Reason.MAX_TIER, ABOVE_MAX, FRESH, at("near-edge"), OPEN),
        (Reason.HOPS, DEFAULT_OPTIONS, replace(FRESH, hops_left=0), at("device"), OPEN),
        (Reason.HOPS, DEFAULT_OPTIONS, replace(FRESH, visited=("device-1",)), at("device"), OPEN),
        (Reason.HOPS, DEFAULT_OPTIONS, replace(FRESH, visited=("x",) * MAX_VISITED), at("device"), OPEN),
        (Reason.DEADLINE, DEFAULT_OPTIONS, FRESH, at("device"), LATE),
        (Reason.BYTE_BUDGET, DEFAULT_OPTIONS, replace(FRESH, byte_budget=99), at("device"), OPEN),
        (Reason.UPSTREAM_DOWN, DEFAULT_OPTIONS, FRESH, at("device"), NOBODY),
        (Reason.REGION, HERE, FRESH, at("device"), ABROAD),
        (Reason.BREAKER_OPEN, DEFAULT_OPTIONS, FRESH, at("device"), BROKEN),
        (Reason.UPSTREAM_FULL, DEFAULT_OPTIONS, FRESH, at("device"), FULL),
    ],
)
def test_why_a_row_that_failed_ends_here(
    reason: Reason, wanted: CallerOptions, envelope: Envelope, place: Place, upward: Upward
) -> None:
    decision = decided([0.5, 0.95], 0.9, wanted, envelope, place, replace(upward, row_bytes=100))
    assert decision.reasons == (reason, Reason.CONFIDENT)
    assert decision.resolved.tolist() == [False, True]
    assert not len(decision.escalate)
    assert decision.degraded(0) == (reason in DEGRADED_REASONS)
    assert not decision.degraded(1)


def test_a_way_that_is_open_takes_the_rows_that_failed() -> None:
    decision = decided([0.95, 0.5, 0.95, 0.1], envelope=replace(FRESH, byte_budget=200))
    assert decision.reasons == (Reason.CONFIDENT, None, Reason.CONFIDENT, None)
    assert decision.escalate.tolist() == [1, 3]


def test_the_byte_budget_is_for_all_rows_that_would_go_up_together() -> None:
    decision = decided([0.95, 0.5, 0.1], envelope=replace(FRESH, byte_budget=199))
    assert decision.reasons == (Reason.CONFIDENT, Reason.BYTE_BUDGET, Reason.BYTE_BUDGET)


def test_mode_top_sends_everything_as_high_as_may_be() -> None:
    top = CallerOptions(mode=Mode.TOP)
    assert decided([0.99, 0.1], options=top).escalate.tolist() == [0, 1]
    at_top = decided([0.99, 0.1], options=top, place=at("cloud"))
    assert at_top.reasons == (Reason.CONFIDENT, Reason.TOP)
    up_to_far = CallerOptions(mode=Mode.TOP, max_tier="far-edge")
    assert decided([0.99, 0.1], options=up_to_far, place=at("far-edge")).reasons == (Reason.CONFIDENT, Reason.MAX_TIER)
    unreachable = decided([0.99, 0.1], options=top, upward=NOBODY)
    assert unreachable.reasons == (Reason.UPSTREAM_DOWN, Reason.UPSTREAM_DOWN)
    assert unreachable.resolved.tolist() == [True, False]


@pytest.mark.parametrize("confidence", [0.1, 0.99])
@pytest.mark.parametrize("mode", Mode)
def test_a_tier_that_is_not_on_the_ladder_is_refused_with_the_ladder(confidence: float, mode: Mode) -> None:
    wanted = CallerOptions(mode=mode, max_tier="moon")
    assert decide_alone(np.array([confidence]), 0.9, wanted) is None
    with pytest.raises(InvalidInput, match=r"'moon': expected one of device, far-edge, near-edge, cloud"):
        decided([confidence], options=wanted)


@given(situations, st.sampled_from(sorted(DEGRADED_REASONS)))
def test_rows_that_could_not_go_up_after_all_stay_with_the_reason(situation: Situation, reason: Reason) -> None:
    before = decided(*situation)
    after = stay(before, reason)
    assert not len(after.escalate)
    for row, known in enumerate(before.reasons):
        assert after.reasons[row] is (reason if known is None else known)
    assert after.resolved.tolist() == before.resolved.tolist()


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ([], Reason.UPSTREAM_DOWN),
        ([Unreachable("a")], Reason.UPSTREAM_DOWN),
        ([QueueFull("a"), QueueFull("b")], Reason.UPSTREAM_FULL),
        ([QueueFull("a"), Unreachable("b")], Reason.UPSTREAM_DOWN),
        ([QueueFull("a"), DeadlineExpired("b")], Reason.DEADLINE),
    ],
)
def test_why_a_failed_escalation_ends_here(failures: list[UpriverError], reason: Reason) -> None:
    assert failed_escalation(failures) is reason


def test_a_place_must_be_on_its_ladder_once() -> None:
    for tiers in ((), ("cloud",), ("device", "device"), ("device", "cloud", "cloud")):
        with pytest.raises(ValueError, match="expected different names"):
            at("device", tiers)


NEVER: NDArray[np.float64] = np.array([-math.inf])


def walk(places_of: dict[str, Place], start: str, envelope: Envelope, chance: Random, forge: bool) -> int:
    """Follows one never-confident question through a mesh and gives its hops; `forge` makes agents reset envelopes."""
    mesh = [record(place.agent, place.tier, place.region) for place in places_of.values()]
    upward = replace(OPEN, agents=mesh)
    hops = 0
    while True:
        place = places_of[start]
        decision = decide(NEVER, 0.5, DEFAULT_OPTIONS, envelope, place, MODEL, upward)
        if not len(decision.escalate):
            return hops
        order = candidates(
            mesh, place, MODEL, DEFAULT_OPTIONS, envelope.visited, Avoid(), lambda agent: 0, chance.randrange
        )
        hops += 1
        assert hops <= 100
        envelope = first_envelope("q", start, 8, None) if forge else next_envelope(envelope, start, 100)
        start = next(order).agent


ladders = st.permutations(TIERS).flatmap(lambda tiers: st.integers(1, 4).map(lambda count: tuple(tiers[:count])))


@given(st.data(), st.randoms(use_true_random=False), st.integers(0, 16))
def test_hops_run_out_even_where_agents_disagree_about_the_ladder(
    data: st.DataObject, chance: Random, max_hops: int
) -> None:
    mesh = {}
    for number in range(data.draw(st.integers(1, 8))):
        tiers = data.draw(ladders)
        mesh[f"agent-{number}"] = Place(f"agent-{number}", data.draw(st.sampled_from(tiers)), "here", tiers)
    forged = Envelope("q", "agent-0", tuple(data.draw(st.lists(st.sampled_from(sorted(mesh))))), max_hops, None)
    assert walk(mesh, "agent-0", forged, chance, forge=False) <= max_hops


@given(st.lists(st.sampled_from(TIERS), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_one_ladder_ends_a_question_even_where_agents_forge_its_envelope(tiers: list[str], chance: Random) -> None:
    mesh = {f"agent-{number}": Place(f"agent-{number}", tier, "here", TIERS) for number, tier in enumerate(tiers)}
    assert walk(mesh, "agent-0", FRESH, chance, forge=True) < len(TIERS)
