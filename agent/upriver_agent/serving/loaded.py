"""One pair, loaded: its version's interpreters, its head, its policy, its contract."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upriver.scores import Floats
from upriver.tensors import Array
from upriver_agent.head import BoundHead
from upriver_agent.policy import Policy
from upriver_agent.predictor import Prediction
from upriver_agent.serving.contract import Contract
from upriver_agent.serving.interpreters import Interpreters, Lane, Usage
from upriver_agent.versions import Version

if TYPE_CHECKING:
    from upriver_agent.serving.fusing import Fuser
    from upriver_agent.serving.meter import Meter
    from upriver_agent.serving.pupil import Pupil
    from upriver_agent.serving.shadow import Shadow
    from upriver_agent.serving.watch import Watch


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """An output as callers see it: protocol data type and one row's shape (-1 is any size)."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a version's outputs mean, as `merge.Answers` has it; the last four are parts of the answer by name."""

    labels: tuple[str, ...] = ()
    scores_output: str = ""
    scores_are_logits: bool = False
    classes_output: str = ""
    whole: frozenset[str] = frozenset()
    boxes_output: str = ""
    box_scores_output: str = ""
    count_output: str = ""
    value_output: str = ""


class LoadedVersion:
    """A version that answers."""

    def __init__(
        self,
        version: Version,
        policy: Policy,
        contract: Contract,
        outputs: tuple[OutputSpec, ...],
        form: AnswerForm,
        score: Callable[[Prediction], Floats],
        interpreters: Interpreters,
        fuse: "Fuser | None" = None,
        head: BoundHead | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Takes over one use of the interpreters, until it is closed.

        `usage` is that of the pair that this one was refined from, None when it was not.
        """
        self.version = version
        self.policy = policy
        self.contract = contract
        self.outputs = outputs
        self.form = form
        self.model = version.manifest.model
        self.name = version.manifest.version
        self.fixed_outputs = all(size >= 0 for output in outputs for size in output.shape)
        self.replies: dict[str, bytes] = {}
        """For transports: what is the same in all confident answers to one row, kept ready."""
        self.score = score
        self.fuse = fuse
        """What its policy does with answers from below; None when it goes by its own."""
        self.head = head
        """What answers in the place of its version's last layer; None when that answers itself."""
        self.large = interpreters.workers is not None
        self.shadow: Shadow | None = None
        """What compares this version's answers with those of the one that is to replace it, while there is one."""
        self.watch: Watch | None = None
        """What tosses the coin for this version's answers, and knows whether the alarm has rung; None: nobody does."""
        self.meter: Meter | None = None
        """What measures the answers; None: nobody has metrics fetched."""
        self.unwatched = ""
        """Why nobody does."""
        self.pupil: Pupil | None = None
        """What hears the answers that come from above; None: nobody does."""
        self.untaught = ""
        """Why nobody does."""
        self.interpreters = interpreters
        self.usage = Usage(interpreters) if usage is None else usage
        self._lanes = self.usage.lanes
        self._free = interpreters.free
        self._workers = interpreters.workers
        self._closed = False

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All interpreters, for statistics."""
        return self._lanes

    @property
    def alarmed(self) -> bool:
        """Whether nothing that it says is believed any more: everything goes up."""
        return self.watch is not None and self.watch.alarmed

    @property
    def escalated_rows(self) -> int:
        """How many rows went up."""
        return self.usage.escalated_rows

    def count_escalated(self, rows: int) -> None:
        """Notes that so many rows went up."""
        self.usage.count_escalated(rows)

    def predict(self, arrays: Mapping[str, Array], rows: int) -> Prediction | Future[Prediction]:
        """Runs the model now, or for a large model soon on a worker."""
        if self._workers is not None:
            try:
                return self._workers.submit(self._predict, arrays, rows)
            except RuntimeError:
                # Closed by a swap after the caller read the slot: its interpreters are still whole.
                return self._predict(arrays, rows)
        return self._predict(arrays, rows)

    def close(self) -> None:
        """Leaves its interpreters; what was submitted is still done. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self.interpreters.leave()

    def _predict(self, arrays: Mapping[str, Array], rows: int) -> Prediction:
        try:
            number = self._free.pop()
        except IndexError:
            number = self.interpreters.wait()
        try:
            prediction = self._lanes[number].predict(arrays, rows)
        finally:
            self._free.append(number)
            if self.interpreters.waiting:
                self.interpreters.notify()
        return prediction if self.head is None else self.head(prediction)
