"""The tables of spans, in a database of their own. Times are nanoseconds since the epoch; ids never come twice."""

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, text

from upriver_control.store.schema import metadata as _others

NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only what it calls an integer."""
metadata = MetaData(naming_convention=_others.naming_convention)

origins = Table(
    "origins",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("resource", LargeBinary, nullable=False),
    Column("scope", LargeBinary, nullable=False),
    Column("resource_url", Text, nullable=False),
    Column("scope_url", Text, nullable=False),
    Column("seen_ns", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""Resources and scopes, once each. No span that came after `seen_ns` is of one."""

spans = Table(
    "spans",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("trace", LargeBinary, nullable=False),
    Column("span", LargeBinary, nullable=False),
    Column("origin", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Column("offset_ns", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Index("ix_spans_trace", "trace", "span", unique=True),
    sqlite_autoincrement=True,
)
"""Spans as they came, in the order in which they did."""

kinds = Table(
    "kinds",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hop", Integer, nullable=False),
    Column("flags", Integer, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in ("agent", "tier", "region", "model", "version", "reason", "answered_by", "answered_tier")
    ),
    Column("policy", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("seen_ns", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""What questions at agents have in common, once each; see `rows.Kind`. No span that came after `seen_ns` is of one."""

hops = Table(
    "hops",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("trace", LargeBinary, nullable=False),
    Column("span", LargeBinary, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("kind", BigInteger, nullable=False),
    Column("score", Double),
    Column("threshold", Double),
    Column("rows", Integer, nullable=False),
    Column("weight", Double, nullable=False),
    Column("question", Text, nullable=False),
    Index("ix_hops_trace", "trace", "span", unique=True),
    # Lists walk along the first, figures along the second, and neither looks at rows that it does not want.
    Index("ix_hops_at_ns", "at_ns", "kind", "duration_ns"),
    Index("ix_hops_kind", "kind", "bucket", "at_ns", "weight", "duration_ns"),
    Index("ix_hops_question", "question", sqlite_where=text("question <> ''"), postgresql_where=text("question <> ''")),
    sqlite_autoincrement=True,
)
"""Questions at agents, with their kind all that they are looked for by; see `rows.HopRow`."""

links = Table(
    "links",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("trace", LargeBinary, nullable=False),
    Column("span", LargeBinary, nullable=False),
    Column("linked_trace", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Index("ix_links_trace", "trace", "span", "linked_trace", unique=True),
    Index("ix_links_linked_trace", "linked_trace"),
    sqlite_autoincrement=True,
)
"""Spans that speak of another trace."""

calls = Table(
    "calls",
    metadata,
    Column("trace", LargeBinary, primary_key=True),
    Column("span", LargeBinary, primary_key=True),
    Column("at_ns", BigInteger, nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
)
"""Calls from agents to agents above, of the last minutes alone; see `rows.CallRow`."""

rates = Table(
    "rates",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("region", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("escalated_rows", BigInteger, nullable=False),
    Column("lessons", BigInteger, nullable=False),
)
"""What agents counted, by the minute since the epoch; `lessons` are those that they kept in it."""

counted = Table(
    "counted",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("boot", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("escalated_rows", BigInteger, nullable=False),
    Column("active_for_s", Double, nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("lessons", BigInteger, nullable=False),
    Column("lessons_minute", BigInteger, nullable=False),
)
"""The last report of each agent that is counted in `rates`, see `counting`; its lessons are, up to `lessons_minute`."""

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("id", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
)
"""How far somebody came with the spans, by their ids; `lost` is how many went before their turn."""
