"""Has one version answer a file of questions, as a process of its own: `python -m upriver_agent.answering JSON`.

The argument is an Order. Standard output gets one JSON object a line: `{"rows": n}` now and then, and a last one that
says what was written or why nothing was. A malformed model can crash or swell an interpreter: then it is this process.
Standard input is a pipe that whoever started it keeps open: it ends when that one does.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from upriver import child
from upriver.archive import sums
from upriver.errors import InvalidInput, ManifestError, ProblemList, RuntimeMissing, UpriverError
from upriver.heads import read_head
from upriver.listing import version_digest
from upriver.questions import LABELS, RowsWriter, inputs_of, read_rows
from upriver.scores import BOX_KINDS, ScoreKind, box_confidences, scalar_confidences
from upriver.tensors import DTYPES, Array
from upriver_agent.head import join_head, problem_of
from upriver_agent.predictor import Prediction, Predictor, open_predictor
from upriver_agent.runtime import RuntimeKind
from upriver_agent.versions import Version
from upriver_agent.versions.manifest import AGREEMENT_OF, ScoresAre, TaskKind
from upriver_agent.versions.store import load_folder

CONFIDENCES: Final = "confidences/"
_TELL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Order:
    """The version in `folder` answers `questions`; its answers go to `answers`, a file as `upriver.questions` has it.

    It answers with the head in the file `head`, if that is not empty. With `embeddings` the answers are its embeddings
    [rows, width] as `embedding`, beside the questions' labels.

    Its arrays are those of `upriver.agreement.Answered` by name, and `confidences/<kind>` where a task has its own.
    """

    folder: str
    questions: str
    answers: str
    runtime: str = "auto"
    threads: int = 1
    timeout_s: float = 3600.0
    memory_mib: int = 4096
    head: str = ""
    embeddings: bool = False


def main() -> int:
    """Does what the command line orders; the exit status is 0 whenever there is an answer."""
    order = Order(**json.loads(sys.argv[1]))
    telling = child.answering()
    child.end_with_parent(lambda: os._exit(1))
    child.limit(order.memory_mib, order.timeout_s * max(1, order.threads))
    try:
        told = answer(order, telling)
    except RuntimeMissing as error:
        told = {"kind": "missing", "reason": str(error)}
    except MemoryError:
        told = {"kind": "invalid", "reason": f"it needs more than {order.memory_mib} MiB"}
    except UpriverError as error:
        problems = error.problems if isinstance(error, ProblemList) else (str(error),)
        told = {"kind": "invalid", "reason": "; ".join(problems)}
    except OSError as error:
        told = {"kind": "disk", "reason": f"{error.filename or order.answers}: {error.strerror or error}"}
    _tell(telling, told)
    return 0


def answer(order: Order, telling: IO[str]) -> dict[str, Any]:
    """Answers all questions and says what the answers are; raises InvalidInput, ModelInvalid, RuntimeMissing."""
    folder = Path(order.folder)
    try:
        version = load_folder(folder, version_digest(sums(folder)) if order.head else "", folder.name)
    except ManifestError as error:
        raise ManifestError("manifest.toml", error.problems) from error
    head = join_head(version, read_head(Path(order.head).read_bytes())) if order.head else None
    predictor = open_predictor(version, cast(RuntimeKind, order.runtime), order.threads)
    rows, spent, due = 0, 0.0, 0.0
    with Path(order.answers).open("wb") as out, RowsWriter(out) as writer:
        for group in read_rows(Path(order.questions)):
            inputs = _checked(version, inputs_of(group), rows)
            begun = time.perf_counter()
            prediction = _predicted(predictor, inputs, rows)
            if head is not None:
                prediction = head(prediction)
            now = time.perf_counter()
            spent += now - begun
            if order.embeddings:
                writer.add(_embeddings(version, prediction, group))
            else:
                writer.add(_answers(version, prediction))
            rows += len(next(iter(inputs.values())))
            if now >= due:
                due = now + _TELL_S
                _tell(telling, {"rows": rows})
    return {
        "kind": "answered",
        "rows": rows,
        "ms_per_row": 1e3 * spent / max(1, rows),
        "task": version.manifest.task.kind.value,
        "labels": list(version.labels if head is None else head.labels),
        "are_logits": version.manifest.outputs.scores_are is ScoresAre.LOGITS,
        "box_threshold": version.manifest.policy.box_threshold,
        "agreement": AGREEMENT_OF[version.manifest.task.kind],
    }


def _tell(telling: IO[str], told: Mapping[str, Any]) -> None:
    telling.write(json.dumps(told, allow_nan=False) + "\n")
    telling.flush()


def _checked(version: Version, inputs: dict[str, Array], before: int) -> dict[str, Array]:
    for canonical in version.manifest.canonical:
        array = inputs.get(canonical.name)
        if array is None:
            raise InvalidInput(f"the questions have no input {canonical.name!r}; they have {', '.join(sorted(inputs))}")
        dtype = np.dtype(object) if canonical.encoded else DTYPES.get(canonical.datatype, np.dtype(np.float32))
        if array.dtype != dtype or array.shape[1:] != canonical.shape:
            raise InvalidInput(
                f"input {canonical.name!r}, from row {before}: {array.dtype} {list(array.shape[1:])}; expected "
                f"{'encoded images' if canonical.encoded else f'{dtype} {list(canonical.shape)}'}"
            )
    return inputs


def _predicted(predictor: Predictor, inputs: Mapping[str, Array], before: int) -> Prediction:
    try:
        return predictor.predict(inputs)
    except InvalidInput as error:
        raise InvalidInput(f"rows from {before} on: {error}") from error
    except (RuntimeError, ValueError) as error:  # what the interpreters raise
        raise InvalidInput(f"the model failed on rows from {before} on: {error}") from error


def _embeddings(version: Version, prediction: Prediction, group: Mapping[str, Array]) -> dict[str, Array]:
    problem = problem_of(version)
    if problem or prediction.embedding is None:
        raise InvalidInput(f"nothing can be learnt on this version: {problem}")
    if LABELS not in group:
        raise InvalidInput("the data has no labels; give each row its label")
    return {"embedding": prediction.embedding.reshape(len(prediction.embedding), -1), LABELS: group[LABELS]}


def _answers(version: Version, prediction: Prediction) -> dict[str, Array]:
    outputs, told = version.manifest.outputs, prediction.outputs
    match version.manifest.task.kind:
        case TaskKind.CLASSIFY:
            if prediction.scores is None:
                raise InvalidInput("the model gave no scores")
            return {"scores": prediction.scores}
        case TaskKind.DETECT:
            boxes = {
                name: told[output]
                for name, output in (
                    ("boxes", outputs.boxes),
                    ("classes", outputs.classes),
                    ("scores", outputs.scores),
                    ("counts", outputs.count),
                )
                if output is not None
            }
            counts = None if outputs.count is None else told[outputs.count].reshape(-1)
            threshold = version.manifest.policy.box_threshold
            for kind in sorted(BOX_KINDS):
                boxes[CONFIDENCES + kind] = box_confidences(kind, boxes["scores"], counts, threshold)
            return boxes
        case TaskKind.SCALAR:
            values = told[outputs.value or ""]
            return {"values": values, CONFIDENCES + ScoreKind.SCALAR: scalar_confidences(values)}


if __name__ == "__main__":
    sys.exit(main())
