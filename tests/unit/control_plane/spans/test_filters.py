"""A filter means the same to the database as to what looks at rows as they come."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.errors import InvalidInput
from upriver_control.spans.filters import Condition, Filter, Op, conditions, matches, sql
from upriver_control.spans.flags import Flag
from upriver_control.spans.rows import HopRow, Kind, kind_of

OWN = ("trace", "span", "at_ns", "duration_ns", "question")
QUESTION = "q-0123456789abcdef-0123456789abcdef"


def row(
    trace: int = 1, hop: int = 0, agent: str = "device-1", flags: int = 0, at_ns: int = 100, **other: str
) -> HopRow:
    return HopRow(
        trace=bytes([trace]) * 16,
        span=bytes([hop + 1]) * 8,
        at_ns=at_ns,
        duration_ns=at_ns * 10,
        bucket=0,
        hop=hop,
        agent=agent,
        tier=agent.rpartition("-")[0],
        region=other.get("region", "home"),
        model=other.get("model", "digits"),
        version=other.get("version", "v1"),
        reason=other.get("reason", "confident"),
        answered_by=agent,
        answered_tier=other.get("answered_tier", "device"),
        policy="",
        score=0.5,
        threshold=None,
        rows=1,
        weight=1.0,
        flags=flags,
        question=other.get("question", ""),
        service="upriver-agent",
    )


agents = st.sampled_from(["device-1", "device-2", "Device-1", "far-1"])
rows = st.builds(
    row,
    trace=st.integers(1, 3),
    hop=st.integers(0, 2),
    agent=agents,
    flags=st.integers(0, 255),
    at_ns=st.integers(1, 4),
    region=st.sampled_from(["home", "eu"]),
    version=st.sampled_from(["v1", "v2"]),
    reason=st.sampled_from(["confident", "top"]),
    question=st.sampled_from(["", QUESTION]),
)
filters = st.builds(
    Filter,
    search=st.sampled_from(["", "", "", "01" * 16, QUESTION, "device", "device-1", "%", "_evice", "'"]),
    agent=st.sampled_from(["", "", ""]) | agents,
    region=st.sampled_from(["", "", "", "eu"]),
    version=st.sampled_from(["", "", "", "v2"]),
    reason=st.sampled_from(["", "", "top"]),
    flags=st.sampled_from([0, 0, 1, 3, 128]),
    from_ns=st.integers(0, 3),
    until_ns=st.sampled_from([0, 4]),
    min_latency_ns=st.sampled_from([0, 20]),
    every_hop=st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(rows, max_size=8, unique_by=lambda row: (row.trace, row.span)), filters, st.booleans())
def test_the_database_finds_what_looking_finds(kept: list[HopRow], wanted: Filter, gathered: bool) -> None:
    means = conditions(wanted)
    where, values = sql(means, gathered=gathered)
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE hops ({', '.join(OWN)}, kind)")
        database.execute(f"CREATE TABLE kinds (id, {', '.join(Kind._fields)})")
        for number, one in enumerate(kept):
            own, kind = [getattr(one, name) for name in OWN], kind_of(one)
            database.execute(f"INSERT INTO hops VALUES ({', '.join('?' * 6)})", (*own, number))  # noqa: S608 - marks alone
            database.execute(f"INSERT INTO kinds VALUES ({', '.join('?' * 13)})", (number, *kind))  # noqa: S608 - as above
        query = f"SELECT trace, span FROM hops WHERE {where}"  # noqa: S608 - what it is made of is tested here
        found = database.execute(query, dict(values)).fetchall()
    looked = [
        (row.trace, row.span)
        for row in kept
        if matches(means, row, [other for other in kept if other.trace == row.trace])
    ]
    assert sorted(found) == sorted(looked)


def test_without_anything_asked_it_is_every_touch_point() -> None:
    assert conditions(Filter()) == (Condition("hop", Op.IS, 0),)
    assert sql(conditions(Filter(every_hop=True))) == ("1 = 1", {})


@pytest.mark.parametrize("search", [QUESTION, f"{QUESTION}.3"])
def test_a_ticket_or_lesson_is_looked_for_by_its_question(search: str) -> None:
    assert conditions(Filter(search=search, every_hop=True)) == (Condition("question", Op.IS, QUESTION),)


def test_agent_and_version_are_those_of_one_hop() -> None:
    touch, above = row(version="v1"), row(hop=1, agent="far-1", version="v2")
    assert matches(conditions(Filter(agent="far-1", version="v2")), touch, [above])
    assert not matches(conditions(Filter(agent="device-1", version="v2")), touch, [above])
    assert not matches(conditions(Filter(agent="far-1", every_hop=True)), touch, [above])


def test_what_questions_have_in_common_is_asked_of_their_kinds() -> None:
    where, values = sql(conditions(Filter(flags=Flag.DEGRADED | Flag.FAILED, min_latency_ns=7, every_hop=True)))
    kind = "hops.kind IN (SELECT kinds.id FROM kinds WHERE (kinds.flags & :p0) = :p0)"
    assert (where, values) == (f"{kind} AND hops.duration_ns >= :p1", {"p0": 10, "p1": 7})


def test_a_list_keeps_to_its_order_and_does_not_look_for_rows_by_their_kind() -> None:
    where, _ = sql(conditions(Filter(model="digits")), by_kind=False)
    assert where.startswith("+hops.kind IN (")
    assert sql(conditions(Filter(model="digits")))[0].startswith("hops.kind IN (")
    nearby, _ = sql(conditions(Filter(agent="far-1")), by_kind=False)
    assert "other.trace = hops.trace AND +other.kind IN (" in nearby


def test_a_question_is_looked_for_as_its_index_has_it() -> None:
    where, _ = sql(conditions(Filter(search=QUESTION, every_hop=True)))
    assert where == "hops.question = :p0 AND hops.question <> ''"


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"search": "a" * 201}, "search"),
        ({"agent": "a\0"}, "agent"),
        ({"from_ns": -1}, "from_ns"),
        ({"until_ns": 1 << 63}, "until_ns"),
        ({"flags": 256}, "flags"),
        ({"from_ns": 5, "until_ns": 5}, "expected a time after 5"),
    ],
)
def test_what_no_question_can_be_is_refused(wanted: dict[str, int], wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        Filter(**wanted)  # type: ignore[arg-type]  # some are texts


def test_nobody_s_text_becomes_part_of_the_query() -> None:
    where, _ = sql(conditions(Filter(search="' OR 1 = 1 --", agent="'; DROP TABLE hops", model='"')))
    assert "DROP" not in where
    assert "OR 1" not in where
