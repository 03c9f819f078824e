"""The pure rules of discovery: records to registrations and back, indexes, waiting, and a registry that forgot."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.discovery import snapshot
from upriver.discovery.memory import LONGEST_BACKOFF_S, Memory, backoff_s, next_index
from upriver.discovery.port import AgentRecord, ServedModel
from upriver.discovery.records import EntryInvalid, from_entry, to_registration

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True)
records = st.builds(
    AgentRecord,
    agent=names,
    tier=names,
    region=names,
    address=st.builds(
        lambda host, port: f"{host}:{port}",
        st.sampled_from(["127.0.0.1", "[::1]", "edge.local"]),
        st.integers(1, 65535),
    ),
    protocol=st.integers(0, 9),
    models=st.dictionaries(names, st.builds(ServedModel, version=names, digest=names), max_size=60),
    load=st.integers(0, 100).map(lambda hundredths: hundredths / 100),
    healthy=st.just(True),
    tls=st.booleans(),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


def entry_of(registration, statuses=("passing",)):
    service = {key: registration[key] for key in ("ID", "Address", "Port", "Tags", "Meta")}
    return {"Node": {"Address": "10.0.0.1"}, "Service": service, "Checks": [{"Status": s} for s in statuses]}


@given(records)
def test_a_record_comes_back_as_it_was_registered(record):
    registration = to_registration(record, "upriver-agent", 10, grpc_check=True)
    found = from_entry(json.loads(json.dumps(entry_of(registration))))
    kept = dict(sorted(record.models.items())[:48])
    assert found == AgentRecord(**{field: getattr(record, field) for field in record.__slots__} | {"models": kept})
    meta = registration["Meta"]
    assert len(meta) <= 64
    assert all(len(value) <= 512 for value in meta.values())


@given(anything, st.sampled_from(["Service", "Checks", "Node", None]))
def test_no_entry_raises_anything_but_its_own_error(junk, part):
    entry = entry_of(to_registration(AgentRecord("a", "t", "r", "h:1", 1, {}, 0.0), "s", 10, grpc_check=False))
    damaged = junk if part is None else {**entry, part: junk}
    try:
        from_entry(damaged)
    except EntryInvalid:
        return


@given(st.integers(0, 1 << 40), st.integers(-5, 1 << 40))
def test_an_index_never_goes_backwards_into_a_wait(previous, told):
    following = next_index(previous, told)
    assert following == 0 or following >= max(1, previous)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waiting_is_bounded(failures, chance):
    assert 0 <= backoff_s(failures, lambda: chance) < LONGEST_BACKOFF_S


def record(name):
    return AgentRecord(name, "cloud", "r", "h:1", 1, {}, 0.0)


def test_a_registry_that_forgot_does_not_take_our_upstreams_away_at_once():
    known = Memory().hear([record("a"), record("b")], False, 0.0, 60.0)
    after = known.hear([record("b")], True, 10.0, 60.0)
    assert {r.agent for r in after.records} == {"a", "b"}
    assert {r.agent for r in after.hear([record("b")], False, 20.0, 60.0).records} == {"a", "b"}
    assert {r.agent for r in after.hear([record("b")], False, 71.0, 60.0).records} == {"b"}


def test_an_empty_answer_is_doubted_and_a_plain_departure_is_not():
    known = Memory().hear([record("a"), record("b")], False, 0.0, 60.0)
    assert {r.agent for r in known.hear([], False, 1.0, 60.0).records} == {"a", "b"}
    assert {r.agent for r in known.hear([record("a")], False, 1.0, 60.0).records} == {"a"}


@given(st.lists(records, max_size=5))
def test_a_snapshot_comes_back(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("snapshot") / "deep" / "discovery.json"
    snapshot.save(path, tuple(found))
    assert snapshot.load(path) == tuple(found)


@given(anything)
def test_a_damaged_snapshot_gives_no_agents(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("snapshot") / "discovery.json"
    path.write_text(json.dumps({"format": 1, "agents": junk}))
    assert isinstance(snapshot.load(path), tuple)
    path.write_bytes(b"\x00{")
    assert snapshot.load(path) == ()


@pytest.mark.parametrize("text", ['{"format": 1, "agents": ' + "[" * 100_000, '{"format": 1, "agents": [%s]}'])
def test_a_snapshot_that_python_cannot_hold_gives_no_agents(tmp_path, text):
    path = tmp_path / "discovery.json"
    agent = '{"agent":"a","tier":"t","region":"r","address":"h:1","protocol":1,"models":{},"load":1%s}'
    path.write_text(text.replace("%s", agent.replace("%s", "0" * 400)))
    assert snapshot.load(path) == ()
