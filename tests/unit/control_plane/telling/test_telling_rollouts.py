"""Rollouts in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ConfigError
from upriver.v1 import rollout_pb2 as pb
from upriver_control.telling.rollouts import action_name, consequence, failures, gates
from upriver_control.telling.strategies import read_rings, read_share, read_span

NAN = math.nan


def ring(agents, released=0, active=0, failed=0, failures=None):
    known = {"agreement": NAN, "latency_ratio": NAN, "escalation_rate": NAN}
    return pb.RingStatus(agents=agents, released=released, active=active, failed=failed, failures=failures, **known)


ROLLOUT = pb.Rollout(
    name="rollouts/digits-1",
    pair={"version": "models/digits/versions/7"},
    strategy={"rings": [{"count": 1}, {"percent": 25}, {"percent": 100}], "failure_limit": 0.1},
    ring=1,
    rings=[ring(1, 1, 1), ring(3, 3, 1, 1, {"out of memory": 1}), ring(8)],
)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (pb.ROLLOUT_ACTION_PAUSE, "No further agent is told until it is resumed"),
        (pb.ROLLOUT_ACTION_RESUME, "It goes on; left to be told: 8 agents."),
        (pb.ROLLOUT_ACTION_CANCEL, "It ends here: 4 agents stay on digits/7, 8 agents keep what they run."),
        (pb.ROLLOUT_ACTION_ROLL_BACK, "It ends: 4 agents go back to what ran there before."),
    ],
)
def test_what_will_happen_is_told_with_rings_and_agents_counted(action, told):
    words = consequence(ROLLOUT, action)
    assert words.startswith("It is at ring 2 of 3: of 12 agents 4 were told to move, and 2 run digits/7. ")
    assert told in words


@given(counts=st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), max_size=5), action=st.sampled_from([0, 1, 2, 3, 4]))
def test_whatever_is_counted_can_be_told(counts, action):
    assert consequence(pb.Rollout(rings=[ring(*one) for one in counts]), action)
    assert action_name(action)


def test_gates_are_told_beside_what_is_seen_and_nothing_is_made_up_where_nothing_is():
    gated = pb.Rollout()
    gated.CopyFrom(ROLLOUT)
    gated.strategy.gates.min_agreement = 0.95
    gated.strategy.gates.max_latency_ratio = 1.5
    gated.strategy.gates.max_escalation_increase = 0.02
    status = ring(4, 4, 3, 1)
    status.latency_ratio = 1.234
    found = [(one.what, one.bound, one.seen) for one in gates(gated, status)]
    assert found == [
        ("agents that failed", "at most 10 %", "1 of 4"),
        ("shadowed rows that agree", "at least 95 %", ""),
        ("p95 of the model", "at most 1.5 times the others'", "1.23 times"),
        ("rows that go up", "at most 2 % more than the others", ""),
    ]


def test_the_commonest_failure_comes_first():
    many = pb.Rollout(rings=[ring(3, failures={"a": 1, "b": 2}), ring(3, failures={"a": 2})])
    assert failures(many) == [("a", 3), ("b", 2)]


@pytest.mark.parametrize("text", ["9999999999999999d", "1" + "0" * 400, "3650001d"])
def test_a_time_that_no_message_can_hold_is_refused(text):
    assert read_span("3650000d", "--soak").seconds == 3_650_000 * 86_400
    with pytest.raises(ConfigError, match=r"--soak: .* is too long; expected at most 3650000 days"):
        read_span(text, "--soak")


def test_what_people_write_is_read_and_what_makes_no_sense_is_named():
    assert [str(one.count or one.percent) for one in read_rings("1, 25%")] == ["1", "25.0", "100.0"]
    assert (read_share("2%", "x"), read_share("0.02", "x")) == (0.02, 0.02)
    assert read_span("1.5m", "x").seconds == 90
    for call in (lambda: read_rings("x", "rings"), lambda: read_share("2", "rings"), lambda: read_span("x", "rings")):
        with pytest.raises(ConfigError, match="rings: "):
            call()
