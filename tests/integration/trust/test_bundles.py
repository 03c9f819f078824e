"""Trust over a real BlobService, and versions carried in a folder: exported, taken in, refused."""

import hashlib
import json
import shutil
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.control_plane_trust import DAY, NAME, Blobs, ControlPlane, serving
from tests.versions import make_version
from upriver.channels import ChannelOptions
from upriver.errors import BlobNotFound, ModelInvalid, Unreachable, Untrusted
from upriver.listing import digest as digest_of
from upriver.listing import format_listing
from upriver_agent.cli import app as agent_app
from upriver_agent.trust.bundle import SideLoadedFirst, side_load
from upriver_agent.trust.source import RemoteMetadata
from upriver_agent.trust.trust import Trust
from upriver_agent.versions import open_version
from upriver_control.cli.bundles import app as export_app


class Published:
    """A control plane that has really published one version, and serves it."""

    def __init__(self, folder: Path) -> None:
        self.control = ControlPlane(folder / "control")
        version = make_version(folder, "v1", 0.5, model="digits")
        contents = {path.name: path.read_bytes() for path in version.iterdir() if path.is_file()}
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        listing = format_listing(sums)
        self.digest = digest_of(listing)
        files = {name: {"sha256": sums[name], "size": len(data)} for name, data in contents.items()}
        requires = {"memory_bytes": 1000, "min_runtime": "", "operators": []}
        self.control.repository.publish(
            "digits", "v1", listing, {"format": 1, "files": files, "requires": requires, "parent": ""}
        )
        blobs = {f"sha256:{sums[name]}": data for name, data in contents.items()}
        self.servicer = Blobs(self.control.metadata, {**blobs, self.digest: listing})
        self.model = f"sha256:{sums['model.tflite']}"


@pytest.fixture
def published(tmp_path):
    return Published(tmp_path)


@pytest.fixture
def address(published):
    with serving(published.servicer) as address:
        yield address


