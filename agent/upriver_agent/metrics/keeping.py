"""Families about what is kept: journals, spans on their way, lessons, and what came of what was learnt."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from upriver.families import Bounded, Family, Kind, Sample, summed
from upriver_agent.journal import Journal
from upriver_agent.otlp import SpanCounts


def journal_families(journals: Iterable[Journal]) -> Iterator[Family]:
    """How the journals' disk does."""
    journals = list(journals)
    failed = [Sample({"journal": one.path.stem}, one.failed) for one in journals]
    yield Family("upriver_journal_writes_failed", Kind.COUNTER, "Writes that the disk refused.", "", failed)
    pending = [Sample({"journal": one.path.stem}, one.pending) for one in journals]
    yield Family("upriver_journal_pending_writes", Kind.GAUGE, "Writes that wait for the disk.", "", pending)
    aside = [Sample({"journal": one.path.stem}, one.set_aside) for one in journals]
    text = "Files that were found damaged and are begun anew."
    yield Family("upriver_journal_files_set_aside", Kind.COUNTER, text, "", aside)


def span_families(counts: SpanCounts | None) -> Iterator[Family]:
    """What becomes of spans; nothing where they go nowhere."""
    sent, lost, waiting = ({}, {}, {}) if counts is None else (counts.sent, counts.lost, counts.waiting)
    for name, kind, text, told in (
        ("sent", Kind.COUNTER, "Spans that a receiver has.", sent),
        ("dropped", Kind.COUNTER, "Spans that nobody will see.", lost),
        ("waiting", Kind.GAUGE, "Spans that wait in memory.", waiting),
    ):
        samples = [Sample({"lane": lane}, number) for lane, number in told.items()]
        yield Family(f"upriver_spans_{name}", kind, text, "", samples)
    spooled = [] if counts is None else [Sample({}, counts.kept)]
    yield Family("upriver_spool_spans", Kind.GAUGE, "Spans that wait on the disk.", "", spooled)


class Learnt:
    """Lessons and promotions. Not for two threads at once, except for `promoted`."""

    def __init__(self, models: Bounded) -> None:
        self._models = models
        self._labels = Bounded()
        self._promoted: Counter[str] = Counter()

    def promoted(self, model: str) -> None:
        """A head of a model began to answer."""
        self._promoted[model] += 1

    def families(
        self, by_label: Mapping[tuple[str, str], int], tried: Mapping[tuple[str, bool], int]
    ) -> Iterator[Family]:
        """All of them; `tried` are trials of heads by model and whether they passed."""
        lessons = [
            Sample({"model": self._models.name(model), "label": self._labels.name(label)}, number)
            for (model, label), number in by_label.items()
        ]
        yield Family("upriver_lessons_counted", Kind.GAUGE, "Lessons that count, by label.", "", summed(lessons))
        trials = [
            Sample({"model": self._models.name(model), "outcome": "promoted" if passed else "refused"}, number)
            for (model, passed), number in tried.items()
        ]
        text = "Heads that were tried lately (200 a model are remembered), by what came of it."
        yield Family("upriver_head_trials", Kind.GAUGE, text, "", summed(trials))
        promoted = [
            Sample({"model": self._models.name(model)}, number) for model, number in dict(self._promoted).items()
        ]
        yield Family("upriver_promotions", Kind.COUNTER, "Heads that began to answer.", "", summed(promoted))
