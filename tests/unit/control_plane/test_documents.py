"""What is kept in the database reads back as it was."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.fleet_facts import agent, failed, rings, rollout
from upriver_control.documents import from_document, to_document
from upriver_control.observed import Activation, AgentFacts, Counters, Hardware, Pair, SlotFacts
from upriver_control.rollout import Gates, Rollout, RolloutState, Strategy, step

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**62)
PAIRS = st.builds(Pair, st.text(), st.text(), st.text())
COUNTERS = st.builds(Counters, COUNTS, COUNTS, COUNTS, st.dictionaries(st.integers(0, 120), COUNTS))
SLOTS = st.builds(SlotFacts, active=st.none() | PAIRS, candidate=st.none() | PAIRS, counters=COUNTERS, reason=st.text())
AGENTS = st.builds(
    AgentFacts,
    st.text(),
    st.dictionaries(st.text(), st.text()),
    st.booleans(),
    NUMBERS,
    slots=st.dictionaries(st.text(), SLOTS, max_size=3),
    tiers=st.lists(st.text(), max_size=3).map(tuple),
    hardware=st.builds(Hardware, memory_bytes=COUNTS),
)


@given(AGENTS)
def test_an_agent_reads_back(facts):
    assert from_document(AgentFacts, json.loads(json.dumps(to_document(facts)))) == facts


@given(st.sampled_from(RolloutState), st.integers(1, 5), st.none() | NUMBERS)
def test_a_rollout_reads_back(state, count, ended):
    gates = Gates(min_agreement=0.9)
    strategy = Strategy(rings=rings(1, 50.0), gates=gates, activation=Activation(5.0, 10, 0.5))
    current = rollout(state=state, ended=ended, strategy=strategy)
    agents = {facts.agent: facts for facts in (agent(number, failed()) for number in range(count))}
    current, _ = step(current, agents, 1.0)
    current, _ = step(current, agents, 2.0)
    assert from_document(Rollout, json.loads(json.dumps(to_document(current)))) == current


def test_what_a_newer_process_has_written_besides_is_passed_over():
    document = to_document(rollout()) | {"of_tomorrow": {"a": 1}}
    assert from_document(Rollout, document) == rollout()
