"""How often the answers given here may differ from the top's, by what a policy's certificate says.

A certificate bounds the share ε of all questions that are answered here and otherwise than the top. Audits look only at
those that are answered here, so what they test is ε divided by the share that is: `coverage` of the questions that a
client brings, `exit_share` of those that lower tiers could not answer themselves.
"""

from dataclasses import dataclass

from upriver.policies import Basis, PolicyDocument
from upriver_agent.monitoring.evidence import MOST

NOT_CERTIFIED = "not certified"
BY_LABELS = "certified by labels, which audits do not have"
LOOSE = "the certificate allows more than audits can test"


@dataclass(frozen=True, slots=True)
class Nulls:
    """Certified probabilities of disagreement, for questions of clients and for those from agents below.

    0.0 stands for one that can't be tested. `note` says what is watched, or why nothing is.
    """

    brought: float = 0.0
    relayed: float = 0.0
    note: str = NOT_CERTIFIED

    @property
    def watched(self) -> bool:
        """Whether anything can be tested."""
        return self.brought > 0.0 or self.relayed > 0.0


def nulls_of(policy: PolicyDocument, target: float = 0.0) -> Nulls:
    """What a policy's audits are tested against.

    `target` is the share of local answers that may differ where no certificate says so; 0.0 tests nothing there.
    """
    certificate = policy.certificate
    if certificate is not None and certificate.basis is Basis.TOP:
        brought = _testable(certificate.epsilon, certificate.coverage)
        relayed = _testable(certificate.epsilon, certificate.exit_share)
        return Nulls(brought, relayed, "" if brought or relayed else LOOSE)
    why = NOT_CERTIFIED if certificate is None else BY_LABELS
    if 0.0 < target < MOST:
        return Nulls(target, target, f"{why}: watched against the configured target of {target:g}")
    return Nulls(note=why)


def _testable(epsilon: float, share: float) -> float:
    return epsilon / share if share * MOST > epsilon else 0.0
