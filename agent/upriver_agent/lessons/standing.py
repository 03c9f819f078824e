"""What audits say of one teacher, and whether it is believed. Pure.

Each audit of an answer that a teacher gave says whether the top contradicts it. "Contradicted no more often than
`null`" is tested as a certificate is (`monitoring.evidence`); when that is not to be believed any more, the teacher
goes into quarantine. A newer pair of it proves itself by evidence against "contradicted twice as often as `null` or
more", from audits of its answers alone: with the alternative p = null/2 the likelihood ratio is a supermartingale under
every rate from 2·null on, so it reaches 1/δ with probability δ at most. Attempt number j has δ_j = 6δ/(π²j²), since new
pairs may come as often as they like.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from upriver_agent.monitoring.evidence import Evidence, Limits

FALSE_QUARANTINE: Final = 0.01
"""Over all time, by the e-process; Shiryaev-Roberts adds one in 30,000 audits or fewer."""
_LIMITS: Final = Limits(false_alarm=FALSE_QUARANTINE)
FALSE_RELEASE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """One teacher. `bad` are the pairs that it was put into quarantine with, `since` when, a Unix time.

    `proving` is the pair that is being proved, `proof` the logarithm of the evidence for it, `attempt` its number.
    """

    evidence: Evidence = field(default_factory=Evidence)
    quarantined: bool = False
    bad: frozenset[str] = frozenset()
    since: float = 0.0
    proving: str = ""
    proof: float = 0.0
    attempt: int = 0

    def audited(self, policy: str, agreed: bool, null: float, now: float) -> "Standing":
        """The standing after one more audit of an answer by the pair `policy`."""
        heard = replace(self, evidence=self.evidence.observe(not agreed, null))
        if not self.quarantined:
            rings = heard.evidence.rings(_LIMITS)
            return replace(heard, quarantined=True, bad=self.bad | {policy}, since=now) if rings else heard
        if policy in self.bad:
            return heard
        if policy != self.proving:
            heard = replace(heard, proving=policy, proof=0.0, attempt=self.attempt + 1)
        proof = heard.proof + _for(agreed, null)
        if proof >= -math.log(6 * FALSE_RELEASE / (math.pi * heard.attempt) ** 2):
            return Standing(bad=self.bad, attempt=heard.attempt)
        return replace(heard, proof=proof)

    def released(self) -> "Standing":
        """The standing after an operator has looked into it: everything begins anew."""
        return Standing()

    def believes(self, policy: str) -> bool:
        """Whether an answer of this pair may teach."""
        return not self.quarantined and policy not in self.bad


def _for(agreed: bool, null: float) -> float:
    """The log likelihood ratio of p = null/2 against 2·null."""
    return math.log1p(-null / 2) - math.log1p(-2 * null) if agreed else math.log(0.25)
