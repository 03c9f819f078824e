"""Heads among the artifacts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "heads",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_heads")),
    )
    op.create_index(op.f("ix_heads_version_digest"), "heads", ["version_digest"])
