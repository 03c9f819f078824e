"""Has refined pairs answer, and their bases again: what `refinement` decides, carried out and kept over restarts.

Each change is kept on disk before it takes effect, and takes effect by swapping one reference: whenever the process
ends, the next start finds the old pair or the new one, whole.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble, ManifestError, ModelInvalid, NotNow, RuntimeMissing
from upriver.policies import PolicyDocument, read_policy, write_policy
from upriver_agent.refinement import Base, Based, Do, Promoted, Refined, Reverted, Standing, recovered, step
from upriver_agent.serving import refined_record
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.loader import Loader
from upriver_agent.serving.slots import Slots
from upriver_agent.versions.head_store import HeadStore

_LOG = logging.getLogger(__name__)
FILE: Final = "refined.json"
ALARM: Final = "its audits have rung the alarm"


@dataclass(frozen=True, slots=True)
class Current:
    """What answers for a model: `given` was put into its slot, `answering` is that one or was refined from it."""

    base: Base
    given: LoadedVersion
    answering: LoadedVersion
    standing: Standing


class Refiner:
    """The refined pairs of one agent. Safe to share between threads; may wait for the disk."""

    def __init__(
        self,
        state_dir: Path,
        loader: Loader,
        slots: Slots,
        heads: HeadStore,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`changed` is called when another pair answers; `clock` gives Unix times."""
        self._file = state_dir / FILE
        self._loader = loader
        self._slots = slots
        self._heads = heads
        self._changed = changed
        self._clock = clock
        self._lock = threading.RLock()
        self._standings: dict[str, Standing] = {}
        heads.hold(self._held)

    def recover(self) -> None:
        """Has answer what answered when the agent last ran, as far as its bases are there; when those are loaded."""
        with self._lock:
            kept = refined_record.load(self._file)
            self._standings = kept
            for model in {*kept, *(slot.model for slot in self._slots.all())}:
                self._recover(model, kept.get(model, Standing()))
            self._keep()
            self._slots.based = self._based
        self._heads.prune()

    def promote(
        self, model: str, base: Base, policy: PolicyDocument, head: bytes, lessons: int, attempt: int
    ) -> Refined:
        """Has a pair answer that was refined from `base`; that one stays loaded for the way back.

        Raises NotNow when something else was put into the slot meanwhile, or when the alarm of just this pair has rung
        before; ModelInvalid and ManifestError when head and policy are not of this version and of each other;
        DiskTrouble. Then nothing has changed.
        """
        digest = self._heads.put(head)
        with self._lock:
            given = self._slots.given(model)
            if given is None or base_of(given) != base:
                raise NotNow(f"{model}: what this was refined from is no longer there")
            loaded = self._warm(given, policy)
            refined = Refined(base, write_policy(policy), lessons, attempt, self._clock())
            try:
                self._promote(model, given, loaded, refined)
            except BaseException:
                loaded.close()
                raise
        _LOG.info(
            "%s: %s answers with head %s now, learnt from %d lessons, attempt %d",
            model,
            given.name,
            digest[:19],
            lessons,
            attempt,
        )
        self._heads.prune()
        self._changed()
        return refined

    def revert(self, model: str, why: str) -> bool:
        """Has the base answer again; False when nothing refined does. A disk that fails does not keep it from that."""
        with self._lock:
            standing, do = step(self._standing(model), Reverted(why, self._clock()))
            if do is not Do.RESTORE:
                return False
            self._standings[model] = standing
            self._keep()
            self._slots.restore(model)
        _LOG.warning("%s: its own pair answers again: %s", model, why)
        self._changed()
        return True

    def look(self) -> None:
        """Reverts those whose alarm rings: to be called when one has rung."""
        for slot in self._slots.all():
            with self._lock:  # else another that was promoted meanwhile would be ended
                refined = self._slots.refined(slot.model)
                if refined is not None and refined.alarmed:
                    self.revert(slot.model, ALARM)

    def current(self, model: str) -> Current | None:
        """How a model stands; None when nothing answers for it."""
        with self._lock:
            given = self._slots.given(model)
            if given is None:
                return None
            answering = self._slots.refined(model) or given
            return Current(base_of(given), given, answering, self._standing(model))

    def standing(self, model: str) -> Standing:
        """What was refined of a model, or why nothing is."""
        return self._standings.get(model, Standing())

    def _promote(self, model: str, given: LoadedVersion, loaded: LoadedVersion, refined: Refined) -> None:
        before = self._standing(model)
        standing, do = step(before, Promoted(refined))
        if do is not Do.REFINE:
            raise NotNow(f"{model}: what this was refined from is no longer there")
        self._standings[model] = standing
        try:
            refined_record.save(self._file, self._standings)
            self._slots.refine(given, loaded)
        except BaseException:
            self._standings[model] = before
            self._keep()
            raise
        if loaded.alarmed:
            self.revert(model, ALARM)
            raise NotNow(f"{model}: {ALARM}, for just this pair: it does not answer again")

    def _recover(self, model: str, kept: Standing) -> None:
        given = self._slots.given(model)
        standing, do = recovered(kept, None if given is None else base_of(given))
        if do is Do.REFINE and given is not None and standing.refined is not None:
            try:
                loaded = self._warm(given, read_policy(standing.refined.document))
                self._slots.refine(given, loaded)
                if loaded.alarmed:
                    raise ModelInvalid(ALARM)
            except (ManifestError, ModelInvalid, RuntimeMissing, NotNow) as error:
                _LOG.error("%s: what was learnt here is not used: %s", model, error)
                self._slots.restore(model)
                standing, _ = step(standing, Reverted(" ".join(str(error).split()), self._clock()))
        self._standings[model] = standing

    def _warm(self, given: LoadedVersion, policy: PolicyDocument) -> LoadedVersion:
        head = self._heads.get(policy.head) if policy.head else None
        if policy.version_digest != given.version.digest:
            raise ModelInvalid(f"the policy is for version {policy.version_digest}; expected {given.version.digest}")
        return self._loader.refined(given, policy, head)

    def _based(self, model: str) -> None:
        with self._lock:
            if self._slots.refined(model) is not None:
                return  # made of what was put there, before this was told
            given = self._slots.given(model)
            before = self._standings.get(model, Standing())
            self._standings[model], _ = step(before, Based(None if given is None else base_of(given), self._clock()))
            if before.refined is not None:
                self._keep()

    def _standing(self, model: str) -> Standing:
        """As it stands now: what was put into a slot a moment ago may not have been told yet."""
        standing, given = self._standings.get(model, Standing()), self._slots.given(model)
        base = None if given is None else base_of(given)
        return standing if standing.base == base else replace(standing, base=base, refined=None)

    def _keep(self) -> None:
        try:
            refined_record.save(self._file, self._standings)
        except DiskTrouble as error:
            # What runs goes on; a start from here would look at what was last written, and at its base.
            _LOG.error("what was refined can't be kept: %s", error)

    def _held(self) -> list[str]:
        with self._lock:
            refined = [standing.refined for standing in self._standings.values() if standing.refined is not None]
        return [read_policy(one.document).head for one in refined]


def base_of(loaded: LoadedVersion) -> Base:
    """A loaded pair's digests."""
    return Base(loaded.version.digest, loaded.policy.digest)
