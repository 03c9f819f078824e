"""Which questions a page shows: what stands in its address, as a filter of the service and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from upriver.v1 import question_pb2 as pb

PATH: Final = "/questions"


@dataclass(frozen=True, slots=True)
class Last:
    """A length of time that ends now."""

    words: str
    length: timedelta


LASTS: Final[Mapping[str, Last]] = {
    "15m": Last("15 minutes", timedelta(minutes=15)),
    "1h": Last("hour", timedelta(hours=1)),
    "6h": Last("6 hours", timedelta(hours=6)),
    "24h": Last("24 hours", timedelta(hours=24)),
    "7d": Last("7 days", timedelta(days=7)),
}
FLAGS: Final[Mapping[str, "pb.QuestionFlag"]] = {
    pb.QuestionFlag.Name(value).removeprefix("QUESTION_FLAG_").lower(): value
    for value in (
        pb.QUESTION_FLAG_ESCALATED,
        pb.QUESTION_FLAG_DEGRADED,
        pb.QUESTION_FLAG_UNRESOLVED,
        pb.QUESTION_FLAG_FAILED,
        pb.QUESTION_FLAG_TICKETED,
        pb.QUESTION_FLAG_ALARMED,
        pb.QUESTION_FLAG_HEDGED,
        pb.QUESTION_FLAG_SKEWED,
    )
}
_TEXTS: Final = ("q", "model", "version", "agent", "tier", "region", "reason", "answered")
_FIELDS: Final = {"q": "search", "answered": "answered_tier"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for; empty is no matter. `before_ns` is where a page of older questions begins."""

    q: str = ""
    model: str = ""
    version: str = ""
    agent: str = ""
    tier: str = ""
    region: str = ""
    reason: str = ""
    answered: str = ""
    flags: tuple[str, ...] = ()
    last: str = ""
    since: str = ""
    until: str = ""
    slow: str = ""
    hops: bool = False
    paused: bool = False
    before_ns: int = 0
    problems: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether what comes now is shown."""
        return not (self.paused or self.before_ns or self.until)

    @property
    def narrowed(self) -> bool:
        """Whether not all questions are asked for."""
        return any(name not in ("paused", "hops") for name, _ in self.pairs())

    def filter(self, now: datetime) -> pb.QuestionFilter:
        """As the service has it."""
        wanted = pb.QuestionFilter(every_hop=self.hops, flags=[FLAGS[name] for name in self.flags])
        for name in _TEXTS:
            setattr(wanted, _FIELDS.get(name, name), getattr(self, name))
        if self.since:
            wanted.from_time.FromDatetime(_moment(self.since))
        elif self.last:
            wanted.from_time.FromDatetime(now - LASTS[self.last].length)
        if self.before_ns:
            wanted.until_time.FromNanoseconds(self.before_ns)
        elif self.until:
            wanted.until_time.FromDatetime(_moment(self.until))
        if self.slow:
            wanted.min_latency.FromNanoseconds(round(1e6 * float(self.slow)))
        return wanted

    def pairs(self) -> list[tuple[str, str]]:
        """As it stands in the address."""
        told = [(name, getattr(self, name)) for name in (*_TEXTS, "last", "slow")]
        told += [("from", self.since), ("to", self.until), *(("flag", flag) for flag in self.flags)]
        told += [("hops", "1" if self.hops else ""), ("paused", "1" if self.paused else "")]
        told += [("before", str(self.before_ns or ""))]
        return [(name, value) for name, value in told if value]

    def address(self, **changes: object) -> str:
        """The page's address with these changes; a change of what is asked for goes back to the newest."""
        if "before_ns" not in changes:
            changes["before_ns"] = 0
        pairs = replace(self, **changes).pairs()  # type: ignore[arg-type]  # fields by their names
        return f"{PATH}?{urlencode(pairs)}" if pairs else PATH


def read(pairs: Iterable[tuple[str, str]]) -> Asked:
    """What an address asks for. What can't be used is left out, and told in `problems`."""
    told: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            told.setdefault(name, []).append(value.strip())
    first = {name: values[0] for name, values in told.items()}
    problems = [
        f"{name} = {first[name]!r}: expected {expected}"
        for name, expected, check in _CHECKS
        if name in first and not check(first[name])
    ]
    wrong = {problem.partition(" ")[0] for problem in problems}
    good = {name: value for name, value in first.items() if name not in wrong}
    flags = tuple(dict.fromkeys(flag for flag in told.get("flag", ()) if flag in FLAGS))
    problems += [
        f"flag = {flag!r}: expected one of {', '.join(FLAGS)}" for flag in told.get("flag", ()) if flag not in FLAGS
    ]
    return Asked(
        **{name: good.get(name, "")[:200] for name in _TEXTS},
        flags=flags,
        last=good.get("last", ""),
        since=good.get("from", ""),
        until=good.get("to", ""),
        slow=good.get("slow", ""),
        hops="hops" in good,
        paused="paused" in good,
        before_ns=int(good.get("before", 0)),
        problems=tuple(problems),
    )  # fmt: skip


def within(questions: Iterable[pb.Question], wanted: pb.QuestionFilter) -> list[pb.Question]:
    """Those of them that are not older than is asked for: what was young enough when it came may not be any more."""
    since = wanted.from_time.ToNanoseconds()
    return [one for one in questions if one.time.ToNanoseconds() >= since]


def merged(old: Sequence[pb.Question], new: Iterable[pb.Question], most: int) -> list[pb.Question]:
    """Questions newest first, each once, the later told of two."""
    known = {(one.trace, one.agent, one.hop): one for one in old}
    known |= {(one.trace, one.agent, one.hop): one for one in new}
    return sorted(known.values(), key=lambda one: one.time.ToNanoseconds(), reverse=True)[:most]


def _moment(value: str) -> datetime:
    """A time of an address: UTC, as browsers' fields for times write them."""
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_time(value: str) -> bool:
    try:
        return 1970 < _moment(value).astimezone(UTC).year < 9000
    except (ValueError, OverflowError):
        return False


def _is_milliseconds(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1e9
    except ValueError:
        return False


_CHECKS: Final = (
    ("last", f"one of {', '.join(LASTS)}", lambda value: value in LASTS),
    ("from", "a time in UTC as 2026-03-05T14:03", _is_time),
    ("to", "a time in UTC as 2026-03-05T14:03", _is_time),
    ("slow", "milliseconds", _is_milliseconds),
    ("before", "nanoseconds since 1970", lambda value: value.isascii() and value.isdecimal() and len(value) <= 18),
)
