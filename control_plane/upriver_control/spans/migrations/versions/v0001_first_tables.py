"""The first tables of spans."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    _spans()
    _hops()
    op.create_table(
        "links",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("trace", "span", "linked_trace")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_links_trace", "links", ["trace", "span", "linked_trace"], unique=True)
    op.create_index("ix_links_linked_trace", "links", ["linked_trace"])
    op.create_table(
        "rates",
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("region", "model", "version")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "escalated_rows", "lessons")),
        sa.PrimaryKeyConstraint("minute", "region", "model", "version", name=op.f("pk_rates")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )


def _spans() -> None:
    op.create_table(
        "origins",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("resource", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("resource_url", sa.Text(), nullable=False),
        sa.Column("scope_url", sa.Text(), nullable=False),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_origins")),
        sa.UniqueConstraint("digest", name=op.f("uq_origins_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_origins_seen_ns"), "origins", ["seen_ns"])
    op.create_table(
        "spans",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("trace", "span")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("origin", "start_ns", "received_ns", "offset_ns")
        ),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spans")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_spans_trace", "spans", ["trace", "span"], unique=True)


def _hops() -> None:
    texts = ("agent", "tier", "region", "model", "version", "reason", "answered_by", "answered_tier")
    op.create_table(
        "kinds",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("hop", "flags")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*texts, "policy", "service")),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kinds")),
        sa.UniqueConstraint("digest", name=op.f("uq_kinds_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_kinds_seen_ns"), "kinds", ["seen_ns"])
    op.create_table(
        "hops",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("trace", "span")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("at_ns", "duration_ns")),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("kind", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("score", "threshold")),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hops")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hops_trace", "hops", ["trace", "span"], unique=True)
    op.create_index("ix_hops_at_ns", "hops", ["at_ns", "kind", "duration_ns"])
    op.create_index("ix_hops_kind", "hops", ["kind", "bucket", "at_ns", "weight", "duration_ns"])
    asked = sa.text("question <> ''")
    op.create_index("ix_hops_question", "hops", ["question"], sqlite_where=asked, postgresql_where=asked)
