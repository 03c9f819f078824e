"""The registry's store: the same promises on SQLite and PostgreSQL."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upriver.errors import NotFound, NotNow, VersionConflict
from upriver_control.store.database import open_database
from upriver_control.store.records import Lineage, NewVersion, Requirements, Validation, VersionFile
from upriver_control.store.registry import RegistryStore

NOW = 1_000_000.0


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def made(version: str, content: str = "", model: str = "digits", parent: str = "") -> NewVersion:
    content = content or version
    return NewVersion(
        model=model,
        version=version,
        digest=sha(f"listing {model} {content}"),
        files=(
            VersionFile("manifest.toml", sha(f"manifest {content}"), 100),
            VersionFile("model.tflite", sha(f"model {content}"), 3 << 20, sha(f"chunks {content}")),
        ),
        lineage=Lineage(parent, "s3://bucket/train?v=1", {"accuracy": 0.98, "loss": -1e-9}, "int8"),
        requirements=Requirements(5 << 30, "1.14.0", ("CONV_2D", "SOFTMAX")),
        validation=Validation("litert 2.1", 0.25, 16, "classify", '{"threshold":"inf"}'),
    )


def publish(store: RegistryStore, version: NewVersion, now: float = NOW):
    store.claim(version.model, version.version, version.digest, version.blobs(), now, now + 600)
    return store.record(version, now)


@pytest.fixture
def store(database):
    return RegistryStore(database)


def test_what_was_recorded_is_given_back(store):
    stored, created = publish(store, made("v1"))
    assert created
    found = store.version("digits", "v1")
    assert found == stored == store.by_digest(stored.digest)
    new = made("v1")
    assert (found.files, found.lineage, found.requirements, found.validation) == (
        new.files,
        new.lineage,
        new.requirements,
        new.validation,
    )
    assert found.created == NOW


def test_the_same_content_again_changes_nothing(store):
    first, _ = publish(store, made("v1"))
    again, created = publish(store, made("v1"), NOW + 9)
    assert (again, created) == (first, False)


def test_another_content_under_a_name_is_refused(store):
    publish(store, made("v1"))
    other = made("v1", "other")
    with pytest.raises(VersionConflict, match=r"published already, as sha256:.* another name"):
        store.claim("digits", "v1", other.digest, other.blobs(), NOW, NOW + 1)


def test_a_name_that_is_being_published_is_taken_until_its_time_is_over(store):
    one, other = made("v1"), made("v1", "other")
    assert store.claim("digits", "v1", one.digest, one.blobs(), NOW, NOW + 10)
    with pytest.raises(VersionConflict, match="is being published"):
        store.claim("digits", "v1", other.digest, other.blobs(), NOW + 9, NOW + 20)
    assert store.claim("digits", "v1", one.digest, one.blobs(), NOW + 9, NOW + 12)
    assert store.claim("digits", "v1", other.digest, other.blobs(), NOW + 13, NOW + 30)
    with pytest.raises(NotNow, match="try again"):
        store.record(one, NOW + 14)
    with pytest.raises(NotFound):
        store.version("digits", "v1")
    assert store.record(other, NOW + 14)[1]


def test_a_claim_that_is_given_up_is_free(store):
    one, other = made("v1"), made("v1", "other")
    store.claim("digits", "v1", one.digest, (), NOW, NOW + 100)
    store.release("digits", "v1", one.digest)
    assert store.claim("digits", "v1", other.digest, (), NOW, NOW + 100)


def test_one_of_many_that_publish_different_contents_under_one_name_wins(store):
    barrier = threading.Barrier(6)

    def attempt(index: int) -> bool:
        barrier.wait(60)
        try:
            return publish(store, made("v1", f"content {index}"))[1]
        except VersionConflict:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1


def test_versions_are_listed_newest_first_in_pages(store):
    for index in range(5):
        publish(store, made(f"v{index}"))
    first = store.versions("digits", None, 2)
    second = store.versions("digits", first[-1].number, 9)
    assert [version.version for version in (*first, *second)] == ["v4", "v3", "v2", "v1", "v0"]
    with pytest.raises(NotFound, match="models: digits"):
        store.versions("faces", None, 2)


def test_models_are_listed_by_name_in_pages(store):
    for name in ("b", "a", "c"):
        store.create_model(name, f"about {name}", NOW)
    publish(store, made("v1", model="b"))
    store.set_alias("b", "champion", "v1")
    assert [(model.id, dict(model.aliases)) for model in store.models("", 2)] == [("a", {}), ("b", {"champion": "v1"})]
    assert [model.id for model in store.models("b", 2)] == ["c"]


def test_a_model_is_made_once(store):
    made_first = store.create_model("digits", "Handwritten digits", NOW)
    assert store.create_model("digits", "Handwritten digits", NOW + 5) == made_first
    assert store.create_model("digits", "", NOW + 5) == made_first
    with pytest.raises(VersionConflict, match="another description"):
        store.create_model("digits", "Faces", NOW)


def test_a_model_that_a_version_made_takes_a_description_later(store):
    publish(store, made("v1"))
    assert store.create_model("digits", "Handwritten digits", NOW).description == "Handwritten digits"


def test_an_alias_moves_and_goes(store):
    publish(store, made("v1"))
    publish(store, made("v2"))
    assert store.set_alias("digits", "champion", "v1").aliases == {"champion": "v1"}
    assert store.version("digits", "@champion").version == "v1"
    assert store.version("digits", "v1").aliases == ("champion",)
    assert store.set_alias("digits", "champion", "v2").aliases == {"champion": "v2"}
    assert store.delete_alias("digits", "champion").aliases == {}
    assert store.delete_alias("digits", "champion").aliases == {}
    with pytest.raises(NotFound, match=r"no alias @champion; aliases: none"):
        store.version("digits", "@champion")
    with pytest.raises(NotFound, match="versions: v2, v1"):
        store.set_alias("digits", "champion", "v9")


def test_a_version_that_an_alias_points_at_stays(store):
    publish(store, made("v1"))
    store.set_alias("digits", "champion", "v1")
    with pytest.raises(NotNow, match="is @champion"):
        store.delete_version("digits", "v1", NOW)
    store.delete_alias("digits", "champion")
    store.delete_version("digits", "v1", NOW)
    with pytest.raises(NotFound):
        store.version("digits", "v1")


def test_a_model_with_versions_stays(store):
    publish(store, made("v1"))
    with pytest.raises(NotNow, match="has 1 versions"):
        store.delete_model("digits")
    store.delete_version("digits", "v1", NOW)
    store.delete_model("digits")
    assert store.models("", 10) == []


def test_numbers_are_never_given_twice(store):
    first, _ = publish(store, made("v1"))
    store.delete_version("digits", "v1", NOW)
    again, _ = publish(store, made("v1"))
    assert again.number > first.number


def test_blobs_of_a_deleted_version_go_unless_another_needs_them(store):
    one = made("v1")
    other = NewVersion("digits", "v2", sha("other"), (one.files[0],), one.lineage, one.requirements, one.validation)
    publish(store, one)
    publish(store, other)
    store.delete_version("digits", "v1", NOW)
    removed: list[str] = []
    assert store.sweep(NOW, removed.append) == 3
    assert sorted(removed) == sorted(set(one.blobs()) - {one.files[0].digest})
    assert store.sweep(NOW, removed.append) == 0


def test_blobs_of_a_publication_that_ended_half_way_go_after_their_time(store):
    one = made("v1")
    store.claim("digits", "v1", one.digest, one.blobs(), NOW, NOW + 600)
    removed: list[str] = []
    assert store.sweep(NOW + 599, removed.append) == 0
    assert store.sweep(NOW + 600, removed.append) == 4
    assert sorted(removed) == sorted(one.blobs())


def test_blobs_that_cannot_be_removed_are_tried_again(store):
    one = made("v1")
    store.claim("digits", "v1", one.digest, one.blobs(), NOW, NOW)

    def refuse(digest: str) -> None:
        raise OSError(digest)

    with pytest.raises(OSError, match="sha256"):
        store.sweep(NOW, refuse)
    assert store.sweep(NOW, lambda digest: None) == 4


def test_several_processes_may_open_a_new_database_at_once(database_url):
    def opened(_: int) -> int:
        database = open_database(database_url)
        try:
            return len(RegistryStore(database).models("", 10))
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(8))) == [0] * 8


_CALLS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "delete", "alias", "unalias"]), st.sampled_from("ab"), st.sampled_from(["x", "y"])
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=_CALLS)
def test_whatever_is_called_a_name_has_one_content_and_aliases_point_at_versions(store, calls):
    for version in store.versions("digits", None, 100) if store.models("", 9) else []:
        for alias in version.aliases:
            store.delete_alias("digits", alias)
        store.delete_version("digits", version.version, NOW)
    store.create_model("digits", "", NOW)
    known: dict[str, str] = {}
    pointing: dict[str, str] = {}
    for what, version, content in calls:
        if what == "publish":
            new = made(version, f"{version} {content}")
            if known.get(version, content) == content:
                assert publish(store, new)[1] == (version not in known)
                known[version] = content
            else:
                with pytest.raises(VersionConflict):
                    publish(store, new)
        elif what == "delete":
            if version not in known:
                with pytest.raises(NotFound):
                    store.delete_version("digits", version, NOW)
            elif version in pointing.values():
                with pytest.raises(NotNow):
                    store.delete_version("digits", version, NOW)
            else:
                store.delete_version("digits", version, NOW)
                del known[version]
        elif what == "alias" and version in known:
            pointing[content] = version
            store.set_alias("digits", content, version)
        elif what == "unalias":
            pointing.pop(content, None)
            store.delete_alias("digits", content)
        assert {v.version for v in store.versions("digits", None, 100)} == set(known)
        assert dict(store.model("digits").aliases) == pointing
