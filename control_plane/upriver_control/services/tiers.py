"""Which version answers in which tier of a calibration: as it was asked for, or as the fleet runs it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from upriver.errors import InvalidInput, NotNow
from upriver.policies import read_policy
from upriver_control.jobs import Source, Spec, TierSpec
from upriver_control.jobs.ladder import Rung
from upriver_control.store.records import StoredVersion, read_version_name
from upriver_control.store.registry import RegistryStore

_HINT: Final = "name the tiers, lowest first: --tier device=VERSION --tier cloud=VERSION"


@dataclass(frozen=True, slots=True)
class Tiers:
    """Fills in the tiers of a spec. `hop_ms` is the time of a hop where nothing is said of it.

    `wanted` gives the ladder of a model as the fleet is to run it, `running` as it says that it does. Both are called
    on the event loop.
    """

    registry: RegistryStore
    wanted: Callable[[str], tuple[Rung, ...]]
    running: Callable[[str], tuple[Rung, ...]]
    hop_ms: float

    async def filled(self, model: str, spec: Spec) -> Spec:
        """The spec with versions by digest and what their models take; raises InvalidInput, NotFound and NotNow."""
        try:
            rungs = (self.running if spec.source is Source.AUDITS else self.wanted)(model)
        except NotNow:
            if not spec.tiers:
                raise
            rungs = ()
        if spec.tiers and spec.source is Source.AUDITS:
            raise InvalidInput("audits are of what the fleet runs: give no tiers")
        wanted = spec.tiers or tuple(
            TierSpec(rung.tier, rung.pair.version, rung.pair.version_digest, hop_ms=self.hop_ms) for rung in rungs
        )
        # hop times may be given for tiers of the fleet as well: those have no version then
        if any(not tier.version for tier in wanted):
            wanted = _laid_over(wanted, rungs, self.hop_ms)
        if len(wanted) < 2:
            told = ", ".join(rung.tier for rung in rungs) or "no tier"
            raise NotNow(f"of the fleet {told} serves {model}: at least two tiers are needed; or {_HINT}")
        return replace(spec, tiers=await asyncio.to_thread(self._resolved, model, wanted, rungs))

    def _resolved(self, model: str, wanted: Sequence[TierSpec], rungs: Sequence[Rung]) -> tuple[TierSpec, ...]:
        versions = [self._version(model, tier) for tier in wanted]
        tasks = {version.validation.task for version in versions}
        if len(tasks) > 1:
            raise InvalidInput(f"the versions have different tasks: {', '.join(sorted(tasks))}")
        return tuple(_resolved(tier, version, rungs) for tier, version in zip(wanted, versions, strict=True))

    def _version(self, model: str, tier: TierSpec) -> StoredVersion:
        if tier.version_digest:
            return self.registry.by_digest(tier.version_digest)
        of, version = read_version_name(tier.version)
        if of != model:
            raise InvalidInput(f"tier {tier.tier}: {tier.version} is no version of {model}")
        return self.registry.version(of, version)


def _laid_over(wanted: Sequence[TierSpec], rungs: Sequence[Rung], hop_ms: float) -> tuple[TierSpec, ...]:
    """Tiers of the fleet, with what was said of some of them."""
    said = {tier.tier: tier for tier in wanted}
    known = {rung.tier: rung for rung in rungs}
    strange = sorted(said.keys() - known.keys())
    if strange or any(tier.version for tier in wanted):
        told = ", ".join(known) or "none"
        raise InvalidInput(
            f"tiers {', '.join(strange) or ', '.join(said)}: the fleet has {told}; versions are given for all or none"
        )
    return tuple(
        replace(
            said.get(rung.tier, TierSpec(rung.tier, "", "", hop_ms=hop_ms)),
            version=rung.pair.version,
            version_digest=rung.pair.version_digest,
        )
        for rung in rungs
    )


def _resolved(tier: TierSpec, version: StoredVersion, rungs: Sequence[Rung]) -> TierSpec:
    running = next(
        (rung for rung in rungs if rung.tier == tier.tier and rung.pair.version_digest == version.digest), None
    )
    policy = version.validation.policy_document if running is None else running.pair.policy_document
    invoke_ms = version.validation.invoke_ms if running is None else running.invoke_ms
    return replace(
        tier,
        version=version.name,
        version_digest=version.digest,
        policy_document=policy or version.validation.policy_document,
        invoke_ms=version.validation.invoke_ms if invoke_ms is None else invoke_ms,
    )


def checked(spec: Spec) -> Spec:
    """The spec of a calibration from audits; raises InvalidInput where a tier's policy can't be read."""
    for tier in spec.tiers:
        if not tier.policy_document:
            raise InvalidInput(f"tier {tier.tier}: {tier.version} has no policy that could be certified anew")
        read_policy(tier.policy_document)
    return spec
