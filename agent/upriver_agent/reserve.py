"""The time to keep back when a question goes up: what the way back and the own work after it need.

It is learnt per upstream like TCP learns its retransmission time-out, from a smoothed mean and mean deviation (Jacobson
1988; RFC 6298, section 2: gains 1/8 and 1/4, four deviations). A sample is the time that an escalation took beyond what
the upstream says it held the question: the network both ways and the work at this end.
"""

import math
from dataclasses import dataclass

MIN_S = 0.005
MAX_S = 1.0
SHARE = 0.1
SHARE_UP_TO_S = 0.25
"""Of the time left, at least so much is kept back: a machine that is busy for a moment must not make an answer late."""
MOST = 0.5
"""Of the time left, at most so much is kept back: an upstream whose way was long once must be asked to learn that it is
short again. Its own way back is in the time that it gets; what is kept back is needed for the rest alone."""
UNKNOWN_S = 0.02
"""Reserve for an upstream that has not been asked yet."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """What has been learnt about one upstream, in seconds; `mean_s` is None before the first sample."""

    mean_s: float | None = None
    deviation_s: float = 0.0

    def observe(self, round_trip_s: float, held_s: float) -> "Reserve":
        """The estimate after one more escalation that took `round_trip_s`, of which the upstream held it `held_s`.

        `held_s` is a peer's word and so only believed within the round trip. Raises ValueError for a round trip that is
        not a finite number of at least 0.
        """
        if not 0.0 <= round_trip_s < math.inf:
            raise ValueError(f"a round trip of {round_trip_s} s: expected a finite number of at least 0")
        sample = round_trip_s - min(max(held_s, 0.0), round_trip_s) if math.isfinite(held_s) else round_trip_s
        if self.mean_s is None:
            return Reserve(sample, sample / 2)
        deviation = self.deviation_s + (abs(sample - self.mean_s) - self.deviation_s) / 4
        return Reserve(self.mean_s + (sample - self.mean_s) / 8, deviation)

    @property
    def seconds(self) -> float:
        """The time to keep back, within [MIN_S, MAX_S]."""
        if self.mean_s is None:
            return UNKNOWN_S
        return min(max(self.mean_s + 4 * self.deviation_s, MIN_S), MAX_S)


def escalation_timeout_s(time_left_s: float, reserve_s: float) -> float:
    """How long an upstream may take: the time left less the reserve, which is at least SHARE of it and at most MOST.

    0.0 means that it is too late to ask.
    """
    least_s = min(SHARE * time_left_s, SHARE_UP_TO_S)
    return max(0.0, time_left_s - min(max(reserve_s, least_s), max(MOST * time_left_s, MIN_S)))
