"""Which audits count for a pair: of its scores, against the top of now, at an even rate."""

import math
from dataclasses import replace

import numpy as np
import pytest

from upriver.listing import digest
from upriver.policies import PolicyDocument, rules_digest, write_policy
from upriver.scores import ScoreKind
from upriver_control.calibrating.audit_log import TableAudits
from upriver_control.jobs import TierSpec
from upriver_control.store.audits import Audit, AuditTable
from upriver_control.store.database import open_database
from upriver_control.store.policies import PolicyTable, StoredPolicy

VERSION, TOP, OTHER = (f"sha256:{digit * 64}" for digit in "123")
POLICY = PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.9)
EARLIER = replace(POLICY, threshold=0.5)
ANOTHER_SCORE = replace(POLICY, score=ScoreKind.MARGIN)
TIER = TierSpec("device", "models/m/versions/1", VERSION, write_policy(POLICY))
CLOUD = TierSpec("cloud", "models/m/versions/2", TOP, '{"a policy":1}')


def audit(question, rules=POLICY, **more):
    made = Audit(
        agent="a", question=question, row=0, model="m", tier="device", region="", version_digest=VERSION,
        policy_digest=rules_digest(rules), rules_digest=rules_digest(rules), asked=1.0, confidence=0.8, passes=True,
        answered_here=True, brought=True, agrees=True, top_version_digest=TOP, draw=0.001, rate=0.02,
    )  # fmt: skip
    return replace(made, **more)


@pytest.fixture
def tables(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    yield AuditTable(database), PolicyTable(database)
    database.close()


def names(tables, since=0.0):
    return sorted(TableAudits(*tables).sample("m", TIER, CLOUD, since, 100).questions)


def test_audits_of_other_scores_versions_tiers_and_tops_do_not_count(tables):
    audits, policies = tables
    document = write_policy(EARLIER)
    policies.add(StoredPolicy("m", digest(document.encode()), "v", VERSION, "device", "c", document, 1.0))
    audits.submit(
        [
            audit("mine"),
            audit("earlier-threshold", EARLIER),
            audit("another-score", ANOTHER_SCORE),
            audit("another-version", version_digest=OTHER),
            audit("another-tier", tier="far-edge"),
            audit("another-top", top_version_digest=OTHER),
            audit("top-by-its-policy", top_version_digest="", top_policy_digest=digest(CLOUD.policy_document.encode())),
            audit("top-unknown", top_version_digest=""),
        ],
        10.0,
    )
    assert names(tables) == ["earlier-threshold:0", "mine:0", "top-by-its-policy:0"]
    assert names(tables, since=11.0) == []


def test_where_rates_differ_those_count_that_the_lowest_would_have_audited(tables):
    audits, _ = tables
    audits.submit([audit(f"q{number}", draw=number / 100, rate=0.2) for number in range(20)], 1.0)
    assert len(names(tables)) == 20
    audits.submit([audit("low", draw=0.01, rate=0.05)], 2.0)
    assert names(tables) == [f"{name}:0" for name in ("low", "q0", "q1", "q2", "q3", "q4")]


def test_what_was_never_confident_is_minus_infinity(tables):
    tables[0].submit([audit("never", confidence=None, agrees=False), audit("sure", confidence=0.25)], 1.0)
    sample = TableAudits(*tables).sample("m", TIER, CLOUD, 0.0, 100)
    found = dict(zip(sample.questions, zip(sample.confidence, sample.agrees, strict=True), strict=True))
    assert found == {"never:0": (-math.inf, np.False_), "sure:0": (0.25, np.True_)}
