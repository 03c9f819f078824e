"""Outlier ejection: an upstream that does much worse than its peers is left out for a while.

The semantics are Envoy's outlier detection
(https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier): judged at an interval, against the
others of its kind; out for a base time multiplied by how often it was out before, which falls again while it behaves;
never more than a share of them. Unlike Envoy's mean and standard deviation, which need many hosts, one is held against
the median of the others: there are seldom more than a few upstreams in a tier. When all is out that there is, those
that are out are asked all the same, last.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from upriver_agent import document as doc

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """When an upstream is left out because its peers, those of the same tier, do much better.

    At most `max_share` of a tier is out at once: 0 ejects none, and a lone upstream never is. It is looked every
    `interval_s`, at those with at least `min_calls` calls since. Out is who failed a share of calls larger by
    `failure_margin` than the median of the others, or took more than `slow_factor` times as long and `slow_floor_ms`
    longer: lower values react to less and eject the healthy more often. `first_pause_s` is for how long, multiplied by
    how often it was out lately, up to `longest_pause_s`.
    """

    max_share: float = doc.setting(doc.number(0, 1), 0.5)
    interval_s: float = doc.setting(doc.number(0.1, 3600), 5.0)
    min_calls: int = doc.setting(doc.whole(1, 1_000_000), 10)
    failure_margin: float = doc.setting(doc.number(0.01, 1), 0.3)
    slow_factor: float = doc.setting(doc.number(1, 1000), 3.0)
    slow_floor_ms: float = doc.setting(doc.number(0, 600_000), 50.0)
    first_pause_s: float = doc.setting(doc.number(0.1, 86_400), 10.0)
    longest_pause_s: float = doc.setting(doc.number(0.1, 86_400), 120.0)


class _Peer:
    __slots__ = ("calls", "failures", "times", "until", "waited_s")

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self.waited_s = 0.0
        self.until = 0.0
        self.times = 0

    def failed_share(self) -> float:
        return self.failures / self.calls

    def mean_s(self) -> float:
        return self.waited_s / self.calls


class Ejections(Generic[K]):
    """The upstreams of one tier, by a key."""

    __slots__ = ("_looked_at", "_peers", "_rules")

    def __init__(self, rules: EjectionRules, now: float) -> None:
        self._rules = rules
        self._peers: dict[K, _Peer] = {}
        self._looked_at = now

    def observe(self, key: K, seconds: float, failed: bool) -> None:
        """Counts a call, how long it took and whether it failed."""
        peer = self._peers.setdefault(key, _Peer())
        peer.calls += 1
        peer.failures += failed
        peer.waited_s += seconds

    def is_out(self, key: K, now: float) -> bool:
        """Whether it is left out now."""
        peer = self._peers.get(key)
        return peer is not None and now < peer.until

    def due(self, now: float) -> bool:
        """Whether it is time to look."""
        return now - self._looked_at >= self._rules.interval_s

    def look(self, now: float, there: Collection[K]) -> list[K]:
        """Judges, when it is time to; gives who is newly out. Who is not `there` any more is forgotten."""
        if not self.due(now):
            return []
        self._looked_at = now
        self._peers = {key: peer for key, peer in self._peers.items() if key in there}
        judged = {key: peer for key, peer in self._peers.items() if peer.calls >= self._rules.min_calls}
        room = int(self._rules.max_share * len(there)) - sum(now < peer.until for peer in self._peers.values())
        worst = sorted(judged, key=lambda key: (-judged[key].failed_share(), -judged[key].mean_s()))
        out: list[K] = []
        for key in worst:
            peer = judged[key]
            if now < peer.until:
                continue
            others = [other for name, other in judged.items() if name != key and not now < other.until]
            if room > len(out) and others and self._is_outlier(peer, others):
                out.append(key)
                self._eject(peer, now)
            else:
                peer.times = max(0, peer.times - 1)
        for peer in self._peers.values():
            peer.calls, peer.failures, peer.waited_s = 0, 0, 0.0
        return out

    def _is_outlier(self, peer: _Peer, others: list[_Peer]) -> bool:
        rules = self._rules
        if peer.failed_share() >= median(other.failed_share() for other in others) + rules.failure_margin:
            return True
        usual_s = median(other.mean_s() for other in others)
        return peer.mean_s() > max(rules.slow_factor * usual_s, usual_s + rules.slow_floor_ms / 1000)

    def _eject(self, peer: _Peer, now: float) -> None:
        peer.times += 1
        peer.until = now + min(self._rules.first_pause_s * peer.times, self._rules.longest_pause_s)
