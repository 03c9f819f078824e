"""Everything that an agent tells Prometheus, collected when somebody asks."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upriver.errors import UpriverError
from upriver.families import Bounded, Family, Kind, Sample, summed
from upriver.process_metrics import ProcessMetrics
from upriver_agent.journal import Journal
from upriver_agent.metrics.answers import Inferred, answer_families
from upriver_agent.metrics.keeping import Learnt, journal_families, span_families
from upriver_agent.otlp import SpanCounts
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.meter import Meter
from upriver_agent.serving.slots import Slots
from upriver_agent.upstream.guard import Guard

_STATES: Final = ("serving", "refined", "empty")
_OUTCOMES: Final = ("answered", "failed", "timed_out", "upstream_full", "refused")
_OTHER: Final = "other"
_JOURNAL: Final = ("db", "db-wal", "db-shm", "sqlite", "sqlite-wal", "sqlite-shm")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at. `decisions` counts by name; `state_dir` has the journals' files.

    `lessons` are those that count, by model and label; `tried` are trials of heads, by model and whether they passed.
    """

    slots: Slots
    guard: Guard
    admission: Admission
    decisions: Callable[[], Mapping[str, int]]
    state_dir: Path
    journals: Callable[[], Iterable[Journal]]
    spans: Callable[[], SpanCounts | None]
    lessons: Callable[[], Mapping[tuple[str, str], int]]
    tried: Callable[[], Mapping[tuple[str, bool], int]]


