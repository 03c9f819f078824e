"""A candidate: a head fitted to lessons, the policy that it would answer under, and how both see the holdout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.agreement import Agreement, Answered
from upriver.head_fit import LEAST_LESSONS, fit, joined
from upriver.head_statistics import HeadStatistics
from upriver.heads import Head, head_of, write_head
from upriver.listing import digest as digest_of
from upriver.policies import Form, PolicyDocument, certify
from upriver.promises import Promise
from upriver.scores import Floats, ScoreKind, confidences
from upriver_agent.head import BoundHead
from upriver_agent.learning.gate import Flags, Scored, Trial
from upriver_agent.learning.holdout import HeldOut
from upriver_agent.learning.sums import narrowed
from upriver_agent.predictor import Prediction
from upriver_agent.sections import LearningSection
from upriver_agent.serving.loaded import LoadedVersion

DELTA = 0.05
"""What a promise may fail with when neither configuration nor certificate says so."""
_SCORES = "scores"


def promise_of(policy: PolicyDocument, section: LearningSection) -> Promise | str:
    """What every head of a model must keep, by the configuration or by the certificate of the pair that was put there;
    else why there can be none."""
    certificate = policy.certificate
    if section.max_loss > 0.0:
        delta = DELTA if certificate is None else certificate.delta
        return Promise(section.max_loss, 1.0 - section.confidence if section.confidence else delta)
    if certificate is None:
        return "its policy has no certificate that says what a head may lose: set learning.max_loss"
    if certificate.form is not Form.PER_TIER:
        return "its certificate is for a set of pairs together: set learning.max_loss to what a head may lose"
    return Promise(certificate.epsilon, 1.0 - section.confidence if section.confidence else certificate.delta)


def learnt_labels(own: Sequence[str], before: Sequence[str], lessons: HeadStatistics) -> tuple[str, ...]:
    """The labels of a new head: the version's own, those that the head before has and lessons still have, then the
    rest by name."""
    counts = dict(zip(lessons.labels, lessons.toward[-1].tolist(), strict=True))
    learnt = {label for label, count in counts.items() if count >= LEAST_LESSONS}
    kept = [label for label in before if label in learnt and label not in own]
    return (*own, *kept, *sorted(learnt - set(own) - set(kept)))


def fitted(
    version_digest: str, labels: tuple[str, ...], prior: HeadStatistics, lessons: HeadStatistics, temperature: float
) -> Head:
    """The head of these labels; its logits are divided by the temperature, so that softmax has its probabilities."""
    sums = joined(narrowed(prior, labels), narrowed(lessons, labels))
    return head_of(version_digest, labels, fit(sums) / temperature)


def scored(head: Head, are_logits: bool, agreement: Agreement, held_out: HeldOut) -> tuple[Floats, Flags]:
    """How sure a head is of each question of the holdout, and whether its answer is the top's, both [questions].

    Computed as it is when it answers (`head.BoundHead`, the policy's score).
    """
    if not held_out.ids:
        return np.zeros(0), np.zeros(0, np.bool_)
    made = BoundHead(head, _SCORES, are_logits)(Prediction(None, held_out.embeddings, {}))
    scores = made.outputs[_SCORES]
    confidence = confidences(ScoreKind.MAX_PROBABILITY, scores, are_logits=are_logits)
    names = tuple(dict.fromkeys(held_out.labels))
    at = {name: column for column, name in enumerate(names)}
    told = np.eye(len(names), dtype=np.float32)[[at[label] for label in held_out.labels]]
    agrees = agreement(Answered(scores=scores, labels=head.labels), Answered(scores=told, labels=names))
    return confidence, agrees


def passes_of(answering: LoadedVersion, held_out: HeldOut) -> tuple[Flags, Flags]:
    """Which questions of the holdout the pair that answers now would not send up, and of which that is known.

    A pair with a head is asked again, by the embedding; of any other it is known where it answered itself. One whose
    alarm has rung sends everything up.
    """
    if answering.alarmed:
        return np.zeros(len(held_out.ids), np.bool_), np.ones(len(held_out.ids), np.bool_)
    threshold = answering.policy.threshold
    if answering.head is not None and answering.fuse is None and held_out.ids:
        confidence = answering.score(answering.head(Prediction(None, held_out.embeddings, {})))
        return (confidence >= threshold) & (confidence > -np.inf), np.ones(len(confidence), np.bool_)
    known: NDArray[np.bool_] = np.array(
        [policy == answering.policy.digest for policy in held_out.policies], dtype=np.bool_
    )
    return held_out.passes, known


@dataclass(frozen=True, slots=True)
class Candidate:
    """A head as it would be promoted; `lessons` taught it, the last of them with the number `until`."""

    head: Head
    data: bytes
    lessons: int
    until: int

    @property
    def digest(self) -> str:
        """The head's name."""
        return digest_of(self.data)


def candidate_of(head: Head, lessons: int, until: int) -> Candidate:
    """The candidate of a head; raises ModelInvalid when the head is none."""
    return Candidate(head, write_head(head), lessons, until)


def holdout_of(candidate: Candidate, answering: LoadedVersion, are_logits: bool, held_out: HeldOut) -> Scored:
    """The holdout as a candidate and what answers now see it."""
    confidence, agrees = scored(candidate.head, are_logits, answering.policy.document.agreement, held_out)
    passes, known = passes_of(answering, held_out)
    return Scored(confidence, agrees, passes, known)


def policy_of(given: PolicyDocument, candidate: Candidate, trial: Trial, held_out: HeldOut) -> PolicyDocument:
    """The policy that a candidate which passed answers under: the given one's rules but for score, threshold and head.

    Its certificate is of this pair and the pair on top that the holdout was answered by.
    """
    policy = PolicyDocument(
        version_digest=given.version_digest,
        score=ScoreKind.MAX_PROBABILITY,
        threshold=trial.threshold,
        box_threshold=given.box_threshold,
        agreement=given.agreement,
        escalate_to=given.escalate_to,
        head=candidate.digest,
    )
    return certify(
        policy,
        epsilon=trial.epsilon,
        delta=trial.delta,
        questions=trial.questions,
        losses=trial.losses,
        coverage=trial.coverage,
        top=held_out.top_version or held_out.key.top,
        data=held_out.digest(),
    )
