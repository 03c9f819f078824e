"""The rollouts that bring a region a head, or take it away again."""

import logging
from collections.abc import Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from upriver.v1 import rollout_pb2
from upriver_control.regional.model import RegionTrial
from upriver_control.services.automatic import Start

_LOG: Final = logging.getLogger(__name__)


async def bring(trial: RegionTrial, start: Start, soak_s: float) -> list[str]:
    """Rolls the policy that came of a trial out to its tiers; gives the rollouts' names."""
    return [await _roll_out(trial, tier, trial.made, "", start, soak_s) for tier in trial.tiers]


async def take_back(trial: RegionTrial, tiers: Sequence[str], base: str, start: Start, soak_s: float) -> list[str]:
    """Rolls the policy `base` out in place of what came of a trial; gives the rollouts' names."""
    return [await _roll_out(trial, tier, base, "-back", start, soak_s) for tier in tiers]


async def _roll_out(trial: RegionTrial, tier: str, policy: str, which: str, start: Start, soak_s: float) -> str:
    soak = Duration()
    soak.FromMilliseconds(round(1000 * soak_s))
    rings = [rollout_pb2.Ring(count=1), rollout_pb2.Ring(percent=10), rollout_pb2.Ring(percent=100)]
    request = rollout_pb2.CreateRolloutRequest(
        version=trial.version,
        policy=policy,
        selector=f"region={trial.region},tier={tier}",
        strategy=rollout_pb2.Strategy(rings=rings, soak_time=soak, failure_limit=0.1, min_sample=5),
        request_id=f"region-{trial.id[7:47]}-{tier}{which}",  # whoever is killed between asks for the same again
    )
    made = await start(request)
    _LOG.warning("rollouts/%s brings %s to %s in %s", made.id, policy or "no head", tier, trial.region)
    return f"rollouts/{made.id}"
