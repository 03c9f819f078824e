"""An agent's own answer to rows that came from below, together with what was said of them there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InferenceFailed
from upriver.fusion import Opinion, fuse, opinion
from upriver.policies import PolicyDocument
from upriver.scores import Floats, probabilities
from upriver.tensors import Array
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.request import Below
from upriver_agent.serving.scoring import make_scorer
from upriver_agent.versions.manifest import Manifest, ScoresAre


@dataclass(frozen=True, slots=True)
class Joint:
    """What came of fusing: `prediction` has the fused scores, `own` what this version alone says.

    `confidence` is [rows]; `rows`, [rows], says which are fused, `versions` with whose answers.
    """

    own: Prediction
    prediction: Prediction
    confidence: Floats
    rows: NDArray[np.bool_]
    versions: tuple[str, ...]


Fuser = Callable[[Prediction, Floats, Sequence[Below]], Joint]


def make_fuser(manifest: Manifest, policy: PolicyDocument, labels: tuple[str, ...]) -> Fuser | None:
    """The function that a policy's fusion means: from a prediction, its confidence [rows], and what was said below.

    None for a policy without fusion. The confidence of fused rows is that of their probabilities as they are (no
    logits, temperature 1). Under a certificate a row for which an answer is missing is never confident: what was
    certified is the fused answer.
    """
    fusion = policy.fusion
    if fusion is None:
        return None
    outputs = replace(manifest.outputs, scores_are=ScoresAre.PROBABILITIES)
    score = make_scorer(replace(manifest, outputs=outputs), replace(policy, temperature=1.0))
    are_logits = manifest.outputs.scores_are is ScoresAre.LOGITS
    needed = sum(weight > 0.0 for weight in fusion.weights.values())

    def join(own: Prediction, confidence: Floats, below: Sequence[Below]) -> Joint:
        scores = _scores(own)
        versions = [version for version, _ in below if fusion.weights.get(version, 0.0) > 0.0]
        experts = [(fusion.weights[version], told) for version, told in below if version in versions]
        p = probabilities(scores, are_logits=are_logits, temperature=policy.temperature)
        fused = fuse(p, labels, fusion.own_weight, experts)
        rows = fused.rows
        sure = np.where(rows, score(replace(own, scores=fused.probabilities)), confidence)
        if policy.certificate is not None:
            sure = np.where(fused.counted.sum(axis=1) == needed, sure, -np.inf)
        told = np.where(rows[:, np.newaxis], _as_told(fused.probabilities, are_logits), scores)
        counted = tuple(version for index, version in enumerate(versions) if fused.counted[:, index].any())
        return Joint(own, replace(own, scores=told.astype(scores.dtype)), sure, rows, counted)

    return join


def said(
    loaded: LoadedVersion,
    below: Sequence[Below],
    own: Prediction,
    rows: NDArray[np.intp],
    versions: frozenset[str],
) -> list[Below]:
    """What some versions said of some rows: those below, and the one that is loaded, if it classifies.

    With a head it is another opinion than the version's own, and goes by the head's digest.
    """
    found = [(version, told.of_rows(rows)) for version, told in below if version in versions]
    digest, form = loaded.policy.document.head or loaded.version.digest, loaded.form
    if digest in versions and form.scores_output and all(version != digest for version, _ in found):
        temperature = loaded.policy.document.temperature
        found.append((digest, own_opinion(own, rows, form.labels, form.scores_are_logits, temperature)))
    return found


def own_opinion(
    prediction: Prediction, rows: NDArray[np.intp], labels: tuple[str, ...], are_logits: bool, temperature: float
) -> Opinion:
    """What this version says of some rows, for those above."""
    p = probabilities(_scores(prediction)[rows], are_logits=are_logits, temperature=temperature)
    return opinion(p, labels)


def _as_told(p: Floats, are_logits: bool) -> Array:
    return np.log(np.maximum(p, np.finfo(np.float32).tiny)) if are_logits else p


def _scores(prediction: Prediction) -> Array:
    if prediction.scores is None:
        raise InferenceFailed("the model gave no scores")
    return prediction.scores
