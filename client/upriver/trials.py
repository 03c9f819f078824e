"""A trial of a head on the audits of many agents, of which nothing but counts goes up. Pure.

The control plane says what is tried: a head, how its scores are made confidences, at a few temperatures, and a fixed
grid of thresholds. An agent has the head answer the questions that it holds out, which never taught anything here, and
counts. Counts of agents are added, and the head is certified from their sum as if all questions had been in one place.

The counts of a trial are one row of numbers: how many questions; then for each temperature and each threshold, in the
order of the trial, how many questions pass, how many of those are lost (answered otherwise than the top did), how many
are gained (they pass, and go up now) and how many given up (they do not pass, and are answered here now).
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver.heads import Head, logits
from upriver.listing import is_digest
from upriver.pool_sums import MAX_COUNTS, MAX_NAME, MAX_REGION
from upriver.scores import CLASS_KINDS, Floats, ScoreKind, confidences

Flags = NDArray[np.bool_]
TEMPERATURES: Final = (1.0, 1.6, 2.5, 4.0)
THRESHOLDS: Final = tuple(float(value) for value in 1.0 - np.geomspace(1.0, 1e-6, 49))
"""Of a largest probability, rising: 8 for each power of ten of what is missing to 1."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried in a region: the head of this digest, against the version `top`, at rising `thresholds`."""

    model: str
    version_digest: str
    region: str
    head: str
    top: str
    score: ScoreKind = ScoreKind.MAX_PROBABILITY
    temperatures: tuple[float, ...] = TEMPERATURES
    thresholds: tuple[float, ...] = THRESHOLDS

    @property
    def digest(self) -> str:
        """Names everything in it."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Trial.__slots__}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def counts(self) -> int:
        """How many counts it has."""
        return 1 + 4 * len(self.temperatures) * len(self.thresholds)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Questions that an agent holds out, audited by the version `top`.

    `embeddings` [questions, embedding]; `labels` [questions] are the top's; `passes` [questions] says whether what
    answers now would not have escalated, `known` whether that is known.
    """

    embeddings: NDArray[np.float16] | NDArray[np.float32]
    labels: Sequence[str]
    passes: Flags
    known: Flags


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted at one temperature; all [thresholds] but `questions`."""

    questions: int
    passed: NDArray[np.int64]
    lost: NDArray[np.int64]
    gained: NDArray[np.int64]
    given_up: NDArray[np.int64]


def check_trial(trial: Trial) -> None:
    """Raises InvalidInput, naming what is wrong."""
    problems = []
    if not 0 < len(trial.model) <= MAX_NAME or len(trial.region) > MAX_REGION:
        problems.append("expected short names of a model and a region")
    if not all(map(is_digest, (trial.version_digest, trial.head, trial.top))):
        problems.append("expected digests of a version, a head and a top: sha256: and 64 digits")
    if trial.score not in CLASS_KINDS:
        problems.append(f"score {trial.score!r}: expected one of {', '.join(sorted(CLASS_KINDS))}")
    if not trial.temperatures or not all(0.0 < one < math.inf for one in trial.temperatures):
        problems.append("temperatures: expected finite numbers above 0")
    if not trial.thresholds or not all(map(math.isfinite, trial.thresholds)):
        problems.append("thresholds: expected finite numbers")
    if any(low >= high for low, high in zip(trial.thresholds, trial.thresholds[1:], strict=False)):
        problems.append("thresholds: expected rising numbers")
    if trial.counts > MAX_COUNTS:
        problems.append(f"{trial.counts} counts: expected at most {MAX_COUNTS}")
    if problems:
        raise InvalidInput(f"trial of {trial.model[:MAX_NAME]!r}: {'; '.join(problems)}")


def count(trial: Trial, head: Head, held: HeldOut) -> Floats:
    """The counts of a trial over some questions; raises ValueError for embeddings of another width than the head's."""
    counts = [np.array([float(len(held.labels))])]
    if not len(held.labels):
        return np.zeros(trial.counts)
    if held.embeddings.shape[1] != head.width:
        raise ValueError(f"embeddings of {held.embeddings.shape[1]}: the head is on one of {head.width}")
    z = logits(head.weights(), held.embeddings.astype(np.float32))
    names = np.array(head.labels, object)
    agrees = names[z.argmax(axis=1)] == np.array(held.labels, object)
    grid = np.array(trial.thresholds)
    for temperature in trial.temperatures:
        confidence = confidences(trial.score, z, are_logits=True, temperature=temperature)
        counts += [
            _reaching(confidence, grid),
            _reaching(confidence[~agrees], grid),
            _reaching(confidence[~held.passes & held.known], grid),
            float((held.passes & held.known).sum()) - _reaching(confidence[held.passes & held.known], grid),
        ]
    found: Floats = np.concatenate(counts)
    return found


def tallies(trial: Trial, counts: Floats) -> list[Tally]:
    """What was counted, by temperature; raises InvalidInput where that can't have been counted of this trial."""
    if len(counts) != trial.counts:
        raise InvalidInput(f"{len(counts)} counts: expected {trial.counts}")
    questions = int(counts[0])
    blocks = counts[1:].astype(np.int64).reshape(len(trial.temperatures), 4, len(trial.thresholds))
    found = [Tally(questions, *block) for block in blocks]
    for tally in found:
        falls = all((np.diff(one) <= 0).all() for one in (tally.passed, tally.lost, tally.gained))
        if not falls or (np.diff(tally.given_up) < 0).any() or (tally.lost > tally.passed).any():
            raise InvalidInput("counts that no questions have: fewer must pass a higher threshold")
        if (tally.passed > questions).any() or (tally.gained > tally.passed).any():
            raise InvalidInput(f"counts of more than the {questions} questions that there were")
    return found


def _reaching(confidence: Floats, grid: Floats) -> Floats:
    """How many reach each threshold."""
    return len(confidence) - np.searchsorted(np.sort(confidence), grid, side="left").astype(np.float64)
