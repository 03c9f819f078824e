"""Sums that agents pool, and the trials of heads that come of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "pool_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_state")),
    )
    op.create_table(
        "pool_children",
        sa.Column("child", sa.String(length=200), nullable=False),
        sa.Column("heard", sa.Double(), nullable=False),
        sa.Column("counted_epoch", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.Text(), nullable=False),
        sa.Column("staged_epoch", sa.BigInteger(), nullable=False),
        sa.Column("staged", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("child", name=op.f("pk_pool_children")),
    )
    op.create_table(
        "pool_epochs",
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("agent", name=op.f("pk_pool_epochs")),
    )
    op.create_table(
        "pool_parts",
        sa.Column("child", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("region", sa.String(length=200), nullable=False),
        sa.Column("trial", sa.String(length=71), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("agents", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("child", "epoch", "number", name=op.f("pk_pool_parts")),
    )
    op.create_index("ix_pool_parts_model", "pool_parts", ["model", "version_digest"])
    op.create_table(
        "region_attempts",
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("region", sa.String(length=200), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version_digest", "region", name=op.f("pk_region_attempts")),
    )
    op.create_table(
        "region_trials",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("region", sa.String(length=200), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_region_trials")),
    )
    op.create_index(op.f("ix_region_trials_open"), "region_trials", ["open"])