class Collector:
    """Collects, for one thread after the other."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._meters: dict[str, Meter] = {}
        self._unknown = Meter(_OTHER)
        self._models = Bounded()
        self._upstreams = Bounded()
        self._inferred = Inferred()
        self._process = ProcessMetrics()
        self._collecting = threading.Lock()
        self._learnt = Learnt(self._models)
        self.promoted = self._learnt.promoted

    def meter(self, model: str) -> Meter:
        """The meter of a model that is served here."""
        return self._meters.setdefault(model, Meter(model))

    def failed(self, model: str, error: UpriverError) -> None:
        """A request failed; one for a model that is not here is counted as of `other`."""
        self._meters.get(model, self._unknown).failed(error.reason)

    def families(self) -> list[Family]:
        """All families."""
        with self._collecting:
            return list(self._all())

    def _all(self) -> Iterator[Family]:
        loaded = [slot.active for slot in self._parts.slots.all() if slot.active is not None]
        meters = [*list(self._meters.values()), self._unknown]
        yield from answer_families(meters, loaded, self._models, self._inferred)
        yield from self._upstream()
        yield from self._admitted()
        yield from self._slotted()
        yield from self._watched()
        yield from self._kept()
        yield from journal_families(self._parts.journals())
        yield from span_families(self._parts.spans())
        yield from self._learnt.families(self._parts.lessons(), self._parts.tried())
        yield from self._process.families()

    def _upstream(self) -> Iterator[Family]:
        counters = self._parts.guard.counters
        ended = [Sample({"outcome": name}, getattr(counters, name)) for name in _OUTCOMES]
        yield Family("upriver_upstream_calls", Kind.COUNTER, "Calls to upstreams that ended.", "", ended)
        first = max(0, counters.asked - counters.retries - counters.hedges)
        asked = {"first": first, "retry": counters.retries, "hedge": counters.hedges}
        causes = [Sample({"cause": cause}, number) for cause, number in asked.items()]
        yield Family("upriver_upstream_asked", Kind.COUNTER, "Calls to upstreams, by why.", "", causes)
        sent = [
            Sample({"upstream": self._upstreams.name(agent)}, number)
            for agent, number in self._parts.guard.bytes_to().items()
        ]
        text = "Bytes of questions that went up."
        yield Family("upriver_escalation_bytes", Kind.COUNTER, text, "bytes", summed(sent))
        held = [Sample({}, counters.held_back)]
        yield Family("upriver_upstream_held_back", Kind.COUNTER, "Times an upstream was passed over.", "", held)
        breakers = [
            Sample({"upstream": self._upstreams.name(agent), "state": state}, float(on))
            for agent, is_open in self._parts.guard.left_alone().items()
            for state, on in (("open", is_open), ("closed", not is_open))
        ]
        text = "1 for the state of an upstream's breaker; of `other`, how many are in it."
        yield Family("upriver_upstream_breaker_state", Kind.GAUGE, text, "", summed(breakers))

    def _admitted(self) -> Iterator[Family]:
        admission = self._parts.admission
        yield Family(
            "upriver_inflight_requests", Kind.GAUGE, "Requests inside now.", "", [Sample({}, admission.inflight)]
        )
        yield Family(
            "upriver_inflight_limit", Kind.GAUGE, "Requests that may be inside.", "", [Sample({}, admission.limit)]
        )
        waiting = [
            Sample({"model": self._models.name(slot.model)}, slot.active.interpreters.waiting)
            for slot in self._parts.slots.all()
            if slot.active is not None
        ]
        text = "Requests that wait for their model to be free."
        yield Family("upriver_waiting_requests", Kind.GAUGE, text, "", summed(waiting))
        refused = [Sample({"cause": cause}, number) for cause, number in admission.counters.snapshot().items()]
        yield Family("upriver_refused_requests", Kind.COUNTER, "What was refused for lack of room.", "", refused)

    def _slotted(self) -> Iterator[Family]:
        states, versions = [], []
        for slot in self._parts.slots.all():
            model = self._models.name(slot.model)
            now = "empty" if slot.active is None else "serving" if slot.base is None else "refined"
            states += [Sample({"model": model, "state": state}, float(state == now)) for state in _STATES]
            if slot.active is not None and model != _OTHER:
                digest = slot.active.version.digest.removeprefix("sha256:")[:12]
                versions.append(Sample({"model": model, "version": slot.active.name[:200], "digest": digest}, 1))
        text = "1 for the state of a model's slot; of `other`, how many are in it."
        yield Family("upriver_slot_state", Kind.GAUGE, text, "", summed(states))
        yield Family("upriver_version", Kind.INFO, "Which version of a model answers.", "", versions)

    def _watched(self) -> Iterator[Family]:
        told: dict[str, list[Sample]] = {"log_e": [], "audits": [], "disagreements": [], "alarm": []}
        for slot in self._parts.slots.all():
            watch = None if slot.active is None else slot.active.watch
            if watch is None or (model := self._models.name(slot.model)) == _OTHER:
                continue
            report = watch.facts().report
            numbers = (report.log_e_value, report.audits, report.disagreements, float(watch.alarmed))
            for samples, number in zip(told.values(), numbers, strict=True):
                samples.append(Sample({"model": model}, number))
        for name, text in (
            ("log_e", "Logarithm of the evidence against the certificate."),
            ("audits", "Audits since the version began to be watched."),
            ("disagreements", "Audits in which the top said something else."),
            ("alarm", "1 while nothing that the version says is believed."),
        ):
            yield Family(f"upriver_monitor_{name}", Kind.GAUGE, text, "", told[name])

    def _kept(self) -> Iterator[Family]:
        # The files of one journal are its own and those that SQLite keeps beside it.
        sizes: dict[str, int] = {}
        for path in sorted(self._parts.state_dir.iterdir()):
            name, _, ending = path.name.partition(".")
            if ending not in _JOURNAL:
                continue
            try:
                sizes[name] = sizes.get(name, 0) + path.stat().st_size
            except FileNotFoundError:  # closed meanwhile
                continue
        journals = [Sample({"journal": name}, size) for name, size in list(sizes.items())[:16]]
        yield Family("upriver_journal_bytes", Kind.GAUGE, "What a journal takes on the disk.", "bytes", journals)
        decided = self._parts.decisions()
        for prefix, text in (("tickets", "What became of tickets."), ("lessons", "What became of lessons.")):
            samples = [
                Sample({"outcome": name.removeprefix(f"{prefix}_")}, number)
                for name, number in decided.items()
                if name.startswith(f"{prefix}_")
            ]
            yield Family(f"upriver_{prefix}", Kind.GAUGE, text, "", samples)