@pytest.fixture
def bundle(published, address, tmp_path):
    result = CliRunner().invoke(
        export_app, ["export", "digits/v1", str(tmp_path / "usb"), "--control-plane", address, "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["versions"] == {NAME.format("v1"): published.digest}
    return tmp_path / "usb"


def remote(published: Published, address: str, folder: Path) -> Trust:
    return Trust(folder, RemoteMetadata((address,), ChannelOptions()), published.control.fingerprint)


def test_a_version_is_trusted_over_the_network_and_a_second_look_fetches_only_what_is_new(
    published, address, tmp_path
) -> None:
    trust = remote(published, address, tmp_path / "agent")
    assert trust.version(NAME.format("v1"), published.digest).needs.memory_bytes == 1000
    published.servicer.asked.clear()
    trust.version(NAME.format("v1"), published.digest)
    assert published.servicer.asked == ["2.root.json", "timestamp.json"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("1.root.json", b"{}", "wrong fingerprint"),
        ("2.root.json", b"{}", "tampered with"),
        ("timestamp.json", b"not json", "tampered with"),
        ("timestamp.json", b" " * 1_000_000, "too large"),
        ("timestamp.json", b" " * (8 << 20), "too large"),
        ("1.targets.json", b" " * 100_000, "too large"),
    ],
)
def test_what_is_changed_on_the_way_is_refused_and_nothing_is_lost(
    published, address, tmp_path, name, data, reason
) -> None:
    published.servicer.spoil[name] = data
    trust = remote(published, address, tmp_path / "agent")
    with pytest.raises(Untrusted, match=reason):
        trust.version(NAME.format("v1"), published.digest)
    published.servicer.spoil.clear()
    assert trust.version(NAME.format("v1"), published.digest)


def test_a_second_address_is_asked_when_the_first_is_gone(published, address, tmp_path) -> None:
    source = RemoteMetadata(("127.0.0.1:1", address), ChannelOptions())
    assert Trust(tmp_path / "agent", source, published.control.fingerprint).version(NAME.format("v1"), published.digest)
    gone = RemoteMetadata(("127.0.0.1:1",), ChannelOptions())
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        Trust(tmp_path / "other", gone, published.control.fingerprint).version(NAME.format("v1"), published.digest)


def test_a_bundle_is_taken_in_and_can_be_served(published, bundle, tmp_path) -> None:
    (taken,) = side_load(bundle, tmp_path / "state", published.control.fingerprint)
    assert (taken.name, taken.digest) == (NAME.format("v1"), published.digest)
    assert open_version(taken.folder, tmp_path / "other").digest == published.digest
    assert side_load(bundle, tmp_path / "state", published.control.fingerprint) == [taken], "again is nothing"
    offline = Trust(tmp_path / "state/trust", RemoteMetadata((), ChannelOptions()), published.control.fingerprint)
    signed = offline.version(NAME.format("v1"), published.digest)

    class NoOthers:
        def fetch(self, file, bases, cancelled):
            raise BlobNotFound("not here")

    fetcher = SideLoadedFirst(tmp_path / "state", NoOthers())
    path = fetcher.fetch(signed.files["model.tflite"], (), threading.Event())
    assert digest_of(path.read_bytes()) == published.model
    path.unlink()
    path.write_bytes(b"damaged")
    with pytest.raises(BlobNotFound):
        fetcher.fetch(signed.files["model.tflite"], (), threading.Event())


def test_a_bundle_of_another_root_is_refused(published, bundle, tmp_path) -> None:
    with pytest.raises(Untrusted, match="wrong fingerprint"):
        side_load(bundle, tmp_path / "state", "sha256:" + "0" * 64)
    assert not (tmp_path / "state/side-loaded").exists()


def test_a_changed_blob_changed_metadata_and_a_missing_blob_are_refused(published, bundle, tmp_path) -> None:
    blob = bundle / "blobs" / published.model.replace(":", "/")
    whole = blob.read_bytes()
    for data in (whole[:-1], whole + b"x", whole[:-1] + bytes([whole[-1] ^ 1])):
        blob.write_bytes(data)
        with pytest.raises(Untrusted, match="damaged"):
            side_load(bundle, tmp_path / "state", published.control.fingerprint)
    blob.unlink()
    with pytest.raises(ModelInvalid, match="has no sha256"):
        side_load(bundle, tmp_path / "state", published.control.fingerprint)
    assert not list((tmp_path / "state/side-loaded").glob("versions/*"))
    blob.write_bytes(whole)
    shutil.copytree(bundle, tmp_path / "changed")
    (held,) = (tmp_path / "changed/metadata").glob("*.bin-*.json")
    held.write_bytes(held.read_bytes().replace(b'"memory_bytes":1000', b'"memory_bytes":1001'))
    with pytest.raises(Untrusted, match="tampered with"):
        side_load(tmp_path / "changed", tmp_path / "newcomer", published.control.fingerprint)
    assert side_load(bundle, tmp_path / "state", published.control.fingerprint)


def test_a_bundle_that_lies_about_its_digest_or_is_none_is_refused(published, bundle, tmp_path) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    document["versions"][0]["digest"] = "sha256:" + "0" * 64
    (bundle / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(Untrusted, match="was signed as"):
        side_load(bundle, tmp_path / "state", published.control.fingerprint)
    document["versions"][0]["name"] = "models/../../versions/x"
    (bundle / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(ModelInvalid, match="is no version"):
        side_load(bundle, tmp_path / "state", published.control.fingerprint)
    with pytest.raises(ModelInvalid, match="is no bundle"):
        side_load(tmp_path / "nowhere", tmp_path / "state", published.control.fingerprint)


def test_an_old_bundle_is_refused_by_its_expiry(published, address, tmp_path) -> None:
    published.control.now -= 3 * DAY
    with published.control.repository._store.change() as write:
        published.control.repository._sign_timestamp(write, published.control.repository._current())
    code = CliRunner().invoke(export_app, ["export", "digits/v1", str(tmp_path / "usb"), "--control-plane", address])
    assert code.exit_code == 0, code.output
    with pytest.raises(Untrusted, match="expired"):
        side_load(tmp_path / "usb", tmp_path / "state", published.control.fingerprint)


def test_an_export_that_is_cut_goes_on_where_it_was_and_a_changed_blob_is_not_written(
    published, address, tmp_path
) -> None:
    published.servicer.cut[published.model] = 1
    arguments = ["export", "digits/v1", str(tmp_path / "usb"), "--control-plane", address]
    assert CliRunner().invoke(export_app, arguments).exit_code == 0
    whole = published.servicer.blobs[published.model]
    published.servicer.spoil[published.model] = whole[:-1] + b"?"
    arguments[2] = str(tmp_path / "other")
    failed = CliRunner().invoke(export_app, arguments)
    assert isinstance(failed.exception, Untrusted)
    assert not (tmp_path / "other/bundle.json").exists()
    arguments[1] = "digits/v9"
    assert "not signed" in str(CliRunner().invoke(export_app, arguments).exception)


def test_the_agents_command_takes_a_bundle_in_or_says_in_one_line_why_not(published, bundle, tmp_path) -> None:
    config = tmp_path / "agent.toml"
    text = f'[agent]\nid = "a"\ntier = "device"\nstate_dir = "{tmp_path / "state"}"\n[control_plane]\nroot = "%s"\n'
    config.write_text(text % published.control.fingerprint)
    done = CliRunner().invoke(agent_app, ["side-load", str(bundle), "--config", str(config), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["versions"][0]["digest"] == published.digest
    config.write_text(text % ("sha256:" + "1" * 64))
    refused = CliRunner().invoke(agent_app, ["side-load", str(bundle), "--config", str(config)])
    assert refused.exit_code == 1
    assert len(refused.output.strip().splitlines()) == 1
    assert "wrong fingerprint" in refused.output
