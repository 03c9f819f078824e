"""What the control plane signs and an agent takes: and every way in which it must not."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.control_plane_trust import DAY, NAME, ControlPlane, Nobody, agent
from upriver.errors import DiskTrouble, NotNow, Unreachable, Untrusted, VersionConflict
from upriver.policies import PolicyDocument, write_policy
from upriver.scores import ScoreKind
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
from upriver_control.trust.repository import TrustOptions


@pytest.fixture
def control(tmp_path):
    return ControlPlane(tmp_path / "control")


def test_a_signed_version_is_trusted_with_its_files_and_needs(control, tmp_path) -> None:
    digest = control.publish("v1")
    signed = agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    assert signed.files["model.tflite"].size_bytes == 10
    assert (signed.needs.memory_bytes, signed.needs.operators, signed.needs.size_bytes) == (1000, ("CONV_2D",), 20)


def test_a_version_that_was_not_signed_is_refused(control, tmp_path) -> None:
    digest = control.publish("v1")
    trust = agent(control, tmp_path / "agent")
    with pytest.raises(Untrusted, match="not signed"):
        trust.version(NAME.format("v2"), digest)
    with pytest.raises(Untrusted, match="was signed as"):
        trust.version(NAME.format("v1"), "sha256:" + "f" * 64)
    control.repository.withdraw("digits", "v1")
    with pytest.raises(Untrusted, match="not signed"):
        trust.version(NAME.format("v1"), digest)


def test_the_same_content_again_is_nothing_and_another_content_is_refused(control) -> None:
    control.publish("v1")
    before = {path.name: path.read_bytes() for path in control.metadata.iterdir()}
    control.publish("v1")
    assert {path.name: path.read_bytes() for path in control.metadata.iterdir()} == before
    with pytest.raises(VersionConflict, match="another name"):
        control.publish("v1", "other")


def test_a_policy_is_trusted_only_as_it_was_signed(control, tmp_path) -> None:
    digest = control.publish("v1")
    document = write_policy(PolicyDocument(digest, ScoreKind.MARGIN, 0.5, 1.0, 0.5))
    control.repository.publish_policy("digits", document)
    trust = agent(control, tmp_path / "agent")
    trust.policy("digits", document)
    with pytest.raises(Untrusted, match="policy"):
        trust.policy("digits", document.replace("0.5", "0.1"))
    with pytest.raises(Untrusted, match="policy"):
        trust.policy("letters", document)


def test_a_root_with_another_fingerprint_is_refused(control, tmp_path) -> None:
    digest = control.publish("v1")
    trust = Trust(tmp_path / "agent", FolderMetadata(control.metadata), "sha256:" + "0" * 64)
    with pytest.raises(Untrusted, match="another control plane"):
        trust.version(NAME.format("v1"), digest)
    assert not (tmp_path / "agent/1.root.json").exists()


def test_another_control_planes_metadata_is_refused(control, tmp_path) -> None:
    digest = control.publish("v1")
    other = ControlPlane(tmp_path / "other")
    other.publish("v1")
    mixed = control.snapshot()
    for path in other.metadata.glob("*.json"):
        if path.name != "1.root.json":
            shutil.copy(path, mixed / path.name)
    with pytest.raises(Untrusted, match="not signed"):
        agent(control, tmp_path / "agent", mixed).version(NAME.format("v1"), digest)


def test_metadata_of_an_earlier_time_is_refused_once_later_was_seen(control, tmp_path) -> None:
    first = control.publish("v1")
    old = control.snapshot()
    second = control.publish("v2")
    agent(control, tmp_path / "agent").version(NAME.format("v2"), second)
    with pytest.raises(Untrusted, match="older metadata"):
        agent(control, tmp_path / "agent", old).version(NAME.format("v1"), first)


def test_a_new_timestamp_with_an_old_snapshot_is_refused(control, tmp_path) -> None:
    control.publish("v1")
    old = control.snapshot()
    second = control.publish("v2")
    for path in old.glob("*.snapshot.json"):
        newest = max(control.metadata.glob("*.snapshot.json"), key=lambda file: int(file.name.split(".")[0]))
        shutil.copy(path, control.metadata / newest.name)
    with pytest.raises(Untrusted, match=r"older metadata|mixed up"):
        agent(control, tmp_path / "agent").version(NAME.format("v2"), second)


def test_held_back_metadata_expires_and_the_reason_speaks_of_the_clock(control, tmp_path) -> None:
    digest = control.publish("v1")
    control.now += 2 * DAY
    with pytest.raises(Untrusted, match=r"expired.*clock"):
        agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    assert control.repository.refresh()
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    assert not control.repository.refresh(), "nothing is due any more"


def test_everything_is_signed_anew_in_time(control, tmp_path) -> None:
    digest = control.publish("v1")
    now = control.now
    for day in range(1, 200, 3):
        control.now = now + day * DAY
        control.repository.refresh()
    newest = max(control.metadata.glob("*.bin-*.json"), key=lambda path: int(path.name.split(".")[0]))
    expires = datetime.fromisoformat(json.loads(newest.read_bytes())["signed"]["expires"].replace("Z", "+00:00"))
    assert expires > datetime.fromtimestamp(now + 200 * DAY, UTC)
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)


def test_a_source_that_sends_without_end_is_refused(control, tmp_path) -> None:
    digest = control.publish("v1")
    endless = control.snapshot()
    (endless / "timestamp.json").write_bytes(b" " * 1_000_000)
    with pytest.raises(Untrusted, match="without end"):
        agent(control, tmp_path / "agent", endless).version(NAME.format("v1"), digest)


def test_nobody_there_is_unreachable_and_not_untrusted(control, tmp_path) -> None:
    digest = control.publish("v1")

    with pytest.raises(Unreachable, match="nobody answers"):
        Trust(tmp_path / "agent", Nobody(), control.fingerprint).version(NAME.format("v1"), digest)


def test_what_is_kept_counts_offline_while_it_is_in_force_and_then_only_what_was_taken_in(control, tmp_path) -> None:
    digest, other = control.publish("v1"), control.publish("v2")
    same_bin = next(
        f"x{number}"
        for number in range(1000)
        if control.repository._bin_of(f"versions/digits/x{number}") == control.repository._bin_of("versions/digits/v1")
    )
    sibling = control.publish(same_bin)
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    trust = Trust(tmp_path / "agent", Nobody(), control.fingerprint, lambda: control.now)
    trust.version(NAME.format("v1"), digest)
    assert trust.trusted_offline(f"versions/digits/{same_bin}").digest == sibling, "it lies in metadata that is kept"
    control.now += 30 * DAY
    assert trust.version(NAME.format("v1"), digest).needs.memory_bytes == 1000, "it was taken in"
    assert trust.trusted_offline(f"versions/digits/{same_bin}") is None, "it was not, and what is kept has expired"
    with pytest.raises(Unreachable):
        trust.version(NAME.format(same_bin), sibling)
    with pytest.raises(Unreachable):
        trust.version(NAME.format("v2"), other)


def test_signatures_count_offline_too(control, tmp_path) -> None:
    digest = control.publish("v1")
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    trust = Trust(tmp_path / "agent", Nobody(), control.fingerprint, lambda: control.now)
    held = tmp_path / f"agent/metadata/{control.repository._bin_of('versions/digits/v1')}.json"
    held.write_bytes(held.read_bytes().replace(b'"memory_bytes":1000', b'"memory_bytes":1'))
    with pytest.raises(Unreachable):
        trust.version(NAME.format("v1"), digest)
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    assert trust.version(NAME.format("v1"), digest).needs.memory_bytes == 1000, "mended by the next look-up"


def test_a_withdrawn_version_is_forgotten_offline_once_that_was_heard(control, tmp_path) -> None:
    digest = control.publish("v1")
    online = agent(control, tmp_path / "agent")
    online.version(NAME.format("v1"), digest)
    control.repository.withdraw("digits", "v1")
    with pytest.raises(Untrusted):
        online.version(NAME.format("v1"), digest)
    offline = Trust(tmp_path / "agent", Nobody(), control.fingerprint, lambda: control.now)
    assert offline.trusted_offline("versions/digits/v1") is None
    with pytest.raises(Unreachable):
        offline.version(NAME.format("v1"), digest)


@pytest.mark.parametrize("days", [-2.0, 2.0])
def test_a_clock_two_days_wrong_is_refused_or_harmless_and_what_was_taken_in_stays(control, tmp_path, days) -> None:
    first, second = control.publish("v1"), control.publish("v2")
    agent(control, tmp_path / "agent").version(NAME.format("v1"), first)
    source = FolderMetadata(control.metadata)
    wrong = Trust(tmp_path / "agent", source, control.fingerprint, lambda: control.now + days * DAY)
    if days < 0:  # a slow clock takes what is signed; it only sees an expiry later
        assert wrong.version(NAME.format("v2"), second)
        return
    with pytest.raises(Untrusted, match=r"frozen.*clock is wrong"):
        wrong.version(NAME.format("v2"), second)
    assert wrong.trusted_offline("versions/digits/v1").digest == first


def test_a_control_plane_without_metadata_is_refused(control, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Untrusted, match="not signed at all"):
        agent(control, tmp_path / "agent", tmp_path / "empty").version(NAME.format("v1"), "sha256:" + "0" * 64)


def test_a_root_is_rotated_with_a_threshold_of_two(tmp_path) -> None:
    control = ControlPlane(tmp_path / "control", TrustOptions(roots=3, threshold=2))
    digest = control.publish("v1")
    trust = agent(control, tmp_path / "agent")
    trust.version(NAME.format("v1"), digest)
    lost = control.keys.roots()[0].public_key.keyid
    assert control.repository.rotate_root([control.keys.add_root()], [lost]) == 2
    second = control.publish("v2")
    trust.version(NAME.format("v2"), second)
    agent(control, tmp_path / "newcomer").version(NAME.format("v2"), second)
    for path in sorted((tmp_path / "control/keys").glob("root-*.pem"))[1:]:
        path.unlink()
    with pytest.raises(NotNow, match="must sign"):
        control.repository.rotate_root([control.keys.add_root()])


def test_a_root_signed_by_new_keys_alone_is_refused(tmp_path) -> None:
    control = ControlPlane(tmp_path / "control")
    digest = control.publish("v1")
    other = ControlPlane(tmp_path / "other")
    other.repository.rotate_root([other.keys.add_root()])
    shutil.copy(other.metadata / "2.root.json", control.metadata / "2.root.json")
    with pytest.raises(Untrusted, match="not signed"):
        agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)


def test_publishing_signs_one_bin_whatever_there_is(control) -> None:
    for number in range(40):
        control.publish(f"v{number}")
    before = set(control.metadata.iterdir())
    control.publish("one-more")
    assert len(set(control.metadata.iterdir()) - before) == 2, "a bin and a snapshot; the timestamp keeps its name"


def test_private_keys_are_private(control) -> None:
    keys = control.folder / "keys"
    assert oct(keys.stat().st_mode & 0o777) == "0o700"
    assert {oct(path.stat().st_mode & 0o777) for path in keys.iterdir()} == {"0o600"}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    control = ControlPlane(tmp_path_factory.mktemp("published"))
    return control, control.publish("v1")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_is_refused_or_without_effect(published, tmp_path_factory, data) -> None:
    control, digest = published
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(control.metadata, folder / "metadata")
    files = sorted(path for path in (folder / "metadata").glob("*.json"))
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        signed = agent(control, folder / "agent", folder / "metadata").version(NAME.format("v1"), digest)
    except Untrusted:
        return
    assert signed.needs.memory_bytes == 1000


@pytest.mark.parametrize("name", ["", "digits", "models/digits", "models//versions/", "models/a/b/versions/c"])
def test_a_name_that_is_no_versions_is_refused(control, tmp_path, name) -> None:
    with pytest.raises(Untrusted, match="names no version"):
        agent(control, tmp_path / "agent").version(name, control.publish("v1"))


def test_a_disk_that_can_not_be_written_is_told_and_not_taken_for_an_attack(control, tmp_path) -> None:
    digest = control.publish("v1")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskTrouble, match="can't be kept"):
        agent(control, tmp_path / "file/agent").version(NAME.format("v1"), digest)
    trust = agent(control, tmp_path / "agent")
    trust.version(NAME.format("v1"), digest)
    held = tmp_path / "agent/metadata/timestamp.json"
    held.unlink()
    held.mkdir()
    with pytest.raises(DiskTrouble):
        trust.version(NAME.format("v1"), digest)
    held.rmdir()
    trust.version(NAME.format("v1"), digest)


def test_without_the_extra_the_error_names_it(control, tmp_path) -> None:
    program = """
import sys
from pathlib import Path
sys.modules["tuf.api"] = None
from upriver.errors import RuntimeMissing
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
try:
    Trust(Path(sys.argv[1]), FolderMetadata(Path(sys.argv[2])), "").version("models/m/versions/v", "")
except RuntimeMissing as error:
    print(error)
"""
    arguments = [sys.executable, "-c", program, str(tmp_path / "agent"), str(control.metadata)]
    told = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    assert "upriver[fleet]" in told.stdout
