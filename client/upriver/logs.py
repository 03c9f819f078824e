"""How processes log: to standard error, one line an event, as text for people or JSON for machines.

Levels: `error` is for what somebody must act on, `warning` for what works with less, `info` for what an operator did or
must know, `debug` for what is told of single questions.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from upriver.errors import InvalidInput

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_ABOUT: Final = ("trace", "question")
LEVELS: Final = ("debug", "info", "warning", "error")
MAX_SET: Final = 32
MAX_HOLD_S: Final = 86_400.0


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what it is about, and the traceback when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Gives the line."""
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_subject(record),
        }
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people; what it is about comes last: ` trace=... question=...`."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Gives the line, without a traceback."""
        about = "".join(f" {name}={value}" for name, value in _subject(record).items())
        return super().formatMessage(record) + about


def set_up(level: str, form: Literal["text", "json"]) -> None:
    """Sends the process's logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("httpx").setLevel("WARNING")  # it tells every request at info


def about(trace: str = "", question: str = "") -> dict[str, str]:
    """What a line is about, for `extra=`: ids of a trace and of a question, each left out when it is empty."""
    return {name: value for name, value in zip(_ABOUT, (trace, question), strict=True) if value}


@dataclass(frozen=True, slots=True)
class HeldLevel:
    """A level that holds for `left_s` more; None is for good, as configured. The module "" is everything."""

    module: str
    level: str
    left_s: float | None = None


class Pending(Protocol):
    """A call that is to come."""

    def cancel(self) -> object:
        """Has it not come."""


class LevelSetter:
    """Sets levels for a while; they go back by themselves. `clock` gives seconds, `later` calls after so many.

    One call at most is to come, for the level that goes back first: each may be a thread that waits.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], Pending] | None = None,
    ) -> None:
        self._clock = clock
        self._later = later or _later
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, int]] = {}
        """By module: until when, and what level it had."""
        self._pending: Pending | None = None
        self._due = 0.0

    def levels(self) -> tuple[HeldLevel, ...]:
        """Everything's level and those that are set, by module."""
        with self._lock:
            self._expire()
            now = self._clock()
            modules = sorted({"", *self._held})
            return tuple(
                HeldLevel(module, _level(module), self._held[module][0] - now if module in self._held else None)
                for module in modules
            )

    def set(self, levels: Mapping[str, str], hold_s: float) -> tuple[HeldLevel, ...]:
        """Sets levels by module for so long; "" takes back what was set. Gives all that are set then.

        Raises InvalidInput for a module or level that there is not, and then none is set.
        """
        if not 0 < hold_s <= MAX_HOLD_S:
            raise InvalidInput(f"levels for {hold_s:g} s: expected more than 0 and at most {MAX_HOLD_S:.0f} s")
        for module, level in levels.items():
            _check(module, level)
        with self._lock:
            self._expire()
            if len({*self._held, *levels}) > MAX_SET:
                raise InvalidInput(f"levels of more than {MAX_SET} modules: take some back first")
            for module, level in levels.items():
                logger = logging.getLogger(module)
                _, before = self._held.pop(module, (0.0, logger.level))
                logger.setLevel(level.upper() if level else before)
                if level:
                    self._held[module] = (self._clock() + hold_s, before)
            self._arm()
        return self.levels()

    def expire(self) -> None:
        """Has levels go back whose time is over."""
        with self._lock:
            self._expire()
            self._arm(come=True)

    def _arm(self, come: bool = False) -> None:
        """Has the call come when it should; `come` says that the one that was to come has. With the lock."""
        due = min((until for until, _ in self._held.values()), default=0.0)
        if due == self._due and not come:
            return
        if self._pending is not None:
            self._pending.cancel()
        self._pending = self._later(due - self._clock(), self.expire) if self._held else None
        self._due = due

    def _expire(self) -> None:
        now = self._clock()
        for module, (until, before) in list(self._held.items()):
            if now >= until:
                del self._held[module]
                logging.getLogger(module).setLevel(before)


def _subject(record: logging.LogRecord) -> dict[str, str]:
    return {name: value for name in _ABOUT if (value := getattr(record, name, ""))}


def _check(module: str, level: str) -> None:
    known = logging.root.manager.loggerDict
    if module and module not in known:
        near = sorted(name for name in known if name.split(".")[0] == module.split(".")[0])[:8]
        raise InvalidInput(
            f"module {module[:200]!r} logs nothing here; expected one like {', '.join(near) or 'upriver'}"
        )
    if level and level not in LEVELS:
        raise InvalidInput(f"level {level[:200]!r} of {module or 'everything'}: expected one of {', '.join(LEVELS)}")


def _level(module: str) -> str:
    return logging.getLevelName(logging.getLogger(module).getEffectiveLevel()).lower()


def _later(seconds: float, call: Callable[[], None]) -> Pending:
    timer = threading.Timer(seconds + 0.01, call)
    timer.daemon = True
    timer.name = "upriver-log-levels"
    timer.start()
    return timer
