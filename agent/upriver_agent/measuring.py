"""How an agent is measured, composed: metrics that Prometheus fetches, or that are sent to an OTLP receiver."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upriver_agent.exporting import export_options
from upriver_agent.journal import Journal
from upriver_agent.otlp import SpanCounts
from upriver_agent.refining import Refining
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.slots import Slots
from upriver_agent.teaching import Teaching
from upriver_agent.telemetry import Telemetry
from upriver_agent.upstream.guard import Guard

if TYPE_CHECKING:
    from upriver.metrics_http import MetricsServer
    from upriver_agent.metrics.pushing import MetricsPush
    from upriver_agent.serving.meter import Meter

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is looked at. `decisions` counts answers by name; `spans` is None where none are exported."""

    slots: Slots
    guard: Guard
    admission: Admission
    telemetry: Telemetry
    teaching: Teaching
    refining: Refining
    decisions: Callable[[], Mapping[str, int]]
    journals: Callable[[], Iterable[Journal]]
    spans: Callable[[], SpanCounts | None]


class Measuring:
    """The metrics of one agent; one that nobody measures loads nothing for it and counts nothing."""

    def __init__(self, config: AgentConfig, of: Measured) -> None:
        """Binds where metrics are fetched; raises ConfigError."""
        self.meter: Callable[[str], Meter] | None = None
        """Gives what counts the answers of a model; None where nobody measures."""
        self.promoted: Callable[[str], object] = str
        """Counts that a head of a model began to answer."""
        self._server: MetricsServer | None = None
        self._push: MetricsPush | None = None
        if config.metrics.listen or config.telemetry.metrics != "off":
            self._compose(config, of)

    def start(self) -> None:
        """Begins to serve and to send."""
        if self._server is not None:
            self._server.start()
            _LOG.info("metrics are at http://%s/metrics", self._server.address)
        if self._push is not None:
            self._push.start()

    def close(self) -> None:
        """Ends both."""
        if self._server is not None:
            self._server.close()
        if self._push is not None:
            self._push.close()

    def _compose(self, config: AgentConfig, of: Measured) -> None:
        from upriver.metrics_http import MetricsServer
        from upriver_agent.metrics.collector import Collector, Parts  # an agent that nobody measures has no room for it
        from upriver_agent.metrics.pushing import MetricsPush, push_options

        collector = Collector(
            Parts(
                slots=of.slots,
                guard=of.guard,
                admission=of.admission,
                decisions=of.decisions,
                state_dir=config.agent.state_dir,
                journals=of.journals,
                spans=of.spans,
                lessons=of.teaching.by_label,
                tried=of.refining.tried,
            )
        )
        self.meter, self.promoted = collector.meter, collector.promoted
        of.telemetry.on_failed = collector.failed
        if config.telemetry.metrics == "otlp":
            self._push = MetricsPush(push_options(export_options(config, os.environ, "METRICS")), collector.families)
        if config.metrics.listen:
            self._server = MetricsServer(config.metrics.listen, collector.families)
