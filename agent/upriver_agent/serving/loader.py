"""From a path to a version that answers: read, verify in a child process, make interpreters, warm them.

A version that was verified here before with the same runtime is not verified again: versions are content-addressed,
and the record is kept under its digest in the agent's state folder.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upriver.policies import PolicyDocument
from upriver.tensors import DTYPES, datatype_of
from upriver_agent.place import Place
from upriver_agent.policy import make_policy
from upriver_agent.predictor import Predictor, open_predictor
from upriver_agent.runtime import RuntimeKind
from upriver_agent.serving.contract import Contract, InputSpec
from upriver_agent.serving.fusing import make_fuser
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion, OutputSpec
from upriver_agent.serving.scoring import make_scorer
from upriver_agent.versions import VerifyReport, Version, open_version, verify_version
from upriver_agent.versions.manifest import ScoresAre, TaskKind

_LOG = logging.getLogger(__name__)
_SMALL_INTERPRETERS = 2
"""Interpreters of a model that runs on the serving threads: as many as may run at once."""


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """How versions are loaded: `workers` interpreters for models slower than `large_model_ms`, `threads` in each."""

    runtime: RuntimeKind
    threads: int
    workers: int
    large_model_ms: float
    state_dir: Path
    verify_timeout_s: float = 60.0


class Loader:
    """Loads versions for one agent; `place` is where it stands, if they are to answer for others."""

    def __init__(self, options: LoaderOptions, place: Place | None = None) -> None:
        self._options = options
        self._place = place

    def __call__(self, path: Path) -> LoadedVersion:
        """Gives the version at `path`, warm; raises ManifestError, ModelInvalid or RuntimeMissing."""
        version = open_version(path, self._options.state_dir)
        return self.warm(version, self.verify(version))

    def verify(self, version: Version) -> VerifyReport:
        """Tries a version in a child process, unless it has passed here before; raises as `verify_version` does."""
        options = self._options
        return verify_version(
            version,
            options.runtime,
            timeout_s=options.verify_timeout_s,
            threads=options.threads,
            remember=options.state_dir / "verified",
        )

    def warm(self, version: Version, report: VerifyReport, policy: PolicyDocument | None = None) -> LoadedVersion:
        """Makes a verified version's interpreters, with its manifest's policy or another.

        Raises ManifestError for a policy that is not valid, ModelInvalid or RuntimeMissing.
        """
        options = self._options
        large = report.invoke_ms > options.large_model_ms
        interpreters = (options.workers or os.cpu_count() or 1) if large else _SMALL_INTERPRETERS
        bound = make_policy(policy or version.manifest.policy_document(version.digest))
        if self._place is not None and (problem := self._place.skip_problem(bound.document.escalate_to)):
            _LOG.warning(
                "the policy of %s version %s has %s", version.manifest.model, version.manifest.version, problem
            )
        contract = Contract([InputSpec(c.name, c.datatype, c.shape, c.encoded) for c in version.manifest.canonical])
        return LoadedVersion(
            version=version,
            policy=bound,
            contract=contract,
            outputs=_output_specs(version),
            form=_answer_form(version),
            score=make_scorer(version.manifest, bound.document),
            make_predictor=lambda: _warm(open_predictor(version, options.runtime, options.threads), contract),
            interpreters=interpreters,
            large=large,
            fuse=make_fuser(version.manifest, bound.document, version.labels),
        )


def _output_specs(version: Version) -> tuple[OutputSpec, ...]:
    return tuple(
        OutputSpec(
            bound.name,
            "FP32" if bound.tensor.scale else datatype_of(np.empty(0, bound.tensor.dtype)),
            bound.row_shape,
        )
        for bound in version.binding.outputs
    )


def _answer_form(version: Version) -> AnswerForm:
    outputs, task = version.manifest.outputs, version.manifest.task
    if task.kind is TaskKind.DETECT:
        parts = (outputs.boxes, outputs.scores, outputs.count)
        return AnswerForm(
            labels=version.labels,
            classes_output=outputs.classes or "",
            whole=frozenset(name for name in parts if name is not None),
            boxes_output=outputs.boxes or "",
            box_scores_output=outputs.scores or "",
            count_output=outputs.count or "",
        )
    if task.kind is TaskKind.SCALAR:
        return AnswerForm(whole=frozenset({outputs.value or ""}), value_output=outputs.value or "")
    return AnswerForm(
        labels=version.labels,
        scores_output=outputs.scores or "",
        scores_are_logits=outputs.scores_are is ScoresAre.LOGITS,
    )


def _warm(predictor: Predictor, contract: Contract) -> Predictor:
    # The first call allocates; encoded images have no blank, and verification has tried them.
    if not any(spec.encoded for spec in contract.inputs):
        predictor.predict(
            {
                spec.name: np.zeros((1, *spec.shape), DTYPES.get(spec.datatype, np.dtype(np.float32)))
                for spec in contract.inputs
            }
        )
    return predictor
