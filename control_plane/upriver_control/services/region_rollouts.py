"""The rollouts that bring a region a head, or take it away again."""

import logging
from collections.abc import Sequence
from typing import Final

from upriver.listing import digest as digest_of
from upriver.v1 import rollout_pb2
from upriver_control.regional.model import RegionTrial
from upriver_control.rollout import Rollout
from upriver_control.selector import parse
from upriver_control.services.automatic import Start
from upriver_control.store.policies import policy_name
from upriver_control.wire import carefully

_LOG: Final = logging.getLogger(__name__)


async def bring(trial: RegionTrial, start: Start, soak_s: float) -> list[str]:
    """Rolls the policy that came of a trial out to its tiers; gives the rollouts' names."""
    return [await _roll_out(trial, tier, trial.made, "", start, soak_s) for tier in trial.tiers]


async def take_back(trial: RegionTrial, tiers: Sequence[str], base: str, start: Start, soak_s: float) -> list[str]:
    """Rolls the policy `base` out in place of what came of a trial; gives the rollouts' names."""
    return [await _roll_out(trial, tier, base, "-back", start, soak_s) for tier in tiers]


def selector_of(trial: RegionTrial, tier: str) -> str:
    """The agents of a tier in a trial's region."""
    return f"region={trial.region},tier={tier}"


def is_own(rollout: Rollout, trial: RegionTrial, tier: str, policy: str) -> bool:
    """Whether a rollout under way brought the head, or is what would be started: neither is kept from its end."""
    document = rollout.pair.policy_document
    named = policy_name(rollout.model, digest_of(document.encode())) if document else ""
    same = rollout.selector == str(parse(selector_of(trial, tier))) and named == policy
    return same or f"rollouts/{rollout.id}" in trial.rollouts


async def _roll_out(trial: RegionTrial, tier: str, policy: str, which: str, start: Start, soak_s: float) -> str:
    request = rollout_pb2.CreateRolloutRequest(
        version=trial.version,
        policy=policy,
        selector=selector_of(trial, tier),
        strategy=carefully(soak_s),
        # Whoever is killed between asks for the same again; the same head tried another time is something else.
        request_id=f"region-{trial.id[7:39]}-{trial.created:.6f}-{tier}{which}",
    )
    made = await start(request)
    _LOG.warning("rollouts/%s brings %s to %s in %s", made.id, policy or "no head", tier, trial.region)
    return f"rollouts/{made.id}"
