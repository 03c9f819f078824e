"""All slots of an agent: takes assignments, keeps the record, and knows what to report."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from upriver.errors import DiskTrouble
from upriver_agent.installing import record
from upriver_agent.installing.record import Record
from upriver_agent.installing.supply import Supply
from upriver_agent.installing.worker import SlotFacts, SlotWorker
from upriver_agent.serving.loader import Loader
from upriver_agent.serving.slots import Slots
from upriver_agent.slot import Assigned, Pair, Slot

_LOG = logging.getLogger(__name__)
MAX_SLOTS = 64
MAX_STARTS = 3
"""Starts in a row, with the same active pairs, that ended before PROOF_S; then those with a previous one are passed
over."""
PROOF_S = 30.0
"""An agent that has run so long has shown that its pairs do not end it."""
_CLOSE_S = 5.0


class Installer:
    """`changed` is called, from any thread, when a slot has changed; `fallback` puts a configured version back."""

    def __init__(
        self,
        state_dir: Path,
        supply: Supply,
        loader: Loader,
        slots: Slots,
        changed: Callable[[], None],
        fallback: Callable[[str], None],
    ) -> None:
        self._file = state_dir / "slots.json"
        self._supply = supply
        self._loader = loader
        self._slots = slots
        self._told = changed
        self._fallback = fallback
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._workers: dict[str, SlotWorker] = {}
        self._resource_version = ""
        self._assignments: dict[str, Assigned] = {}
        self._starts = 0
        self._answering: dict[str, Pair | None] = {}
        self._proof = self._timer()

    def recover(self) -> frozenset[str]:
        """Loads what was active when the agent last ran, with nothing reachable; gives the models that answer now."""
        kept = record.load(self._file)
        self._resource_version = kept.resource_version
        self._starts = kept.starts + 1
        harmful = self._starts > MAX_STARTS
        for model, slot in kept.slots.items():
            self._workers[model] = self._worker(slot)
        self._assignments = dict(kept.assignments)
        self._save()
        why = f"the agent ended {kept.starts} times within {PROOF_S:.0f} s of its start" if harmful else ""
        for worker in self._workers.values():
            worker.recover(why)
        self._answering = {model: worker.slot.active for model, worker in self._workers.items()}
        self._save()
        return frozenset(model for model, worker in self._workers.items() if worker.slot.active is not None)

    def start(self) -> None:
        """Goes on with what was under way."""
        self._proof.start()
        self._release()
        for worker in self._workers.values():
            worker.start()
        # The record may have been written between the world's arrival and a slot's first step towards it.
        self.assign(self._resource_version, self._assignments)

    @property
    def resource_version(self) -> str:
        """The version of the control plane's world that the slots follow."""
        return self._resource_version

    def assign(self, resource_version: str, assignments: Mapping[str, Assigned]) -> str:
        """Takes in the state of the world; gives why it is refused, or an empty text. Never waits.

        A slot that the world does not speak of keeps what it has: an agent is not emptied by a control plane that has
        forgotten.
        """
        strange = len(self._workers.keys() | assignments.keys())
        if strange > MAX_SLOTS:
            return f"{strange} slots; this agent has room for {MAX_SLOTS}"
        with self._lock:
            for model, event in assignments.items():
                worker = self._workers.get(model)
                if worker is None:
                    worker = self._workers[model] = self._worker(Slot(model))
                    worker.start()
                worker.assign(event)
            self._resource_version = resource_version
            self._assignments = {**self._assignments, **assignments}
        self._save()
        return ""

    def nudge(self) -> None:
        """Tries again now what waits for the network."""
        for worker in list(self._workers.values()):
            worker.nudge()

    def facts(self) -> tuple[SlotFacts, ...]:
        """What every slot reports, by model."""
        return tuple(worker.facts() for _, worker in sorted(self._workers.copy().items()))

    def close(self) -> None:
        """Ends the workers; what was under way goes on at the next start."""
        for worker in list(self._workers.values()):
            worker.close(_CLOSE_S)
        with self._lock:
            self._proof.cancel()
        self._starts = 0
        self._save()

    def _worker(self, slot: Slot) -> SlotWorker:
        return SlotWorker(
            slot, self._supply, self._loader, self._slots, self._trying, self._slot_changed, self._fallback
        )

    def _slot_changed(self, worker: SlotWorker) -> None:
        self._prove_anew(worker.slot)
        self._save()
        self._release()
        self._told()

    def _release(self) -> None:
        try:
            self._supply.release(self._kept())
        except DiskTrouble as error:
            _LOG.warning("versions that nobody needs stay on disk: %s", error)

    def _kept(self) -> Iterable[Pair]:
        return [pair for worker in list(self._workers.values()) for pair in worker.slot.keeps()]

    def _prove_anew(self, slot: Slot) -> None:
        """Starts that ended while something else answered are no sign against the pair that answers now."""
        with self._lock:
            if self._answering.get(slot.model) == slot.active:
                return
            self._answering[slot.model] = slot.active
            self._starts = 1
            if self._proof.ident is not None:
                self._proof.cancel()
                self._proof = self._timer()
                self._proof.start()

    def _timer(self) -> threading.Timer:
        timer = threading.Timer(PROOF_S, self._proven)
        timer.daemon = True
        return timer

    def _proven(self) -> None:
        self._starts = 0
        self._save()

    def _save(self) -> None:
        with self._lock:
            slots = {model: worker.slot for model, worker in self._workers.items()}
            try:
                record.save(self._file, Record(slots, self._resource_version, self._assignments, self._starts))
            except DiskTrouble as error:
                # What runs goes on; a start from here would begin with the slots as they were last written.
                _LOG.error("the slots can't be kept: %s", error)
