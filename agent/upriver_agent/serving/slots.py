"""Which pair of each model answers here. Swapping is one reference: who holds the old version finishes with it.

On top of the pair that was put into a slot there may be one that was refined from it here (see `refinement`). It goes
with whatever is put there next.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from upriver.errors import ModelInvalid, ModelNotFound, ModelNotLoaded, NotNow, UpriverError, VersionNotFound
from upriver_agent.serving.loaded import LoadedVersion

Loader = Callable[[Path], LoadedVersion]


@dataclass(frozen=True, slots=True)
class Slot:
    """A model's place: what is active, where it came from, and why nothing is when nothing is.

    `base` is the pair that was put here while one that was refined from it is active; None while that one is itself.
    """

    model: str
    path: Path
    active: LoadedVersion | None = None
    problem: str = ""
    base: LoadedVersion | None = None

    @property
    def given(self) -> LoadedVersion | None:
        """The pair that was put here, whether it answers or one that was refined from it."""
        return self.active if self.base is None else self.base


class Slots:
    """The models of one agent. Readers take no lock: they read one immutable mapping."""

    def __init__(self, load: Loader) -> None:
        self.activating: Callable[[LoadedVersion], object] = lambda _: None
        """Called with a version before it answers."""
        self.based: Callable[[str], object] = lambda _: None
        """Called with a model when a pair was put into its slot, or taken out: none that was refined answers now."""
        self._load = load
        self._slots: MappingProxyType[str, Slot] = MappingProxyType({})
        self._changing = threading.Lock()

    def active(self, model: str, version: str = "") -> LoadedVersion:
        """Gives the loaded version that answers for a model; an empty version is the agent's choice.

        Raises ModelNotFound, VersionNotFound or ModelNotLoaded.
        """
        slot = self._slots.get(model)
        if slot is None:
            raise ModelNotFound(model, self._slots)
        loaded = slot.active
        if loaded is None:
            raise ModelNotLoaded(f"model {model!r} is not loaded: {slot.problem or 'it was unloaded'}")
        if version and version != loaded.version.manifest.version:
            raise VersionNotFound(model, version, [loaded.version.manifest.version])
        return loaded

    def all(self) -> tuple[Slot, ...]:
        """Gives every slot, by model name."""
        return tuple(self._slots[model] for model in sorted(self._slots))

    def ready(self) -> bool:
        """Whether every configured model is loaded."""
        return all(slot.active is not None for slot in self._slots.values())

    def load(self, path: Path, expected: str = "") -> LoadedVersion:
        """Loads and activates the version at `path`; the old one answers until the new one is warm.

        Raises ManifestError or ModelInvalid (also when it is not a version of `expected`), and then nothing has
        changed.
        """
        loaded = self._load(path)
        model = loaded.version.manifest.model
        if expected and model != expected:
            loaded.close()
            raise ModelInvalid(f"{path} holds a version of model {model!r}; expected one of {expected!r}")
        old = self.put(loaded, path)
        if old is not None:
            old.close()
        return loaded

    def put(self, loaded: LoadedVersion, path: Path) -> LoadedVersion | None:
        """Makes a pair the one that answers for its model; gives the one that was put there before, still whole, for
        the way back."""
        with self._changing:
            old = self._slots.get(loaded.model)
            self.activating(loaded)
            self._put(Slot(loaded.model, path, loaded))
        if old is not None:
            _close_refined(old)
        self.based(loaded.model)
        return None if old is None else old.given

    def take(self, model: str, why: str) -> LoadedVersion | None:
        """Takes a model out of service and gives the version that was put there; requests are told `why`."""
        with self._changing:
            slot = self._slots.get(model)
            if slot is None:
                return None
            self._put(Slot(model, slot.path, None, why))
        _close_refined(slot)
        self.based(model)
        return slot.given

    def refine(self, base: LoadedVersion, refined: LoadedVersion) -> None:
        """Has a pair answer that was refined from `base`; raises NotNow when that is not what was put there."""
        with self._changing:
            slot = self._slots.get(base.model)
            if slot is None or slot.given is not base:
                raise NotNow(f"{base.model} {base.name} was replaced meanwhile")
            self.activating(refined)
            self._put(replace(slot, active=refined, base=base))
        _close_refined(slot)

    def restore(self, model: str) -> None:
        """Has the pair answer again that was put there."""
        with self._changing:
            slot = self._slots.get(model)
            if slot is None or slot.base is None:
                return
            self._put(replace(slot, active=slot.base, base=None))
        _close_refined(slot)

    def given(self, model: str) -> LoadedVersion | None:
        """The pair that was put into a model's slot, whether it answers or one that was refined from it."""
        slot = self._slots.get(model)
        return None if slot is None else slot.given

    def refined(self, model: str) -> LoadedVersion | None:
        """The pair that answers for a model if it was refined from the one that was put there, else None."""
        slot = self._slots.get(model)
        return None if slot is None or slot.base is None else slot.active

    def reload(self, model: str) -> LoadedVersion:
        """Loads a configured model again from its path; raises ModelNotFound when it is not configured."""
        slot = self._slots.get(model)
        if slot is None:
            raise ModelNotFound(model, self._slots)
        return self.load(slot.path, expected=model)

    def unload(self, model: str) -> None:
        """Takes a model out of service; it stays configured."""
        if self._slots.get(model) is None:
            raise ModelNotFound(model, self._slots)
        gone = self.take(model, "it was unloaded by an administrator")
        if gone is not None:
            gone.close()

    def fail(self, model: str, path: Path, error: UpriverError) -> None:
        """Records that a configured model could not be loaded, so that callers are told why."""
        with self._changing:
            self._put(Slot(model, path, None, str(error)))

    def _put(self, slot: Slot) -> None:
        self._slots = MappingProxyType({**self._slots, slot.model: slot})


def _close_refined(slot: Slot) -> None:
    """Closes what was refined, when it no longer answers."""
    if slot.base is not None and slot.active is not None:
        slot.active.close()
