"""What a version said, as agreement looks at it: see `upriver.agreement`."""

from collections.abc import Mapping

from upriver.agreement import Answered
from upriver.tensors import Array
from upriver_agent.serving.loaded import AnswerForm


def answered(form: AnswerForm, outputs: Mapping[str, Array]) -> Answered:
    """The answers in `outputs`, each [rows, ...]: a classifier's scores as callers are told them."""
    boxes = outputs.get(form.boxes_output)
    return Answered(
        scores=outputs.get(form.box_scores_output if form.boxes_output else form.scores_output),
        labels=form.labels,
        boxes=boxes,
        classes=outputs.get(form.classes_output),
        counts=outputs.get(form.count_output),
        values=outputs.get(form.value_output),
    )
