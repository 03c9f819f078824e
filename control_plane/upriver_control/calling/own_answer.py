"""A published version answers one row here, in a child process, as the agent's own program has it answer."""

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver import parameters as names
from upriver.errors import DiskTrouble
from upriver.labels import join_labels
from upriver.listing import digest as digest_of
from upriver.oip.v2 import inference_pb2 as oip
from upriver.policies import PolicyDocument, read_policy
from upriver.questions import INPUTS, RowsWriter
from upriver.risk import risk_confidences
from upriver.scores import CLASS_KINDS, Floats, ScoreKind, class_features
from upriver.tensors import Datatype, datatype_of, decode_raw, encode_raw
from upriver.v1 import train_pb2
from upriver.values import ParameterValue, set_parameter
from upriver_control.artifacts import Artifacts
from upriver_control.calibrating.answers import Answers, answers
from upriver_control.calibration.inputs import TierOutputs
from upriver_control.jobs import TierSpec
from upriver_control.store.records import StoredVersion
from upriver_control.working.folders import Folders, bring

ME: Final = "control-plane"
TIMEOUT_S: Final = 60.0
"""Of processor time."""


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """One row's answer. `seconds` is the time of the model; without a policy there is no `threshold`, None."""

    message: oip.ModelInferResponse
    score: float
    threshold: float | None
    seconds: float

    @property
    def confident(self) -> bool:
        """Whether the policy would let it go out."""
        return self.threshold is not None and self.score >= self.threshold and self.score > -math.inf


class VersionAnswers:
    """Has versions answer, one after the other. Methods block."""

    def __init__(self, artifacts: Artifacts, folders: Folders, memory_mib: int) -> None:
        """Works in folders of its own, each of which is gone afterwards; a child may have `memory_mib` of memory."""
        self._artifacts = artifacts
        self._folders = folders
        self._memory_mib = memory_mib

    def answer(self, version: StoredVersion, inputs: "list[train_pb2.HandedInput]") -> OwnAnswer:
        """The answer by the version's own policy, that of its manifest.

        Raises InvalidInput for inputs that it can't be asked, and ModelInvalid, RuntimeMissing, BlobNotFound,
        Unreachable and DiskTrouble as `calibrating.answers` does.
        """
        rows = {INPUTS + one.name: _row(one) for one in inputs}
        try:
            self._folders.own.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._folders.own.absolute()))
        except OSError as error:
            raise DiskTrouble(f"can't work in {self._folders.own}: {error.strerror or error}") from error
        try:
            found = self._answered(version, rows, folder)
        except OSError as error:
            raise DiskTrouble(f"can't ask {version.name} in {folder}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what stays is removed at the next start
        document = version.validation.policy_document
        policy = read_policy(document) if document else None
        score = score_of(policy, found.outputs)
        threshold = None if policy is None else policy.threshold
        made = OwnAnswer(oip.ModelInferResponse(), score, threshold, found.ms_per_row / 1e3)
        _write(made, version, found.outputs, digest_of(document.encode()) if document else "")
        return made

    def _answered(self, version: StoredVersion, rows: dict[str, NDArray[Any]], folder: Path) -> Answers:
        place, questions = folder / "version", folder / "questions"
        place.mkdir()
        for file in version.files:
            bring(self._artifacts, file.digest, place / file.name)
        with questions.open("wb") as out, RowsWriter(out) as writer:
            writer.add(rows)
        tier = TierSpec(tier=ME, version=version.name, version_digest=version.digest)
        return answers(tier, place, questions, folder / "answers", TIMEOUT_S, self._memory_mib, lambda _: None)


def score_of(policy: PolicyDocument | None, outputs: TierOutputs) -> float:
    """How sure a row's answer is by a policy; without one by its largest probability, or the only one there is."""
    kind = ScoreKind.MAX_PROBABILITY if policy is None else policy.score
    temperature = 1.0 if policy is None else policy.temperature
    features: dict[ScoreKind, Floats] = dict(outputs.confidences)
    scores = outputs.answered.scores
    if outputs.classifies and scores is not None:
        features = class_features(sorted(CLASS_KINDS), scores, are_logits=outputs.are_logits, temperature=temperature)
    if policy is not None and policy.risk is not None:
        return float(risk_confidences(policy.risk, features)[0])
    found = features.get(kind, next(iter(features.values()), None))
    return -math.inf if found is None else float(found[0])


def _row(one: train_pb2.HandedInput) -> NDArray[Any]:
    """An input as one row of a questions file."""
    if one.datatype == Datatype.BYTES:
        made = np.empty(1, object)
        made[0] = one.data
        return made
    return decode_raw(one.name, one.datatype, (1, *one.shape), one.data)


def _write(made: OwnAnswer, version: StoredVersion, outputs: TierOutputs, policy: str) -> None:
    """The answer as an agent would give it, but for the outputs' names: those are what they are to the task."""
    message, answered = made.message, outputs.answered
    message.model_name, message.model_version = version.model, version.version
    facts: dict[str, ParameterValue] = {
        names.AGENT: ME,
        names.CONFIDENCE: made.score,
        names.RESOLVED: made.confident,
        names.PATH: ME,
    }
    if policy:
        facts[names.POLICY] = policy
    for name, value in facts.items():
        set_parameter(message.parameters[name], value)
    for name in ("scores", "boxes", "classes", "counts", "values"):
        array = getattr(answered, name)
        if array is None:
            continue
        datatype = datatype_of(array)
        output = message.outputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_output_contents.append(encode_raw(array, datatype))
        if outputs.classifies and name == "scores":
            output.parameters[names.SCORES_ARE].string_param = "logits" if outputs.are_logits else "probabilities"
        if answered.labels and name == ("scores" if outputs.classifies else "classes"):
            output.parameters[names.LABELS].string_param = join_labels(answered.labels)
