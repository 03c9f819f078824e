"""RegistryService over gRPC: what operators and their programs see."""

import asyncio
import hashlib
import math
import time
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.agent_process import until
from tests.control_plane_registry import REGISTRY, open_registry, serving
from tests.versions import make_version
from upriver.errors import (
    DiskTrouble,
    InvalidInput,
    ModelInvalid,
    NotAllowed,
    NotFound,
    NotNow,
    QueueFull,
    VersionConflict,
)
from upriver.policies import read_policy, write_policy
from upriver.v1 import registry_pb2 as pb
from upriver_control.cli.connection import Connection
from upriver_control.services.published import RegistryVersions
from upriver_control.store.policies import PolicyTable
from upriver_control.store.records import Lineage


@pytest.fixture
def registry(tmp_path):
    opened = open_registry(tmp_path / "control")
    yield opened
    opened.database.close()


@pytest.fixture
def connection(registry):
    with serving(registry) as address, Connection(address) as opened:
        yield opened


def files_of(folder: Path) -> list[pb.VersionFile]:
    return [
        pb.VersionFile(
            name=path.name,
            digest="sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
            size_bytes=path.stat().st_size,
        )
        for path in sorted(folder.iterdir())
    ]


def messages(folder: Path, model: str = "pattern", size: int = 1000, **lineage):
    files = files_of(folder)
    yield pb.UploadVersionRequest(
        header=pb.UploadHeader(parent=f"models/{model}", files=files, lineage=pb.Lineage(**lineage))
    )
    data = b"".join((folder / file.name).read_bytes() for file in files)
    for at in range(0, len(data), size):
        yield pb.UploadVersionRequest(data=data[at : at + size])


def upload(connection, folder, **lineage):
    return connection.call(REGISTRY, "UploadVersion", messages(folder, **lineage), timeout_s=60)


def call(connection, method, **fields):
    return connection.call(REGISTRY, method, getattr(pb, f"{method}Request")(**fields))


