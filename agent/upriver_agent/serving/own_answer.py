"""The own answer to a request, with the facts of each row."""

import numpy as np
from numpy.typing import NDArray

from upriver.parameters import DEGRADED_REASONS, Reason
from upriver.scores import Floats
from upriver_agent.cascade import LOCAL_ONE, Decision
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.place import Place
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.request import InferAnswer, InferRequest


class OwnAnswers:
    """Makes what an agent at `place` answers by itself."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = (place.agent,)

    def make(
        self,
        request: InferRequest,
        loaded: LoadedVersion,
        prediction: Prediction,
        confidence: Floats,
        decision: Decision,
        fused: NDArray[np.bool_] | None = None,
    ) -> InferAnswer:
        """The answer to every row; `confidence` is [rows]. The facts of rows that go up are replaced when that ends.

        `fused`, [rows], says into which rows answers from below went; None is none.
        """
        form = loaded.form
        outputs = prediction.outputs
        if prediction.scores is not None and outputs[form.scores_output] is not prediction.scores:
            outputs = {**outputs, form.scores_output: prediction.scores}
        return InferAnswer(
            loaded.model,
            loaded.name,
            request.id,
            Answers(
                outputs,
                self._facts(loaded.policy.digest, confidence, decision, fused),
                form.labels,
                form.scores_output,
                form.scores_are_logits,
                form.classes_output,
                form.whole,
            ),
            request.outputs,
        )

    def _facts(
        self, policy: str, confidence: Floats, decision: Decision, fused: NDArray[np.bool_] | None
    ) -> tuple[RowFacts, ...]:
        place, path = self._place, self._path
        if decision is LOCAL_ONE and fused is None:
            return (RowFacts(place.agent, place.tier, confidence.item(), True, Reason.CONFIDENT, False, path, policy),)
        return tuple(
            RowFacts(
                place.agent,
                place.tier,
                value,
                resolved,
                reason if reason is not None else Reason.UPSTREAM_DOWN,  # replaced when the escalation ends
                reason in DEGRADED_REASONS,
                path,
                policy,
                joined,
            )
            for value, resolved, reason, joined in zip(
                confidence.tolist(),
                decision.resolved.tolist(),
                decision.reasons,
                [False] * len(confidence) if fused is None else fused.tolist(),
                strict=True,
            )
        )
