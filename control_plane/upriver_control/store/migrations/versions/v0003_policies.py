"""Calibrations, the policies that came out of them, and the questions that they were made from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "calibrations",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_calibrations")),
        sa.UniqueConstraint("id", name=op.f("uq_calibrations_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_calibrations_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_calibrations_model"), "calibrations", ["model"])
    op.create_index(op.f("ix_calibrations_state"), "calibrations", ["state"])
    op.create_table(
        "policies",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("tier", sa.String(length=63), nullable=False),
        sa.Column("calibration", sa.String(length=200), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policies")),
        sa.UniqueConstraint("model", "digest", name=op.f("uq_policies_model")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_policies_version_digest"), "policies", ["version_digest"])
    op.create_table(
        "questions",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("questions", sa.BigInteger(), nullable=False),
        sa.Column("has_labels", sa.Boolean(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_questions")),
    )
    op.create_index(op.f("ix_questions_until"), "questions", ["until"])
