"""The own answer to a request, with the facts of each row."""

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
    ) -> InferAnswer:
        """The answer to every row; `confidence` is [rows]. The facts of rows that go up are replaced when that ends."""
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
                self._facts(loaded.policy.digest, confidence, decision),
                form.labels,
                form.scores_output,
                form.scores_are_logits,
                form.classes_output,
                form.whole,
            ),
            request.outputs,
        )

    def _facts(self, policy: str, confidence: Floats, decision: Decision) -> tuple[RowFacts, ...]:
        place, path = self._place, self._path
        if decision is LOCAL_ONE:
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
            )
            for value, resolved, reason in zip(
                confidence.tolist(), decision.resolved.tolist(), decision.reasons, strict=True
            )
        )
