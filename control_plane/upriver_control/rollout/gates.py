"""Whether what agents report is a breach, and the words for it. Pure.

A gate judges only from `min_sample` agents, or rows where it looks at rows. The failure limit also judges a ring with
fewer agents as soon as nobody in it is on the way any more: a small ring that failed must not go unseen. Gates on rows
that never get their sample pass when the ring has soaked, so that a rollout over idle agents ends.
"""

from collections.abc import Iterable

from upriver_control.rollout.model import Baseline, Rollout
from upriver_control.rollout.tally import Figures, RingTally, Standing, Tally


def breach(rollout: Rollout, seen: Tally) -> str:
    """Why the rollout must go back; empty when it need not."""
    return next((reason for reason in _breaches(rollout, seen) if reason), "")


def _breaches(rollout: Rollout, seen: Tally) -> Iterable[str]:
    for number, ring in enumerate(seen.rings):
        yield _failures(rollout, number, ring)
    yield _nobody_fits(rollout, seen)
    yield _agreement(rollout, seen)
    yield _against_baseline(rollout, seen.moved())


def _failures(rollout: Rollout, number: int, ring: RingTally) -> str:
    failed, settled = ring[Standing.FAILED], ring[Standing.FAILED] + ring[Standing.ACTIVE]
    if failed == 0 or not (settled >= rollout.strategy.min_sample or _is_through(rollout, number, ring)):
        return ""
    limit = rollout.strategy.failure_limit
    if failed <= limit * settled:
        return ""
    return (
        f"ring {number + 1}: {failed} of {settled} agents failed, at most {limit:.0%} may: {_commonest(ring.failures)}"
    )


def _nobody_fits(rollout: Rollout, seen: Tally) -> str:
    # Agents that can't run a pair say nothing against it, but with nobody else there is nothing for it either.
    unfit = seen.count(Standing.UNFIT)
    if not unfit or seen.count(Standing.ACTIVE, Standing.FAILED, Standing.LATE):
        return ""
    if not all(_is_through(rollout, number, ring) for number, ring in enumerate(seen.rings)):
        return ""
    reasons: dict[str, int] = {}
    for ring in seen.rings:
        reasons.update(ring.unfit)
    return f"none of the {unfit} agents that were told to move can run it: {_commonest(reasons)}"


def _agreement(rollout: Rollout, seen: Tally) -> str:
    bound = rollout.strategy.gates.min_agreement
    rows = sum(ring.shadow_rows for ring in seen.rings)
    agreed = sum(ring.shadow_agreed for ring in seen.rings)
    if bound is None or rows < max(1, rollout.strategy.min_sample) or agreed >= bound * rows:
        return ""
    return f"agreement with the active pair is {agreed / rows:.3f} over {rows} live rows, expected at least {bound:g}"


def _against_baseline(rollout: Rollout, moved: Figures) -> str:
    gates, sample, base = rollout.strategy.gates, max(1, rollout.strategy.min_sample), rollout.baseline
    if base is None:
        return ""
    rate, p95_us = moved.escalation_rate(), moved.p95_us()
    most = gates.max_escalation_increase
    if most is not None and rate is not None and min(moved.rows, base.rows) >= sample:
        increase = rate - base.escalation_rate
        if increase > most:
            return (
                f"moved agents escalate {rate:.1%} of their rows, {increase:.1%} more than the others'"
                f" {base.escalation_rate:.1%}; at most {most:.1%} more is allowed"
            )
    ratio = gates.max_latency_ratio
    if ratio is not None and p95_us is not None and min(sum(moved.runs), base.runs) >= sample:
        found = p95_us / base.p95_us
        if found > ratio:
            return (
                f"p95 of the model's time is {p95_us / 1000:.1f} ms on moved agents, {found:.2f} times the others'"
                f" {base.p95_us / 1000:.1f} ms; at most {ratio:g} times is allowed"
            )
    return ""


def baseline(rollout: Rollout, unmoved: Figures) -> Baseline | None:
    """What moved agents are compared with, from now on.

    Towards the end few agents are left that have not moved, or none, and those left are special: then the figures from
    before count on.
    """
    known = rollout.baseline
    rate, p95_us = unmoved.escalation_rate(), unmoved.p95_us()
    runs = sum(unmoved.runs)
    if rate is None and p95_us is None:
        return known
    if known is not None and (unmoved.rows < known.rows / 2 or runs < known.runs / 2):
        return known
    return Baseline(unmoved.rows, rate or 0.0, runs, p95_us or 1.0)


def _is_through(rollout: Rollout, number: int, ring: RingTally) -> bool:
    return rollout.released >= rollout.cuts[number] and ring[Standing.MOVING] == 0


def _commonest(failures: dict[str, int]) -> str:
    first = sorted(failures.items(), key=lambda item: (-item[1], item[0]))[:3]
    return "; ".join(f"{reason} ({count})" for reason, count in first)
