"""Export of spans by OTLP/gRPC, begun in the background after the agent serves.

Spans wait in a bounded queue and leave on a thread of their own. A collector that is slow or gone costs nothing but
room on the disk, one log line when it goes and one when it is back. Spans made before the exporter is
there, a moment after the agent began to serve, go nowhere.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from upriver.channels import ChannelOptions
from upriver.errors import ConfigError, RuntimeMissing
from upriver_agent.telemetry import Telemetry

if TYPE_CHECKING:
    from upriver_agent.journal import Journal
    from upriver_agent.spooling.courier import Courier
    from upriver_agent.spooling.spool import Spool

_LOG = logging.getLogger(__name__)
_IMPORT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Where spans go, and who they are from.

    `name` is where, for people; any of the `addresses` (host:port) is called, with `metadata`. `queue_spans` is how
    many wait in memory, `spool_bytes` how much on the disk in `state_dir` (0: nothing). `asked` says whether somebody
    asked for the export: else what is missing for it is no error.
    """

    name: str
    addresses: Sequence[str]
    agent: str
    queue_spans: int
    state_dir: Path
    spool_bytes: int = 0
    channel: ChannelOptions = field(default_factory=ChannelOptions)
    metadata: Sequence[tuple[str, str]] = ()
    asked: bool = True


class SpanCounts(NamedTuple):
    """What became of spans since the start, of `important` and of `ordinary` questions: those that a receiver has,
    those that nobody will see, those that wait in memory. `kept` is how many wait on the disk, of both."""

    sent: Mapping[str, int]
    lost: Mapping[str, int]
    waiting: Mapping[str, int]
    kept: int


class SpanExport:
    """Starts the export in the background, since importing the SDK takes a good part of a second."""

    def __init__(
        self, options: ExportOptions, telemetry: Telemetry, loaded: Callable[[], object] = lambda: None
    ) -> None:
        """`loaded` is called once everything that it takes is imported, on the thread that did it."""
        self._options = options
        self._loaded = loaded
        self._telemetry = telemetry
        self._courier: Courier | None = None
        self._spool: Spool | None = None
        self._thread = threading.Thread(target=self._begin, name="upriver-otlp", daemon=True)

    def start(self) -> None:
        """Begins; spans are exported from shortly after."""
        self._thread.start()

    def close(self) -> None:
        """Sends what waits, for at most a second, has the rest kept, and ends. Does nothing when it never started."""
        if self._thread.ident is None:
            return
        self._thread.join(_IMPORT_S)
        if self._courier is not None:
            self._courier.close()

    def counts(self) -> SpanCounts | None:
        """What became of spans; None while there is no exporter yet."""
        courier = self._courier
        if courier is None:
            return None
        sent, lost, waiting = (
            {worth.name.lower(): spans for worth, spans in counted.items()}
            for counted in (courier.sent, courier.lost, courier.waiting)
        )
        return SpanCounts(sent, lost, waiting, courier.kept_spans)

    @property
    def journal(self) -> "Journal | None":
        """The spool's, if there is one by now."""
        return None if self._spool is None else self._spool.journal

    def _begin(self) -> None:
        try:
            self._courier = self._compose()
            self._loaded()
        except RuntimeMissing as error:
            _LOG.log(logging.ERROR if self._options.asked else logging.INFO, "%s", error)
            return
        except ConfigError as error:
            _LOG.error("spans go nowhere: %s", error)
            return
        self._courier.start()
        _LOG.info("spans go to %s", self._options.name)

    def _compose(self) -> "Courier":
        try:
            from upriver_agent.spooling.courier import Courier, Pace
            from upriver_agent.spooling.encoding import make_tracer
            from upriver_agent.spooling.lanes import Lanes, Worth
            from upriver_agent.spooling.sending import Sender, Target
            from upriver_agent.spooling.spool import Spool
        except ImportError as error:
            raise RuntimeMissing(
                f"no spans go to {self._options.name}, since {error.name} is not installed: pip install 'upriver[otel]'"
            ) from error
        options = self._options
        lanes = Lanes(options.queue_spans)
        sender = Sender(Target(options.addresses, options.channel, options.metadata), time.time_ns)
        if options.spool_bytes:
            self._spool = Spool(options.state_dir, options.spool_bytes)
        important, ordinary = (make_tracer(options.agent, lanes, worth) for worth in (Worth.IMPORTANT, Worth.ORDINARY))
        self._telemetry.use(important, ordinary)
        return Courier(lanes, sender, self._spool, options.name, Pace())