def test_a_version_goes_up_and_is_found(connection, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    answer = upload(connection, folder, training_data="s3://x", metrics={"accuracy": 0.5})
    assert answer.created
    version = call(connection, "GetVersion", name="models/pattern/versions/v1").version
    assert version == answer.version
    assert {file.name: file.digest for file in version.files} == {file.name: file.digest for file in files_of(folder)}
    assert version.lineage.metrics["accuracy"] == 0.5
    assert version.validation.task == "classify"
    assert version.requirements.memory_bytes > 0
    assert abs(version.create_time.ToNanoseconds() / 1e9 - time.time()) < 60
    assert not upload(connection, folder).created
    model = call(connection, "SetAlias", parent="models/pattern", alias="champion", version_id="v1").model
    assert model.aliases == {"champion": "v1"}
    assert list(call(connection, "GetVersion", name="models/pattern/versions/@champion").version.aliases) == [
        "champion"
    ]
    with pytest.raises(NotNow, match="is @champion"):
        call(connection, "DeleteVersion", name="models/pattern/versions/v1")
    call(connection, "DeleteAlias", parent="models/pattern", alias="champion")
    call(connection, "DeleteVersion", name="models/pattern/versions/v1")
    call(connection, "DeleteModel", name="models/pattern")
    with pytest.raises(NotFound, match="models: none"):
        call(connection, "GetModel", name="models/pattern")


def test_another_content_under_a_name_already_exists(connection, tmp_path):
    upload(connection, make_version(tmp_path / "a", "v1", 0.5))
    with pytest.raises(VersionConflict, match="another name") as told:
        upload(connection, make_version(tmp_path / "b", "v1", 0.6))
    cause = told.value.__cause__
    assert isinstance(cause, grpc.Call)
    assert cause.code() is grpc.StatusCode.ALREADY_EXISTS


def test_what_does_not_pass_is_refused_with_the_reasons(connection, registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    (folder / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(ModelInvalid, match="can't be published"):
        upload(connection, folder)
    assert list(registry.artifacts.digests()) == []
    assert list(registry.publisher.uploads.iterdir()) == []


def test_models_and_versions_come_in_pages(connection, registry, tmp_path):
    for index in range(5):
        call(connection, "CreateModel", model_id=f"m{index}", description=f"number {index}")
    seen, token = [], ""
    while True:
        page = call(connection, "ListModels", page_size=2, page_token=token)
        seen += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"models/m{index}" for index in range(5)]
    for index in range(3):
        upload(connection, make_version(tmp_path, f"v{index}", 0.5))
    first = call(connection, "ListVersions", parent="models/pattern", page_size=2)
    second = call(connection, "ListVersions", parent="models/pattern", page_token=first.next_page_token)
    names = [version.name.rpartition("/")[2] for version in (*first.versions, *second.versions)]
    assert (names, second.next_page_token) == (["v2", "v1", "v0"], "")


@pytest.mark.parametrize(
    ("method", "fields", "told"),
    [
        ("CreateModel", {"model_id": "../x"}, "model id"),
        ("CreateModel", {"model_id": "x" * 64}, "at most 63"),
        ("CreateModel", {"model_id": "x", "description": "x" * 3000}, "at most 2000"),
        ("GetModel", {"name": "digits"}, "expected models/"),
        ("GetVersion", {"name": "models/digits"}, "is no version's name"),
        ("GetVersion", {"name": "models/digits/versions/@Big"}, "alias 'Big'"),
        ("ListModels", {"page_size": -1}, "page_size"),
        ("ListModels", {"page_token": "/"}, "page_token"),
        ("ListVersions", {"parent": "models/digits", "page_token": "x"}, "page_token"),
        ("SetAlias", {"parent": "models/digits", "alias": "A!", "version_id": "v1"}, "alias"),
        ("DeleteVersion", {"name": "models/digits/versions/@champion"}, "version id"),
    ],
)
def test_what_makes_no_sense_is_refused(connection, method, fields, told):
    with pytest.raises(InvalidInput, match=told):
        call(connection, method, **fields)


def spoiled(folder: Path, what: str):
    sent = list(messages(folder))
    header = sent[0].header
    match what:
        case "no header":
            return sent[1:]
        case "strange file":
            header.files[0].name = "../../etc/passwd"
        case "file missing":
            del header.files[0]
        case "file twice":
            header.files.append(header.files[0])
        case "too large":
            header.files[0].size_bytes = 1 << 40
        case "wrong digest":
            header.files[0].digest = "sha256:" + "0" * 64
        case "too short":
            return sent[:-1]
        case "too long":
            return [*sent, pb.UploadVersionRequest(data=b"x")]
        case "second header":
            return [sent[0], *sent]
        case "large message":
            return [sent[0], pb.UploadVersionRequest(data=bytes((1 << 20) + 1))]
        case "nan":
            header.lineage.metrics["accuracy"] = math.nan
    return sent


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no header", "begins with its header"),
        ("strange file", "is no file of a version"),
        ("file missing", "is missing"),
        ("file twice", "comes twice"),
        ("too large", "expected 1 to"),
        ("wrong digest", "its bytes have the digest"),
        ("too short", "bytes did not come"),
        ("too long", "more bytes came"),
        ("second header", "bytes did not come"),
        ("large message", "at most 1048576|bytes did not come"),
        ("nan", "expected finite numbers"),
    ],
)
def test_a_wrong_upload_is_refused_and_leaves_nothing(connection, registry, tmp_path, what, told):
    sent = spoiled(make_version(tmp_path, "v1", 0.5), what)
    with pytest.raises(InvalidInput, match=told):
        connection.call(REGISTRY, "UploadVersion", iter(sent), timeout_s=30)
    assert list(registry.artifacts.digests()) == []
    assert list(registry.publisher.uploads.iterdir()) == []


