"""Metrics sent by OTLP every quarter of a minute, instead of being fetched, to where spans go.

What nobody takes is not sent later: counters go on, so the next message has all of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version as installed_version
from typing import Final

from upriver.errors import ConfigError, RuntimeMissing
from upriver.families import Family
from upriver_agent.otlp import ExportOptions

_LOG = logging.getLogger(__name__)
EVERY_S: Final = 15.0
_JOIN_S: Final = 5.0


class MetricsPush:
    """Sends what `collect` gives, on a thread of its own, first at `start`, last at the end."""

    def __init__(
        self,
        options: ExportOptions,
        collect: Callable[[], Iterable[Family]],
        every_s: float = EVERY_S,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`clock_ns` gives nanoseconds since the epoch. Raises ConfigError for TLS files that can't be read."""
        try:
            from upriver.otlp_metrics import METHOD, encode
            from upriver_agent.spooling.sending import Sender, Target
        except ImportError as error:
            raise RuntimeMissing(
                f"no metrics go to {options.name}, since {error.name} is not installed: pip install 'upriver[otel]'"
            ) from error
        self._encode = encode
        self._sender = Sender(Target(options.addresses, options.channel, options.metadata), clock_ns, METHOD)
        self._name = options.name
        self._resource = {
            "service.name": "upriver-agent",
            "service.instance.id": options.agent,
            "service.version": installed_version("upriver"),
        }
        self._collect = collect
        self._every_s = every_s
        self._clock_ns = clock_ns
        self._started_ns = clock_ns()
        self._trouble = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-metrics", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def close(self) -> None:
        """Sends once more and ends."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        self._sender.close()

    def _run(self) -> None:
        while not self._over.is_set():
            self._once()
            self._over.wait(self._every_s)
        self._once()

    def _once(self) -> None:
        try:
            body = self._encode(self._collect(), self._resource, self._started_ns, self._clock_ns())
        except Exception:  # noqa: BLE001 - a family that is wrong must not end the others' being sent; it is logged
            _LOG.exception("metrics could not be collected")
            return
        self._tell(self._sender.send(body).why)

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _LOG.warning("%s takes no metrics: %s", self._name, trouble)
        elif self._trouble and not trouble:
            _LOG.info("%s takes metrics again", self._name)
        self._trouble = trouble


def push_options(options: ExportOptions | None) -> ExportOptions:
    """Where metrics go; raises ConfigError when that is nowhere: a control plane takes spans alone."""
    if options is None or not options.asked:
        raise ConfigError(
            "can't send metrics",
            ["telemetry.metrics = 'otlp': expected telemetry.otlp_endpoint, and telemetry.export not to be 'off'"],
        )
    return options
