"""Who needs a version."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.fleet_facts import NEW, NEWER, OLD, active, agent, failed, rollout
from upriver.listing import digest
from upriver.policies import Basis, Certificate, Form, Fusion, PolicyDocument, rules_digest, write_policy
from upriver.scores import ScoreKind
from upriver_control.intent import Intent
from upriver_control.needed import needed_by
from upriver_control.observed import RefinedFacts
from upriver_control.rollout import RolloutState


def needed(pair=NEW, rollouts=(), agents=()):
    return needed_by("digits", pair.version_digest, rollouts, agents)


def test_nobody_needs_what_no_rollout_and_no_agent_speaks_of():
    assert needed(NEWER, [rollout()], [agent(1, active(NEW, OLD))]) == ""
    assert needed_by("faces", NEW.version_digest, [rollout()], [agent(1, active(NEW))]) == ""


@pytest.mark.parametrize("state", [RolloutState.PROGRESSING, RolloutState.PAUSED, RolloutState.SOAKING])
def test_an_unfinished_rollout_needs_its_version(state):
    assert needed(rollouts=[rollout(state=state)]) == "rollouts bring it to agents: rollouts/r1"


def test_a_completed_rollout_brings_its_version_to_agents_that_come_later():
    assert "rollouts/r1" in needed(rollouts=[rollout(state=RolloutState.COMPLETED, released=1.0)])
    newer = rollout(id="r2", pair=NEWER, generation=8, state=RolloutState.COMPLETED, released=1.0)
    assert needed(rollouts=[rollout(state=RolloutState.COMPLETED, released=1.0), newer]) == ""


def test_a_rolled_back_rollout_needs_nothing():
    assert needed(rollouts=[rollout(state=RolloutState.ROLLED_BACK, released=1.0)]) == ""


def test_agents_need_what_they_run_and_what_they_go_back_to():
    assert needed(OLD, agents=[agent(1, active(NEW, OLD))]) == "agents run it, or keep it to go back to: agents/a00001"
    assert needed(NEW, agents=[agent(1, replace(active(OLD), candidate=NEW))])
    assert needed(NEW, agents=[agent(1, failed(NEW))]) == ""


def test_many_agents_are_counted():
    told = needed(OLD, agents=[agent(number, active(OLD)) for number in range(9)])
    assert told.endswith("agents/a00000, agents/a00001, agents/a00002 and 6 more")


def test_what_an_agent_has_refined_needs_the_top_that_it_was_certified_against():
    slot = replace(active(NEW), refined=RefinedFacts(certified_against(NEWER.version_digest).policy_document))
    assert needed(NEWER, agents=[agent(1, slot)]).startswith("policies in use are certified against it")


def certified_against(top):
    policy = PolicyDocument(NEW.version_digest, ScoreKind.MAX_PROBABILITY, 0.5)
    certificate = Certificate(
        form=Form.PER_TIER, basis=Basis.TOP, epsilon=0.01, delta=0.05, questions=300, losses=0.0, coverage=0.5,
        exit_share=0.5, top=top, rules=rules_digest(policy), data=OLD.version_digest,
    )  # fmt: skip
    return replace(NEW, policy_document=write_policy(replace(policy, certificate=certificate)))


def test_a_policy_in_use_needs_the_version_that_it_was_certified_against():
    pair = certified_against(NEWER.version_digest)
    told = needed(NEWER, agents=[agent(1, active(pair))])
    assert told == f"policies in use are certified against it: {digest(pair.policy_document.encode())[:23]}"
    assert needed(NEWER, [rollout(pair=pair)]) == told
    assert needed(NEWER, [rollout(pair=pair, state=RolloutState.ROLLED_BACK)]) == ""
    assert needed(OLD, agents=[agent(1, active(pair))]) == ""
    fused = write_policy(
        PolicyDocument(
            NEW.version_digest, ScoreKind.MAX_PROBABILITY, 0.5, fusion=Fusion(1.0, {OLD.version_digest: 0.5})
        )
    )
    assert "policies in use" in needed(OLD, agents=[agent(1, active(replace(NEW, policy_document=fused)))])
    assert needed(OLD, agents=[agent(1, active(replace(NEW, policy_document="no policy")))]) == ""


ROLLOUTS = st.lists(
    st.builds(
        lambda number, pair, state, released: rollout(
            id=f"r{number}", pair=pair, state=state, released=released, generation=number
        ),
        st.integers(1, 9),
        st.sampled_from([OLD, NEW, NEWER]),
        st.sampled_from(RolloutState),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    max_size=5,
    unique_by=lambda one: one.generation,
)


@given(rollouts=ROLLOUTS, pair=st.sampled_from([OLD, NEW, NEWER]))
def test_whatever_an_agent_is_told_to_run_is_needed(rollouts, pair):
    newcomer = agent(1)
    desired = Intent(rollouts).desired(newcomer).get("digits")
    if desired is not None and desired.pair is not None and desired.pair.is_same(pair):
        assert needed(pair, rollouts, [newcomer])
