"""Audits of answers against the top's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "audits",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("question", sa.String(length=200), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("tier", sa.String(length=63), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("policy_digest", sa.String(length=71), nullable=False),
        sa.Column("passes", sa.Boolean(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audits")),
        sa.UniqueConstraint("agent", "question", "row", name=op.f("uq_audits_agent")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audits_received"), "audits", ["received"])
    op.create_index("ix_audits_model", "audits", ["model", "number"])
