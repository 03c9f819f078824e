"""When a certificate says nothing any more of what runs."""

import math
from dataclasses import replace

import pytest

from upriver.policies import Basis, Certificate, Form, Peer, PolicyDocument, rules_digest, write_policy
from upriver.scores import ScoreKind
from upriver_control.jobs.ladder import Rung
from upriver_control.jobs.staleness import stale
from upriver_control.observed import Pair

DEVICE, EDGE, TOP, OTHER = (f"sha256:{digit * 64}" for digit in "0123")


def certified(version: str, peers: tuple[Peer, ...] = ()) -> PolicyDocument:
    plain = PolicyDocument(version, ScoreKind.MARGIN, 0.5)
    form = Form.JOINT if peers else Form.PER_TIER
    made = Certificate(form, Basis.TOP, 0.01, 0.05, 900, 3, 0.9, 0.9, TOP, rules_digest(plain), OTHER, peers)
    return replace(plain, certificate=made)


EDGE_PLAIN = PolicyDocument(EDGE, ScoreKind.MARGIN, 0.5)
JOINT = certified(DEVICE, (Peer("edge", rules_digest(EDGE_PLAIN)),))


def ladder(edge: PolicyDocument | None, top: str = TOP) -> tuple[Rung, ...]:
    documents = {"device": write_policy(JOINT), "edge": "" if edge is None else write_policy(edge), "cloud": ""}
    versions = {"device": DEVICE, "edge": EDGE, "cloud": top}
    return tuple(
        Rung(tier, Pair(f"models/m/versions/{tier}1", versions[tier], document), 1, 1, None)
        for tier, document in documents.items()
    )


def test_a_joint_certificate_holds_while_its_other_pairs_run() -> None:
    assert stale(write_policy(JOINT), ladder(EDGE_PLAIN)) == ""


def test_the_other_pair_may_have_a_certificate_of_its_own() -> None:
    assert stale(write_policy(JOINT), ladder(certified(EDGE))) == ""


def test_a_tier_that_never_answers_takes_nothing_from_a_joint_certificate() -> None:
    assert stale(write_policy(JOINT), ladder(replace(EDGE_PLAIN, threshold=math.inf))) == ""


@pytest.mark.parametrize("edge", [None, replace(EDGE_PLAIN, threshold=0.4), replace(EDGE_PLAIN, version_digest=OTHER)])
def test_another_pair_beside_it_ends_a_joint_certificate(edge: PolicyDocument | None) -> None:
    assert stale(write_policy(JOINT), ladder(edge)).startswith("edge runs another pair")


def test_what_agents_beside_it_have_refined_ends_a_joint_certificate() -> None:
    device, edge, cloud = ladder(EDGE_PLAIN)
    rungs = (device, replace(edge, of=5, refined=2), cloud)
    assert stale(write_policy(JOINT), rungs).startswith("2 of 5 agents of edge answer with what they made")
    assert stale(write_policy(certified(DEVICE)), rungs) == "", "one that speaks of its pair alone does not mind"


@pytest.mark.parametrize("edge", [None, EDGE_PLAIN])
def test_a_pair_that_is_certified_alone_does_not_mind_the_others(edge: PolicyDocument | None) -> None:
    assert stale(write_policy(certified(DEVICE)), ladder(edge)) == ""


def test_another_top_ends_every_certificate() -> None:
    told = stale(write_policy(JOINT), ladder(EDGE_PLAIN, OTHER), "models/m/versions/cloud0")
    assert told == "cloud runs cloud1; it was certified against cloud0"


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert stale(write_policy(JOINT), ()) == ""
    assert stale("", ladder(EDGE_PLAIN)) == ""
    assert stale("not a policy", ladder(EDGE_PLAIN)) == ""
