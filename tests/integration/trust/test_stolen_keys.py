"""What a thief of one online key can't do, and what damage at rest can't."""

import json
import shutil
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, MetaFile

from tests.control_plane_trust import NAME, ControlPlane, Nobody, agent
from upriver.errors import Unreachable, Untrusted
from upriver_agent.trust.trust import Trust


@pytest.fixture
def control(tmp_path):
    return ControlPlane(tmp_path / "control")


def sign(control: ControlPlane, role: str, metadata: Metadata, name: str) -> None:
    """Signs with the key of one role and puts the file where agents find it."""
    metadata.sign(control.keys.signer(role))
    (control.metadata / name).write_bytes(metadata.to_bytes())


def test_the_timestamp_key_alone_can_not_lead_back_to_an_older_snapshot(control, tmp_path) -> None:
    digest = control.publish("v1")
    old = control.repository._current()
    second = control.publish("v2")
    trust = agent(control, tmp_path / "agent")
    trust.version(NAME.format("v2"), second)
    forged = control.repository._current().timestamp
    forged.signed.version += 1
    forged.signed.snapshot_meta = MetaFile(old.snapshot.signed.version)
    sign(control, "timestamp", forged, "timestamp.json")
    with pytest.raises(Untrusted, match="rolled back"):
        trust.version(NAME.format("v1"), digest)
    assert trust.trusted_offline("versions/digits/v2") is not None


def test_the_snapshot_and_timestamp_keys_can_not_lead_back_to_older_targets(control, tmp_path) -> None:
    digest = control.publish("v1")
    name = control.repository._bin_of("versions/digits/v1")
    older = control.repository._current().bins[name]
    control.repository.withdraw("digits", "v1")
    trust = agent(control, tmp_path / "agent")
    with pytest.raises(Untrusted, match="not signed"):
        trust.version(NAME.format("v1"), digest)
    current = control.repository._current()
    current.snapshot.signed.version += 1
    current.snapshot.signed.meta[f"{name}.json"] = MetaFile(older)
    sign(control, "snapshot", current.snapshot, f"{current.snapshot.signed.version}.snapshot.json")
    current.timestamp.signed.version += 1
    current.timestamp.signed.snapshot_meta = MetaFile(current.snapshot.signed.version)
    sign(control, "timestamp", current.timestamp, "timestamp.json")
    with pytest.raises(Untrusted, match="rolled back"):
        trust.version(NAME.format("v1"), digest)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_a_key_of_another_role_can_not_sign_a_version(control, tmp_path, role) -> None:
    digest = control.publish("v1")
    name = control.repository._bin_of("versions/digits/v1")
    current = control.repository._current()
    held = control.metadata / f"{current.bins[name]}.{name}.json"
    metadata = Metadata.from_bytes(held.read_bytes())
    sign(control, role, metadata, held.name)
    current.snapshot.signed.meta[f"{name}.json"] = MetaFile(current.bins[name])
    current.snapshot.signed.version += 1
    sign(control, "snapshot", current.snapshot, f"{current.snapshot.signed.version}.snapshot.json")
    current.timestamp.signed.version += 1
    current.timestamp.signed.snapshot_meta = MetaFile(current.snapshot.signed.version)
    sign(control, "timestamp", current.timestamp, "timestamp.json")
    with pytest.raises(Untrusted, match="wrong key"):
        agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """An agent's folder after a root rotation and a look-up."""
    folder = tmp_path_factory.mktemp("kept")
    control = ControlPlane(folder / "control")
    digest = control.publish("v1")
    control.repository.rotate_root([control.keys.add_root()])
    agent(control, folder / "agent").version(NAME.format("v1"), digest)
    return control, digest, folder / "agent"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_what_an_agent_keeps_is_mended_online_and_never_trusted_offline(kept, tmp_path_factory, data) -> None:
    control, digest, whole = kept
    folder = tmp_path_factory.mktemp("damaged") / "agent"
    shutil.copytree(whole, folder, symlinks=True)
    files = sorted(path for path in folder.rglob("*.json") if not path.is_symlink())
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    offline = Trust(folder, Nobody(), control.fingerprint, lambda: control.now)
    with suppress(Unreachable):  # it may not be known any more
        assert offline.version(NAME.format("v1"), digest).needs.memory_bytes == 1000
    assert agent(control, folder).version(NAME.format("v1"), digest).needs.memory_bytes == 1000
    assert json.loads((folder / "accepted.json").read_bytes())["targets"]["versions/digits/v1"] == digest
