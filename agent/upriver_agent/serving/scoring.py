"""How sure a version is of each row: the policy's score, bound once to the outputs that it reads."""

from collections.abc import Callable

from upriver.errors import InferenceFailed
from upriver.policies import PolicyDocument
from upriver.risk import RiskModel, class_risk_confidences, risk_confidences
from upriver.scores import BOX_KINDS, CLASS_KINDS, Floats, ScoreKind, box_confidences, confidences, scalar_confidences
from upriver.tensors import Array
from upriver_agent.predictor import Prediction
from upriver_agent.versions.manifest import Manifest, ScoresAre, TaskKind

Scorer = Callable[[Prediction], Floats]


def make_scorer(manifest: Manifest, policy: PolicyDocument) -> Scorer:
    """Gives the function from a prediction to one confidence per row, float64 [rows].

    It raises InferenceFailed when an output has not the shape that the score needs.
    """
    if policy.risk is not None:
        risk = policy.risk
        if set(risk.features) <= CLASS_KINDS:
            return _class_risk(risk, manifest.outputs.scores_are is ScoresAre.LOGITS, policy.temperature)
        scorers = {kind: _make(kind, manifest, policy) for kind in risk.features}
        return lambda prediction: risk_confidences(risk, {kind: score(prediction) for kind, score in scorers.items()})
    return _make(policy.score, manifest, policy)


def _class_risk(risk: RiskModel, are_logits: bool, temperature: float) -> Scorer:
    def score(prediction: Prediction) -> Floats:
        try:
            return class_risk_confidences(risk, _scores(prediction), are_logits=are_logits, temperature=temperature)
        except ValueError as error:
            raise InferenceFailed(str(error)) from error

    return score


def make_features(manifest: Manifest, policy: PolicyDocument) -> Callable[[Prediction], dict[ScoreKind, Floats]]:
    """Gives the function from a prediction to every kind of confidence that its task has, each float64 [rows].

    It raises InferenceFailed when an output has not the shape that a score needs.
    """
    kinds: frozenset[ScoreKind] = frozenset()
    if manifest.task.kind is TaskKind.CLASSIFY:
        kinds = CLASS_KINDS
    elif manifest.task.kind is TaskKind.DETECT:
        kinds = BOX_KINDS
    elif manifest.outputs.value:
        kinds = frozenset({ScoreKind.SCALAR})
    scorers = {kind: _make(kind, manifest, policy) for kind in sorted(kinds)}
    return lambda prediction: {kind: score(prediction) for kind, score in scorers.items()}


def _make(kind: ScoreKind, manifest: Manifest, policy: PolicyDocument) -> Scorer:
    outputs = manifest.outputs
    if kind is ScoreKind.SCALAR:
        value = outputs.value or ""
        return lambda prediction: _told(scalar_confidences, prediction.outputs[value])
    scores = outputs.scores or ""
    if kind in BOX_KINDS:
        threshold, counts = policy.box_threshold, outputs.count

        def score_boxes(prediction: Prediction) -> Floats:
            how_many = prediction.outputs[counts].reshape(-1) if counts else None
            try:
                return box_confidences(kind, prediction.outputs[scores], how_many, threshold)
            except ValueError as error:
                raise InferenceFailed(str(error)) from error

        return score_boxes
    are_logits = outputs.scores_are is ScoresAre.LOGITS
    temperature = policy.temperature

    def score_classes(prediction: Prediction) -> Floats:
        try:
            return confidences(kind, _scores(prediction), are_logits=are_logits, temperature=temperature)
        except ValueError as error:
            raise InferenceFailed(str(error)) from error

    return score_classes


def _told(score: Callable[[Array], Floats], array: Array) -> Floats:
    try:
        return score(array)
    except ValueError as error:
        raise InferenceFailed(str(error)) from error


def _scores(prediction: Prediction) -> Array:
    if prediction.scores is None:
        raise InferenceFailed("the model gave no scores")
    return prediction.scores
