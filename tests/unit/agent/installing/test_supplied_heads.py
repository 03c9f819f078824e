"""Pairs whose policy names a head: the head comes with them, once, and stays while it is named."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.heads import head_for, loader_in, policy_with, version_with_embedding
from upriver.errors import ModelInvalid, Unreachable
from upriver.heads import MAX_BYTES, write_head
from upriver.listing import digest
from upriver.policies import write_policy
from upriver_agent.installing.fit import Device, Needs
from upriver_agent.installing.installer import Installer
from upriver_agent.installing.mesh_supply import MeshSupply, SignedFile, SignedVersion
from upriver_agent.serving.slots import Slots
from upriver_agent.slot import Assigned, Failure, Pair, State
from upriver_agent.versions import Version
from upriver_agent.versions.head_store import SPARE, HeadStore

NEVER = threading.Event()
DEVICE = Device("x86_64", 2, 1 << 32, 1 << 30, "litert", "2.1.0")


class Signed:
    def __init__(self, files: dict[str, SignedFile]) -> None:
        self.files = files

    def version(self, name: str, digest: str) -> SignedVersion:
        return SignedVersion(self.files, Needs(0, 0))

    def policy(self, model: str, document: str) -> None:
        return


class Above:
    """Heads by digest, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[SignedFile, tuple[str, ...]]] = []

    def add(self, data: bytes) -> str:
        self.folder.mkdir(exist_ok=True)
        (self.folder / digest(data)).write_bytes(data)
        return digest(data)

    def fetch(self, file: SignedFile, bases: Sequence[str], cancelled: threading.Event) -> Path:
        self.asked.append((file, tuple(bases)))
        path = self.folder / file.digest
        if not path.exists():
            raise Unreachable(f"nobody has {file.digest}")
        return path


class Here:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version: Version = version_with_embedding(folder)
        self.above = Above(folder / "above")
        self.heads = HeadStore(folder / "state")
        files = {path.name: path.read_bytes() for path in self.version.folder.iterdir()}
        signed = {name: SignedFile(self.above.add(data), len(data)) for name, data in files.items()}
        self.supply = MeshSupply(folder / "state", Signed(signed), self.above, DEVICE, self.heads)

    def pair(self, seed: int) -> Pair:
        policy = policy_with(self.version, head_for(self.version, seed))
        return Pair("models/pattern/versions/1", self.version.digest, write_policy(policy))

    def published(self, seed: int) -> Pair:
        self.above.add(write_head(head_for(self.version, seed)))
        return self.pair(seed)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_a_head_comes_with_its_pair_from_the_heads_that_are_here(here: Here) -> None:
    first, second = here.published(1), here.published(2)
    staged = here.supply.obtain("pattern", first, (), NEVER)
    assert staged.head is not None
    assert write_head(staged.head) == write_head(head_for(here.version, 1))
    here.supply.obtain("pattern", second, (first, replace(first, policy="")), NEVER)
    (file, _), (_, bases) = here.above.asked
    assert (file.size_bytes, file.most_bytes) == (-1, MAX_BYTES)
    assert bases == (digest(write_head(head_for(here.version, 1))),)
    here.supply.obtain("pattern", first, (), NEVER)
    assert len(here.above.asked) == 2, "what is here is not fetched"


def test_a_pair_is_opened_again_with_its_head_and_not_without(here: Here) -> None:
    pair = here.published(1)
    here.supply.obtain("pattern", pair, (), NEVER)
    assert here.supply.reopen(pair).head is not None
    with pytest.raises(ModelInvalid, match="is not here"):
        here.supply.reopen(here.pair(2))
    assert here.supply.reopen(replace(pair, policy="")).head is None


def test_a_head_that_nobody_has_keeps_its_pair_away(here: Here) -> None:
    with pytest.raises(Unreachable):
        here.supply.obtain("pattern", here.pair(1), (), NEVER)


def test_what_is_no_head_is_refused(here: Here) -> None:
    policy = replace(policy_with(here.version, head_for(here.version, 1)), head=here.above.add(b"no head"))
    with pytest.raises(ModelInvalid, match="not a head"):
        here.supply.obtain("pattern", replace(here.pair(1), policy=write_policy(policy)), (), NEVER)


def test_an_assigned_head_answers_and_does_so_after_a_start_with_nothing_to_be_reached(here: Here) -> None:
    def installer() -> tuple[Installer, Slots]:
        loader = loader_in(here.folder)
        slots = Slots(loader)
        return Installer(here.folder / "state", here.supply, loader, slots, lambda: None, lambda _: None), slots

    pair, missing = here.published(1), here.pair(2)
    one, slots = installer()
    one.recover()
    one.start()
    one.assign("first", {"pattern": Assigned(pair, 1)})
    until(lambda: any(slot.active for slot in slots.all()), what="the pair")
    base = slots.active("pattern")
    assert base.head is not None
    one.assign("second", {"pattern": Assigned(missing, 2)})
    until(lambda: one.facts()[0].slot.state is State.FAILED, what="a head that nobody has to be told")
    assert one.facts()[0].slot.failure is Failure.UNAVAILABLE
    assert slots.active("pattern") is base
    one.close()

    (here.above.folder / policy_with(here.version, head_for(here.version, 1)).head).unlink()
    again, slots = installer()
    assert again.recover() == {"pattern"}
    assert slots.active("pattern").policy.document.head == policy_with(here.version, head_for(here.version, 1)).head
    again.close()


def test_heads_of_kept_pairs_stay_here_and_as_blobs(here: Here) -> None:
    pair = here.published(0)
    head = digest(write_head(head_for(here.version, 0)))
    here.supply.obtain("pattern", pair, (), NEVER)
    for seed in range(1, SPARE + 3):
        here.supply.obtain("pattern", here.published(seed), (), NEVER)
    here.supply.release([pair])
    assert head in here.heads.all()
    assert head in here.supply.blobs()
    assert len(here.heads.all()) == SPARE + 1
    here.supply.release([])
    assert head not in here.supply.blobs()
