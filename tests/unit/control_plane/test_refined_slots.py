"""What an agent has refined, told: from its slots through the wire to what an operator reads."""

from dataclasses import replace

from tests.unit.control_plane.fleet_facts import NEW, active, agent, rollout
from upriver.policies import Basis, Certificate, Form, PolicyDocument, rules_digest, write_policy
from upriver.scores import ScoreKind
from upriver.v1 import sync_pb2
from upriver_agent.installing.worker import SlotFacts
from upriver_agent.refinement import Base, Ended, Refined, Standing
from upriver_agent.serving.statistics import ModelCounters
from upriver_agent.slot import Pair, Slot, State
from upriver_agent.sync.wire import write_slots
from upriver_control.cli.refined import refined_document
from upriver_control.documents import from_document, to_document
from upriver_control.fleet import in_sync, slots
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts, RefinedFacts
from upriver_control.rollout import RolloutState
from upriver_control.sync_wire import read_slots
from upriver_control.telling import fleet as words
from upriver_control.wire import write_slot

HEAD = "sha256:" + "e" * 64


def certified() -> str:
    policy = PolicyDocument(NEW.version_digest, ScoreKind.MAX_PROBABILITY, 0.75, head=HEAD)
    certificate = Certificate(
        form=Form.PER_TIER, basis=Basis.TOP, epsilon=0.01, delta=0.002, questions=900, losses=2.0, coverage=0.8,
        exit_share=0.8, top=NEW.version_digest, rules=rules_digest(policy), data=NEW.version_digest,
    )  # fmt: skip
    return write_policy(replace(policy, certificate=certificate))


REFINED = RefinedFacts(certified(), 1240, 7, 1700000000.5)


def told_by_agent(standing: Standing) -> sync_pb2.SlotReport:
    slot = Slot("digits", active=Pair(NEW.version, NEW.version_digest, NEW.policy_document), state=State.ACTIVE)
    (report,) = write_slots([SlotFacts(slot, ModelCounters(), 0, 0, 1.0)], lambda _: standing)
    return report


def test_what_an_agent_refined_is_told_beside_what_was_assigned() -> None:
    report = told_by_agent(Standing(None, Refined(Base("v", "p"), certified(), 1240, 7, 1700000000.5)))
    found = read_slots(sync_pb2.Status(slots=[report]))["digits"]
    assert found.refined == REFINED
    assert NEW.is_same(found.active)
    assert read_slots(sync_pb2.Status(slots=[write_slot("digits", found)]))["digits"] == found


def test_why_it_answers_no_more_is_told() -> None:
    report = told_by_agent(Standing(None, None, Ended("its audits have rung the alarm", 5.0)))
    assert words.refined(report) == "what it had refined answers no more: its audits have rung the alarm"
    assert read_slots(sync_pb2.Status(slots=[report]))["digits"].unrefined == "its audits have rung the alarm"
    assert words.refined(told_by_agent(Standing())) == ""


def test_a_refined_slot_is_as_desired() -> None:
    done = rollout(state=RolloutState.COMPLETED, released=1.0)
    facts = agent(1, replace(active(NEW), refined=REFINED))
    views = slots(facts, Intent([done]), 5.0)
    assert in_sync(views)
    assert views[0].reported.refined == REFINED


def test_a_refined_slot_is_kept_with_its_agent() -> None:
    facts = agent(1, replace(active(NEW), refined=REFINED, unrefined="why"))
    assert from_document(AgentFacts, to_document(facts)) == facts


def test_an_operator_reads_its_certificate() -> None:
    report = write_slot("digits", replace(active(NEW), refined=REFINED))
    assert words.refined(report) == (
        "refined there from 1,240 lessons, attempt 7, since 2023-11-14T22:13:20Z; head eeeeeeeeeeee, threshold 0.75, "
        "at most 1.00% lost with 99.8000% confidence (2 of 900)"
    )
    assert refined_document(report.refined)["head"] == HEAD
    broken = write_slot("digits", replace(active(NEW), refined=RefinedFacts("{", 3)))
    assert "can't be read" in words.refined(broken)
    assert refined_document(broken.refined)["epsilon"] is None
