"""From a path to a version that answers: read, verify in a child process, make interpreters, warm them.

A version that was verified here before with the same runtime is not verified again: versions are content-addressed,
and the record is kept under its digest in the agent's state folder.
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from upriver.errors import NotNow
from upriver.heads import Head
from upriver.policies import PolicyDocument
from upriver.tensors import DTYPES, datatype_of
from upriver_agent.head import bind_head
from upriver_agent.place import Place
from upriver_agent.policy import make_policy
from upriver_agent.predictor import Predictor, open_predictor
from upriver_agent.runtime import RuntimeKind
from upriver_agent.serving.contract import Contract, InputSpec
from upriver_agent.serving.fusing import make_fuser
from upriver_agent.serving.interpreters import Interpreters, Usage
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
        self._lock = threading.Lock()
        self._interpreters: WeakValueDictionary[str, Interpreters] = WeakValueDictionary()
        """By version: pairs of one version share them."""

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

    def warm(
        self, version: Version, report: VerifyReport, policy: PolicyDocument | None = None, head: Head | None = None
    ) -> LoadedVersion:
        """Makes a verified version's interpreters, unless another of its pairs has them, under its manifest's policy or
        another, with the head that the policy names.

        Raises ManifestError for a policy that is not valid, ModelInvalid (also for another head than the policy's) or
        RuntimeMissing.
        """
        document = policy or version.manifest.policy_document(version.digest)
        return self._pair(version, document, head, lambda contract: self._shared(version, report, contract), None)

    def refined(self, base: LoadedVersion, policy: PolicyDocument, head: Head | None) -> LoadedVersion:
        """Makes another pair of a version that is loaded, with its interpreters; what it does counts as the base's.

        Raises as `warm` does, and NotNow when the base was closed meanwhile.
        """
        return self._pair(base.version, policy, head, lambda _: _joined(base), base.usage)

    def _pair(
        self,
        version: Version,
        policy: PolicyDocument,
        head: Head | None,
        interpreters: Callable[[Contract], Interpreters],
        usage: Usage | None,
    ) -> LoadedVersion:
        bound, joined = make_policy(policy), bind_head(version, policy, head)
        labels = version.labels if joined is None else joined.labels
        if self._place is not None and (problem := self._place.skip_problem(policy.escalate_to)):
            _LOG.warning(
                "the policy of %s version %s has %s", version.manifest.model, version.manifest.version, problem
            )
        contract = Contract([InputSpec(c.name, c.datatype, c.shape, c.encoded) for c in version.manifest.canonical])
        score, fuse = make_scorer(version.manifest, policy), make_fuser(version.manifest, policy, labels)
        return LoadedVersion(
            version=version,
            policy=bound,
            contract=contract,
            outputs=_output_specs(version, None if joined is None else labels),
            form=_answer_form(version, labels),
            score=score,
            interpreters=interpreters(contract),
            fuse=fuse,
            head=joined,
            usage=usage,
        )

    def _shared(self, version: Version, report: VerifyReport, contract: Contract) -> Interpreters:
        with self._lock:
            found = self._interpreters.get(version.digest)
        if found is not None and found.join():
            return found
        options = self._options
        large = report.invoke_ms > options.large_model_ms
        count = (options.workers or os.cpu_count() or 1) if large else _SMALL_INTERPRETERS

        def make() -> Predictor:
            return _warm(open_predictor(version, options.runtime, options.threads), contract)

        made = Interpreters(make, count, large, version.manifest.model)
        with self._lock:
            self._interpreters[version.digest] = made
        return made


def _joined(base: LoadedVersion) -> Interpreters:
    if not base.interpreters.join():
        raise NotNow(f"{base.model} {base.name} was taken out of service meanwhile")
    return base.interpreters


def _output_specs(version: Version, learnt: tuple[str, ...] | None) -> tuple[OutputSpec, ...]:
    """`learnt` are a head's labels, None without one."""
    scores = version.manifest.outputs.scores
    return tuple(
        OutputSpec(bound.name, "FP32", (len(learnt),))
        if learnt is not None and bound.name == scores
        else OutputSpec(
            bound.name,
            "FP32" if bound.tensor.scale else datatype_of(np.empty(0, bound.tensor.dtype)),
            bound.row_shape,
        )
        for bound in version.binding.outputs
    )


def _answer_form(version: Version, labels: tuple[str, ...]) -> AnswerForm:
    outputs, task = version.manifest.outputs, version.manifest.task
    if task.kind is TaskKind.DETECT:
        parts = (outputs.boxes, outputs.scores, outputs.count)
        return AnswerForm(
            labels=labels,
            classes_output=outputs.classes or "",
            whole=frozenset(name for name in parts if name is not None),
            boxes_output=outputs.boxes or "",
            box_scores_output=outputs.scores or "",
            count_output=outputs.count or "",
        )
    if task.kind is TaskKind.SCALAR:
        return AnswerForm(whole=frozenset({outputs.value or ""}), value_output=outputs.value or "")
    return AnswerForm(
        labels=labels,
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