def test_an_upload_that_stalls_is_ended(registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)

    def stalling():
        yield next(messages(folder))
        until(lambda: ended, 20.0)

    ended: list[bool] = []
    with serving(registry, idle_s=0.2) as address, Connection(address) as connection:
        with pytest.raises(InvalidInput, match=r"nothing came for 0\.2 s"):
            connection.call(REGISTRY, "UploadVersion", stalling(), timeout_s=20)
        ended.append(True)
        assert list(registry.publisher.uploads.iterdir()) == []


def test_more_uploads_than_there_is_room_for_are_refused_at_once(registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    released: list[bool] = []

    def slow():
        sent = messages(folder)
        yield next(sent)
        until(lambda: released, 20.0)
        yield from sent

    with serving(registry, uploads=1) as address, Connection(address) as one, Connection(address) as two:
        pending = one._method(REGISTRY, "UploadVersion").future(slow(), timeout=60)
        until(lambda: registry.publisher.uploads.exists() and any(registry.publisher.uploads.iterdir()))
        with pytest.raises(QueueFull, match="try again"):
            upload(two, folder)
        released.append(True)
        assert pending.result(60).created


def test_a_publication_goes_on_when_its_caller_leaves(registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    with serving(registry) as address, Connection(address) as connection:
        pending = connection._method(REGISTRY, "UploadVersion").future(messages(folder), timeout=60)
        uploads = registry.publisher.uploads
        size = (folder / "model.tflite").stat().st_size
        until(lambda: any(path.stat().st_size == size for path in uploads.glob("*/model.tflite")))
        pending.cancel()
        until(
            lambda: [model.id for model in registry.store.models("", 9)] == ["pattern"] or not list(uploads.iterdir())
        )
    assert list(registry.publisher.uploads.iterdir()) == []


def test_operators_show_their_token(registry, tmp_path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s3cret-token\n")
    wrong.write_text("other\n")
    with serving(registry, right.read_text().strip()) as address:
        with Connection(address, right) as connection:
            assert list(call(connection, "ListModels").models) == []
        with Connection(address, wrong) as connection, pytest.raises(NotAllowed, match="operator's token"):
            call(connection, "ListModels")
        with Connection(address) as connection:
            with pytest.raises(NotAllowed, match="--token-file"):
                call(connection, "ListModels")
            with pytest.raises(NotAllowed):
                upload(connection, make_version(tmp_path, "v1", 0.5))


def test_a_disk_that_fails_is_told(registry, tmp_path):
    registry.publisher.uploads.parent.mkdir(exist_ok=True)
    registry.publisher.uploads.write_bytes(b"a file where the folder should be")
    with serving(registry) as address, Connection(address) as connection, pytest.raises(DiskTrouble, match="uploads"):
        upload(connection, make_version(tmp_path, "v1", 0.5))


def test_rollouts_find_versions_by_name_and_alias_and_have_policies_signed(registry, tmp_path):
    published, _ = registry.publisher.publish(make_version(tmp_path, "v1", 0.5), "pattern", Lineage())
    registry.publisher.set_alias("pattern", "champion", "v1")
    versions = RegistryVersions(registry.store, PolicyTable(registry.database), registry.repository)
    by_name = asyncio.run(versions.resolve("models/pattern/versions/v1"))
    assert by_name == asyncio.run(versions.resolve("models/pattern/versions/@champion"))
    assert (by_name.name, by_name.digest) == (published.name, published.digest)
    document = write_policy(replace(read_policy(by_name.policy_document), threshold=0.9))
    for _ in range(2):
        asyncio.run(versions.sign_policy("pattern", document))
    with pytest.raises(NotFound):
        asyncio.run(versions.policy("models/pattern/policies/" + "0" * 64))
    with pytest.raises(NotFound):
        asyncio.run(versions.resolve("models/pattern/versions/v2"))
