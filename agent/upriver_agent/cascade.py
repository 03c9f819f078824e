"""The decision at the heart of the mesh: which rows of a request are answered here, which go up, and why.

A row whose confidence reaches the threshold ends here. The others go up, together, unless the caller, the ladder or the
state of the mesh forbids it; then the own answer goes back with the reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.discovery.port import AgentRecord
from upriver.errors import DeadlineExpired, QueueFull, UpriverError
from upriver.parameters import DEGRADED_REASONS, Mode, Reason
from upriver_agent.balance import Avoid, obstacle
from upriver_agent.envelope import CallerOptions, Envelope, may_hop
from upriver_agent.place import Place, highest_rank


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens with each row.

    `reasons` says per row why it ends here, None when it goes up; `escalate` has the indices of the rows that go up, in
    order; `resolved` says per row whether the own answer is confident enough.
    """

    reasons: tuple[Reason | None, ...]
    escalate: NDArray[np.intp]
    resolved: NDArray[np.bool_]

    def degraded(self, row: int) -> bool:
        """Whether a higher tier should have been asked about this row and could not be."""
        return self.reasons[row] in DEGRADED_REASONS


@dataclass(frozen=True, slots=True)
class Upward:
    """What an agent knows of the way up when it decides.

    `agents` is discovery's last snapshot, `avoid` says which of them not to ask now. `time_left_s` is the time to the
    caller's deadline, None for no deadline; `reserve_s` is what must remain of it for the way back. `row_bytes` is what
    one row takes at least when it is sent up; the budget is held against what is sent in the end.
    """

    agents: Sequence[AgentRecord]
    avoid: Avoid
    time_left_s: float | None
    reserve_s: float
    row_bytes: int


_NO_ROWS: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
_ONE_RESOLVED: NDArray[np.bool_] = np.ones(1, dtype=np.bool_)
_NO_ROWS.flags.writeable = False
_ONE_RESOLVED.flags.writeable = False
LOCAL_ONE = Decision((Reason.CONFIDENT,), _NO_ROWS, _ONE_RESOLVED)
"""The commonest decision, shared: one row, confident."""


def decide_alone(confidence: NDArray[np.float64], threshold: float, options: CallerOptions) -> Decision | None:
    """The decision when every row passes and the caller wants nothing special; None when `decide` must look further.

    `confidence` is [rows]. This is the path of most questions: it needs nothing but the scores.
    """
    if options.mode is Mode.TOP or options.max_tier is not None:
        return None
    if confidence.shape[0] == 1:
        one = confidence.item()
        return LOCAL_ONE if one >= threshold and one > -math.inf else None
    resolved = _passing(confidence, threshold)
    if not resolved.all():
        return None
    return Decision((Reason.CONFIDENT,) * len(resolved), _NO_ROWS, resolved)


def decide(
    confidence: NDArray[np.float64],
    threshold: float,
    options: CallerOptions,
    envelope: Envelope,
    place: Place,
    model: str,
    upward: Upward,
) -> Decision:
    """Decides every row of a request to `model` from its `confidence`, [rows], and the threshold that holds for it.

    At the highest tier that may answer (the ladder's top, or the caller's max_tier) all rows end. Below it, with
    mode=top all rows go up, otherwise those that do not pass. Raises InvalidInput when max_tier is not on the ladder.
    """
    resolved = _passing(confidence, threshold)
    ceiling = _ceiling(options, place)
    rising = np.ones_like(resolved) if options.mode is Mode.TOP and ceiling is None else ~resolved
    if not rising.any():
        return Decision((Reason.CONFIDENT,) * len(resolved), _NO_ROWS, resolved)
    rows = np.flatnonzero(rising)
    held = ceiling or _hold(len(rows), options, envelope, place, model, upward)
    reasons = tuple(held if rises else Reason.CONFIDENT for rises in rising.tolist())
    return Decision(reasons, rows if held is None else _NO_ROWS, resolved)


def stay(decision: Decision, reason: Reason) -> Decision:
    """The decision after all when the rows that were to go up could not: they end here, for `reason`."""
    return Decision(tuple(known or reason for known in decision.reasons), _NO_ROWS, decision.resolved)


def failed_escalation(failures: Sequence[UpriverError]) -> Reason:
    """Why rows end here after every upstream that was asked failed, `failures` in the order of asking.

    Time running out decides, whenever it did; upstreams that were all full are `upstream_full`; the rest is down.
    """
    if any(isinstance(failure, DeadlineExpired) for failure in failures):
        return Reason.DEADLINE
    if failures and all(isinstance(failure, QueueFull) for failure in failures):
        return Reason.UPSTREAM_FULL
    return Reason.UPSTREAM_DOWN


def _passing(confidence: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    # -inf is "never confident", also under a threshold of -inf; NaN compares false.
    return (confidence >= threshold) & (confidence > -math.inf)


def _ceiling(options: CallerOptions, place: Place) -> Reason | None:
    """Why no row may go up whatever the mesh looks like: the caller's or the ladder's own choice."""
    highest = highest_rank(place.tiers, options.max_tier)
    if options.mode is Mode.LOCAL:
        return Reason.MODE
    if place.rank == len(place.tiers) - 1:
        return Reason.TOP
    if place.rank >= highest:
        return Reason.MAX_TIER
    return None


def _hold(
    rows: int, options: CallerOptions, envelope: Envelope, place: Place, model: str, upward: Upward
) -> Reason | None:
    """Why `rows` rows that ought to go up can't now."""
    if not may_hop(envelope, place.agent):
        return Reason.HOPS
    if upward.time_left_s is not None and upward.time_left_s <= upward.reserve_s:
        return Reason.DEADLINE
    if envelope.byte_budget is not None and rows * upward.row_bytes > envelope.byte_budget:
        return Reason.BYTE_BUDGET
    return obstacle(upward.agents, place, model, options, envelope.visited, upward.avoid)
