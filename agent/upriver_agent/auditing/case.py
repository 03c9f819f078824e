"""One audited row: what is known of it before the top has been asked, and what the top's answer makes of it. Pure."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.agreement import Agreement, Answered
from upriver.parameters import Mode
from upriver_agent.envelope import CallerOptions
from upriver_agent.merge import Answers
from upriver_agent.place import Place

_MAX_ANSWER: Final = 200


@dataclass(frozen=True, slots=True)
class Parts:
    """The names of the outputs that make up an answer, and of the embedding; empty for those that a task does not
    have."""

    scores: str = ""
    boxes: str = ""
    box_scores: str = ""
    classes: str = ""
    count: str = ""
    value: str = ""
    embedding: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A row that the coin fell for. `asked` is a Unix time, `draw` and `rate` are in [0, 1].

    `passes` says whether its confidence reached the policy's own threshold, whoever answered in the end: that is what a
    certificate speaks of. `teacher` is who answered a classifier's question in the end when that was an agent between
    here and the top, by which pair (`teacher_policy`) and what (`teacher_answer`); else they are empty.
    """

    question: str
    row: int
    asked: float
    model: str
    version_digest: str
    policy_digest: str
    rules_digest: str
    agreement: str
    settings: Mapping[str, float]
    parts: Parts
    confidence: float | None
    features: Mapping[str, float]
    passes: bool
    answered_here: bool
    brought: bool
    draw: float
    rate: float
    region_only: bool = False
    teacher: str = ""
    teacher_policy: str = ""
    teacher_answer: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case with the top's answer. Answers are labels, or digests where there are none; `embedding` [embedding] is
    what this agent's version made of the row, None when it gives out none."""

    case: Case
    agrees: bool
    answer: str
    top_answer: str
    top_agent: str
    top_policy_digest: str
    embedding: NDArray[np.float32] | None = None


def write_case(case: Case) -> str:
    """A case as JSON."""
    return json.dumps(asdict(case), separators=(",", ":"), allow_nan=False)


def read_case(text: str) -> Case:
    """A case as it was written; raises ValueError for anything else."""
    try:
        fields: dict[str, Any] = json.loads(text)
        return Case(**{**fields, "parts": Parts(**fields["parts"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a case: {error}") from error


def may_be_audited(options: CallerOptions, place: Place, budget: int | None, row_bytes: int, top_near: bool) -> bool:
    """Whether a caller lets the top see a question; `top_near` says whether one is known in this region."""
    if options.mode is Mode.LOCAL or (options.region_only and not top_near):
        return False
    if options.max_tier is not None and options.max_tier != place.tiers[-1]:
        return False
    return budget is None or row_bytes <= budget


def judge(case: Case, own: Answers, top: Answers, index: int) -> Verdict:
    """The verdict of a case by our answer, one row, and the top's, of which `index` is the row.

    Raises ValueError when they can't be compared.
    """
    mine, theirs = _answered(case.parts, own, 0), _answered(case.parts, top, index)
    agrees = bool(Agreement(case.agreement, case.settings)(mine, theirs)[0])
    fact = top.facts[index]
    embedding = own.outputs.get(case.parts.embedding)
    row = None if embedding is None else embedding[0].reshape(-1).astype(np.float32)
    return Verdict(case, agrees, _told(mine), _told(theirs), fact.agent, fact.policy, row)


def answer_of(parts: Parts, answers: Answers, row: int) -> str:
    """What a row was answered, in words: see Verdict."""
    return _told(_answered(parts, answers, row))


def _answered(parts: Parts, answers: Answers, row: int) -> Answered:
    """Output names are the contract's on every tier, but that of the scores, which each names."""

    def of(name: str) -> Any:
        found = answers.outputs.get(name)
        return None if found is None else found[row : row + 1]

    scores = parts.box_scores if parts.boxes else answers.scores_output or parts.scores
    return Answered(
        scores=of(scores),
        labels=answers.labels,
        boxes=of(parts.boxes),
        classes=of(parts.classes),
        counts=of(parts.count),
        values=of(parts.value),
    )


def _told(answered: Answered) -> str:
    """A classifier's best label; of anything else a digest."""
    scores = answered.scores
    if answered.boxes is None and answered.values is None and scores is not None and scores.ndim == 2 and scores.size:
        best = int(np.nan_to_num(scores[0], nan=-math.inf).argmax())
        return (answered.labels[best] if best < len(answered.labels) else str(best))[:_MAX_ANSWER]
    digest = hashlib.sha256()
    for array in (answered.boxes, answered.classes, answered.scores, answered.counts, answered.values):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
