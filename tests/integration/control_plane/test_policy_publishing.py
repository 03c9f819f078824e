"""Policies that no calibration made, and heads: kept and signed together, or refused with the reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.control_plane_registry import open_registry
from tests.heads import head_for, policy_with, version_with_embedding
from tests.versions import make_version
from upriver.errors import InvalidInput, NotFound
from upriver.heads import Head, write_head
from upriver.listing import digest
from upriver.policies import write_policy
from upriver_agent.versions import Version, open_version
from upriver_control.policy_publishing import PolicyPublisher
from upriver_control.store.heads import HeadTable
from upriver_control.store.policies import PolicyTable
from upriver_control.store.records import Lineage


class Here:
    """A control plane's part with one version published, and heads of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = open_registry(folder / "control")
        store = self.registry.store
        self.policies = PolicyTable(self.registry.database)
        self.publisher = PolicyPublisher(
            store, self.registry.artifacts, HeadTable(store), self.policies, self.registry.repository, lambda: 5.0
        )
        self.version = version_with_embedding(folder)
        self.registry.publisher.publish(folder / "version-1", "pattern", Lineage())
        self.head = head_for(self.version, 1)

    def document(self, version: Version | None = None, head: Head | None = None) -> str:
        return write_policy(policy_with(version or self.version, head or self.head))


@pytest.fixture
def here(tmp_path: Path):
    made = Here(tmp_path)
    yield made
    made.registry.database.close()


def test_a_policy_is_kept_with_its_head_and_the_same_again_changes_nothing(here: Here) -> None:
    data = write_head(here.head)
    stored = here.publisher.publish("pattern", "device", here.document(), data)
    assert (stored.version, stored.tier, stored.calibration) == ("models/pattern/versions/1", "device", "")
    assert here.registry.artifacts.read(digest(data)) == data
    assert here.publisher.publish("pattern", "device", here.document()) == stored, "its head is there"
    here.publisher.publish_policy("pattern", here.document())
    assert here.registry.publisher.sweep() == 0
    assert here.registry.artifacts.has(digest(data))


def test_a_policy_without_a_head_needs_none(here: Here) -> None:
    plain = here.version.manifest.policy_document(here.version.digest)
    assert here.publisher.publish("pattern", "device", write_policy(replace(plain, threshold=0.25)))


def test_what_does_not_belong_together_is_refused_and_nothing_is_kept(here: Here) -> None:
    other = open_version(make_version(here.folder, "2", 0.5), here.folder / "state")
    foreign = head_for(other, 1)
    data, other_head = write_head(here.head), write_head(head_for(here.version, 2))
    cases = [
        (("pattern", "device", here.document()), NotFound, "which was not published"),
        (
            ("pattern", "device", here.document(), other_head),
            InvalidInput,
            "the policy names",
        ),
        (("pattern", "device", here.document(), b"no head"), InvalidInput, "the head is"),
        (("faces", "device", here.document(), data), InvalidInput, "expected one of a version of faces"),
        (("pattern", "device", here.document(other, foreign), write_head(foreign)), NotFound, "no version has"),
        (("pattern", "device", "{"), InvalidInput, "not JSON"),
    ]
    for given, kind, told in cases:
        with pytest.raises(kind, match=told):
            here.publisher.publish(*given)
    assert here.policies.page("pattern") == ((), 0)
    with pytest.raises(InvalidInput, match="not a head"):
        here.publisher.publish_head(b"no head")


def test_a_head_of_another_version_is_refused(here: Here) -> None:
    other = open_version(make_version(here.folder, "2", 0.5), here.folder / "state")
    here.registry.publisher.publish(here.folder / "version-2", "pattern", Lineage())
    foreign = head_for(other, 1)
    document = here.document(here.version, foreign)
    with pytest.raises(InvalidInput, match=r"its head sha256:\w+ is of sha256"):
        here.publisher.publish("pattern", "device", document, write_head(foreign))
    with pytest.raises(InvalidInput, match="its head"):
        here.publisher.publish_policy("pattern", document)
