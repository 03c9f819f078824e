"""Audits of a pair as calibrations take them: of the same scores, against the same top, at an even rate. Blocks."""

import math
from dataclasses import dataclass, replace

import numpy as np

from upriver.listing import digest as digest_of
from upriver.policies import PolicyDocument, read_policy, rules_digest
from upriver_control.calibrating.workshop import AuditSample
from upriver_control.jobs import TierSpec
from upriver_control.store.audits import Audit, AuditTable
from upriver_control.store.policies import PolicyTable


@dataclass(frozen=True, slots=True)
class TableAudits:
    """The audits in the database; `policies` tells which policies differ in nothing but their threshold."""

    audits: AuditTable
    policies: PolicyTable

    def sample(self, model: str, tier: TierSpec, top: TierSpec, since: float, limit: int) -> AuditSample:
        """Audits of the tier's version with its scores against the top's version, taken at an even rate.

        A question that came with several rows gives one audit for each. Rates change when an agent raises an alarm:
        those audits count whose draw is below the lowest rate of all, which is an even sample of all questions.
        """
        rules = self._rules(model, tier)
        tops = {top.version_digest}
        top_policy = digest_of(top.policy_document.encode()) if top.policy_document else ""
        found = [
            audit
            for audit in self.audits.of_version(model, tier.version_digest, tier.tier, since, limit)
            if audit.rules_digest in rules and _is_of(audit, tops, top_policy)
        ]
        rate = min((audit.rate for audit in found if audit.rate > 0.0), default=1.0)
        even = [audit for audit in found if audit.draw < rate]
        return AuditSample(
            confidence=np.array([-math.inf if one.confidence is None else one.confidence for one in even], np.float64),
            agrees=np.array([one.agrees for one in even], np.bool_),
            questions=[f"{one.question}:{one.row}" for one in even],
        )

    def _rules(self, model: str, tier: TierSpec) -> frozenset[str]:
        """The rules that score as the tier's policy does: a threshold changes no score."""
        own = read_policy(tier.policy_document)
        known = [own, *map(read_policy, self.policies.documents_of(model, tier.version_digest))]
        return frozenset(rules_digest(one) for one in known if _scores(one) == _scores(own))


def _scores(policy: PolicyDocument) -> PolicyDocument:
    return replace(policy, threshold=math.inf, escalate_to="", certificate=None)


def _is_of(audit: Audit, tops: set[str], top_policy: str) -> bool:
    if audit.top_version_digest:
        return audit.top_version_digest in tops
    return bool(top_policy) and audit.top_policy_digest == top_policy
